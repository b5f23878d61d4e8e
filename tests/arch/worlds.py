"""A world of registries as plain data, and a driver that answers a resolution's questions from it.

The documents are real: JSON bytes with true digests, read by `parse_manifest`. Every world can be cut off anywhere:
a name in `unreachable` is answered `Unreachable`.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from proxy.arch.candidates import official_templates, proposal_templates
from proxy.arch.programs import Program
from proxy.arch.questions import (
    Absent,
    Answer,
    BinaryAnswer,
    BinaryQuestion,
    ConfigPlatform,
    ConfigQuestion,
    ManifestQuestion,
    Present,
    Question,
    TagQuestion,
    Unreachable,
)
from proxy.arch.resolution import Conversation, Policy, Resolution, resolve
from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.manifests import (
    REFERENCE_DIGEST,
    REFERENCE_TYPE,
    Descriptor,
    Document,
    parse_config_platform,
    parse_manifest,
)
from proxy.oci.platforms import Platform, platform_object

MAX_QUESTIONS = 1000
"""More than any resolution may ask."""


@dataclass(frozen=True)
class Content:
    """A manifest, an index or a config, with what it leads to."""

    media_type: str
    body: bytes
    children: tuple["Content", ...] = ()
    claim: Platform | None = None
    """What an image's config says."""
    program: Program | None = None
    """The program of a layer that speaks for its image."""

    @cached_property
    def digest(self) -> Digest:
        return Digest.of(self.body)

    @cached_property
    def document(self) -> Document:
        return parse_manifest(self.body, self.media_type)

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(self.media_type, self.digest, len(self.body))

    def everything(self) -> Iterator["Content"]:
        yield self
        for child in self.children:
            yield from child.everything()


def linux(text: str) -> Platform:
    return Platform.parse(f"linux/{text}")


FLEET = tuple(linux(text) for text in ("amd64", "arm64", "arm/v7", "arm/v6"))
HUB = Policy(FLEET, official_templates())
"""What is the default for Docker Hub."""
PRIVATE = Policy(FLEET, (*official_templates(), *proposal_templates()))
"""What is the default for a registry of one's own."""


def _write(fields: object) -> bytes:
    return json.dumps(fields).encode()


def _entry(content: Content, **more: object) -> dict[str, object]:
    return {"mediaType": content.media_type, "digest": str(content.digest), "size": len(content.body), **more}


def image(claim: str | None, name: str = "", *, is_oci: bool = False, program: Program | None = None) -> Content:
    """Build an image whose config claims a platform, or none; the name makes it another image.

    With a program, it has a layer that holds it.
    """
    platform = None if claim is None else linux(claim)
    fields = {"name": name, **({} if platform is None else platform_object(platform))}
    config = Content(media_types.OCI_CONFIG if is_oci else media_types.DOCKER_CONFIG, _write(fields))
    media_type = media_types.OCI_MANIFEST if is_oci else media_types.DOCKER_MANIFEST
    layers = () if program is None else (Content(media_types.OCTET_STREAM, repr(program).encode(), program=program),)
    listed = [_entry(layer) for layer in layers]
    body = _write({"schemaVersion": 2, "mediaType": media_type, "config": _entry(config), "layers": listed})
    return Content(media_type, body, (config, *layers), platform)


def index(
    *entries: tuple[str | None, Content],
    attested: Iterable[Content] = (),
    is_oci: bool = True,
    annotations: dict[str, str] | None = None,
) -> Content:
    """Build an index of contents, each with the platform that it is listed for, and attestations of some of them."""
    written = [
        _entry(content, **({} if platform is None else {"platform": platform_object(linux(platform))}))
        for platform, content in entries
    ]
    proofs = [(subject, image(None, f"proof of {subject.digest}", is_oci=True)) for subject in attested]
    for subject, proof in proofs:
        about = {REFERENCE_TYPE: "attestation-manifest", REFERENCE_DIGEST: str(subject.digest)}
        unknown = {"architecture": "unknown", "os": "unknown"}
        written.append(_entry(proof, platform=unknown, annotations=about))
    media_type = media_types.OCI_INDEX if is_oci else media_types.DOCKER_LIST
    fields: dict[str, object] = {"schemaVersion": 2, "mediaType": media_type, "manifests": written}
    if annotations is not None:
        fields["annotations"] = annotations
    children = (*(content for _, content in entries), *(proof for _, proof in proofs))
    return Content(media_type, _write(fields), children)


