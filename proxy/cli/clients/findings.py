"""What is found wrong, or right, with a client's file or with a running proxy."""

from dataclasses import dataclass
from enum import StrEnum

from proxy.cli.clients.addresses import ProxyAddress


class Grade(StrEnum):
    """How bad something is."""

    OK = "ok"
    WARN = "warn"
    """It works, but not as it might, or not always."""
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    grade: Grade
    subject: str
    """What was looked at: `proxy`, `upstream`, `docker` …"""
    message: str
    """What is so, in one line."""
    advice: str = ""
    """What to do next; nothing if all is well."""


@dataclass(frozen=True, slots=True)
class Review:
    """What a client's file says of the proxy."""

    named: tuple[ProxyAddress, ...] = ()
    """All mirrors of Docker Hub that it names."""
    own: ProxyAddress | None = None
    """The proxy, as the file names it; None if it does not."""
    troubles: tuple[str, ...] = ()
    """What does not work so, each with what to change."""
    error: str = ""
    """Why the file cannot be used at all."""


def unreadable(error: str) -> Review:
    """Answer what is said of a file that its client cannot use."""
    return Review(error=error)
