"""Which image somebody would get, and why: what `polyarch resolve` prints, as one value."""

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.arch.choice import Asker
from proxy.arch.detection import AnswerMode, Detection
from proxy.oci.digests import Digest
from proxy.oci.references import Reference
from proxy.server.answers import resolution_headers
from proxy.server.fronts import Front, locate
from proxy.service.pull import ManifestAnswer

_NEVER_REWRITTEN = "a digest is never rewritten"


@dataclass(frozen=True, slots=True)
class Explanation:
    """An answer in words that can be printed or written as JSON."""

    reference: str
    platform: str | None
    evidence: str
    media_type: str
    digest: str
    size: int
    image: str
    """Where the client's image comes from: `arm32v7/debian:jessie@sha256:…`."""
    image_platform: str | None
    cache: str
    warning: str
    trail: list[str]


async def explain(fronts: Mapping[str, Front], reference: Reference, detection: Detection) -> Explanation:
    """Answer what a client of some platform would get for a reference.

    Raises:
        RegistryError: What the client would be told instead.
    """
    found = locate(fronts, reference.registry, "", "", reference.repository)
    front, place = found.front, found.place
    asker = Asker(detection, wants_manifest=detection.answer is AnswerMode.MANIFEST)
    if isinstance(reference.target, Digest):
        answer = await front.puller.get_manifest(place.repositories, reference.target)
    else:
        answer = await front.puller.get_tag(place.repositories, reference.target, asker)
    headers = resolution_headers(answer, detection) if answer.resolution else {}
    entry = answer.choice.entry if answer.choice else None
    return Explanation(
        reference=str(reference),
        platform=str(detection.platform.explicit()) if detection.platform else None,
        evidence=detection.evidence,
        media_type=answer.descriptor.media_type,
        digest=str(answer.descriptor.digest),
        size=answer.descriptor.size,
        image=headers.get("Polyarch-Source", str(reference)),
        image_platform=str(entry.platform.explicit()) if entry and entry.platform else None,
        cache=str(answer.state),
        warning=headers.get("Warning", "").removeprefix("299 - ").strip('"'),
        trail=_trail(answer),
    )


def _trail(answer: ManifestAnswer) -> list[str]:
    if answer.resolution is None:
        return [_NEVER_REWRITTEN]
    lines = answer.resolution.trail.as_lines()
    return [*lines, f"this client: {answer.choice.verdict}"] if answer.choice else lines