def artifact(kind: str = "application/vnd.cncf.helm.config.v1+json", artifact_type: str = "") -> Content:
    """Build what is no image, in the shape of one: by its config, or by its own word for itself."""
    config = Content(kind, _write({}))
    fields: dict[str, object] = {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST}
    more = {"artifactType": artifact_type} if artifact_type else {}
    return Content(
        media_types.OCI_MANIFEST, _write({**fields, **more, "config": _entry(config), "layers": []}), (config,)
    )


def schema1(name: str = "") -> Content:
    """Build a manifest of before 2016, signed as they were."""
    body = _write({"schemaVersion": 1, "name": name, "fsLayers": [], "signatures": []})
    return Content(media_types.DOCKER_SCHEMA1_SIGNED, body)


@dataclass
class World:
    """What all registries together have, and how they are reached."""

    tags: dict[str, Content] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    unreachable: set[str] = field(default_factory=set)
    """Tags as `repository:tag`; manifests and configs as `repository@digest`."""
    asked: list[Question] = field(default_factory=list)
    """What the last conversation asked, in order."""
    rounds: list[int] = field(default_factory=list)
    """How many questions came together."""

    def publish(self, name: str, content: Content) -> "World":
        """Put content under `repository:tag`; answer this world."""
        self.tags[name] = content
        return self

    def resolve(self, name: str, policy: Policy = HUB, *, is_head: bool = False) -> Resolution:
        """Resolve `repository:tag` in this world."""
        repository, _, tag = name.rpartition(":")
        return self.ask(resolve(repository, tag, policy, is_head=is_head))

    def ask(self, conversation: Conversation) -> Resolution:
        """Drive a conversation to its end, and see that no question comes twice."""
        self.asked, self.rounds = [], []
        answers: tuple[Answer, ...] | None = None
        while True:
            try:
                questions = next(conversation) if answers is None else conversation.send(answers)
            except StopIteration as stop:
                resolution: Resolution = stop.value
                return resolution
            assert questions, "a round without questions"
            self.asked.extend(questions)
            self.rounds.append(len(questions))
            assert len(set(self.asked)) == len(self.asked), "a question that was asked before"
            assert len(self.asked) < MAX_QUESTIONS
            answers = tuple(self.answer(question) for question in questions)

    @property
    def asked_names(self) -> list[str]:
        """What was asked, as `repository:tag` or `repository@digest`."""
        return [_name(question) for question in self.asked]

    @property
    def asked_tags(self) -> list[str]:
        """The tags that were asked, without the manifests and configs."""
        return [_name(question) for question in self.asked if isinstance(question, TagQuestion)]

    def answer(self, question: Question) -> Answer:
        name = _name(question)
        if name in self.unreachable:
            return Unreachable("timed out")
        if name in self.denied:
            return Absent("denied", is_denied=True)
        if isinstance(question, BinaryQuestion):
            return BinaryAnswer(next(self._find_programs(question), None))
        found = self.tags.get(name) if isinstance(question, TagQuestion) else self._find(question)
        if found is None:
            return Absent()
        if isinstance(question, ConfigQuestion):
            return ConfigPlatform(parse_config_platform(found.body))
        has_document = isinstance(question, ManifestQuestion) or question.with_document
        return Present(found.descriptor, found.document if has_document else None)

    def _find_programs(self, question: BinaryQuestion) -> Iterator[Program]:
        wanted = {layer.digest for layer in question.layers}
        for content in self.tags.values():
            yield from (each.program for each in content.everything() if each.program and each.digest in wanted)

    def _find(self, question: ManifestQuestion | ConfigQuestion) -> Content | None:
        wanted = question.descriptor if isinstance(question, ManifestQuestion) else question.config
        for name, content in self.tags.items():
            if name.rpartition(":")[0] == question.repository:
                for each in content.everything():
                    if each.digest == wanted.digest:
                        return each
        return None


def offers(resolution: Resolution) -> list[tuple[str, str]]:
    """Answer what a tag offers: each image's platform, and the name that it comes from."""
    return [(str(entry.platform), f"{entry.repository}:{entry.tag}") for entry in resolution.entries]


def is_untouched(resolution: Resolution) -> bool:
    return resolution.synthesis is None and not resolution.additions


def _name(question: Question) -> str:
    match question:
        case TagQuestion(repository=repository, tag=tag):
            return f"{repository}:{tag}"
        case ManifestQuestion(repository=repository, descriptor=descriptor):
            return f"{repository}@{descriptor.digest}"
        case ConfigQuestion(repository=repository, config=config):
            return f"{repository}@{config.digest}"
        case BinaryQuestion(repository=repository, layers=layers):
            return f"{repository}@{','.join(str(layer.digest) for layer in layers)}"
