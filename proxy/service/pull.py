"""Pulling: manifests by tag and by digest, and blobs, from one upstream.

This is the front of the use cases. Whatever it answers was verified, and belongs to the repository that asked: content
is served from the cache only where upstream has shown it under that repository, or under the one that a synthesised
index took it from.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from proxy.arch.choice import Asker, Choice, choose
from proxy.arch.questions import Absent, Present, Unreachable
from proxy.arch.resolution import Resolution
from proxy.arch.synthesis import Synthesis
from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import (
    BlobDamaged,
    BlobUnknown,
    ManifestUnknown,
    NotFound,
    RegistryError,
    UpstreamMisbehaved,
    UpstreamRefused,
    UpstreamUnreachable,
)
from proxy.oci.manifests import Descriptor, ImageManifest, parse_manifest
from proxy.ports import BlobStore, Catalog, Events, Link, Quota, Upstream
from proxy.service.download import FillSource
from proxy.service.fill import Fill, Fills
from proxy.service.freshness import CacheState
from proxy.service.listing import Listings
from proxy.service.lookups import Lookups
from proxy.service.manifests import Manifests, StoredManifest
from proxy.service.resolver import Resolved, Resolver
from proxy.service.tally import Kind, Tally
from proxy.service.tasks import TaskOwner
from proxy.spending import SPENDING

_T = TypeVar("_T")
_A = TypeVar("_A", "ManifestAnswer", "BlobAnswer")

PIECE_BYTES = 1024 * 1024
_MANIFEST_TYPES = media_types.MANIFESTS | media_types.SCHEMA1


@dataclass(frozen=True, slots=True)
class ManifestAnswer:
    """A manifest for one client."""

    descriptor: Descriptor
    """Its media type, digest and size."""
    content: bytes | None
    """None where only headers were asked for, and the document is not at hand."""
    state: CacheState
    resolution: Resolution | None = None
    """How a tag led here; None for a digest."""
    choice: Choice | None = None


@dataclass(frozen=True, slots=True)
class BlobAnswer:
    """A blob for one client: in the store, or on its way there."""

    digest: Digest
    size: int
    """In bytes."""
    state: CacheState
    fill: Fill | None
    """The fill to follow; None where the store has it."""


@dataclass(frozen=True, slots=True)
class PullTools:
    """What pulling works with, the same for all upstreams."""

    catalog: Catalog
    store: BlobStore
    manifests: Manifests
    fills: Fills
    events: Events
    owner: TaskOwner
    tally: Tally
    note_use: Callable[[Digest], None]
    """Told of all content that is asked for: what was used last leaves last."""


class Puller:
    """Pulls from one upstream."""

    def __init__(
        self, name: str, upstream: Upstream, lookups: Lookups, resolver: Resolver, listings: Listings, tools: PullTools
    ) -> None:
        """Take an upstream under its name, and what stands between it and its clients."""
        self.name = name
        self.listings = listings
        self._upstream = upstream
        self._lookups = lookups
        self._resolver = resolver
        self._tools = tools

    @property
    def quota(self) -> Quota | None:
        """What is left of upstream's pull allowance, if it told."""
        return self._upstream.quota

    async def get_tag(
        self, repositories: tuple[str, ...], tag: str, asker: Asker, *, is_head: bool = False
    ) -> ManifestAnswer:
        """Answer a tag for a client.

        Args:
            repositories: Where to look, in order: the first one that has the tag answers.
            tag: The tag.
            asker: Who asks.
            is_head: Whether headers will do.

        Raises:
            ManifestUnknown: Nobody has it, or nothing of it runs on the client.
            UpstreamUnreachable, UpstreamMisbehaved: Upstream cannot be asked, and nothing is known.
        """
        resolved = await self._resolve(repositories, tag, is_head=is_head and asker.takes_any_index)
        resolution = resolved.resolution
        choice = choose(resolution, asker, refuse_missing=self._resolver.policy.refuse_missing)
        if choice.descriptor is None:
            raise _no_answer(resolution, choice)
        self._tools.note_use(resolution.synthesis.digest if resolution.synthesis else choice.descriptor.digest)
        if choice.synthesis is not None and choice.synthesis is not resolution.synthesis:
            await self._keep_tailored(repositories[-1], choice.synthesis)
        content = choice.synthesis.content if choice.synthesis else None
        if content is None and not (is_head and choice.descriptor.size):
            manifest = await self._document(repositories[-1], resolution, choice.descriptor.digest, choice.repository)
            return self._counted(
                Kind.TAG, ManifestAnswer(manifest.descriptor, manifest.content, resolved.state, resolution, choice)
            )
        return self._counted(Kind.TAG, ManifestAnswer(choice.descriptor, content, resolved.state, resolution, choice))

    async def get_manifest(self, repositories: tuple[str, ...], digest: Digest) -> ManifestAnswer:
        """Answer a manifest by digest: upstream's own bytes, whoever asks.

        Raises:
            ManifestUnknown: None of the repositories has it.
            UpstreamUnreachable, UpstreamMisbehaved: It is not at hand, and upstream cannot be asked.
        """
        self._tools.note_use(digest)
        manifest, state = await self._manifest(repositories, digest)
        return self._counted(Kind.MANIFEST, ManifestAnswer(manifest.descriptor, manifest.content, state))

    async def get_blob(self, repositories: tuple[str, ...], digest: Digest) -> BlobAnswer:
        """Answer a blob, from the store or as it arrives.

        Raises:
            BlobUnknown: None of the repositories has it.
            UpstreamUnreachable, UpstreamMisbehaved: It is not at hand, and upstream cannot be asked.
        """
        repository, tools = repositories[-1], self._tools
        tools.note_use(digest)
        link = await self._settled_link(repository, digest)
        fill = tools.fills.find(digest)
        is_others = fill is not None and not fill.comes_from(self._upstream, _origins(link, repositories))
        if (is_others or tools.store.find_size(digest) is not None) and not (link and link.is_proven):
            link, _ = await self._prove(repositories, digest, link)
        size = tools.store.find_size(digest)  # anew: a fill may have ended meanwhile
        if size is not None:
            return self._counted(Kind.BLOB, BlobAnswer(digest, size, CacheState.HIT, None))
        fill, size = await self._follow(digest, _origins(link, repositories), link)
        await self._link_filled(repository, digest, fill, link)
        return self._counted(Kind.BLOB, BlobAnswer(digest, size, CacheState.MISS, fill))

    async def head_blob(self, repositories: tuple[str, ...], digest: Digest) -> BlobAnswer:
        """Answer the size of a blob, without fetching it.

        Raises:
            As `get_blob`.
        """
        self._tools.note_use(digest)
        link = await self._settled_link(repositories[-1], digest)
        size = self._tools.store.find_size(digest)
        if size is not None and link is not None and link.is_proven:
            return self._counted(Kind.BLOB, BlobAnswer(digest, size, CacheState.HIT, None))
        _, size = await self._prove(repositories, digest, link)
        return self._counted(Kind.BLOB, BlobAnswer(digest, size, CacheState.MISS, None))

    def foresee(self, repository: str, digest: Digest) -> CacheState:
        """Answer how `get_blob` will come by a blob: REVALIDATED where upstream only has to show it."""
        if self._tools.store.find_size(digest) is None:
            return CacheState.MISS
        link, _ = self._find_link(repository, digest)
        return CacheState.HIT if link is not None and link.is_proven else CacheState.REVALIDATED

    def find_origin(self, repository: str, digest: Digest) -> str:
        """Answer the repository of upstream that a repository's content comes from, as far as is known."""
        link = self._tools.catalog.find_link(self.name, repository, digest)
        return link.origin if link and link.origin else repository

    def _counted(self, kind: Kind, answer: _A) -> _A:
        if SPENDING.get() is None:  # who warms is no client
            self._tools.tally.count(kind, answer.state)
        return answer

    async def _resolve(self, repositories: tuple[str, ...], tag: str, *, is_head: bool) -> Resolved:
        for repository in repositories[:-1]:
            resolved = await self._resolver.resolve(repository, tag, is_head=is_head)
            if isinstance(resolved.resolution.upstream, Present):
                return resolved
        return await self._resolver.resolve(repositories[-1], tag, is_head=is_head)

    async def _keep_tailored(self, repository: str, made: Synthesis) -> None:
        """Make an index that was made for one kind of client servable by its digest, for which it will ask next."""
        self._tools.note_use(made.digest)
        if self._is_linked(repository, made.digest) and self._tools.store.find_size(made.digest) is not None:
            return
        manifest = StoredManifest(made.content, made.digest, parse_manifest(made.content, made.media_type))
        await self._tools.manifests.put(manifest)
        await self._tools.manifests.link(self.name, repository, "", manifest)
        self._tools.events.note("tag.tailored", upstream=self.name, repository=repository, digest=str(made.digest))

    async def _document(self, repository: str, resolution: Resolution, digest: Digest, origin: str) -> StoredManifest:
        """Answer the document that a tag is answered with: upstream's own, or an image that an index names."""
        upstream = resolution.upstream
        if not isinstance(upstream, Present) or upstream.descriptor.digest != digest:
            # Whoever publishes an index can name any image in it: it is theirs only once upstream has shown it.
            return (await self._manifest((repository,), digest, origin))[0]
        manifest = await self._tools.manifests.find(digest)
        if manifest is None:
            manifest = await self._lookups.fetch(origin, digest)
        if not self._is_linked(repository, digest):
            await self._tools.manifests.link(self.name, repository, origin, manifest)
        return manifest

    async def _manifest(
        self, repositories: tuple[str, ...], digest: Digest, origin: str = ""
    ) -> tuple[StoredManifest, CacheState]:
        """Answer a manifest by digest, from the one place where it is told to be, or else from wherever it may be."""
        repository = repositories[-1]
        link, is_inherited = self._find_link(repository, digest)
        if link is not None and link.is_proven:
            # What a manifest names may be a config or a layer: its type does not make it a manifest.
            media_type = link.media_type if link.media_type in _MANIFEST_TYPES else ""
            manifest = await self._tools.manifests.find(digest, media_type)
            if manifest is not None:
                if is_inherited:
                    await self._tools.manifests.link(self.name, repository, link.origin, manifest)
                return manifest, CacheState.HIT
        origins = [origin] if origin else _origins(link, repositories)
        manifest = await self._first(origins, lambda one: self._obtain(repository, one, digest))
        return manifest, CacheState.MISS

    def _is_linked(self, repository: str, digest: Digest) -> bool:
        link = self._tools.catalog.find_link(self.name, repository, digest)
        return link is not None and link.is_proven

    async def _obtain(self, repository: str, origin: str, digest: Digest) -> StoredManifest:
        manifest = await self._tools.manifests.find(digest)
        if manifest is None:
            manifest = await self._lookups.fetch(origin, digest)
        else:  # somebody else's: upstream has to show it under this name too, which a HEAD does for nothing
            await self._upstream.head_manifest(origin, digest)
        await self._tools.manifests.link(self.name, repository, origin, manifest)
        self._prove_layers(repository, manifest)
        return manifest

    def _find_link(self, repository: str, digest: Digest) -> tuple[Link | None, bool]:
        """Answer the link of a repository to some content: proven, too, where that of its origin is; and tell if so.

        The repository is offered what its origin has, because our own index was made of both.
        """
        link = self._tools.catalog.find_link(self.name, repository, digest)
        if link is None or link.is_proven or link.origin in {"", repository}:
            return link, False
        shown = self._tools.catalog.find_link(self.name, link.origin, digest)
        is_inherited = shown is not None and shown.is_proven
        return (replace(link, is_proven=True) if is_inherited else link), is_inherited

    async def _settled_link(self, repository: str, digest: Digest) -> Link | None:
        """Answer the link of a repository to a blob, once it is clear that the stored blob is what it should be.

        Where the two tell different sizes, one is wrong: the file, which is put aside then, or the manifest that told
        the size, which is a stranger's, and takes nothing out of the cache.
        """
        tools = self._tools
        (link, is_inherited), size = self._find_link(repository, digest), tools.store.find_size(digest)
        if link is not None and is_inherited:
            await tools.catalog.put_links([link])
        if link is None or size is None or link.size in {None, size}:
            return link
        if await asyncio.to_thread(_is_sound, tools.store, digest):
            link = replace(link, size=size)
            await tools.catalog.put_links([link])
        elif tools.store.find_size(digest) == size:  # nobody else has mended it meanwhile
            tools.events.warn("blob.quarantined", digest=str(digest), bytes=size, expected=link.size)
            await tools.store.quarantine(digest)
        return link

    async def _prove(self, repositories: tuple[str, ...], digest: Digest, link: Link | None) -> tuple[Link, int]:
        """Let upstream show that a repository has a blob, and remember it; answer the size that it told, too."""
        media_type, expected = (link.media_type, link.size) if link else ("", None)

        async def ask(origin: str) -> tuple[Link, int]:
            size = await self._upstream.head_blob(origin, digest)
            # A size that nobody has counted is kept only where two agree: the next download is held to it.
            kept = size if size == expected else None
            return Link(self.name, repositories[-1], digest, origin, media_type, kept, is_proven=True), size

        proven, size = await self._first(_origins(link, repositories), ask)
        await self._tools.catalog.put_links([proven])
        return proven, size

    def _prove_layers(self, repository: str, manifest: StoredManifest) -> None:
        """Let upstream show, in the background, that an image has those of its blobs that others brought here.

        A client that has them already does not ask for them. The next one may, while upstream is gone.
        """
        blobs = manifest.document.children if isinstance(manifest.document, ImageManifest) else ()
        foreign = [blob.digest for blob in blobs if self._is_foreign(repository, blob.digest)]
        if foreign:
            self._tools.owner.start(self._prove_all(repository, foreign), name=f"prove {manifest.digest}")

    def _is_foreign(self, repository: str, digest: Digest) -> bool:
        return self._tools.store.find_size(digest) is not None and not self._is_linked(repository, digest)

    async def _prove_all(self, repository: str, digests: list[Digest]) -> None:
        for digest in digests:
            with suppress(RegistryError):
                link = await self._settled_link(repository, digest)
                if link is None or not link.is_proven:
                    await self._prove((repository,), digest, link)

    async def _follow(self, digest: Digest, origins: list[str], link: Link | None) -> tuple[Fill, int]:
        """Join the fill of a blob, or begin one; answer the blob's size, too."""
        fills, sources = self._tools.fills, [FillSource(self._upstream, origin) for origin in origins]
        expected_size, found = link.size if link else None, fills.find(digest)
        fill = fills.join(digest, sources, expected_size)
        try:
            return fill, await fill.wait_ready()
        except (NotFound, UpstreamRefused, UpstreamMisbehaved):
            others = fills.find(digest)
            is_open = others is None or others.comes_from(self._upstream, origins) or (link and link.is_proven)
            if found is None or not is_open:
                raise
        # It was begun for another repository, which does not have the blob, or tells a wrong size of it.
        fill = fills.join(digest, sources, expected_size)
        return fill, await fill.wait_ready()

    async def _link_filled(self, repository: str, digest: Digest, fill: Fill, link: Link | None) -> None:
        if fill.source is None or (link is not None and link.is_proven):
            return
        media_type, size = (link.media_type, link.size) if link else ("", None)
        origin = fill.source.repository
        await self._tools.catalog.put_links(
            Link(self.name, shown, digest, origin, media_type, size, is_proven=True)
            for shown in dict.fromkeys((repository, origin))
        )

    async def _first(self, origins: Iterable[str], ask: Callable[[str], Awaitable[_T]]) -> _T:
        """Answer the first origin's answer; an absence is only believed once all of them say it."""
        absence: RegistryError | None = None
        for origin in origins:
            try:
                return await ask(origin)
            except (NotFound, UpstreamRefused) as error:
                absence = absence or error
        assert absence is not None
        raise absence

    def __repr__(self) -> str:
        return f"<Puller from {self.name}>"


def _is_sound(store: BlobStore, digest: Digest) -> bool:
    """Hold a stored blob against its digest."""
    hasher = digest.hasher()
    try:
        with store.open_blob(digest) as reader:
            for offset in range(0, reader.size, PIECE_BYTES):
                hasher.update(reader.read_at(offset, PIECE_BYTES))
    except (BlobUnknown, BlobDamaged):  # put aside by somebody who was quicker, or to be put aside now
        return False
    return hasher.hexdigest() == digest.encoded


def _origins(link: Link | None, repositories: tuple[str, ...]) -> list[str]:
    known = [link.origin] if link is not None and link.origin else []
    return list(dict.fromkeys((*known, *reversed(repositories))))


def _no_answer(resolution: Resolution, choice: Choice) -> RegistryError:
    name = f"{resolution.repository}:{resolution.tag}"
    match resolution.upstream:
        case Unreachable(reason=reason, is_misbehaviour=True):
            return UpstreamMisbehaved(reason)
        case Unreachable(reason=reason):
            return UpstreamUnreachable(reason)
        case Absent() if not resolution.entries:
            return ManifestUnknown(f"{name} is {choice.verdict}")
        case _:
            return ManifestUnknown(f"{name}: {choice.verdict}")
