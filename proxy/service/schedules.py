"""When something that is done again and again is due next.

Only moments of the wall clock, in seconds since 1970, and no clock: whoever asks says since when, and draws the lot
that spreads many proxies over the time after a moment that all of them have in their settings.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import islice

from cronsim import CronSim

JITTER_SHARE = 0.1
"""How much of an interval it may come late, unless something else is said."""
CRON_JITTER_SECONDS = 300.0
"""How late it may come after a moment of a cron line, unless something else is said."""
MAX_REPEATED_MOMENTS = 24 * 60
"""How many moments of a cron line there can be in an hour that summer's end repeats, and more."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Every so many seconds, or at the moments of a cron line."""

    every: float = 0.0
    """In seconds; 0 for a cron line."""
    cron: str = ""
    """Five fields: minute, hour, day of the month, month, day of the week."""
    jitter: float | None = None
    """How late it may come, in seconds; None for the usual."""
    zone: tzinfo | None = None
    """Where the cron line's hours are; None for where this machine is."""

    @property
    def jitter_seconds(self) -> float:
        """How late it may come, in seconds."""
        if self.jitter is not None:
            return self.jitter
        return CRON_JITTER_SECONDS if self.cron else self.every * JITTER_SHARE

    def find_due(self, since: float, lot: float) -> float:
        """Answer when it is due next.

        Args:
            since: When it was done last; the answer is later than that.
            lot: Between 0 and 1: how much of the jitter it comes late.

        Returns:
            The moment; infinity where the cron line has no more.
        """
        return self._find_moment(since) + self.jitter_seconds * lot

    def _find_moment(self, since: float) -> float:
        if not self.cron:
            return since + self.every
        moments = islice(_iterate(self.cron, datetime.fromtimestamp(since, self.zone)), MAX_REPEATED_MOMENTS)
        # Where the clocks are set back, an hour of this machine's comes twice: its moments count once.
        return next((moment for moment in moments if moment > since), math.inf)


def _iterate(cron: str, since: datetime) -> Iterator[float]:
    for moment in CronSim(cron, since):
        yield moment.timestamp()
