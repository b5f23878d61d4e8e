"""Blobs as files of a standard OCI image layout (image-spec, image-layout.md): any OCI tool can read the folder.

```text
<root>/oci-layout              {"imageLayoutVersion": "1.0.0"}
<root>/index.json              the tags that are known (written by storage/layout_index.py)
<root>/blobs/sha256/<hex>      content, verified before it got here, never changed after
<root>/lock                    held by the process that owns the folder
<root>/ingest/<name>.<pid>.<n> on its way in; worthless after a restart, and removed at the start
<root>/quarantine/<name>       found to be not what its name says
```

A blob becomes visible by one rename, after fsync of its bytes; so a power cut leaves it whole or absent. Writing runs
in a thread, in batches (protocol_and_perf.md B4); reading is inline, since the page cache answers.
"""

import asyncio
import contextlib
import errno
import fcntl
import itertools
import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from proxy.oci.digests import ENCODED_LENGTHS, Digest
from proxy.oci.errors import BlobUnknown, Unavailable, UpstreamMisbehaved
from proxy.ports import BlobReader, Ingest

LAYOUT_FILE = "oci-layout"
LOCK_FILE = "lock"
LAYOUT = {"imageLayoutVersion": "1.0.0"}
BATCH_BYTES = 1024 * 1024
"""How much is gathered before a thread is bothered: a hop costs 100 to 160 µs."""
WRITE_BYTES = 256 * 1024
"""How much one system call writes. From 512 KiB on, Linux 6.x looks for large contiguous pages for its cache, which
on a machine whose memory is in use costs up to eight times the processor time (measured on ext4)."""


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

    def __init__(self, path: Path, target: Path, digest: Digest, executor: Executor) -> None:
        self._path = path
        self._target = target
        self._digest = digest
        self._executor = executor
        self._hasher = digest.hasher()
        self.file: BinaryIO | None = path.open("x+b", buffering=0)
        self._descriptor = self.file.fileno()
        self._written = 0
        self._is_over = False

    @property
    def written(self) -> int:
        """How many bytes are written, and can be read."""
        return self._written

    async def write(self, chunk: bytes, /) -> None:
        """Append bytes; from BATCH_BYTES on in a thread, below that at once."""
        try:
            if len(chunk) < BATCH_BYTES:
                self._append(chunk)
            else:
                await asyncio.get_running_loop().run_in_executor(self._executor, self._append, chunk)
        except OSError as error:
            raise Unavailable(f"the cache cannot be written: {error.strerror}") from error
        self._written += len(chunk)

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
            await asyncio.get_running_loop().run_in_executor(self._executor, self._publish)
        except OSError as error:
            raise Unavailable(f"the cache cannot be written: {error.strerror}") from error
        self._is_over = True

    async def abort(self) -> None:
        """Throw away what was written. Readers that are still there keep the open file."""
        if not self._is_over:
            self._is_over = True
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file."""
        self._descriptor = -1  # the number may soon be another file's
        if self.file is not None:
            self.file.close()

    def _append(self, chunk: bytes) -> None:
        # By offset: a reader's sendfile moves the file's own position.
        rest, offset = memoryview(chunk), self._written
        while rest:
            count = os.pwrite(self._descriptor, rest[:WRITE_BYTES], offset)
            rest, offset = rest[count:], offset + count
        self._hasher.update(chunk)

    def _publish(self) -> None:
        if os.fstat(self._descriptor).st_size != self._written:
            raise OSError(errno.EIO, "an earlier write failed half-way")
        os.fsync(self._descriptor)
        self._path.chmod(0o444)
        self._path.replace(self._target)
        _sync_folder(self._target.parent)


class DiskBlobStore:
    """Blobs in the files of an OCI image layout."""

    def __init__(self, root: Path, executor: Executor) -> None:
        """Take the folder as it is: `prepare` makes it one that can be written to."""
        self.root = root
        self._executor = executor
        self._numbers = itertools.count()
        self._lock_file: BinaryIO | None = None
        self._folders = {algorithm: str(root / "blobs" / algorithm) for algorithm in ENCODED_LENGTHS}

    def prepare(self) -> bool:
        """Make the folders and the layout file, and clear away what a killed process left.

        Answers whether this process is now the one that owns the folder. A second process may read and add beside it,
        but clears nothing away: what looks left over is being written.

        Raises:
            Unavailable: The folder cannot be made or written.
        """
        try:
            folders = [Path(name) for name in self._folders.values()]
            for folder in (*folders, self.root / "ingest", self.root / "quarantine"):
                folder.mkdir(parents=True, exist_ok=True)
            is_owner = self._lock()
            for left_over in (self.root / "ingest").iterdir() if is_owner else ():
                left_over.unlink()
            if not (self.root / LAYOUT_FILE).exists():
                write_durably(self.root, LAYOUT_FILE, json.dumps(LAYOUT).encode())
        except OSError as error:
            raise Unavailable(f"the cache folder {self.root} cannot be used: {error.strerror}") from error
        return is_owner

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
            yield DiskReader(file)

    async def begin_ingest(self, digest: Digest, /) -> Ingest:
        """Begin to take in a blob."""
        path = self.root / "ingest" / f"{digest.encoded}.{os.getpid()}.{next(self._numbers)}"
        try:
            return DiskIngest(path, Path(self._name(digest)), digest, self._executor)
        except OSError as error:
            raise Unavailable(f"the cache cannot be written: {error.strerror}") from error

    async def quarantine(self, digest: Digest, /) -> None:
        """Take a blob that is not what its digest says out of the store, and keep it aside."""
        with contextlib.suppress(OSError):
            os.replace(self._name(digest), self.root / "quarantine" / digest.encoded)  # noqa: PTH105 - one system call

    def _lock(self) -> bool:
        """Take the folder's lock if nobody has it; the kernel gives it back when the process ends, however it ends."""
        if self._lock_file is None:
            self._lock_file = (self.root / LOCK_FILE).open("wb")
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


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
