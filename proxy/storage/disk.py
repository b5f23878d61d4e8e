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
import json
import os
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from proxy.oci.digests import ENCODED_LENGTHS, Digest
from proxy.oci.errors import BlobDamaged, BlobUnknown, Unavailable
from proxy.ports import BlobReader, Ingest, StoredBlob
from proxy.storage.durable import write_durably
from proxy.storage.ingests import IngestFolder, digest_named

LAYOUT_FILE = "oci-layout"
LOCK_FILE = "lock"
LAYOUT = {"imageLayoutVersion": "1.0.0"}
UNWRITABLE = frozenset({errno.EROFS, errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EDQUOT})
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What says nothing about the file."""


class DiskReader:
    """A stored blob, open for reading."""

    def __init__(self, file: BinaryIO, digest: Digest) -> None:
        self.file: BinaryIO | None = file
        self._digest = digest
        self._descriptor = file.fileno()
        self.size = os.fstat(self._descriptor).st_size

    def read_at(self, offset: int, size: int, /) -> bytes:
        """Read up to `size` bytes from an offset."""
        try:
            return os.pread(self._descriptor, size, offset)
        except OSError as error:
            raise _unreadable(self._digest, error) from error


class DiskBlobStore:
    """Blobs in the files of an OCI image layout."""

    def __init__(self, root: Path, executor: Executor) -> None:
        """Take the folder as it is: `prepare` makes it one that can be written to."""
        self.root = root
        self._executor = executor
        self._ingests = IngestFolder(root / "ingest", executor, self.path_of)
        self._lock_file: BinaryIO | None = None
        self._readers: collections.Counter[Digest] = collections.Counter()
        self._counting = threading.Lock()
        """For the count of readers: some of them are in threads."""
        self._folders = {algorithm: str(root / "blobs" / algorithm) for algorithm in ENCODED_LENGTHS}

    def prepare(self) -> bool:
        """Make the folders and the layout file, and look through what ended processes left.

        Answers whether this process is now the one that owns the folder. A second process may read and add beside it,
        but clears nothing away, and goes on with nothing that the first may be about to go on with.

        A folder that is read-only is used as it is, if it is a cache already.

        Raises:
            Unavailable: The folder cannot be made or written, and is no cache.
        """
        try:
            for name in (*self._folders.values(), f"{self.root}/ingest", f"{self.root}/quarantine"):
                Path(name).mkdir(parents=True, exist_ok=True)
            is_owner = self._lock("ab")
            if is_owner:
                self._ingests.take_over()
            if not (self.root / LAYOUT_FILE).exists():
                write_durably(self.root, LAYOUT_FILE, json.dumps(LAYOUT).encode())
        except OSError as error:
            if error.errno in UNWRITABLE and (self.root / LAYOUT_FILE).exists():
                return self._lock_as_it_is()
            raise Unavailable(f"the cache folder {self.root} cannot be used: {error.strerror}") from error
        return is_owner

    def close(self) -> None:
        """Give up the ownership of the folder; nothing more is taken in."""
        self._ingests.close()
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None

    def find_size(self, digest: Digest, /) -> int | None:
        """Answer the size of a stored blob in bytes, or None if it is not stored."""
        try:
            fields = os.stat(self._name(digest))  # noqa: PTH116 - called for every request; a Path costs as much
        except OSError:
            return None
        return fields.st_size if stat.S_ISREG(fields.st_mode) else None

    @contextmanager
    def open_blob(self, digest: Digest, /) -> Iterator[BlobReader]:
        """Open a stored blob."""
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(open(self._name(digest), "rb", buffering=0))  # noqa: PTH123 - as above
                reader = DiskReader(file, digest)
            except OSError as error:
                if self.find_size(digest) is None:
                    raise BlobUnknown(f"{digest} is not stored") from error
                raise _unreadable(digest, error) from error
            with self._counting:
                self._readers[digest] += 1
            try:
                yield reader
            finally:
                with self._counting:
                    self._readers[digest] -= 1
                    if not self._readers[digest]:
                        del self._readers[digest]

    async def begin_ingest(self, digest: Digest, /) -> Ingest:
        """Begin to take in a blob, or go on where a suspended ingest of it ended."""
        try:
            return await self._ingests.begin(digest)
        except OSError as error:
            raise Unavailable(f"the cache cannot be written: {error.strerror}") from error

    def path_of(self, digest: Digest) -> Path:
        """Answer where a blob is, or would be."""
        return Path(self._name(digest))

    async def quarantine(self, digest: Digest, /) -> None:
        """Take a blob that is not what its digest says, or cannot be read, out of the store, and keep it aside."""
        with contextlib.suppress(OSError):
            os.replace(self._name(digest), self.root / "quarantine" / digest.encoded)  # noqa: PTH105 - one system call

    async def remove(self, digest: Digest, /) -> None:
        """Take a blob out of the store; who reads it keeps the open file."""
        with contextlib.suppress(OSError):  # in a thread: a gigabyte takes a quarter of a second
            await asyncio.get_running_loop().run_in_executor(self._executor, os.unlink, self._name(digest))

    async def list_blobs(self) -> list[StoredBlob]:
        """Answer all stored blobs. Raises Unavailable if the folder cannot be read."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, self._scan)
        except OSError as error:
            raise Unavailable(f"the cache cannot be read: {error.strerror}") from error

    async def list_suspended(self) -> list[StoredBlob]:
        """Answer the suspended ingests."""
        return self._ingests.list_suspended()

    async def drop_suspended(self, digest: Digest, /) -> None:
        """Throw a suspended ingest away."""
        self._ingests.drop(digest)

    async def list_quarantined(self) -> list[StoredBlob]:
        """Answer what was put aside, and since when."""
        found: list[StoredBlob] = []
        for path in (self.root / "quarantine").glob("*"):
            digest = digest_named(path.name)
            with contextlib.suppress(OSError):
                fields = path.stat()
                if digest is not None:
                    found.append(StoredBlob(digest, fields.st_size, fields.st_ctime))
        return found

    async def drop_quarantined(self, digest: Digest, /) -> None:
        """Throw away what was put aside."""
        with contextlib.suppress(OSError):
            (self.root / "quarantine" / digest.encoded).unlink()

    def is_read(self, digest: Digest, /) -> bool:
        """Tell whether a stored blob is open for reading in this process."""
        return digest in self._readers

    def free_bytes(self) -> int:
        """Answer how many bytes could still be written by who is not root; none where the folder is gone."""
        try:
            fields = os.statvfs(self.root)
        except OSError:
            return 0
        return fields.f_bavail * fields.f_frsize

    def _scan(self) -> list[StoredBlob]:
        found: list[StoredBlob] = []
        for algorithm, folder in self._folders.items():
            with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
                for entry in entries:
                    digest = digest_named(entry.name)  # none for a file that somebody else put there
                    if digest is None or digest.algorithm != algorithm:
                        continue
                    with contextlib.suppress(FileNotFoundError):
                        fields = entry.stat()
                        if stat.S_ISREG(fields.st_mode):
                            found.append(StoredBlob(digest, fields.st_size, fields.st_mtime))
        return found

    def _lock(self, mode: str) -> bool:
        """Take the folder's lock if nobody has it; the kernel gives it back when the process ends, however it ends."""
        if self._lock_file is None:
            self._lock_file = cast("BinaryIO", (self.root / LOCK_FILE).open(mode))
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _lock_as_it_is(self) -> bool:
        """Take the lock where no file can be made for it; whoever finds none there owns nothing."""
        with contextlib.suppress(OSError):
            return self._lock("rb")
        return False

    def _name(self, digest: Digest) -> str:
        # Both parts are held to their grammar by Digest: no other path can come of them.
        return f"{self._folders[digest.algorithm]}/{digest.encoded}"

    def __repr__(self) -> str:
        return f"<DiskBlobStore {self.root}>"


def _unreadable(digest: Digest, error: OSError) -> Unavailable:
    """Tell what it means that a stored blob cannot be opened or read."""
    reason = f"{digest} cannot be read: {error.strerror}"
    return Unavailable(reason) if error.errno in EXHAUSTED else BlobDamaged(reason)
