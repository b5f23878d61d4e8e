"""Manifests by digest: in memory, in the store, or from upstream; and the links that they bring.

A manifest that is fetched under a repository tells which content that repository may ask for next. Those links are what
lets a spliced image be pulled under the name that the client asked for.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import cachetools

from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidManifest, Unavailable, UpstreamMisbehaved
from proxy.oci.manifests import MAX_MANIFEST_BYTES, Descriptor, Document, Schema1Manifest, parse_manifest
from proxy.ports import BlobStore, Catalog, Events, FetchedManifest, Link
from proxy.service.caching import Caching
from proxy.service.stored_blobs import read_sound, write_whole

OBJECT_BYTES, OBJECT_SHARE = 4096, 3
"""What a manifest takes in memory, in bytes and in times its own size: an image manifest of 500 bytes was measured to
take 5 KB."""


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest that is at hand: its bytes, and what they say."""

    content: bytes
    digest: Digest
    document: Document

    @property
    def media_type(self) -> str:
        """The media type to serve it with."""
        return self.document.media_type

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor that leads to it."""
        return Descriptor(self.media_type, self.digest, len(self.content))

    @property
    def is_storable(self) -> bool:
        """Whether its digest is that of its bytes; a signed manifest of schema 1 goes by its payload's."""
        return not isinstance(self.document, Schema1Manifest) or self.digest.matches(self.content)


class Manifests:
    """The manifests that are at hand, the most recent ones in memory."""

    def __init__(
        self, store: BlobStore, catalog: Catalog, events: Events, caching: Caching, *, memory_bytes: int
    ) -> None:
        """Take the store, and how many bytes of manifests to keep in memory."""
        self._store = store
        self._caching = caching
        self._catalog = catalog
        self._events = events
        self._unwritten: set[Digest] = set()
        """Those that are in memory only, since the store had no room for them."""
        self._memory: cachetools.LRUCache[Digest, StoredManifest] = cachetools.LRUCache(
            memory_bytes, getsizeof=_memory_of
        )

    async def find(self, digest: Digest, media_type: str = "") -> StoredManifest | None:
        """Answer a manifest that is at hand.

        Args:
            digest: Its address.
            media_type: What a descriptor said of it, for a document that does not say so itself.

        What is read from the disk is held against its digest again; what is not what it should be, or cannot be read,
        is put aside. A blob that is sound, but no manifest, is none that is at hand: anybody may ask for a layer's
        digest here.
        """
        found = self._memory.get(digest)
        if found is not None:
            if digest in self._unwritten:
                await self.put(found)
            return found
        content = await read_sound(self._store, self._events, digest, MAX_MANIFEST_BYTES, "manifest.quarantined")
        if content is None:
            return None
        try:
            manifest = StoredManifest(content, digest, parse_manifest(content, media_type))
        except InvalidManifest:
            return None
        self._remember(manifest)
        return manifest

    async def add(self, fetched: FetchedManifest) -> StoredManifest:
        """Take in a manifest from upstream.

        Raises:
            UpstreamMisbehaved: It is a document that may not be served.
        """
        try:
            document = parse_manifest(fetched.content, fetched.media_type)
        except InvalidManifest as error:
            raise UpstreamMisbehaved(f"upstream sent a manifest that cannot be used: {error}") from error
        manifest = StoredManifest(fetched.content, fetched.digest, document)
        await self.put(manifest)
        return manifest

    async def put(self, manifest: StoredManifest) -> None:
        """Store a manifest that is known to be good; in memory only, where the store cannot be written.

        So, too, where its digest is not that of its bytes: the store is content-addressed, for other tools as well.
        """
        if self._store.find_size(manifest.digest) is None and manifest.is_storable:
            try:
                await write_whole(self._store, manifest.digest, manifest.content)
            except Unavailable as error:
                self._unwritten.add(manifest.digest)
                self._caching.fails(error.message)
            else:
                self._unwritten.discard(manifest.digest)
                self._caching.works()
        self._remember(manifest)

    async def link(self, upstream: str, repository: str, origin: str, manifest: StoredManifest) -> None:
        """Remember that a repository was shown this manifest, and where its children are to be had."""
        origins = dict.fromkeys((repository, origin)) if origin else {repository: None}
        links = [link for shown in origins for link in _links(upstream, shown, origin, manifest)]
        await self._catalog.put_contents(manifest.digest, (child.digest for child in manifest.document.children))
        await self._catalog.put_links(links)

    def forget(self, digests: Collection[Digest] | None = None) -> None:
        """Forget manifests that have left the store; all that it has, or had, if none is named."""
        for digest in self._memory.keys() - self._unwritten if digests is None else digests:
            self._memory.pop(digest, None)
            self._unwritten.discard(digest)

    def _remember(self, manifest: StoredManifest) -> None:
        if _memory_of(manifest) <= self._memory.maxsize:
            self._memory[manifest.digest] = manifest

    def __repr__(self) -> str:
        return f"<Manifests: {len(self._memory)} in memory>"


def _memory_of(manifest: StoredManifest) -> int:
    """Estimate what a manifest takes in memory, in bytes: what it was parsed into is larger than itself."""
    return OBJECT_BYTES + OBJECT_SHARE * len(manifest.content)


def _links(upstream: str, repository: str, origin: str, manifest: StoredManifest) -> Iterable[Link]:
    # A synthesised index has no origin: who links its children knows where each of them comes from.
    found = manifest.descriptor
    yield Link(upstream, repository, found.digest, origin, found.media_type, found.size, is_proven=True)
    for child in manifest.document.children if origin else ():
        yield Link(upstream, repository, child.digest, origin, child.media_type, child.size)
