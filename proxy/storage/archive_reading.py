"""Image archives as they are read: tar files, compressed or not, and folders.

Nothing is ever unpacked under a name of the archive, and nothing is believed of it: headers are read with limits, bytes
are handed out in pieces, and what no image archive has (devices, names that lead out of it, sparse files) ends the
reading.
"""

import gzip
import importlib
import posixpath
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from proxy.oci.layouts import DOCKER_FILE, INDEX_FILE, LAYOUT_FILE, REPOSITORIES_FILE, Entry, EntryKind, InvalidArchive

MAX_ENTRIES = 250_000
MAX_NAME_LENGTH = 1024
"""All names are kept in memory: at most so many, and so long."""
MAX_EXTENSION_BYTES = 64 * 1024
"""How much a record may tell that has more to say of a file than its header holds."""
MAX_SIZE = 2**62
BLOCK_BYTES = 512
SKIP_BYTES = 1024 * 1024
_GZIP, _ZSTD, _XZ, _BZIP2 = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ", b"BZh"
_FILE_TYPES = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE})
_LAYOUT_NAMES = frozenset({LAYOUT_FILE, INDEX_FILE, DOCKER_FILE, REPOSITORIES_FILE})


class ArchiveReader(Protocol):
    """An archive from its beginning to its end, name by name."""

    @property
    def position(self) -> int:
        """How many bytes of the archive's own file, or files, were read."""

    def next_entry(self) -> Entry | None:
        """Answer the next name; None at the end. Raises InvalidArchive where the archive is none."""

    def read(self, size: int, /) -> bytes:
        """Read up to so many of the entry's bytes; none at its end. Raises InvalidArchive where they are cut off."""


class ArchiveFile:
    """A tar file, or the folder of one, that can be read as often as is needed."""

    def __init__(self, path: Path) -> None:
        """Take its place."""
        self._path = path

    @property
    def size(self) -> int:
        """How many bytes a reader's position comes to. Raises InvalidArchive if there is nothing."""
        try:
            if self._path.is_dir():
                return sum(path.stat().st_size for path in _list_folder(self._path))
            return self._path.stat().st_size
        except OSError as error:
            raise _unreadable(error) from error

    def check(self) -> None:
        """Look whether it begins as an archive does. Raises InvalidArchive if it does not, or cannot be read."""
        with self.open() as reader:
            reader.next_entry()

    @contextmanager
    def open(self) -> Iterator[ArchiveReader]:
        """Open it. Raises InvalidArchive if it cannot be read."""
        try:
            if self._path.is_dir():
                with closing(FolderReader(self._path)) as reader:
                    yield reader
            else:
                with self._path.open("rb") as raw, _decompressed(raw, self._path) as stream:
                    yield TarReader(raw, stream)
        except OSError as error:
            raise _unreadable(error) from error

    def __repr__(self) -> str:
        return f"<ArchiveFile {self._path}>"


class TarReader:
    """A tar file, read from its beginning to its end."""

    def __init__(self, raw: BinaryIO, stream: BinaryIO) -> None:
        """Take the file, and the stream of its uncompressed bytes."""
        self._raw = raw
        self._stream = stream
        self._left = 0
        self._padding = 0
        self._count = 0

    @property
    def position(self) -> int:
        """How many bytes of the file were read."""
        return self._raw.tell()

    def next_entry(self) -> Entry | None:
        """Answer the next name; None at the end."""
        extension: dict[str, str] = {}
        while True:
            self._skip()
            header = self._read_header()
            if header is None:
                return None
            self._count += 1
            if self._count > MAX_ENTRIES:
                raise InvalidArchive(f"more than {MAX_ENTRIES} names")
            if header.type in {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}:
                extension |= self._read_extension(header)
            else:
                return self._begin(header, extension)

    def read(self, size: int, /) -> bytes:
        """Read up to so many of the entry's bytes; none at its end."""
        piece = self._read(min(size, self._left))
        if not piece and self._left and size:
            raise InvalidArchive("cut off in the middle of a file")
        self._left -= len(piece)
        return piece

    def _begin(self, header: tarfile.TarInfo, extension: dict[str, str]) -> Entry:
        name = clean_name(extension.get("path", header.name))
        kind = _kind_of(header, name)
        size = _parse_size(extension["size"]) if "size" in extension else header.size
        self._expect(size if kind is EntryKind.FILE else 0)
        target = extension.get("linkpath", header.linkname)
        if kind is EntryKind.LINK:
            base = posixpath.dirname(name) if header.type == tarfile.SYMTYPE else ""
            return Entry(name, kind, target=clean_name(posixpath.normpath(posixpath.join(base, target))))
        return Entry(name, kind, size if kind is EntryKind.FILE else 0)

    def _read_header(self) -> tarfile.TarInfo | None:
        block = self._read_exactly(BLOCK_BYTES, may_end=True)
        if not block.strip(b"\0"):
            return None
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise InvalidArchive("not a tar file, or a damaged one") from error
        if not 0 <= header.size <= MAX_SIZE:
            raise InvalidArchive(f"a file of {header.size} bytes")
        return header

    def _read_extension(self, header: tarfile.TarInfo) -> dict[str, str]:
        if header.size > MAX_EXTENSION_BYTES:
            raise InvalidArchive(f"a name of {header.size} bytes")
        self._expect(header.size)
        content = self._read_exactly(header.size)
        self._left = 0
        if header.type == tarfile.XGLTYPE:
            return {}
        if header.type == tarfile.XHDTYPE:
            return _parse_pax(content)
        field = "path" if header.type == tarfile.GNUTYPE_LONGNAME else "linkpath"
        return {field: content.rstrip(b"\0").decode("utf-8", "surrogateescape")}

    def _expect(self, size: int) -> None:
        self._left, self._padding = size, -size % BLOCK_BYTES

    def _skip(self) -> None:
        while self._left:
            self.read(SKIP_BYTES)
        # A file that ends where the padding should begin has all its bytes.
        self._read(self._padding)
        self._padding = 0

    def _read_exactly(self, size: int, *, may_end: bool = False) -> bytes:
        content = b""
        while len(content) < size:
            piece = self._read(size - len(content))
            if not piece and may_end and not content:
                return b""
            if not piece:
                raise InvalidArchive("cut off in the middle of a header")
            content += piece
        return content

    def _read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InvalidArchive("its compressed bytes are cut off or damaged") from error

    def __repr__(self) -> str:
        return f"<TarReader: {self._count} names, {self.position} bytes>"


