"""How long what is known of a tag may be believed: pure decisions over two clock readings."""

from dataclasses import dataclass
from enum import StrEnum

from proxy.ports import TagRecord, TagState


class CacheState(StrEnum):
    """Where an answer came from, in HTTP's words; a later one of these outweighs an earlier one."""

    HIT = "hit"
    """From the cache, without asking."""
    REVALIDATED = "revalidated"
    """From the cache, after upstream said that it still holds."""
    MISS = "miss"
    """From upstream."""
    STALE = "stale"
    """From the cache, because upstream could not be asked."""

    @property
    def weight(self) -> int:
        """How much this state says about an answer that has several parts."""
        return list(CacheState).index(self)


@dataclass(frozen=True, slots=True)
class Freshness:
    """How long things are believed, in seconds."""

    tag_seconds: float = 600.0
    """A tag that is there."""
    absent_seconds: float = 60.0
    """A tag that somebody asked for and that is not there."""
    candidate_absent_seconds: float = 6 * 3600.0
    """A candidate that is not there: nobody named it, so nobody waits for it to appear."""
    retry_seconds: float = 15.0
    """After upstream could not be asked, until it is asked again."""
    stale_seconds: float | None = None
    """How long after its lifetime a record still answers while upstream cannot be asked; None without end."""
    ahead_seconds: float = 0.0
    """How long before its end an answer that is in use is asked for anew in the background; 0 not at all."""

    def lifetime(self, record: TagRecord, *, is_candidate: bool) -> float:
        """Answer how long after its check a record is believed."""
        if record.state is TagState.PRESENT:
            return self.tag_seconds
        return self.candidate_absent_seconds if is_candidate else self.absent_seconds

    def remaining(self, record: TagRecord, now: float, *, is_candidate: bool = False) -> float:
        """Answer for how many seconds more a record is believed; 0 if it is not.

        A check that seems to lie in the future says nothing: a Pi has no clock of its own, and starts in the past.
        """
        age = now - record.checked_at
        left = self.lifetime(record, is_candidate=is_candidate) - age
        return left if age >= 0 and left > 0 else 0.0

    def may_be_stale(self, record: TagRecord, now: float, *, is_candidate: bool = False) -> bool:
        """Tell whether a record that is believed no more still answers while upstream cannot be asked."""
        if self.stale_seconds is None:
            return True
        return now - record.checked_at <= self.lifetime(record, is_candidate=is_candidate) + self.stale_seconds
