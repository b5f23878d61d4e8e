"""Tables, sizes and times for people; and the same times for scripts."""

from collections.abc import Sequence
from enum import Enum

_SIZE_STEP = 1024
_SIZE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_AGE_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


class Side(Enum):
    """Where a column's texts are."""

    LEFT = "<"
    RIGHT = ">"


def render_table(columns: Sequence[tuple[str, Side]], rows: Sequence[Sequence[str]]) -> str:
    """Write a table with its headings, as narrow as its texts let it be; no line ends in blanks."""
    titles = [title for title, _ in columns]
    widths = [max(len(row[position]) for row in (titles, *rows)) for position in range(len(columns))]
    lines = []
    for row in (titles, *rows):
        cells = (f"{text:{side.value}{width}}" for text, width, (_, side) in zip(row, widths, columns, strict=True))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def format_size(size: int) -> str:
    """Write a number of bytes in the unit that leaves one to four digits.

    >>> [format_size(size) for size in (0, 1023, 1024, 1536, 10 * 1024**3)]
    ['0 B', '1023 B', '1.0 KiB', '1.5 KiB', '10.0 GiB']
    """
    amount, unit = float(size), _SIZE_UNITS[0]
    for unit in _SIZE_UNITS:  # noqa: B007 - the last one stays
        if round(amount, 1) < _SIZE_STEP:
            break
        amount /= _SIZE_STEP
    else:
        amount *= _SIZE_STEP
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def format_age(moment: float | None, now: float) -> str:
    """Write how long ago something was, in its largest unit.

    >>> [format_age(moment, 100_000.0) for moment in (None, 100_000.0, 99_910.0, 90_000.0, 0.0, 100_001.0)]
    ['never', 'now', '1 min ago', '2 h ago', '1 d ago', 'now']
    """
    if moment is None:
        return "never"
    for unit, seconds in _AGE_UNITS:
        count = int((now - moment) // seconds)
        if count > 0:
            return f"{count} {unit} ago"
    return "now"


def count_of(count: int, noun: str) -> str:
    """Write how many there are of something.

    >>> count_of(1, "blob"), count_of(0, "blob")
    ('1 blob', '0 blobs')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"
