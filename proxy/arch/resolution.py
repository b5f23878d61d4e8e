"""Which document answers a tag: a conversation without I/O.

`resolve` is a generator. It yields a tuple of questions, is sent the tuple of their answers in the same order, and
returns a `Resolution`. The questions of one tuple do not depend on each other, so the driver may ask them all at once.
Every failure is an answer, never an exception thrown into the generator. The same tag, policy and answers give the
same resolution for every client; what one client is then answered is `choice.choose`.

The steps are those of DESIGN §2:

1. What has upstream under the tag?
2. Which platforms of the fleet have no exact entry there?
3. Who has a build for them? First the candidates for exactly that platform, then for what else it runs, as long as it
   is better than what upstream has.
4. Nothing found: upstream's document. Something found: a synthesised index.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from proxy.arch.candidates import Candidate, Template, list_candidates
from proxy.arch.compatibility import rank, runs
from proxy.arch.conversations import without_repeats
from proxy.arch.examination import examine
from proxy.arch.questions import (
    Absent,
    Asking,
    ConfigPlatform,
    ConfigQuestion,
    Present,
    TagQuestion,
    Unreachable,
    describe,
    describe_claim,
    describe_platforms,
)
from proxy.arch.synthesis import Addition, Synthesis, synthesise
from proxy.arch.trail import Trail
from proxy.oci.digests import Digest
from proxy.oci.manifests import Descriptor, ImageManifest, Index
from proxy.oci.platforms import Platform

_FIRST = {"amd64": 0, "arm64": 1}
"""Docker's own order of an index, which a client that takes the first match relies on: these two, then the others, and
higher variants before lower ones (platforms.md §4.1)."""


Conversation = Asking["Resolution"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What an operator decides about resolution, for one upstream."""

    fleet: tuple[Platform, ...]
    templates: tuple[Template, ...] = ()
    refuse_missing: bool = False
    """Whether a client is refused, where nothing that is offered runs on its platform."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One image that a tag offers, and where it comes from."""

    platform: Platform | None
    descriptor: Descriptor
    repository: str
    tag: str
    is_added: bool = False

    @property
    def source(self) -> str:
        """Where the image comes from, in full: `arm32v7/debian:jessie@sha256:…`."""
        return f"{self.repository}:{self.tag}@{self.descriptor.digest}"


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a tag is for everybody: upstream's own document, a synthesised index, or nothing; and why."""

    repository: str
    tag: str
    upstream: Present | Absent | Unreachable
    entries: tuple[Entry, ...]
    synthesis: Synthesis | None
    additions: tuple[Entry, ...]
    """The added entries and their attestations, with the repositories that they are to be fetched from."""
    trail: Trail
    is_complete: bool = True
    """False where a candidate, or the config of upstream's image, could not be asked: good for a moment only."""


@dataclass(frozen=True, slots=True)
class _Find:
    """A build that a candidate turned out to have."""

    candidate: Candidate
    addition: Addition


def resolve(repository: str, tag: str, policy: Policy, *, is_head: bool = False) -> Conversation:
    """Work out what a tag is (see the module's head for the steps).

    Args:
        repository: The repository that the client named.
        tag: The tag that the client named.
        policy: The operator's.
        is_head: The client asked for nothing but headers. Upstream's document is then only fetched where it may not
            be the answer, so that a HEAD costs no pull where it need not (protocol_and_perf.md A2).
    """
    return (yield from without_repeats(_resolve(repository, tag, policy, is_head=is_head)))


def _resolve(repository: str, tag: str, policy: Policy, *, is_head: bool) -> Conversation:
    trail = Trail()
    candidates = list_candidates(policy.templates, repository, tag)
    with_document = not is_head or bool(candidates) or policy.refuse_missing
    (upstream,) = yield (TagQuestion(repository, tag, with_document),)
    assert not isinstance(upstream, ConfigPlatform)
    trail = trail.add(f"{repository}:{tag}", describe(upstream))
    if isinstance(upstream, Unreachable) or (isinstance(upstream, Present) and upstream.document is None):
        return Resolution(repository, tag, upstream, (), None, (), trail)
    needed = bool(candidates) or policy.refuse_missing
    base, offered, trail, is_known = yield from _read_upstream(repository, tag, upstream, trail, needed=needed)
    request = _Request(repository, tag, policy, candidates)
    resolution = yield from _augment(request, upstream, base, offered, trail)
    return replace(resolution, is_complete=resolution.is_complete and is_known)


@dataclass(frozen=True, slots=True)
class _Request:
    repository: str
    tag: str
    policy: Policy
    candidates: tuple[Candidate, ...]


_Step = Asking[tuple[Index | Descriptor | None, tuple[Entry, ...], Trail, bool]]


def _read_upstream(repository: str, tag: str, upstream: Present | Absent, trail: Trail, *, needed: bool) -> _Step:
    if isinstance(upstream, Absent):
        return None, (), trail, True
    match upstream.document:
        case Index() as index:
            entries = [entry for entry in index.manifests if entry.is_runnable]
            offered = tuple(Entry(entry.platform, entry, repository, tag) for entry in entries)
            return (
                index,
                offered,
                trail.add("upstream", f"index of {describe_platforms(entry.platform for entry in entries)}"),
                True,
            )
        case ImageManifest() as image:
            platform: Platform | None = None
            is_known = True
            if needed:
                (answer,) = yield (ConfigQuestion(repository, image.config),)
                platform = answer.platform if isinstance(answer, ConfigPlatform) else None
                is_known = not isinstance(answer, Unreachable)
                trail = trail.add("upstream", f"one image for {describe_claim(answer)}, as its config says")
            explicit = platform.explicit() if platform and platform.is_known else None
            descriptor = replace(upstream.descriptor, platform=explicit)
            return descriptor, (Entry(explicit, descriptor, repository, tag),), trail, is_known
        case _:
            trail = trail.add("upstream", f"a {upstream.descriptor.media_type}: passed on as it is")
            return None, (Entry(None, upstream.descriptor, repository, tag),), trail, True


