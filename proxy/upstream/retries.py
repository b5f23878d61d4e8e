"""What is tried again, and when: named, bounded, jittered.

Only what another moment may heal: a connection that failed, and answers that say so. A timeout is not tried again: the
time that a client had is spent. Docker Hub punishes tight loops (protocol_and_perf.md A2), so a 429 is tried again only
where it names a short wait.
"""

import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

RETRYABLE_STATUSES = frozenset({500, 502, 503, 504})
TOO_MANY_REQUESTS = 429
LONGEST_SECONDS = 86400.0
"""A longer `Retry-After` is taken for this long."""
_SECONDS = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how soon."""

    attempts: int = 2
    """How often a request is sent at most."""
    base_seconds: float = 0.15
    """The wait before the second attempt; it doubles from there on."""
    longest_wait_seconds: float = 2.0
    """A longer `Retry-After` is not waited for: the client is better served by what is known."""

    def wait_seconds(self, attempt: int, retry_after: float | None, jitter: float) -> float | None:
        """Answer how long to wait after a failed attempt, or None to give up.

        Args:
            attempt: How often the request was sent, from 1.
            retry_after: What upstream asked for, in seconds.
            jitter: A random number from 0 to 1.
        """
        if attempt >= self.attempts:
            return None
        if retry_after is not None:
            return retry_after if retry_after <= self.longest_wait_seconds else None
        return float(self.base_seconds * 2 ** (attempt - 1) * (0.5 + jitter))

    def wait_after_status(self, attempt: int, status: int, retry_after: float | None, jitter: float) -> float | None:
        """Answer how long to wait after an answer of this status, or None where it is to be taken as it is."""
        if status == TOO_MANY_REQUESTS and retry_after is None:
            return None
        if status != TOO_MANY_REQUESTS and status not in RETRYABLE_STATUSES:
            return None
        return self.wait_seconds(attempt, retry_after, jitter)


def parse_retry_after(header: str | None, sent_at: str | None = None) -> float | None:
    """Read a `Retry-After` (RFC 9110 §10.2.3): seconds, LONGEST_SECONDS at most; None where it says nothing.

    Numbers may have a fraction. A Unix timestamp, which Docker's web API sends, is a very long wait. What is negative,
    or in words such as GHCR's `531.276µs`, says nothing.

    Args:
        header: What upstream sent.
        sent_at: The answer's `Date`. A date to wait for is held against it, because a Pi's own clock may be years off.
    """
    text = (header or "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), LONGEST_SECONDS)
    until, sent = _parse_date(text), _parse_date(sent_at or "")
    if until is None or sent is None or until < sent:
        return None
    return min(until - sent, LONGEST_SECONDS)


def _parse_date(text: str) -> float | None:
    try:
        found = parsedate_to_datetime(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
