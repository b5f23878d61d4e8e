"""Publishing: images from one place or several, put into a registry, and an index over them.

First everything is pushed by its digest: blobs, manifests, the index. Then the tags are set, the index's own last. So
whatever fails, and whenever it does, no tag leads to something that is not whole, and none has moved before all was
there.

Whoever has built images (`polyarch build`) names them as `Part`s whose source is the OCI layout that the builder wrote
(`storage/layout_source.py`); `polyarch index create` names images in registries.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from proxy.arch.synthesis import Addition, Synthesis, synthesise
from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidManifest, InvalidSetting, NotFound, UpstreamMisbehaved
from proxy.oci.manifests import Descriptor, ImageManifest, parse_manifest
from proxy.oci.platforms import Platform
from proxy.ports import BlobSource, Destination, FetchedManifest, ManifestSource
from proxy.service.holdings import is_foreign
from proxy.service.tasks import gather_bounded

PARALLEL = 4


class ContentSource(ManifestSource, BlobSource, Protocol):
    """Where images come from."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an image is."""

    registry: str
    """The registry's name; empty where it is in none."""
    repository: str
    source: ContentSource = field(compare=False)


@dataclass(frozen=True, slots=True)
class Part:
    """An image, and all that it is published for."""

    platforms: tuple[Platform, ...]
    descriptor: Descriptor
    origin: Origin
    attestations: tuple[Descriptor, ...] = ()

    async def read(self, descriptor: Descriptor) -> FetchedManifest:
        """Read one of its manifests where it is."""
        return await self.origin.source.fetch_manifest(self.origin.repository, descriptor.digest)


@dataclass(frozen=True, slots=True)
class Place:
    """A repository of the destination, and the tag there."""

    repository: str
    tag: str

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


@dataclass(frozen=True, slots=True)
class Publication:
    """What is to be published."""

    registry: str
    """The name of the destination."""
    place: Place
    """Of the index."""
    parts: tuple[Part, ...]
    places: tuple[tuple[Place, Part], ...] = ()
    """Where else single images are tagged: `arm6/app:1`."""
    annotations: tuple[tuple[str, str], ...] = ()
    """What the index says of itself, by the names of image-spec, annotations.md."""

    def write_index(self) -> Synthesis:
        """Write the index: the same parts in the same order are the same bytes.

        Raises:
            InvalidSetting: No index holds so much.
        """
        additions = [
            Addition(platform, part.descriptor, part.attestations) for part in self.parts for platform in part.platforms
        ]
        index = synthesise(None, additions, dict(self.annotations))
        if not index.is_servable:
            raise InvalidSetting("so many images do not fit into one index")
        return index


@dataclass(frozen=True, slots=True)
class Step:
    """Something that was done, or, dry, that would be."""

    action: str
    """`push`, `mount` or `tag`; `skip` where it is so already."""
    repository: str
    what: str
    """A digest, or a tag."""
    size: int


Watch = Callable[[Step], None]


def _ignore(_step: Step) -> None:
    """Nobody watches."""


class Publisher:
    """Publishes to one registry."""

    def __init__(self, destination: Destination, watch: Watch = _ignore, *, parallel: int = PARALLEL) -> None:
        """Take the registry, who is told of each step, and how many blobs are pushed at once."""
        self._destination = destination
        self._watch = watch
        self._limit = asyncio.Semaphore(parallel)

    async def publish(self, publication: Publication, *, is_dry: bool = False) -> Synthesis:
        """Publish, and answer the index; dry, only ask what would have to be done.

        Raises:
            UpstreamError: The registry, or one that an image comes from, refuses something or cannot be asked.
            ManifestUnknown, BlobUnknown: An image is not whole where it is.
            InvalidSetting: No index holds so much.
        """
        index, place, registry = publication.write_index(), publication.place, publication.registry
        copier = _Copier(self._destination, self._watch, self._limit, is_dry=is_dry)
        for part in publication.parts:
            await copier.copy(part, place.repository, _mountable(part, registry))
        for other, part in publication.places:
            await copier.copy(part, other.repository, (place.repository, *_mountable(part, registry)))
        written = FetchedManifest(index.content, index.media_type, index.digest)
        await copier.bring_manifest(place.repository, index.digest, written)
        for other, part in publication.places:
            await copier.tag(other, await part.read(part.descriptor))
        await copier.tag(place, written)
        return index

    def __repr__(self) -> str:
        return f"<Publisher to {self._destination!r}>"


