"""Image archives as they are written: tar files and folders, the same bytes for the same content.

An archive appears under its name in one step, when it is whole; what goes wrong before leaves nothing behind.
"""

import contextlib
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from proxy.oci.errors import InvalidSetting, Unavailable

BLOCK_BYTES = 512
FILE_MODE, FOLDER_MODE = 0o444, 0o755


class ArchiveWriter(Protocol):
    """An archive on its way out, name by name."""

    def add_folder(self, name: str, /) -> None:
        """Add a folder."""

    def begin_file(self, name: str, size: int, /) -> None:
        """Begin a file of so many bytes, all of which have to be written before the next one begins."""

    def write(self, content: bytes, /) -> None:
        """Write bytes of the file that was begun."""


class TarWriter:
    """A tar file; its times are 0 and it belongs to root, whoever writes it and whenever."""

    def __init__(self, file: BinaryIO) -> None:
        """Take where to write."""
        self._file = file
        self._padding = 0

    def add_folder(self, name: str, /) -> None:
        """Add a folder."""
        header = tarfile.TarInfo(f"{name}/")
        header.type, header.mode = tarfile.DIRTYPE, FOLDER_MODE
        self._begin(header)

    def begin_file(self, name: str, size: int, /) -> None:
        """Begin a file."""
        header = tarfile.TarInfo(name)
        header.size, header.mode = size, FILE_MODE
        self._begin(header)
        self._padding = -size % BLOCK_BYTES

    def write(self, content: bytes, /) -> None:
        """Write bytes of the file that was begun."""
        self._file.write(content)

    def finish(self) -> None:
        """Write the end: two blocks of nothing (POSIX.1-1988, ustar)."""
        self._file.write(bytes(self._padding + 2 * BLOCK_BYTES))
        self._padding = 0

    def _begin(self, header: tarfile.TarInfo) -> None:
        self._file.write(bytes(self._padding) + header.tobuf(tarfile.GNU_FORMAT))
        self._padding = 0

    def __repr__(self) -> str:
        return f"<TarWriter to {self._file!r}>"


class FolderWriter:
    """A folder, as the tar file would unpack to."""

    def __init__(self, root: Path) -> None:
        """Take the folder, which is empty."""
        self._root = root
        self._file: BinaryIO | None = None

    def add_folder(self, name: str, /) -> None:
        """Add a folder."""
        (self._root / name).mkdir()

    def begin_file(self, name: str, size: int, /) -> None:  # noqa: ARG002 - a file system needs no size
        """Begin a file."""
        self.finish()
        self._file = (self._root / name).open("xb")

    def write(self, content: bytes, /) -> None:
        """Write bytes of the file that was begun."""
        assert self._file is not None
        self._file.write(content)

    def finish(self) -> None:
        """End the file that was begun last."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __repr__(self) -> str:
        return f"<FolderWriter to {self._root}>"


@contextmanager
def writing_tar(path: Path) -> Iterator[ArchiveWriter]:
    """Write a tar file, which replaces what is there when it is whole; a device or a pipe is written to as it is.

    Raises:
        Unavailable: It cannot be written.
    """
    path = path.resolve()
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    is_device = path.exists() and not path.is_file()
    try:
        with path.open("wb") if is_device else draft.open("xb") as file:
            writer = TarWriter(file)
            yield writer
            writer.finish()
            if not is_device:
                file.flush()
                os.fsync(file.fileno())
                draft.replace(path)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


@contextmanager
def writing_folder(path: Path) -> Iterator[ArchiveWriter]:
    """Write a folder, which appears when it is whole.

    Raises:
        InvalidSetting: There is something in it already.
        Unavailable: It cannot be written.
    """
    if path.is_dir() and any(path.iterdir()):
        raise InvalidSetting(f"{path} is not empty; name a folder that is not there yet")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    writer = FolderWriter(draft)
    try:
        draft.mkdir()
        yield writer
        writer.finish()
        draft.replace(path)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}") from error
    finally:
        writer.finish()
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def writing_stream(file: BinaryIO) -> Iterator[ArchiveWriter]:
    """Write a tar file to whoever reads it."""
    writer = TarWriter(file)
    yield writer
    writer.finish()
    file.flush()
