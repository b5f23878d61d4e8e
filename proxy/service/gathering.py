"""Gathering: the images that an index is to hold, found by their references, each held against what it is to be for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from proxy.arch.compatibility import can_run, pick_best
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
from proxy.service.publishing import ContentSource, Origin, Part


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was found under a reference."""

    parts: tuple[Part, ...]
    notes: tuple[str, ...]
    """What somebody may want to know of it."""


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
    origin, document = Origin(reference.registry, reference.repository, source), _parse(found, reference)
    match document:
        case Index():
            return _pick_all(document, origin, reference, platforms)
        case ImageManifest() if not document.artifact:
            claim = await _read_claim(document, origin)
            notes = [_judge(claim, platform, reference, is_forced=is_forced) for platform in platforms]
            part = Part(tuple(platforms), found.descriptor, origin)
            return Gathered((part,), tuple(note for note in notes if note))
        case _:
            raise InvalidSetting(f"{reference} is no image, but {found.media_type}")


def _parse(found: FetchedManifest, reference: Reference) -> Document:
    try:
        return parse_manifest(found.content, found.media_type)
    except InvalidManifest as error:
        raise UpstreamMisbehaved(f"{reference} is no manifest that can be used: {error}") from error


def _pick_all(index: Index, origin: Origin, reference: Reference, platforms: Iterable[Platform]) -> Gathered:
    entries = [one for one in index.manifests if one.is_runnable and not one.is_index and one.platform is not None]
    meant: dict[Descriptor, list[Platform]] = {}
    notes = list[str]()
    for platform in platforms:
        position = pick_best(platform, [one.platform for one in entries])
        if position is None:
            there = ", ".join(str(one.platform) for one in entries) or "none that is told"
            raise InvalidSetting(f"{reference} has nothing that runs on {platform}; its platforms are: {there}")
        entry = entries[position]
        if entry.platform is not None and entry.platform.normalised() != platform.normalised():
            notes.append(f"{platform} gets {entry.platform} of {reference}, which runs on it")
        meant.setdefault(Descriptor(entry.media_type, entry.digest, entry.size), []).append(platform)
    attestations = [one for one in index.manifests if one.attests is not None]
    parts = [
        Part(tuple(served), image, origin, tuple(one for one in attestations if one.attests == image.digest))
        for image, served in meant.items()
    ]
    return Gathered(tuple(parts), tuple(notes))


async def _read_claim(image: ImageManifest, origin: Origin) -> Platform | None:
    """Answer what an image's config says that it is for."""
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


def _judge(claim: Platform | None, platform: Platform, reference: Reference, *, is_forced: bool) -> str:
    """Answer what is to be said of an image that is for `claim`, published for `platform`; perhaps nothing."""
    if claim is None or not claim.is_known:
        return f"{reference} does not tell its platform; it is taken for {platform}, as asked"
    if can_run(platform, claim):
        is_same = claim.normalised() == platform.normalised()
        return "" if is_same else f"{reference} is for {claim}, which {platform} runs"
    if is_forced:
        return f"{reference} is for {claim}, and is published for {platform} all the same"
    raise InvalidSetting(f"{reference} is for {claim}, which {platform} does not run; --force takes it all the same")
