"""Blobs on their way onto the disk: growing files, hashed as they grow, and gone on with where they broke off.

Each file belongs to the process that has it locked. The kernel gives the lock back when a process ends, however it
ends: so what nobody has locked may be gone on with, and what somebody has locked is let alone. Nothing is believed of
what a file holds before its hash was taken: a power cut may have left anything in it.
"""

import contextlib
import errno
import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, cast

from proxy.oci.digests import ENCODED_LENGTHS, Digest, Hasher
from proxy.oci.errors import Unavailable, UpstreamMisbehaved
from proxy.ports import StoredBlob
from proxy.storage.durable import create_file, run_to_the_end, sync_folder

THREAD_BYTES = 64 * 1024
"""From here on a write happens in a thread: a hop costs 100 to 160 µs, hashing and writing this much about as long."""
PIECE_BYTES = 1024 * 1024
WRITE_BYTES = 256 * 1024
"""How much one system call writes. From 512 KiB on, Linux 6.x looks for large contiguous pages for its cache, which
on a machine whose memory is in use costs up to eight times the processor time (measured on ext4)."""

TAKEN_UP_AT_ONCE = 2
"""How many pieces are read and hashed at once: more makes an SD card slower, not faster."""

_NAME = re.compile(r"([0-9a-f]+)\.[0-9]+\.[0-9]+")
_ENCODED = re.compile(r"[0-9a-f]{64}|[0-9a-f]{128}")
_ALGORITHMS = {length: algorithm for algorithm, length in ENCODED_LENGTHS.items()}


class DiskIngest:
    """A blob on its way in: a growing file, hashed as it grows."""

    def __init__(self, folder: "IngestFolder", path: Path, file: BinaryIO, digest: Digest) -> None:
        self._folder = folder
        self._path = path
        self._digest = digest
        self._hasher = digest.hasher()
        self.file: BinaryIO | None = file
        self._descriptor = file.fileno()
        self._written = 0
        self._is_over = False

    def take_up(self) -> None:
        """Go on after the bytes that are there: whatever they are, their hash decides in the end."""
        while piece := os.pread(self._descriptor, PIECE_BYTES, self._written):
            self._hasher.update(piece)
            self._written += len(piece)

    @property
    def written(self) -> int:
        """How many bytes are written, and can be read."""
        return self._written

    async def write(self, *chunks: bytes) -> None:
        """Append bytes; from THREAD_BYTES on in a thread, below that at once."""
        try:
            if sum(map(len, chunks)) < THREAD_BYTES:
                self._append(chunks)
            else:
                await run_to_the_end(self._folder.executor, self._append, chunks)
        except OSError as error:
            raise Unavailable(f"the cache cannot be written: {error.strerror}") from error

    def read_at(self, offset: int, size: int, /) -> bytes:
        """Read up to `size` of the bytes written so far."""
        return os.pread(self._descriptor, max(0, min(size, self._written - offset)), offset)

    def verify(self) -> None:
        """Hold the written bytes against the digest."""
        if self._hasher.hexdigest() != self._digest.encoded:
            raise UpstreamMisbehaved(f"upstream sent {self._written} bytes that are not {self._digest}")

    async def commit(self) -> None:
        """Make the blob visible, durably, if it is what its digest says."""
        self.verify()
        try:
            await run_to_the_end(self._folder.executor, self._publish)
        except OSError as error:
            raise Unavailable(f"the cache cannot be written: {error.strerror}") from error

    async def abort(self) -> None:
        """Throw away what was written. Readers that are still there keep the open file."""
        if not self._is_over:
            self._is_over = True
            with contextlib.suppress(OSError):  # the disk may have become read-only: the next start tries again
                self._path.unlink()

    async def suspend(self) -> None:
        """Keep what was written, for the next ingest of the same blob."""
        if not self._is_over and not self._written:
            await self.abort()
        elif not self._is_over:
            self._is_over = True
            with contextlib.suppress(OSError):
                # What a write left that failed half-way was told to nobody: it would not be gone on with at its end.
                os.truncate(self._descriptor, self._written)
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            self._folder.keep(self._digest, self._path)

    def copy_hasher(self) -> Hasher:
        """Answer the hash of what is written so far."""
        return self._hasher.copy()

    def close(self) -> None:
        """Let go of the file."""
        self._descriptor = -1  # the number may soon be another file's
        if self.file is not None:
            self.file.close()

    def _append(self, chunks: Sequence[bytes]) -> None:
        # By offset: a reader's sendfile moves the file's own position.
        for chunk in chunks:
            rest, offset = memoryview(chunk), self._written
            while rest:
                count = os.pwrite(self._descriptor, rest[:WRITE_BYTES], offset)
                rest, offset = rest[count:], offset + count
            self._hasher.update(chunk)
            self._written = offset

    def _publish(self) -> None:
        size = os.fstat(self._descriptor).st_size
        if size < self._written:
            raise OSError(errno.EIO, "the file has been cut")
        if size > self._written:  # by a write that failed half-way
            os.truncate(self._descriptor, self._written)
        os.fsync(self._descriptor)
        self._path.chmod(0o444)
        target = self._folder.place_of(self._digest)
        self._path.replace(target)
        self._is_over = True
        sync_folder(target.parent)

    def __repr__(self) -> str:
        return f"<DiskIngest {self._path.name}: {self._written} bytes>"


