"""Blobs as files of a standard OCI image layout (image-spec, image-layout.md): any OCI tool can read the folder.

```text
<root>/oci-layout              {"imageLayoutVersion": "1.0.0"}
<root>/index.json              the tags that are known (written by storage/layout_index.py)
<root>/blobs/sha256/<hex>      content, verified before it got here, never changed after
<root>/lock                    held by the process that owns the folder
<root>/ingest/<name>.<pid>.<n> on its way in; what a process left behind when it ended is gone on with by the next
<root>/quarantine/<name>       found to be not what its name says
```

A blob becomes visible by one rename, after fsync of its bytes; so a power cut leaves it whole or absent. Writing runs
in a thread, in batches (protocol_and_perf.md B4); reading is inline, since the page cache answers.
"""

import asyncio
import collections
import contextlib
import errno
import fcntl
import itertools
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from proxy.oci.digests import ENCODED_LENGTHS, Digest, Hasher
from proxy.oci.errors import BlobUnknown, Unavailable, UpstreamMisbehaved
from proxy.ports import BlobReader, Ingest, StoredBlob

LAYOUT_FILE = "oci-layout"
LOCK_FILE = "lock"
LAYOUT = {"imageLayoutVersion": "1.0.0"}
THREAD_BYTES = 64 * 1024
"""From here on a write happens in a thread: a hop costs 100 to 160 µs, hashing and writing this much about as long."""
PIECE_BYTES = 1024 * 1024
WRITE_BYTES = 256 * 1024
"""How much one system call writes. From 512 KiB on, Linux 6.x looks for large contiguous pages for its cache, which
on a machine whose memory is in use costs up to eight times the processor time (measured on ext4)."""

UNWRITABLE = frozenset({errno.EROFS, errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EDQUOT})
_INGEST_NAME = re.compile(r"([0-9a-f]{64}|[0-9a-f]{128})\.[0-9]+\.[0-9]+")


class DiskReader:
    """A stored blob, open for reading."""

    def __init__(self, file: BinaryIO) -> None:
        self.file: BinaryIO | None = file
        self._descriptor = file.fileno()
        self.size = os.fstat(self._descriptor).st_size

    def read_at(self, offset: int, size: int, /) -> bytes:
        """Read up to `size` bytes from an offset."""
        return os.pread(self._descriptor, size, offset)


class DiskIngest:
    """A blob on its way in: a growing file, hashed as it grows."""

    def __init__(self, store: "DiskBlobStore", path: Path, digest: Digest, executor: Executor, *, mode: str) -> None:
        self._store = store
        self._path = path
        self._digest = digest
        self._executor = executor
        self._hasher = digest.hasher()
        self.file: BinaryIO | None = cast("BinaryIO", path.open(mode, buffering=0))
        self._descriptor = self.file.fileno()
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
                await _to_the_end(self._executor, self._append, chunks)
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
            await _to_the_end(self._executor, self._publish)
        except OSError as error:
            raise Unavailable(f"the cache cannot be written: {error.strerror}") from error

    async def abort(self) -> None:
        """Throw away what was written. Readers that are still there keep the open file."""
        if not self._is_over:
            self._is_over = True
            self._path.unlink(missing_ok=True)

    async def suspend(self) -> None:
        """Keep what was written, for the next ingest of the same blob."""
        if not self._is_over:
            self._is_over = True
            self._store.keep_suspended(self._digest, self._path)

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
        if os.fstat(self._descriptor).st_size != self._written:
            raise OSError(errno.EIO, "an earlier write failed half-way")
        os.fsync(self._descriptor)
        self._path.chmod(0o444)
        target = self._store.path_of(self._digest)
        self._path.replace(target)
        self._is_over = True
        _sync_folder(target.parent)


