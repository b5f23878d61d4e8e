"""The trail: the reasons, in order, that led to an answer.

One trail serves the log line, `polyarch resolve`, the response headers, the dashboard and the tests.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """What was looked at, and what came of it."""

    subject: str
    verdict: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.verdict}"


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
