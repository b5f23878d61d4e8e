"""Bytes: content by its address."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from proxy.oci.digests import Digest, Hasher


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob as housekeeping sees it."""

    digest: Digest
    size: int
    """In bytes."""
    stored_at: float
    """Wall clock, in seconds since 1970."""


class Readable(Protocol):
    """Bytes that can be read from any offset."""

    @property
    def file(self) -> BinaryIO | None:
        """The open file, for the kernel's sendfile, which may move its position; None where there are no files."""

    def read_at(self, offset: int, size: int, /) -> bytes:
        """Read up to `size` bytes from an offset, as far as there are some."""


class BlobReader(Readable, Protocol):
    """A stored blob, open for reading: `read_at` raises BlobDamaged where the disk cannot read it."""

    @property
    def size(self) -> int:
        """Its size in bytes."""


class Ingest(Readable, Protocol):
    """A blob on its way into the store: written, then committed or aborted, and readable meanwhile."""

    @property
    def written(self) -> int:
        """How many bytes are written, and can be read."""

    async def write(self, *chunks: bytes) -> None:
        """Append bytes. Raises Unavailable if the store has no room; `written` tells what it still took."""

    def verify(self) -> None:
        """Hold the written bytes against the digest. Raises UpstreamMisbehaved if they are not what it says."""

    async def commit(self) -> None:
        """Make the blob visible, durably. Raises UpstreamMisbehaved as `verify`, and Unavailable if the disk fails."""

    async def abort(self) -> None:
        """Throw away what was written. Does nothing after `commit`, `abort` or `suspend`."""

    async def suspend(self) -> None:
        """Keep what was written, for the next ingest of the same blob to go on with, after a restart too.

        Does nothing after `commit`, `abort` or `suspend`.
        """

    def copy_hasher(self) -> Hasher:
        """Answer the hash of what is written so far, for who goes on without the store."""

    def close(self) -> None:
        """Let go of the file, once the last reader has left."""


class BlobStore(Protocol):
    """Content by its address. What is found here was verified when it came in."""

    def find_size(self, digest: Digest, /) -> int | None:
        """Answer the size of a stored blob in bytes, or None if it is not stored."""

    def open_blob(self, digest: Digest, /) -> AbstractContextManager[BlobReader]:
        """Open a stored blob.

        Raises:
            BlobUnknown: It is not stored.
            BlobDamaged: It is stored, and cannot be opened, here or while it is read: it belongs into quarantine.
            Unavailable: Nothing can be opened now.
        """

    async def begin_ingest(self, digest: Digest, /) -> Ingest:
        """Begin to take in a blob, or go on where a suspended ingest of it ended: `written` tells where.

        Raises:
            Unavailable: The store cannot be written.
        """

    async def quarantine(self, digest: Digest, /) -> None:
        """Take a blob that is not what its digest says, or cannot be read, out of the store, and keep it aside."""

    async def remove(self, digest: Digest, /) -> None:
        """Take a blob out of the store; who reads it goes on reading. Does nothing where it is not stored."""

    async def list_blobs(self) -> list[StoredBlob]:
        """Answer all stored blobs, in no particular order."""

    async def list_suspended(self) -> list[StoredBlob]:
        """Answer the suspended ingests: how much of each is there, and since when."""

    async def drop_suspended(self, digest: Digest, /) -> None:
        """Throw a suspended ingest away. Does nothing where there is none."""

    async def list_quarantined(self) -> list[StoredBlob]:
        """Answer what was put aside, and since when."""

    async def drop_quarantined(self, digest: Digest, /) -> None:
        """Throw away what was put aside. Does nothing where there is none."""

    def is_read(self, digest: Digest, /) -> bool:
        """Tell whether a stored blob is open for reading here."""

    def free_bytes(self) -> int:
        """Answer how many bytes could still be written."""
