"""What the entries of an index lead to, where they do not say it themselves.

An index may list indexes, and it may leave platforms out (image-spec, image-index.md). Clients look into what they
lead to: containerd follows an inner index, and reads the config of an image without a platform. So does this, to know
what there is; nothing of it changes the document. A stranger's index is looked into so deep and so often, and no
further.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from proxy.arch.compatibility import pick_best
from proxy.arch.corrections import Corrections
from proxy.arch.questions import Answer, Asking, ConfigPlatform, ConfigQuestion, ManifestQuestion, Present, Unreachable
from proxy.oci.manifests import Descriptor, ImageManifest, Index
from proxy.oci.platforms import Platform

MAX_INDEX_DEPTH = 3
"""How many indexes deep an image may lie."""
MAX_LOOKS = 16
"""How many entries of one index are looked into: each may cost a manifest of Docker Hub's pull quota."""


@dataclass(frozen=True, slots=True)
class Unfolded:
    """What an index leads to."""

    images: tuple[Descriptor, ...]
    """In order, the images of an inner index in its place. What could not be read stays as it was listed."""
    looks: int = 0
    """How many entries were looked into."""
    is_known: bool = True
    """False where one could not be read now: another time it may be."""


def unfold(
    repository: str, entries: Iterable[Descriptor], corrections: Corrections, *, needed: bool
) -> Asking[Unfolded]:
    """Answer the images that entries of an index lead to, each with its platform as far as anybody tells it.

    Args:
        repository: Where the index is.
        entries: Its images and indexes.
        corrections: What the operator knows better.
        needed: Whether it matters what platform an image is for: inner indexes are read anyway.
    """
    images = tuple(entries)
    looks, is_known = 0, True
    seen: set[Descriptor] = set()
    for _ in range(MAX_INDEX_DEPTH):
        opaque = [one for one in dict.fromkeys(images) if one not in seen and _is_opaque(one, needed=needed)]
        opaque = opaque[: MAX_LOOKS - looks]
        if not opaque:
            break
        seen.update(opaque)
        looks += len(opaque)
        answers = yield tuple(ManifestQuestion(repository, _bare(one)) for one in opaque)
        is_known = is_known and not any(isinstance(answer, Unreachable) for answer in answers)
        inner = {one: _contents(one, answer, corrections) for one, answer in zip(opaque, answers, strict=True)}
        claims = yield from _ask_claims(repository, answers) if needed else _nobody()
        is_known = is_known and not any(isinstance(claim, Unreachable) for claim in claims.values())
        images = tuple(_claimed(found, claims, corrections) for one in images for found in inner.get(one, (one,)))
    return Unfolded(images, looks, is_known)


def _is_opaque(entry: Descriptor, *, needed: bool) -> bool:
    return entry.is_index or (needed and entry.platform is None)


def _bare(entry: Descriptor) -> Descriptor:
    """The address of an entry, without what its index says of it: the same content is asked for once."""
    return Descriptor(entry.media_type, entry.digest, entry.size)


def _contents(entry: Descriptor, answer: Answer, corrections: Corrections) -> tuple[Descriptor, ...]:
    """Answer what stands in an entry's place, now that it is read."""
    match answer:
        case Present(document=Index() as index):
            inner = [corrections.correct_entry(one) for one in index.manifests if one.is_runnable]
            return tuple(inner) if entry.platform is None else _best(entry.platform, inner)
        case Present(document=ImageManifest() as image) if image.artifact:
            return ()
        case _:
            return (entry,)


def _best(platform: Platform, inner: Sequence[Descriptor]) -> tuple[Descriptor, ...]:
    """Answer what an inner index has for the platform that it is listed for: nobody else is led into it."""
    position = pick_best(platform, [one.platform for one in inner])
    return () if position is None else (replace(inner[position], platform=platform),)


def _ask_claims(repository: str, answers: Sequence[Answer]) -> Asking[Mapping[object, Answer]]:
    """Ask the configs of the images that were read; answer them by the images' digests."""
    read = [answer for answer in answers if isinstance(answer, Present)]
    images = {
        answer.descriptor.digest: answer.document.config
        for answer in read
        if isinstance(answer.document, ImageManifest) and not answer.document.artifact
    }
    if not images:
        return {}
    claims = yield tuple(ConfigQuestion(repository, config) for config in images.values())
    return dict(zip(images, claims, strict=True))


def _nobody() -> Asking[Mapping[object, Answer]]:
    yield from ()
    return {}


def _claimed(entry: Descriptor, claims: Mapping[object, Answer], corrections: Corrections) -> Descriptor:
    claim = claims.get(entry.digest)
    if entry.platform is not None or entry.is_index or not isinstance(claim, ConfigPlatform):
        return entry
    return replace(entry, platform=_usable(corrections.correct(claim.platform)))


def _usable(platform: Platform | None) -> Platform | None:
    return platform.explicit() if platform is not None and platform.is_known else None
