"""A clock that stands still until a test ticks it."""


class ManualClock:
    """The `Clock` port. Wall clock and monotonic clock move together, but for `jump`."""

    def __init__(self, now: float = 1_700_000_000.0, *, step: float = 0.0) -> None:
        """Take the time to begin at, and the seconds that pass whenever the monotonic clock is read."""
        self._now = now
        self._monotonic = 1000.0
        self._step = step

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        self.tick(self._step)
        return self._monotonic

    def tick(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock, as NTP does; the monotonic clock does not notice."""
        self._now += seconds

    def __repr__(self) -> str:
        return f"<ManualClock {self._now:.1f}>"
