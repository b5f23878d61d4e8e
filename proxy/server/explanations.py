"""What a request would be answered, and why: what `polyarch resolve` prints, as one value.

Nothing is decided here: the request is read, its client is told apart and its answer is made by what serves those that
come. Only what the client would do next is foretold (`arch/picking.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from aiohttp import hdrs

from proxy.arch.compatibility import can_run
from proxy.arch.detection import Detection
from proxy.arch.entries import Entry
from proxy.arch.picking import Chooser
from proxy.oci.digests import Digest
from proxy.oci.errors import NameUnknown
from proxy.oci.manifests import Descriptor, Index, parse_manifest
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference, short_name
from proxy.oci.routes import ManifestRoute
from proxy.server.answers import resolution_headers
from proxy.server.clients import Client, Clients
from proxy.server.doors import Door
from proxy.server.fronts import Front, locate
from proxy.server.imagined import ImaginedRequest
from proxy.server.reading import accepted_by, namespace_of, raw_path_of, read_route
from proxy.service.pull import ManifestAnswer

ASKED_FOR = "asked for"
"""The evidence of a platform that the question itself names."""
_NEVER_REWRITTEN = "a digest is never rewritten"


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A request whose answer is to be explained."""

    request: ImaginedRequest
    door: Door
    """Where it comes in."""
    platform: Platform | None = None
    """What its client is taken for, whatever it shows; None for what the evidence says."""
    chooser: Chooser | None = None
    """How its client picks out of an index, if that is asked."""


@dataclass(frozen=True, slots=True)
class Pick:
    """What a client takes of its answer."""

    wanted: str | None
    """The platform that it looks for."""
    digest: str | None
    """The manifest that it takes; None if it takes none."""
    image: str | None
    """Where that image comes from: `arm32v7/debian:jessie@sha256:…`."""
    platform: str | None
    verdict: str
    """Why, in a few words."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """An answer in words that can be printed or written as JSON."""

    reference: str
    platform: str | None
    evidence: str
    considered: list[dict[str, str | None]]
    """Every row of evidence: `evidence`, `shown`, `platform`."""
    listener: str
    answer: str
    """The answer mode: `index` or `manifest`."""
    answer_evidence: str
    media_type: str
    digest: str
    size: int
    image: str
    """Where the client's image comes from: `arm32v7/debian:jessie@sha256:…`."""
    image_platform: str | None
    cache: str
    warning: str
    pick: Pick | None
    """What the client takes of it; None if that was not asked."""
    trail: list[str]


async def explain(fronts: Mapping[str, Front], clients: Clients, inquiry: Inquiry) -> Explanation:
    """Answer what a request would be answered.

    Raises:
        NameUnknown: It does not ask for a manifest, or for none of this proxy's.
        RegistryError: What the client would be told instead.
    """
    request = inquiry.request
    listener = inquiry.door.find(request.headers.get(hdrs.HOST, ""))
    route = read_route(raw_path_of(request))
    resource = route.resource
    if not isinstance(resource, ManifestRoute):
        raise NameUnknown("only a manifest can be explained: /v2/library/debian/manifests/jessie")
    namespace = namespace_of(request)
    found = locate(fronts, namespace, listener.upstream, route.prefix, resource.repository, clients.vocabulary)
    puller, repositories = found.front.puller, found.place.repositories
    client = _take_for(clients.see(request, found.place.path_word, listener), inquiry.platform)
    if isinstance(resource.target, Digest):
        answer = await puller.get_manifest(repositories, resource.target)
    else:
        answer = await puller.get_tag(repositories, resource.target, client.make_asker(accepted_by(request)))
    reference = str(Reference(puller.name, repositories[-1], resource.target))
    return _write(reference, client, answer, inquiry.chooser)


def _take_for(client: Client, platform: Platform | None) -> Client:
    if platform is None:
        return client
    return replace(client, detection=replace(client.detection, platform=platform, evidence=ASKED_FOR))


def _write(reference: str, client: Client, answer: ManifestAnswer, chooser: Chooser | None) -> Explanation:
    detection = client.detection
    headers = resolution_headers(answer, detection) if answer.resolution else {}
    entry = answer.choice.entry if answer.choice else None
    return Explanation(
        reference=reference,
        platform=str(detection.platform.explicit()) if detection.platform else None,
        evidence=detection.evidence,
        considered=client.list_evidence(),
        listener=client.listener.name or "main",
        answer=str(detection.answer),
        answer_evidence=detection.answer_evidence,
        media_type=answer.descriptor.media_type,
        digest=str(answer.descriptor.digest),
        size=answer.descriptor.size,
        image=headers.get("Polyarch-Source", reference),
        image_platform=str(entry.platform.explicit()) if entry and entry.platform else None,
        cache=str(answer.state),
        warning=headers.get("Warning", "").removeprefix("299 - ").strip('"'),
        pick=_pick(answer, chooser, detection) if chooser else None,
        trail=_trail(answer),
    )


def _pick(answer: ManifestAnswer, chooser: Chooser, detection: Detection) -> Pick:
    wanted = chooser.wanted or detection.platform
    named = str(wanted.explicit()) if wanted else None
    document = parse_manifest(answer.content or b"", answer.descriptor.media_type)
    if not isinstance(document, Index):
        entry = _find_entry(answer, answer.descriptor.digest)
        return _taken(named, answer.descriptor, entry, "the only image there is, whatever it is for")
    if chooser.rule is None:
        return Pick(named, str(answer.descriptor.digest), None, None, "the whole index")
    if wanted is None:
        return Pick(None, None, None, None, "what its machine runs, and nothing tells which that is")
    images = [one for one in document.manifests if one.is_runnable]
    position = chooser.rule(wanted, [one.platform for one in images])
    if position is None:
        return Pick(named, None, None, None, f"nothing: no entry that it takes for {named}")
    entry = _find_entry(answer, images[position].digest)
    platform = _platform_of(images[position], entry)
    verdict = f"it looks for {named}"
    if platform is not None and not can_run(chooser.machine or wanted, platform):
        verdict += f", and takes what does not run: {platform.explicit()}"
    return _taken(named, images[position], entry, verdict)


def _taken(wanted: str | None, image: Descriptor, entry: Entry | None, verdict: str) -> Pick:
    platform = _platform_of(image, entry)
    source = f"{short_name(entry.repository)}:{entry.tag}@{entry.descriptor.digest}" if entry else None
    return Pick(wanted, str(image.digest), source, str(platform.explicit()) if platform else None, verdict)


def _find_entry(answer: ManifestAnswer, digest: Digest) -> Entry | None:
    entries = answer.resolution.entries if answer.resolution else ()
    return next((one for one in entries if one.descriptor.digest == digest), None)


def _platform_of(image: Descriptor, entry: Entry | None) -> Platform | None:
    """Answer what an image is for by what is known of it: a label may say what the client looks for instead."""
    return entry.image_platform if entry is not None and entry.image_platform is not None else image.platform


def _trail(answer: ManifestAnswer) -> list[str]:
    if answer.resolution is None:
        return [_NEVER_REWRITTEN]
    lines = answer.resolution.trail.as_lines()
    return [*lines, f"this client: {answer.choice.verdict}"] if answer.choice else lines