class DiskBlobStore:
    """Blobs in the files of an OCI image layout."""

    def __init__(self, root: Path, executor: Executor) -> None:
        """Take the folder as it is: `prepare` makes it one that can be written to."""
        self.root = root
        self._executor = executor
        self._numbers = itertools.count()
        self._lock_file: BinaryIO | None = None
        self._suspended: dict[Digest, Path] = {}
        self._readers: collections.Counter[Digest] = collections.Counter()
        self._folders = {algorithm: str(root / "blobs" / algorithm) for algorithm in ENCODED_LENGTHS}

    def prepare(self) -> bool:
        """Make the folders and the layout file, and clear away what a killed process left.

        Answers whether this process is now the one that owns the folder. A second process may read and add beside it,
        but clears nothing away, and goes on with nothing: what looks left over is being written.

        A folder that is read-only is used as it is, if it is a cache already.

        Raises:
            Unavailable: The folder cannot be made or written, and is no cache.
        """
        try:
            for name in (*self._folders.values(), f"{self.root}/ingest", f"{self.root}/quarantine"):
                Path(name).mkdir(parents=True, exist_ok=True)
            is_owner = self._lock()
            if is_owner:
                self._take_over()
            if not (self.root / LAYOUT_FILE).exists():
                write_durably(self.root, LAYOUT_FILE, json.dumps(LAYOUT).encode())
        except OSError as error:
            if error.errno in UNWRITABLE and (self.root / LAYOUT_FILE).exists():
                return self._lock_file is not None or self._lock()
            raise Unavailable(f"the cache folder {self.root} cannot be used: {error.strerror}") from error
        return is_owner

    def _take_over(self) -> None:
        """Keep the largest piece of each blob that was on its way in when a process ended, and remove the others."""
        for path in sorted((self.root / "ingest").iterdir(), key=lambda path: path.stat().st_size, reverse=True):
            digest = _ingested(path.name)
            if digest is None or digest in self._suspended or path.stat().st_size == 0:
                path.unlink()
            else:
                self._suspended[digest] = path

    def close(self) -> None:
        """Give up the ownership of the folder."""
        if self._lock_file is not None:
            self._lock_file.close()

    def find_size(self, digest: Digest, /) -> int | None:
        """Answer the size of a stored blob in bytes, or None if it is not stored."""
        try:
            return os.stat(self._name(digest)).st_size  # noqa: PTH116 - called for every request; a Path costs as much
        except OSError:
            return None

    @contextmanager
    def open_blob(self, digest: Digest, /) -> Iterator[BlobReader]:
        """Open a stored blob."""
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(open(self._name(digest), "rb", buffering=0))  # noqa: PTH123 - as above
            except OSError as error:
                raise BlobUnknown(f"{digest} is not stored") from error
            self._readers[digest] += 1
            try:
                yield DiskReader(file)
            finally:
                self._readers[digest] -= 1
                if not self._readers[digest]:
                    del self._readers[digest]

    async def begin_ingest(self, digest: Digest, /) -> Ingest:
        """Begin to take in a blob, or go on where a suspended ingest of it ended."""
        suspended = self._suspended.pop(digest, None)
        name = f"{digest.encoded}.{os.getpid()}.{next(self._numbers)}"
        try:
            if suspended is None:
                return DiskIngest(self, self.root / "ingest" / name, digest, self._executor, mode="x+b")
            ingest = DiskIngest(self, suspended, digest, self._executor, mode="r+b")
            await asyncio.get_running_loop().run_in_executor(self._executor, ingest.take_up)
        except OSError as error:
            raise Unavailable(f"the cache cannot be written: {error.strerror}") from error
        return ingest

    def path_of(self, digest: Digest) -> Path:
        """Answer where a blob is, or would be."""
        return Path(self._name(digest))

    def keep_suspended(self, digest: Digest, path: Path) -> None:
        """Remember where an ingest ended, for the next one."""
        self._suspended[digest] = path

    async def quarantine(self, digest: Digest, /) -> None:
        """Take a blob that is not what its digest says out of the store, and keep it aside."""
        with contextlib.suppress(OSError):
            os.replace(self._name(digest), self.root / "quarantine" / digest.encoded)  # noqa: PTH105 - one system call

    async def remove(self, digest: Digest, /) -> None:
        """Take a blob out of the store; who reads it keeps the open file."""
        with contextlib.suppress(OSError):
            os.unlink(self._name(digest))  # noqa: PTH108 - one system call

    async def list_blobs(self) -> list[StoredBlob]:
        """Answer all stored blobs."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._scan)

    async def list_suspended(self) -> list[StoredBlob]:
        """Answer the suspended ingests."""
        found: list[StoredBlob] = []
        for digest, path in list(self._suspended.items()):
            with contextlib.suppress(OSError):
                fields = path.stat()
                found.append(StoredBlob(digest, fields.st_size, fields.st_mtime))
        return found

    async def drop_suspended(self, digest: Digest, /) -> None:
        """Throw a suspended ingest away."""
        path = self._suspended.pop(digest, None)
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    async def list_quarantined(self) -> list[StoredBlob]:
        """Answer what was put aside, and since when."""
        found: list[StoredBlob] = []
        for path in (self.root / "quarantine").glob("*"):
            with contextlib.suppress(OSError, KeyError):
                fields = path.stat()
                found.append(StoredBlob(_named(path.name), fields.st_size, fields.st_ctime))
        return found

    async def drop_quarantined(self, digest: Digest, /) -> None:
        """Throw away what was put aside."""
        with contextlib.suppress(OSError):
            (self.root / "quarantine" / digest.encoded).unlink()

    def is_read(self, digest: Digest, /) -> bool:
        """Tell whether a stored blob is open for reading in this process."""
        return digest in self._readers

    def free_bytes(self) -> int:
        """Answer how many bytes could still be written by who is not root."""
        fields = os.statvfs(self.root)
        return fields.f_bavail * fields.f_frsize

    def _scan(self) -> list[StoredBlob]:
        found: list[StoredBlob] = []
        for algorithm, folder in self._folders.items():
            with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
                for entry in entries:
                    if len(entry.name) == ENCODED_LENGTHS[algorithm]:  # no file that somebody else put there
                        with contextlib.suppress(FileNotFoundError):
                            fields = entry.stat()
                            found.append(StoredBlob(Digest(algorithm, entry.name), fields.st_size, fields.st_mtime))
        return found

    def _lock(self) -> bool:
        """Take the folder's lock if nobody has it; the kernel gives it back when the process ends, however it ends."""
        if self._lock_file is None:
            path = self.root / LOCK_FILE
            self._lock_file = path.open("ab") if os.access(path.parent, os.W_OK) else path.open("rb")
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _name(self, digest: Digest) -> str:
        # Both parts are held to their grammar by Digest: no other path can come of them.
        return f"{self._folders[digest.algorithm]}/{digest.encoded}"

    def __repr__(self) -> str:
        return f"<DiskBlobStore {self.root}>"


def write_durably(root: Path, name: str, content: bytes) -> None:
    """Replace a small file of the layout in one step: no power cut and no other writer can halve it."""
    temporary = root / "ingest" / f"{name}.{os.getpid()}.{threading.get_ident()}"
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(root / name)
    _sync_folder(root)


async def _to_the_end(executor: Executor, call: Callable[..., None], *arguments: object) -> None:
    """Run a call in a thread. Whoever is cancelled meanwhile waits for its end: until then the file is the thread's."""
    running = asyncio.get_running_loop().run_in_executor(executor, call, *arguments)
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def _ingested(name: str) -> Digest | None:
    """Read the digest out of the name of a file that was on its way in."""
    found = _INGEST_NAME.fullmatch(name)
    return None if found is None else _named(found[1])


def _named(encoded: str) -> Digest:
    """Answer the digest that a file is named by. Raises KeyError if it is named by none."""
    algorithms = {length: algorithm for algorithm, length in ENCODED_LENGTHS.items()}
    return Digest(algorithms[len(encoded)], encoded)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
