"""What upstream itself has under a tag, as it is meant: the part of an answer that is there before any addition."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from proxy.arch.corrections import Corrections
from proxy.arch.entries import Entry
from proxy.arch.questions import (
    Absent,
    Answer,
    Asking,
    ConfigPlatform,
    ConfigQuestion,
    Present,
    Unreachable,
    describe,
    describe_claim,
    describe_kind,
    describe_platforms,
)
from proxy.arch.trail import Trail
from proxy.arch.unfolding import unfold
from proxy.oci.manifests import Descriptor, ImageManifest, Index
from proxy.oci.platforms import Platform


@dataclass(frozen=True, slots=True)
class Base:
    """What upstream has."""

    document: Index | Descriptor | None
    """Its index, or the descriptor of its single image with the platform that it is for; None where there is nothing
    that could be added to."""
    entries: tuple[Entry, ...] = ()
    """The images in it."""
    is_changed: bool = False
    """Whether it is meant otherwise than upstream wrote it, so that upstream's document will not do."""
    is_known: bool = True
    """False where the platform of a single image could not be asked."""
    is_closed: bool = False
    """Whether it is of a kind that nothing can be added to, such as a manifest of schema 1."""

    def without(self, platforms: Collection[Platform]) -> "Base":
        """Answer this without upstream's own images for some platforms, and without what attests them."""
        dropped = {
            entry.descriptor.digest
            for entry in self.entries
            if entry.platform is not None and entry.platform.normalised() in platforms
        }
        kept = tuple(
            entry for entry in self.entries if not (entry.platform and entry.platform.normalised() in platforms)
        )
        if len(kept) == len(self.entries):
            return self
        if not isinstance(self.document, Index):
            return replace(self, document=None, entries=kept, is_changed=True)
        stays = {entry.descriptor.digest for entry in kept}
        manifests = tuple(
            entry
            for entry in self.document.manifests
            if not (entry.platform is not None and entry.is_runnable and entry.platform.normalised() in platforms)
            and not (entry.attests in dropped and entry.attests not in stays)
        )
        return replace(self, document=replace(self.document, manifests=manifests), entries=kept, is_changed=True)


def read_base(
    repository: str, tag: str, upstream: Present | Absent, corrections: Corrections, trail: Trail, *, needed: bool
) -> Asking[tuple[Base, Trail]]:
    """Read what upstream has under a tag.

    Args:
        repository: Its name.
        tag: Its tag.
        upstream: What upstream answered, with the document if there is one.
        corrections: What the operator knows better.
        trail: What was found out before.
        needed: Whether it matters what platform a single image is for: its config is asked only then.
    """
    if isinstance(upstream, Absent):
        return Base(None), trail
    match upstream.document:
        case Index(artifact="") as index:
            return (yield from _read_index(repository, tag, index, corrections, trail, needed=needed))
        case ImageManifest(artifact="") as image if needed:
            (answer,) = yield (ConfigQuestion(repository, image.config),)
            return _read_image(repository, tag, upstream.descriptor, answer, corrections, trail)
        case ImageManifest(artifact=""):
            return _single(repository, tag, upstream.descriptor, None), trail
        case document:
            kind = upstream.descriptor.media_type
            if isinstance(document, Index | ImageManifest):
                kind = document.artifact
            trail = trail.add("upstream", f"{describe_kind(kind)}: passed on as it is")
            return Base(None, (Entry(None, upstream.descriptor, repository, tag),), is_closed=True), trail


def _read_index(
    repository: str, tag: str, index: Index, corrections: Corrections, trail: Trail, *, needed: bool
) -> Asking[tuple[Base, Trail]]:
    manifests = tuple(corrections.correct_entry(entry) for entry in index.manifests)
    images = [entry for entry in manifests if entry.is_runnable]
    trail = trail.add("upstream", f"index of {describe_platforms(entry.platform for entry in images)}")
    is_changed = any(one is not other for one, other in zip(manifests, index.manifests, strict=True))
    if is_changed:
        trail = trail.add("upstream", "platforms corrected, as a rule says")
    found = yield from unfold(repository, images, corrections, needed=needed)
    if found.looks:
        there = describe_platforms(entry.platform for entry in found.images)
        trail = trail.add("upstream", f"looked into what does not tell its platform, {found.looks} in all: {there}")
    entries = tuple(Entry(entry.platform, entry, repository, tag) for entry in found.images)
    return Base(replace(index, manifests=manifests), entries, is_changed, found.is_known), trail


def _read_image(
    repository: str, tag: str, descriptor: Descriptor, answer: Answer, corrections: Corrections, trail: Trail
) -> tuple[Base, Trail]:
    if isinstance(answer, ConfigPlatform):
        claim = answer.platform
        trail = trail.add("upstream", f"one image for {describe_claim(answer)}, as its config says")
    else:
        claim = None
        trail = trail.add("upstream", f"one image for an unknown platform: its config is {describe(answer)}")
    believed = corrections.correct(claim)
    if believed != claim:
        trail = trail.add("upstream", f"meant for {believed}, as a rule says")
    explicit = believed.explicit() if believed and believed.is_known else None
    base = _single(repository, tag, descriptor, explicit)
    return replace(base, is_changed=believed != claim, is_known=not isinstance(answer, Unreachable)), trail


def _single(repository: str, tag: str, descriptor: Descriptor, platform: Platform | None) -> Base:
    described = replace(descriptor, platform=platform)
    return Base(described, (Entry(platform, described, repository, tag),))
