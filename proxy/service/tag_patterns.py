"""The newest of many tags: which tags a pattern means, and in which order their versions are.

    7.*-alpine        7.4.1-alpine, 7.4-alpine; not 7.4.1, not 7.4.1-alpine3.20, not 7.5-rc1-alpine
    7.*-alpine*       7.4.1-alpine3.20
    bookworm-*-slim   bookworm-20240110-slim
    *                 1.27.3, v1.27.3, 2024-01-15

A `*` stands for a version: numbers with `.`, `_` or `-` between them, at the very beginning perhaps with a `v`. Words
are never part of it, so that a pattern never mixes variants (`-alpine`, `-slim`), or releases with what comes before
them (`-rc1`): what has words is asked for with its words.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

STAR = "*"
_VERSION = r"([0-9]+(?:[._-][0-9]+)*)"


@dataclass(frozen=True)
class TagPattern:
    """A tag with stars for the parts of it that count up."""

    text: str

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        parts = [re.escape(part) for part in self.text.split(STAR)]
        start = "v?" if self.text.startswith(STAR) else ""
        return re.compile(start + _VERSION.join(parts), re.ASCII)

    def find_version(self, tag: str) -> tuple[tuple[int, ...], ...] | None:
        """Answer the numbers for each star; None where the tag is none that is meant.

        They are in order as tuples are: 7.4.1 is newer than 7.4, which is a name for the newest of them at best.
        """
        found = self._expression.fullmatch(tag)
        if found is None:
            return None
        return tuple(tuple(map(int, re.findall("[0-9]+", numbers))) for numbers in found.groups())

    def pick_newest(self, tags: Iterable[str], count: int) -> list[str]:
        """Answer the newest of some tags, newest first. Of 1.2 and 1.02, the longer one is taken for the newer one."""
        found = {tag: version for tag in tags if (version := self.find_version(tag)) is not None}
        return sorted(found, key=lambda tag: (found[tag], len(tag), tag), reverse=True)[:count]

    def __str__(self) -> str:
        return self.text
