"""Tables in Markdown."""

from collections.abc import Iterable


def make_table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Make the lines of a table, and the empty one after it; a bar within a cell is no border."""
    lines = [heads, tuple("---" for _ in heads), *rows]
    return [*("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines), ""]