def _augment(
    request: _Request,
    upstream: Present | Absent,
    base: Index | Descriptor | None,
    offered: tuple[Entry, ...],
    trail: Trail,
) -> Conversation:
    passed_on = isinstance(upstream, Present) and base is None
    missing = () if passed_on else _missing(request.policy.fleet, offered)
    exact = _exact(request.candidates, missing)
    finds, trail, knows_exact = yield from _ask(exact, trail)
    better = _better(request.candidates, missing, offered, finds)
    more, trail, knows_better = yield from _ask([candidate for candidate in better if candidate not in exact], trail)
    finds, is_complete = [*finds, *more], knows_exact and knows_better
    return _conclude(request, upstream, base, offered, finds, trail, is_complete=is_complete)


def _conclude(
    request: _Request,
    upstream: Present | Absent,
    base: Index | Descriptor | None,
    offered: tuple[Entry, ...],
    finds: Sequence[_Find],
    trail: Trail,
    *,
    is_complete: bool,
) -> Resolution:
    chosen = sorted(finds, key=lambda find: find.candidate.platform.variant, reverse=True)
    chosen.sort(key=lambda find: _FIRST.get(find.candidate.platform.architecture, len(_FIRST)))
    synthesis = synthesise(base, [find.addition for find in chosen]) if chosen else None
    added: tuple[Entry, ...] = ()
    if synthesis is not None and not synthesis.is_servable:
        trail, synthesis = trail.add("answer", f"an index of {len(synthesis.content)} bytes would be too large"), None
    if synthesis is not None:
        added = tuple(entry for find in chosen for entry in _entries_of(find))
        trail = trail.add(
            "answer", f"synthesised index {synthesis.digest} with {describe_platforms(e.platform for e in added)} added"
        )
    elif isinstance(upstream, Present):
        trail = trail.add("answer", "nothing to add: upstream's document, byte for byte")
    else:
        trail = trail.add("answer", "nothing anywhere")
    images = tuple(entry for entry in added if entry.platform is not None)
    return Resolution(
        request.repository, request.tag, upstream, (*offered, *images), synthesis, added, trail, is_complete
    )


def _missing(fleet: Sequence[Platform], offered: Sequence[Entry]) -> tuple[Platform, ...]:
    has = {entry.platform.normalised() for entry in offered if entry.platform}
    return tuple(platform for platform in fleet if platform.normalised() not in has)


def _exact(candidates: Sequence[Candidate], missing: Sequence[Platform]) -> list[Candidate]:
    wanted = {platform.normalised() for platform in missing}
    return [candidate for candidate in candidates if candidate.platform.normalised() in wanted]


def _better(
    candidates: Sequence[Candidate], missing: Sequence[Platform], offered: Sequence[Entry], finds: Sequence[_Find]
) -> list[Candidate]:
    """Answer the candidates for what a missing platform runs, as far as they beat what it would get already."""
    at_hand = [entry.platform for entry in offered if entry.platform] + [find.addition.platform for find in finds]
    wanted: set[Platform] = set()
    for platform in missing:
        ranks = [value for value in (rank(platform, image) for image in at_hand) if value is not None]
        wanted.update(runs(platform)[: min(ranks, default=None)])
    return [candidate for candidate in candidates if candidate.platform.normalised() in wanted]


def _ask(candidates: Sequence[Candidate], trail: Trail) -> Asking[tuple[list[_Find], Trail, bool]]:
    finds: list[_Find] = []
    is_complete = True
    if not candidates:
        return finds, trail, is_complete
    answers = yield tuple(
        TagQuestion(candidate.repository, candidate.tag, with_document=False, is_candidate=True)
        for candidate in candidates
    )
    for candidate, answer in zip(candidates, answers, strict=True):
        trail = trail.add(f"candidate {candidate} for {candidate.platform}", describe(answer))
        if isinstance(answer, Unreachable):
            is_complete = False
        if isinstance(answer, Present) and candidate.platform not in {find.candidate.platform for find in finds}:
            found = yield from examine(candidate, answer.descriptor)
            trail = trail.add(f"candidate {candidate}", found.reason)
            if found.addition is not None:
                finds.append(_Find(candidate, found.addition))
            is_complete = is_complete and found.is_known
    return finds, trail, is_complete


def _entries_of(find: _Find) -> list[Entry]:
    candidate, addition = find.candidate, find.addition
    image = Entry(addition.platform, addition.descriptor, candidate.repository, candidate.tag, is_added=True)
    others = [Entry(None, item, candidate.repository, candidate.tag, is_added=True) for item in addition.attestations]
    return [image, *others]


def find_digest(resolution: Resolution) -> Digest | None:
    """Answer the digest that the tag has for everybody: the synthesised index's, upstream's, or none."""
    if resolution.synthesis is not None:
        return resolution.synthesis.digest
    return resolution.upstream.descriptor.digest if isinstance(resolution.upstream, Present) else None