class IngestFolder:
    """The folder of what is on its way in."""

    def __init__(self, path: Path, executor: Executor, place_of: Callable[[Digest], Path]) -> None:
        """Take the folder, the executor to write in, and who knows where a blob belongs."""
        self.path = path
        self.executor = executor
        self.place_of = place_of
        self._suspended: dict[Digest, Path] = {}
        # Threads of its own: a few large pieces would hold up all that others write meanwhile.
        self._taking_up = ThreadPoolExecutor(TAKEN_UP_AT_ONCE, "taking-up")

    def close(self) -> None:
        """Let go of the threads, once nothing is taken up any more."""
        self._taking_up.shutdown()

    def take_over(self) -> None:
        """Keep the largest piece of each blob that ended processes left, and clear away everything else they left."""
        self._suspended.clear()
        for path in sorted(self.path.iterdir(), key=_size_of, reverse=True):
            if _is_in_use(path):
                continue
            digest = _digest_of(path)
            if digest is None or digest in self._suspended or _size_of(path) <= 0:
                with contextlib.suppress(OSError):  # a folder that somebody made, or a file that is not ours to remove
                    path.unlink()
            else:
                self._suspended[digest] = path

    async def begin(self, digest: Digest) -> DiskIngest:
        """Begin an ingest, or go on with a suspended one. Raises OSError."""
        suspended = self._suspended.pop(digest, None)
        resumed = None if suspended is None else await self._resume(digest, suspended)
        if resumed is not None:
            return resumed
        path, file = create_file(self.path, digest.encoded)
        fcntl.flock(file, fcntl.LOCK_EX)
        return DiskIngest(self, path, file, digest)

    async def _resume(self, digest: Digest, path: Path) -> DiskIngest | None:
        """Go on with a file; None if that cannot be done, whatever the reason: the blob can be had from upstream."""
        taken: list[DiskIngest] = []

        def take_up() -> None:
            taken.append(DiskIngest(self, path, _reopen(path), digest))
            taken[0].take_up()

        try:
            await run_to_the_end(self._taking_up, take_up)
        except OSError:
            for ingest in taken:
                await ingest.abort()
                ingest.close()
            return None
        except BaseException:
            for ingest in taken:
                await ingest.suspend()
                ingest.close()
            raise
        return taken[0]

    def keep(self, digest: Digest, path: Path) -> None:
        """Remember where an ingest ended, for the next one; of two of them the one that came further."""
        former = self._suspended.get(digest)
        if former is not None:
            path, shorter = sorted((former, path), key=_size_of, reverse=True)
            with contextlib.suppress(OSError):
                shorter.unlink()
        self._suspended[digest] = path

    def list_suspended(self) -> list[StoredBlob]:
        """Answer the suspended ingests."""
        return list_files((digest, path) for digest, path in self._suspended.items())

    def drop(self, digest: Digest) -> None:
        """Throw a suspended ingest away."""
        path = self._suspended.pop(digest, None)
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink()

    def __repr__(self) -> str:
        return f"<IngestFolder {self.path}: {len(self._suspended)} suspended>"


def digest_named(encoded: str) -> Digest | None:
    """Answer the digest that a file is named by; None if somebody else put it there."""
    return Digest(_ALGORITHMS[len(encoded)], encoded) if _ENCODED.fullmatch(encoded) else None


def list_files(named: Iterable[tuple[Digest, Path]]) -> list[StoredBlob]:
    """Answer what files hold, as far as they are there."""
    found: list[StoredBlob] = []
    for digest, path in named:
        with contextlib.suppress(OSError):
            fields = path.stat()
            found.append(StoredBlob(digest, fields.st_size, fields.st_mtime))
    return found


def _digest_of(path: Path) -> Digest | None:
    found = _NAME.fullmatch(path.name)
    return None if found is None else digest_named(found[1])


def _size_of(path: Path) -> int:
    """Answer the size of a file; less than nothing for what is no file, or gone."""
    try:
        fields = path.lstat()
    except OSError:
        return -1
    return fields.st_size if stat.S_ISREG(fields.st_mode) else -1


def _is_in_use(path: Path) -> bool:
    """Tell whether a file is locked by whoever writes it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
    return False


def _reopen(path: Path) -> BinaryIO:
    """Open a file to go on with it, locked. Raises OSError if it is gone, no file, or somebody else's by now."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags)
    except PermissionError:
        path.chmod(0o644)  # its process was killed after it was made read-only, and before it was renamed
        descriptor = os.open(path, flags)
    file = cast("BinaryIO", os.fdopen(descriptor, "r+b", buffering=0))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(descriptor), path.lstat()):  # somebody committed it just now
            raise FileNotFoundError(errno.ENOENT, "the file is another one now")
    except OSError:
        file.close()
        raise
    return file
