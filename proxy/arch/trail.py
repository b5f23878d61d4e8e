"""The trail: the reasons, in order, that led to an answer.

One trail serves the log line, `polyarch resolve`, the response headers, the dashboard and the tests.
"""

from dataclasses import dataclass

MAX_LENGTH = 1000
"""The longest text of a reason, in characters: an index names up to 4096 platforms, and calls them what it likes."""


@dataclass(frozen=True, slots=True)
class Reason:
    """What was looked at, and what came of it."""

    subject: str
    verdict: str

    def __str__(self) -> str:
        return write_safely(f"{self.subject}: {self.verdict}")


@dataclass(frozen=True, slots=True)
class Trail:
    """Reasons in order; adding one makes a new trail."""

    reasons: tuple[Reason, ...] = ()

    def add(self, subject: str, verdict: str) -> "Trail":
        """Answer this trail with one more reason at its end."""
        return Trail((*self.reasons, Reason(subject, verdict)))

    def as_lines(self) -> list[str]:
        """Write one line a reason."""
        return [str(reason) for reason in self.reasons]

    def __str__(self) -> str:
        return "; ".join(self.as_lines())


def write_safely(text: str) -> str:
    """Write a text that may hold a stranger's words for a log or a terminal: in one line, and not without end."""
    short = text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}…"
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in short)