class _Copier:
    """Puts content into repositories of a destination, whatever is not there yet."""

    def __init__(self, destination: Destination, watch: Watch, limit: asyncio.Semaphore, *, is_dry: bool) -> None:
        self._destination = destination
        self._watch = watch
        self._limit = limit
        self._is_dry = is_dry
        self._locks: dict[tuple[str, Digest], asyncio.Lock] = {}

    async def copy(self, part: Part, repository: str, mountable: Sequence[str]) -> None:
        """Put an image into a repository, and its attestations."""
        for descriptor in (part.descriptor, *part.attestations):
            if await self._leads_to(repository, descriptor.digest, descriptor.digest):
                # A registry takes no manifest without its blobs.
                self._watch(Step("skip", repository, str(descriptor.digest), descriptor.size))
                continue
            found = await part.read(descriptor)
            blobs = [partial(self._copy_blob, part.origin, blob, repository, mountable) for blob in _blobs_of(found)]
            await gather_bounded(blobs, self._limit)
            await self._push_manifest(repository, descriptor.digest, found)

    async def bring_manifest(self, repository: str, target: str | Digest, found: FetchedManifest) -> None:
        """Put a manifest into a repository, unless it is there: some registries let a tag be set but once."""
        if await self._leads_to(repository, target, found.digest):
            self._watch(Step("skip", repository, str(target), len(found.content)))
        else:
            await self._push_manifest(repository, target, found)

    async def tag(self, place: Place, found: FetchedManifest) -> None:
        """Let a tag lead to a manifest that is there."""
        await self.bring_manifest(place.repository, place.tag, found)

    async def _push_manifest(self, repository: str, target: str | Digest, found: FetchedManifest) -> None:
        if not self._is_dry:
            await self._destination.push_manifest(repository, target, found.content, found.media_type)
        action = "push" if isinstance(target, Digest) else "tag"
        self._watch(Step(action, repository, str(target), len(found.content)))

    async def _leads_to(self, repository: str, target: str | Digest, digest: Digest) -> bool:
        try:
            return (await self._destination.head_manifest(repository, target)).digest == digest
        except NotFound:
            return False

    async def _copy_blob(self, origin: Origin, blob: Descriptor, repository: str, mountable: Sequence[str]) -> None:
        # Images share layers: who comes second finds it there.
        async with self._locks.setdefault((repository, blob.digest), asyncio.Lock()):
            action = await self._bring(origin, blob, repository, mountable)
        self._watch(Step(action, repository, str(blob.digest), blob.size))

    async def _bring(self, origin: Origin, blob: Descriptor, repository: str, mountable: Sequence[str]) -> str:
        if await self._destination.has_blob(repository, blob.digest):
            return "skip"
        others = [other for other in mountable if other != repository]
        if self._is_dry:
            return "mount" if others else "push"
        for other in others:
            if await self._destination.mount_blob(repository, blob.digest, other):
                return "mount"
        await self._destination.push_blob(repository, blob.digest, blob.size, partial(_read_blob, origin, blob))
        return "push"


def _mountable(part: Part, registry: str) -> tuple[str, ...]:
    return (part.origin.repository,) if part.origin.registry == registry else ()


def _blobs_of(found: FetchedManifest) -> list[Descriptor]:
    try:
        document = parse_manifest(found.content, found.media_type)
    except InvalidManifest as error:
        raise UpstreamMisbehaved(f"{found.digest} is no manifest that can be published: {error}") from error
    if not isinstance(document, ImageManifest):
        raise InvalidSetting(f"{found.digest} is no image, but {document.media_type}")
    return list({blob.digest: blob for blob in document.children if not is_foreign(blob)}.values())


async def _read_blob(origin: Origin, blob: Descriptor) -> AsyncGenerator[bytes, None]:
    """Read a blob where it is.

    The last of it is held back until all of it was held against its digest: what is damaged never arrives whole.

    Raises:
        UpstreamMisbehaved: It is not what its digest says.
    """
    hasher, held = blob.digest.hasher(), b""
    async with origin.source.open_blob(origin.repository, blob.digest) as stream, aclosing(stream.chunks()) as chunks:
        async for chunk in chunks:
            hasher.update(chunk)
            if held:
                yield held
            held = chunk
    if hasher.hexdigest() != blob.digest.encoded:
        raise UpstreamMisbehaved(f"{blob.digest} is not what it should be where it comes from")
    if held:
        yield held
