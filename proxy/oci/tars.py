"""Layers as they come: a tar archive, read piece by piece, of which the end may be missing.

image-spec 1.1 `layer.md`; POSIX.1-2017 `pax`, "ustar Interchange Format" and "pax Extended Header"; GNU tar's manual,
"Basic Tar Format". The archive is a stranger's: nothing here raises, and no more is kept than is asked for.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

BLOCK_BYTES = 512
MAX_NAME_BYTES = 64 * 1024
"""How large a header may be that holds a long name; Linux ends paths at 4096."""
MAX_ENTRIES = 20_000
MAX_ENTRY_BYTES = 2**62

_CHECKSUM = slice(148, 156)
_FILES = frozenset(b"\x007")
"""Types beside `0` that are plain files, of before POSIX and contiguous ones."""
_WITHOUT_CONTENT = frozenset(b"123456")
"""Links, devices, folders and pipes: whatever size they tell, no content follows (as Go's archive/tar reads it)."""
_EXTENDED, _LONG_NAME = ord("x"), ord("L")
_EXECUTABLE = 0o111


@dataclass(frozen=True, slots=True)
class TarEntry:
    """A file, as its header tells of it."""

    path: str
    """Without the slashes and dots at its beginning."""
    size: int
    """In bytes."""
    is_executable: bool


@dataclass(frozen=True, slots=True)
class TarFile:
    """A file and the beginning of its content: as much as was wanted, or as there was."""

    entry: TarEntry
    content: bytes


class TarWalk:
    """Reads an archive in whatever pieces it comes."""

    def __init__(self, wanted: Callable[[TarEntry], int]) -> None:
        """Take who says how many bytes of a file are wanted, 0 for none."""
        self.is_over = False
        """Whether nothing more can be learned: the archive has ended, or is none."""
        self._wanted = wanted
        self._entries = 0
        self._block = bytearray()
        self._entry: TarEntry | None = None
        """The file whose content is being kept."""
        self._kind = 0
        """The type of the header whose content is being kept: a file's, or one that tells a name."""
        self._content = bytearray()
        self._keep = 0
        """How many bytes of content are still to be kept."""
        self._pass = 0
        """How many bytes are to be passed until the next header, those to be kept included."""
        self._long_name: bytes | None = None
        self._long_size: int | None = None

    def feed(self, piece: bytes) -> Iterator[TarFile]:
        """Take the next bytes; answers the files that are complete by them."""
        position = 0
        while position < len(piece) and not self.is_over:
            if not self._pass:
                taken = piece[position : position + BLOCK_BYTES - len(self._block)]
                self._block += taken
                position += len(taken)
                if len(self._block) == BLOCK_BYTES:
                    self._begin(bytes(self._block))
                    self._block.clear()
                continue
            length = min(self._pass, len(piece) - position)
            if self._keep:
                length = min(length, self._keep)
                self._content += piece[position : position + length]
                self._keep -= length
            self._pass -= length
            position += length
            if not self._keep and self._kind:
                yield from self._finish()

    def close(self) -> Iterator[TarFile]:
        """Take that nothing more comes; answers the file that was cut off, with what there is of it."""
        self.is_over = True
        if self._kind and self._entry is not None and self._content:
            yield from self._finish()

    def _begin(self, block: bytes) -> None:
        """Read a header."""
        size = _parse_number(block[124:136])
        self._entries += 1
        if size is None or not _is_header(block) or self._entries > MAX_ENTRIES:
            self.is_over = True
            return
        kind = block[156]
        if kind in {_EXTENDED, _LONG_NAME}:
            self.is_over = size > MAX_NAME_BYTES
            self._keep_content(kind, None, size, size)
            return
        size = size if self._long_size is None else self._long_size
        size = 0 if kind in _WITHOUT_CONTENT else size
        is_file = kind == ord("0") or kind in _FILES
        entry = TarEntry(_clean(self._long_name or _read_name(block)), size, bool(_mode(block) & _EXECUTABLE))
        if kind not in b"gK":  # those may stand between a long name and what is named
            self._long_name = self._long_size = None
        self._keep_content(kind, entry, size, min(size, max(0, self._wanted(entry))) if is_file else 0)

    def _keep_content(self, kind: int, entry: TarEntry | None, size: int, wanted: int) -> None:
        self._content.clear()
        self._entry, self._keep = entry, wanted
        self._kind = (kind or ord("0")) if wanted else 0
        self._pass = -(-size // BLOCK_BYTES) * BLOCK_BYTES

    def _finish(self) -> Iterator[TarFile]:
        content, kind, self._kind = bytes(self._content), self._kind, 0
        self._content.clear()
        if self._entry is not None:
            yield TarFile(self._entry, content)
        elif kind == _LONG_NAME:
            self._long_name = content.partition(b"\0")[0]
        else:
            records = _parse_records(content)
            self._long_name = records.get(b"path", self._long_name)
            size = records.get(b"size", b"")
            is_size = size.isdigit() and len(size) < len(str(MAX_ENTRY_BYTES))
            self._long_size = int(size) if is_size else self._long_size


def _is_header(block: bytes) -> bool:
    """Tell a header by its checksum: the sum of its bytes, the checksum itself taken as spaces.

    Two blocks of zeros, which end an archive, have none.
    """
    told = _parse_number(block[_CHECKSUM])
    return told is not None and told == sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" ")


def _parse_number(field: bytes) -> int | None:
    """Read octal digits, or GNU's binary form for what is too large for them; None if it is neither, or negative."""
    if field[0] & 0x80:
        number = int.from_bytes(field, "big") - (0x80 << 8 * (len(field) - 1))
        return number if field[0] == 0x80 and number <= MAX_ENTRY_BYTES else None  # noqa: PLR2004 - 0xff is negative
    text = field.partition(b"\0")[0].strip()
    if text.strip(b"01234567"):
        return None
    return int(text or b"0", 8)


def _mode(block: bytes) -> int:
    return _parse_number(block[100:108]) or 0


def _read_name(block: bytes) -> bytes:
    name = block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _clean(name: bytes) -> str:
    text = name.decode("utf-8", "replace")
    while text.startswith(("/", "./")):
        text = text.removeprefix(".").lstrip("/")
    return text


def _parse_records(content: bytes) -> dict[bytes, bytes]:
    """Read the records of a pax header: `length key=value`, a line each; what is wrong ends them."""
    found: dict[bytes, bytes] = {}
    position = 0
    while position < len(content):
        length, _, _ = content[position : position + 20].partition(b" ")
        if not length.isdigit() or not 0 < int(length) <= len(content) - position:
            break
        record = content[position + len(length) + 1 : position + int(length)]
        key, _, value = record.removesuffix(b"\n").partition(b"=")
        found[key] = value
        position += int(length)
    return found
