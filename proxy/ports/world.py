"""Time, and where happenings are told."""

from typing import Protocol


class Clock(Protocol):
    """Time, as an argument."""

    def now(self) -> float:
        """Answer the wall clock, in seconds since 1970."""

    def monotonic(self) -> float:
        """Answer a clock that never jumps, in seconds."""


class Events(Protocol):
    """Where happenings are told: logs, later metrics."""

    def note(self, event: str, /, **fields: object) -> None:
        """Tell that something happened as it should."""

    def warn(self, event: str, /, **fields: object) -> None:
        """Tell that something happened that an operator may want to know."""
