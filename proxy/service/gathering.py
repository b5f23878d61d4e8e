"""Gathering: the images that an index is to hold, found by their references, each held against what it is to be for."""

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.arch.compatibility import can_run, pick_best
from proxy.arch.examination import contradicts
from proxy.oci import media_types
from proxy.oci.errors import InvalidManifest, InvalidSetting, UpstreamMisbehaved
from proxy.oci.manifests import (
    MAX_MANIFEST_BYTES,
    Descriptor,
    Document,
    ImageManifest,
    Index,
    parse_config_platform,
    parse_manifest,
)
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference
from proxy.ports import FetchedManifest
from proxy.service.holdings import MAX_INDEX_DEPTH
from proxy.service.publishing import ContentSource, Origin, Part


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was found under a reference."""

    parts: tuple[Part, ...]
    notes: tuple[str, ...]
    """What somebody may want to know of it."""


@dataclass(frozen=True, slots=True)
class _Listed:
    """An image of an index, or of an index within it."""

    platform: Platform
    """As its entry says, else as its config does."""
    descriptor: Descriptor
    attestations: tuple[Descriptor, ...]


async def gather(
    source: ContentSource, reference: Reference, platforms: Sequence[Platform], *, is_forced: bool = False
) -> Gathered:
    """Find the image under a reference for each of some platforms.

    Args:
        source: The registry that the reference names.
        reference: An image, or an index that has one for each of the platforms.
        platforms: What it is to be published for.
        is_forced: Whether an image is taken that says that it is for something else.

    Raises:
        ManifestUnknown: There is nothing under it.
        InvalidSetting: It is for none of the platforms.
    """
    found = await source.fetch_manifest(reference.repository, reference.target)
    origin, document = Origin(reference.registry, reference.repository, source), _parse(found, str(reference))
    match document:
        case Index() if not document.artifact:
            return await _pick_all(document, origin, reference, platforms, is_forced=is_forced)
        case ImageManifest() if not document.artifact:
            claim = await read_platform(document, origin)
            notes = [_judge(claim, platform, str(reference), is_forced=is_forced) for platform in platforms]
            part = Part(tuple(platforms), found.descriptor, origin)
            return Gathered((part,), tuple(note for note in notes if note))
        case Index() | ImageManifest():
            raise InvalidSetting(f"{reference} is no image, but {document.artifact}")
        case _:
            raise InvalidSetting(f"{reference} is no image that an index can hold, but {document.media_type}")


async def read_platform(image: ImageManifest, origin: Origin) -> Platform | None:
    """Answer what an image's config says that it is for; None where it says nothing that can be read.

    Raises:
        BlobUnknown: The config is not where the image is.
    """
    config = image.config
    if config.media_type not in media_types.IMAGE_CONFIGS or config.size > MAX_MANIFEST_BYTES:
        return None
    content = bytearray()
    async with origin.source.open_blob(origin.repository, config.digest) as stream:
        async for chunk in stream.chunks():
            content += chunk
            if len(content) > MAX_MANIFEST_BYTES:
                return None
    try:
        return parse_config_platform(bytes(content)) if config.digest.matches(bytes(content)) else None
    except InvalidManifest:
        return None


def _parse(found: FetchedManifest, what: str) -> Document:
    try:
        return parse_manifest(found.content, found.media_type)
    except InvalidManifest as error:
        raise UpstreamMisbehaved(f"{what} is no manifest that can be used: {error}") from error


async def _pick_all(
    index: Index, origin: Origin, reference: Reference, platforms: Sequence[Platform], *, is_forced: bool
) -> Gathered:
    listed = await _list_images(index, origin)
    meant: dict[tuple[Descriptor, tuple[Descriptor, ...]], list[Platform]] = {}
    notes = list[str]()
    for platform in platforms:
        image = _pick(platform, listed)
        if image is None:
            there = ", ".join(str(one.platform) for one in listed) or "none that is told"
            raise InvalidSetting(f"{reference} has nothing that runs on {platform}; its platforms are: {there}")
        # What is listed for something may still be something else: its config says so.
        claim = await _read_platform_of(image.descriptor, origin)
        note = _judge(claim, platform, f"what {reference} has for {image.platform}", is_forced=is_forced)
        is_other = not image.platform.is_same(platform) and can_run(platform, image.platform)
        notes.append(f"{platform} gets {image.platform} of {reference}, which runs on it" if is_other else note)
        meant.setdefault((image.descriptor, image.attestations), []).append(platform)
    parts = [Part(tuple(served), image, origin, attestations) for (image, attestations), served in meant.items()]
    return Gathered(tuple(parts), tuple(note for note in notes if note))


async def _list_images(index: Index, origin: Origin, depth: int = 0) -> list[_Listed]:
    """List the images of an index, of indexes within it, too; what tells its platform nowhere is left out."""
    listed = list[_Listed]()
    for entry in index.manifests:
        if not entry.is_runnable:
            continue
        if entry.is_index:
            inner = _parse(await origin.source.fetch_manifest(origin.repository, entry.digest), str(entry.digest))
            if isinstance(inner, Index) and depth < MAX_INDEX_DEPTH:
                listed += await _list_images(inner, origin, depth + 1)
        elif platform := entry.platform or await _read_platform_of(entry, origin):
            own = tuple(one for one in index.manifests if one.attests == entry.digest)
            listed.append(_Listed(platform, Descriptor(entry.media_type, entry.digest, entry.size), own))
    return listed


def _pick(platform: Platform, listed: Sequence[_Listed]) -> _Listed | None:
    """Answer the image that fits best; an `arm` of no variant may be for any ARM, and is the last resort."""
    position = pick_best(platform, [one.platform for one in listed])
    if position is not None:
        return listed[position]
    return next((one for one in listed if not contradicts(platform, one.platform)), None)


async def _read_platform_of(descriptor: Descriptor, origin: Origin) -> Platform | None:
    found = await origin.source.fetch_manifest(origin.repository, descriptor.digest)
    document = _parse(found, str(descriptor.digest))
    return await read_platform(document, origin) if isinstance(document, ImageManifest) else None


def _judge(claim: Platform | None, platform: Platform, what: str, *, is_forced: bool) -> str:
    """Answer what is to be said of an image that is for `claim`, published for `platform`; perhaps nothing."""
    if claim is None or not claim.is_known:
        return f"{what} does not tell its platform; it is taken for {platform}, as asked"
    if can_run(platform, claim):
        return "" if claim.is_same(platform) else f"{what} is for {claim}, which {platform} runs"
    if not contradicts(platform, claim):
        return f"{what} is for {claim} and tells no variant; it is taken for {platform}, as asked"
    if is_forced:
        return f"{what} is for {claim}, and is published for {platform} all the same"
    raise InvalidSetting(f"{what} is for {claim}, which {platform} does not run; --force takes it all the same")
