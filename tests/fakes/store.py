"""A store whose disk fails."""

from collections.abc import Iterator
from contextlib import contextmanager

from proxy.oci.digests import Digest
from proxy.oci.errors import BlobDamaged, Unavailable
from proxy.ports import BlobReader, Ingest
from proxy.storage.memory import MemoryBlobStore, MemoryIngest, MemoryReader


class FailingBlobStore(MemoryBlobStore):
    """The reference store, until its disk is full or broken."""

    def __init__(self) -> None:
        super().__init__()
        self.is_writable = True
        self.room_bytes: int | None = None
        """How many bytes one blob may take; None where there is room for all."""
        self.can_commit = True
        self.vanishing: set[Digest] = set()
        """Blobs that are gone, once, when they are opened."""
        self.unreadable: set[Digest] = set()
        """Blobs that lie on a bad sector, until they are put aside."""
        self.mended: dict[Digest, bytes] = {}
        """Blobs that somebody else replaces by this while they are read."""

    def put_broken(self, digest: Digest, content: bytes) -> None:
        """Let a stored blob be something else than its digest says."""
        self.blobs[digest] = content

    @contextmanager
    def open_blob(self, digest: Digest, /) -> Iterator[BlobReader]:
        if digest in self.vanishing:
            self.vanishing.remove(digest)
            del self.blobs[digest]
        with super().open_blob(digest) as reader:
            if digest in self.mended:
                self.blobs[digest] = self.mended.pop(digest)
            yield _BadSector(digest) if digest in self.unreadable else reader

    async def quarantine(self, digest: Digest, /) -> None:
        await super().quarantine(digest)
        self.unreadable.discard(digest)

    async def begin_ingest(self, digest: Digest, /) -> Ingest:
        if not self.is_writable:
            raise Unavailable("the cache cannot be written: Read-only file system")
        return _FailingIngest(self, digest)


class _BadSector(MemoryReader):
    def __init__(self, digest: Digest) -> None:
        super().__init__(b"lost")
        self._digest = digest

    def read_at(self, offset: int, size: int, /) -> bytes:
        raise BlobDamaged(f"{self._digest} cannot be read: Input/output error")


class _FailingIngest(MemoryIngest):
    def __init__(self, store: FailingBlobStore, digest: Digest) -> None:
        super().__init__(store, digest)
        self._failing = store

    async def write(self, *chunks: bytes) -> None:
        room = self._failing.room_bytes
        for chunk in chunks:
            if room is not None and self.written + len(chunk) > room:
                raise Unavailable("the cache cannot be written: No space left on device")
            await super().write(chunk)

    async def commit(self) -> None:
        if not self._failing.can_commit:
            raise Unavailable("the cache cannot be written: Input/output error")
        await super().commit()
