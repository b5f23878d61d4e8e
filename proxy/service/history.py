"""What went through the server, minute by minute of the last day: in memory, for whoever looks at it."""

import asyncio
from collections import deque
from dataclasses import astuple, dataclass

from proxy.ports import Clock
from proxy.spending import Traffic

STEP_SECONDS = 60
STEPS = 24 * 3600 // STEP_SECONDS


@dataclass(frozen=True, slots=True)
class Point:
    """What went through in one step."""

    at: float
    """When the step began: wall clock, in seconds since 1970."""
    requests: int
    hits: int
    """How many of them were answered from the cache, without a question to upstream."""
    bytes_served: int
    bytes_fetched: int


class History:
    """Looks at the numbers once a step, so that nothing is done for a request."""

    def __init__(self, traffic: Traffic, clock: Clock) -> None:
        """Take the numbers, which only grow."""
        self._traffic = traffic
        self._clock = clock
        self._ended: deque[Point] = deque(maxlen=STEPS - 1)
        self._began_at = clock.now()
        self._before = _read(traffic)

    @property
    def points(self) -> list[Point]:
        """All steps, the oldest first; the last one is still going on."""
        return [*self._ended, self._current()]

    def turn(self) -> None:
        """End the step."""
        self._ended.append(self._current())
        self._began_at, self._before = self._clock.now(), _read(self._traffic)

    async def run(self) -> None:
        """End each step in its time, until cancelled."""
        while True:
            await asyncio.sleep(STEP_SECONDS)
            self.turn()

    def _current(self) -> Point:
        now, before = astuple(_read(self._traffic)), astuple(self._before)
        requests, hits, served, fetched = (later - earlier for later, earlier in zip(now, before, strict=True))
        return Point(self._began_at, requests, hits, served, fetched)

    def __repr__(self) -> str:
        return f"<History: {len(self._ended)} steps>"


@dataclass(frozen=True, slots=True)
class _Reading:
    requests: int
    hits: int
    served_bytes: int
    fetched_bytes: int


def _read(traffic: Traffic) -> _Reading:
    return _Reading(traffic.requests, traffic.hits, traffic.served_bytes, traffic.fetched_bytes)