class FolderReader:
    """A folder, read as if it were a tar file of itself."""

    def __init__(self, root: Path) -> None:
        """Take the folder."""
        self._root = root
        self._paths = iter(_list_folder(root))
        self._file: BinaryIO | None = None
        self.position = 0

    def next_entry(self) -> Entry | None:
        """Answer the next name; None at the end."""
        self.close()
        path = next(self._paths, None)
        if path is None:
            return None
        name = path.relative_to(self._root).as_posix()
        if not path.resolve().is_relative_to(self._root.resolve()):
            raise InvalidArchive(f"{name} leads out of it")
        if not path.is_file():
            raise InvalidArchive(f"{name} is no file")
        self._file = path.open("rb")
        return Entry(name, EntryKind.FILE, path.stat().st_size)

    def read(self, size: int, /) -> bytes:
        """Read up to so many of the entry's bytes; none at its end."""
        assert self._file is not None
        piece = self._file.read(size)
        self.position += len(piece)
        return piece

    def close(self) -> None:
        """Close the file that was read last."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __repr__(self) -> str:
        return f"<FolderReader {self._root}>"


def _unreadable(error: OSError) -> InvalidArchive:
    return InvalidArchive(f"it cannot be read: {error.strerror or error}")


def clean_name(name: str) -> str:
    """Answer a name of an archive without `.` and doubled slashes.

    Raises:
        InvalidArchive: It leads out of the archive, or is longer than any that an image archive holds.
    """
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidArchive(f"it holds a name of {len(name)} characters")
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise InvalidArchive(f"it holds a name that leads out of it: {name[:100]!r}")
    return "/".join(parts)


def _kind_of(header: tarfile.TarInfo, name: str) -> EntryKind:
    if header.type == tarfile.DIRTYPE:
        return EntryKind.FOLDER
    if header.type in {tarfile.SYMTYPE, tarfile.LNKTYPE}:
        return EntryKind.LINK
    if header.type in _FILE_TYPES:
        return EntryKind.FILE
    raise InvalidArchive(f"{name[:100]!r} is a device or another thing that no image archive holds")


def _parse_pax(content: bytes) -> dict[str, str]:
    """Read a pax record: `length key=value` and a line end, again and again (POSIX.1-2001, pax)."""
    found: dict[str, str] = {}
    while content:
        length, _, _ = content.partition(b" ")
        size = int(length) if length.isdigit() and len(length) < len(str(MAX_EXTENSION_BYTES)) + 1 else 0
        line, content = content[:size], content[size:]
        key, equals, value = line[len(length) + 1 : -1].decode("utf-8", "surrogateescape").partition("=")
        if not size or len(line) != size or not equals or not line.endswith(b"\n"):
            raise InvalidArchive("a damaged header")
        if key.startswith("GNU.sparse"):
            raise InvalidArchive("it holds a sparse file, which no image archive does")
        found[key] = value
    return found


def _parse_size(text: str) -> int:
    if not text.isdecimal() or not text.isascii() or len(text) > len(str(MAX_SIZE)) or int(text) > MAX_SIZE:
        raise InvalidArchive(f"a file of {text[:40]!r} bytes")
    return int(text)


@contextmanager
def _decompressed(raw: BinaryIO, path: Path) -> Iterator[BinaryIO]:
    begin = raw.read(6)
    raw.seek(0)
    if begin.startswith(_GZIP):
        with gzip.GzipFile(fileobj=raw, mode="rb") as stream:
            yield cast("BinaryIO", stream)
    elif begin.startswith(_ZSTD):
        with _open_zstd(raw) as stream:
            yield stream
    elif begin.startswith((_XZ, _BZIP2)):
        raise InvalidArchive(f"compressed with xz or bzip2; decompress it first, and import {path.stem}")
    else:
        yield raw


def _open_zstd(raw: BinaryIO) -> BinaryIO:
    try:
        zstd = importlib.import_module("compression.zstd")  # Python 3.14 or newer
    except ImportError:
        raise InvalidArchive(
            "compressed with zstd, which Python before 3.14 cannot read; run `zstd -d` first"
        ) from None
    return cast("BinaryIO", zstd.open(raw, "rb"))


def _list_folder(root: Path) -> list[Path]:
    """Answer the files of a layout, or of an unpacked `docker save`; of a layout, only what belongs to one."""
    if (root / LAYOUT_FILE).exists():
        named = [root / name for name in sorted(_LAYOUT_NAMES) if (root / name).exists()]
        found = [*named, *sorted(path for path in root.glob("blobs/*/*") if not path.is_dir())]
    elif (root / DOCKER_FILE).exists():
        found = sorted(path for path in root.rglob("*") if not path.is_dir())
    else:
        raise InvalidArchive(f"it has neither {LAYOUT_FILE} nor {DOCKER_FILE} in it")
    if len(found) > MAX_ENTRIES:
        raise InvalidArchive(f"more than {MAX_ENTRIES} names")
    return found
