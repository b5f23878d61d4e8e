"""How many answers came from where: what an operator wants to know of a cache, the stale ones apart."""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

from proxy.service.freshness import CacheState


class Kind(StrEnum):
    """What was answered."""

    TAG = "tag"
    MANIFEST = "manifest"
    BLOB = "blob"


class Tally:
    """Counts of answers since the start, by what they were and where they came from."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[Kind, CacheState]] = Counter()

    def count(self, kind: Kind, state: CacheState) -> None:
        """Count an answer."""
        self._counts[kind, state] += 1

    @property
    def counts(self) -> Mapping[tuple[Kind, CacheState], int]:
        """The answers so far; what there was none of is not in it."""
        return self._counts

    def as_fields(self) -> dict[str, int]:
        """Answer the counts under names such as `tag_stale`, for a line of the log."""
        return {f"{kind}_{state}": count for (kind, state), count in sorted(self._counts.items())}

    def __repr__(self) -> str:
        return f"<Tally of {self._counts.total()} answers>"
