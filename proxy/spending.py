"""What is asked of upstreams, and on whose account: the words that whoever asks and whoever counts have in common."""

from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Purpose(StrEnum):
    """What a request to an upstream is for."""

    MANIFEST_HEAD = "manifest-head"
    MANIFEST = "manifest"
    """The one that Docker Hub counts against a pull allowance (protocol_and_perf.md A2)."""
    BLOB_HEAD = "blob-head"
    BLOB = "blob"
    LIST = "list"
    TOKEN = "token"  # noqa: S105 - a word, no secret
    REDIRECT = "redirect"
    """Where upstream sent us for what it does not serve itself."""


class UpstreamMeter(Protocol):
    """Counts the requests to upstreams."""

    def count_request(self, upstream: str, purpose: Purpose, status: int | None, seconds: float, /) -> None:
        """Count one request that was answered, with its status and how long that took; None where no answer came."""


@dataclass(slots=True)
class Traffic:
    """What has gone through since the start: plain numbers, for what happens too often to be told each time."""

    requests: int = 0
    """How many requests of clients for tags, manifests and blobs were answered."""
    hits: int = 0
    """How many of them from the cache, whether or not upstream was asked if it is still right."""
    served_bytes: int = 0
    """How much of bodies was sent to clients. What the kernel sends of a blob counts once it is through."""
    fetched_bytes: int = 0
    """How much of blobs has arrived from upstreams."""
    fills_started: int = 0
    fills_joined: int = 0
    """How often somebody found the download that he wanted under way."""


@dataclass(slots=True)
class Spending:
    """What somebody's wish has cost upstream so far."""

    requests: Counter[Purpose] = field(default_factory=Counter)
    blob_bytes: int = 0
    """How much of blobs has arrived."""


SPENDING: ContextVar[Spending | None] = ContextVar("spending", default=None)
"""Whose account the current task works on. A task that it starts, such as a download, works on the same; who joins what
another one has started pays nothing."""
