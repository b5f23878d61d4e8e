"""Archives into the cache: read once to know what they hold, and once more to take in what is wanted.

Nothing is changed before the whole archive was read, hashed and found to be what it claims. Then blobs come in through
the store, which hashes them again; what they belong to is told last. An import that is cut off leaves blobs behind that
nothing leads to.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from proxy.oci import layouts
from proxy.oci.digests import Digest
from proxy.oci.errors import Unavailable, UpstreamMisbehaved
from proxy.oci.layouts import Entry, EntryKind, InvalidArchive
from proxy.oci.manifests import MAX_MANIFEST_BYTES
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference
from proxy.ports import BlobStore, Catalog, Clock, Ledger, Link, TagRecord, TagState
from proxy.service.archives import MAX_DOCUMENTS_BYTES, ArchivedFile, Contents, PlannedImage, plan_images
from proxy.service.stored_blobs import write_whole

PIECE_BYTES = 4 * 1024 * 1024
BEGIN_BYTES = 8
PASSES = 2

Progress = Callable[[int, int], None]
"""Told how many bytes are done, of how many."""


class ArchiveReader(Protocol):
    """An archive from its beginning to its end, name by name."""

    @property
    def position(self) -> int:
        """How many bytes of the archive's own file, or files, were read."""

    def next_entry(self) -> Entry | None:
        """Answer the next name; None at the end. Raises InvalidArchive where the archive is none."""

    def read(self, size: int, /) -> bytes:
        """Read up to so many of the entry's bytes; none at its end. Raises InvalidArchive where they are cut off."""


class ArchiveSource(Protocol):
    """An archive that can be read as often as is needed."""

    @property
    def size(self) -> int:
        """How many bytes a reader's position comes to."""

    def open(self) -> AbstractContextManager[ArchiveReader]:
        """Open it at its beginning. Raises InvalidArchive if it cannot be read."""


@dataclass(frozen=True, slots=True)
class ImportedImage:
    """What came in under one name or several."""

    references: tuple[Reference, ...]
    digest: Digest
    platforms: tuple[Platform, ...]
    """Those that came in, as far as an index tells them."""
    missing_platforms: tuple[Platform | None, ...]
    """Those that its index names, and that the archive did not have."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What came in."""

    images: tuple[ImportedImage, ...]
    blobs: int
    """How many are new."""
    size: int
    """In bytes, of those."""


@dataclass(frozen=True, slots=True)
class ImportTools:
    """What importing works with."""

    store: BlobStore
    catalog: Catalog
    ledger: Ledger
    clock: Clock
    upstreams: Collection[str]
    """The registries that the proxy serves: what is called after another one, nobody could pull."""


