"""`Range` on a blob: what a client asked for, fitted to the blob's size.

RFC 9110 §14: only the unit `bytes`; a header that does not follow the grammar is ignored (the whole blob is served),
one whose every range lies outside the blob is answered 416. The header
`bytes=500-1499` means the second value inclusive; here `stop` is exclusive, as everywhere in Python.
"""

import re
from dataclasses import dataclass

from proxy.oci.errors import RangeNotSatisfiable

MAX_RANGES = 64
"""podman's partial pulls of zstd:chunked layers send some dozens; more than that is only good for abuse."""

_SPEC = re.compile(r"(?P<first>[0-9]{1,19})?\s*-\s*(?P<last>[0-9]{1,19})?")


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A part of a blob, from `start` up to but without `stop`, in bytes."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """How many bytes the range holds."""
        return self.stop - self.start

    def content_range(self, total: int) -> str:
        """Write the `Content-Range` of a 206 answer."""
        return f"bytes {self.start}-{self.stop - 1}/{total}"


def parse_range(header: str | None, total: int) -> tuple[ByteRange, ...]:
    """Fit a `Range` header to a blob of `total` bytes.

    Answers no range where the whole blob is meant: no header, another unit, or one that is not understood.

    Raises:
        RangeNotSatisfiable: The header is well formed, but no byte of the blob fulfils it.
    """
    specs = _split(header)
    if not specs:
        return ()
    found = [_fit(first, last, total) for first, last in specs]
    satisfiable = tuple(item for item in found if item is not None)
    if not satisfiable:
        raise RangeNotSatisfiable(f"no byte of {total} is in {header!r}", headers={"Content-Range": f"bytes */{total}"})
    if len(satisfiable) > 1 and sum(part.size for part in satisfiable) > total:
        return ()  # parts that overlap: the whole is less (RFC 9110 §14.2 lets a server ignore them)
    return satisfiable


def _split(header: str | None) -> list[tuple[int | None, int | None]]:
    unit, equals, text = (header or "").partition("=")
    if unit.strip().lower() != "bytes" or not equals:
        return []
    specs: list[tuple[int | None, int | None]] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = _SPEC.fullmatch(part)
        if found is None or (found["first"] is None and found["last"] is None):
            return []
        specs.append((_number(found["first"]), _number(found["last"])))
    return specs if len(specs) <= MAX_RANGES else []


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _fit(first: int | None, last: int | None, total: int) -> ByteRange | None:
    if first is None:
        start, stop = max(0, total - (last or 0)), total
    else:
        start, stop = first, total if last is None else min(last + 1, total)
    return ByteRange(start, stop) if start < stop else None