class Importing:
    """Takes archives into a cache."""

    def __init__(self, tools: ImportTools) -> None:
        """Take what the cache consists of."""
        self._tools = tools

    async def run(self, source: ArchiveSource, name: Reference | None, progress: Progress) -> Imported:
        """Take in the images of an archive.

        Args:
            source: The archive.
            name: What its one image is to be called; None for the names that the archive tells.
            progress: Told how far it is.

        Raises:
            InvalidArchive: It is none, or not what it claims to be; nothing was changed.
            Unavailable: The store has no room.
        """
        total = PASSES * source.size
        contents = await self._scan(source, lambda done: progress(done, total))
        images = plan_images(contents, name)
        for image in images:
            self._check_names(image)
        wanted = self._missing_blobs(contents, images)
        if sum(wanted.values()) > self._tools.store.free_bytes():
            raise Unavailable(f"there is no room for {sum(wanted.values())} bytes on the cache's disk")
        if wanted:
            await self._take_in(source, contents, set(wanted), lambda done: progress(total // PASSES + done, total))
        await self._put_manifests(images)
        there = {file.digest for file in contents.files.values()}
        for image in images:
            await self._remember(image, there | {one.descriptor.digest for one in image.manifests})
        await self._tools.ledger.raise_revision()
        return Imported(tuple(map(_imported, images)), len(wanted), sum(wanted.values()))

    async def _scan(self, source: ArchiveSource, count: Callable[[int], None]) -> Contents:
        """Read an archive to its end, and hash everything in it."""
        contents, room = Contents(), MAX_DOCUMENTS_BYTES
        with source.open() as reader:
            while (entry := await asyncio.to_thread(reader.next_entry)) is not None:
                if entry.kind is EntryKind.LINK:
                    contents.add_link(entry.name, entry.target)
                elif entry.kind is EntryKind.FILE:
                    file = await _read_file(reader, entry, count)
                    room -= len(file.content or b"")
                    if room < 0:
                        raise InvalidArchive(f"it holds documents of more than {MAX_DOCUMENTS_BYTES} bytes")
                    contents.add_file(entry.name, file)
        return contents

    def _check_names(self, image: PlannedImage) -> None:
        for name in image.names:
            if name.registry not in self._tools.upstreams:
                known = ", ".join(sorted(self._tools.upstreams))
                raise InvalidArchive(
                    f"{name} is of none of this proxy's upstreams: {known}; configure {name.registry}, or name it --as"
                )
            if isinstance(name.target, Digest) and name.target != image.root.digest:
                raise InvalidArchive(f"it holds {image.root.digest}, which is not {name}")

    def _missing_blobs(self, contents: Contents, images: Iterable[PlannedImage]) -> dict[Digest, int]:
        """Answer what the store does not have of what the images consist of, and the archive has."""
        stored, there = self._tools.store.find_size, {file.digest for file in contents.files.values()}
        planned = [(one.descriptor for one in image.manifests) for image in images]
        parts = [image.parts.values() for image in images]
        return {
            one.digest: one.size
            for group in (*planned, *parts)
            for one in group
            if one.digest in there and stored(one.digest) != one.size
        }

    async def _take_in(
        self, source: ArchiveSource, contents: Contents, wanted: set[Digest], count: Callable[[int], None]
    ) -> None:
        with source.open() as reader:
            while wanted and (entry := await asyncio.to_thread(reader.next_entry)) is not None:
                file = contents.files.get(entry.name) if entry.kind is EntryKind.FILE else None
                if file is not None and file.digest in wanted:
                    await self._ingest(file.digest, reader, count)
                    wanted.discard(file.digest)
        if wanted:
            raise InvalidArchive("it changed while it was read")

    async def _ingest(self, digest: Digest, reader: ArchiveReader, count: Callable[[int], None]) -> None:
        await self._tools.store.drop_suspended(digest)  # what broke off elsewhere is not gone on with from here
        ingest = await self._tools.store.begin_ingest(digest)
        try:
            while piece := await asyncio.to_thread(reader.read, PIECE_BYTES):
                await ingest.write(piece)
                count(reader.position)
            await ingest.commit()
        except UpstreamMisbehaved as error:
            raise InvalidArchive("it changed while it was read") from error
        finally:
            await ingest.abort()
            ingest.close()

    async def _put_manifests(self, images: Iterable[PlannedImage]) -> None:
        """Store the manifests that were made for images that came without."""
        for one in (manifest for image in images for manifest in image.manifests):
            await write_whole(self._tools.store, one.descriptor.digest, one.content)

    async def _remember(self, image: PlannedImage, there: set[Digest]) -> None:
        """Tell what the content belongs to: what it consists of, then who may show it, then what it is called.

        Only what the archive holds itself is proven by it (docs/decisions/0002): it may name anything that somebody
        else has in the cache.
        """
        tools, now = self._tools, self._tools.clock.now()
        for one in image.manifests:
            await tools.catalog.put_contents(one.descriptor.digest, (child.digest for child in one.document.children))
        known = [*(one.descriptor for one in image.manifests), *image.parts.values(), *image.missing]
        held = {one.digest for one in known} & there
        for name in image.names:
            upstream, repository = name.registry, name.repository
            await tools.catalog.put_links(
                Link(upstream, repository, one.digest, repository, one.media_type, one.size, one.digest in held)
                for one in known
            )
            if isinstance(name.target, str):
                await tools.ledger.forget_tag(upstream, repository, name.target)  # and what it was answered with
                record = TagRecord(upstream, repository, name.target, TagState.PRESENT, now, image.root)
                await tools.catalog.put_tag(record)
        await tools.ledger.put_uses(dict.fromkeys(held, now))

    def __repr__(self) -> str:
        return f"<Importing into {self._tools.store!r}>"


async def _read_file(reader: ArchiveReader, entry: Entry, count: Callable[[int], None]) -> ArchivedFile:
    """Read a file of an archive, hash it, and keep it if it may be a document."""
    named = layouts.parse_blob_path(entry.name)
    hasher = (named or Digest.of(b"")).hasher()
    kept: list[bytes] = []
    begin, size = b"", 0
    while piece := await asyncio.to_thread(reader.read, PIECE_BYTES):
        await asyncio.to_thread(hasher.update, piece)
        begin = begin or piece[:BEGIN_BYTES]
        if entry.size <= MAX_MANIFEST_BYTES and begin.lstrip()[:1] in {b"{", b"["}:
            kept.append(piece)
        size += len(piece)
        count(reader.position)
    digest = Digest(named.algorithm if named else "sha256", hasher.hexdigest())
    if named is not None and digest != named:
        raise InvalidArchive(f"{entry.name} is not what its name says: it is damaged")
    return ArchivedFile(digest, size, begin, b"".join(kept) if kept else None)


def _imported(image: PlannedImage) -> ImportedImage:
    missing = tuple(dict.fromkeys(one.platform for one in image.missing if one.is_runnable))
    return ImportedImage(image.names, image.root.digest, image.platforms, missing)
