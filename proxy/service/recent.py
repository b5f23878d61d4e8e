"""What has just happened, out of the same events that the log is written from: kept for a while, and told to listeners.

A listener who is slow misses what was told meanwhile; nothing heaps up for him, and nobody waits for him.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from cachetools import LRUCache

from proxy.ports import Clock

KEPT_RESOLUTIONS = 200
KEPT_TRAILS = 1000
"""Of how many tags the trail is known when somebody is answered from memory."""
MAX_WAITING = 100
"""How much may wait for one listener."""
MAX_LISTENERS = 100
MAX_OF_ONE = 20
"""How many of them may be at one address."""
_KINDS = {
    "fill.resumed": ("fill", "progress"),
    "fill.committed": ("fill", "ended"),
    "fill.uncached": ("fill", "ended"),
    "fill.failed": ("fill", "ended"),
    "cache.evicted": ("eviction", "ended"),
    "warm.started": ("warm", "started"),
    "warm.postponed": ("warm", "ended"),
    "warm.ended": ("warm", "ended"),
}
"""What listeners are told of, under which name, and how far that is."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """That a client was answered a tag."""

    at: float
    """Wall clock, in seconds since 1970."""
    reference: str
    client_platform: str | None
    evidence: str
    source: str
    """Where its image came from: `arm32v7/debian:jessie@sha256:…`."""
    cache: str
    trail: tuple[str, ...]
    """Why; empty where that is not remembered any more."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that listeners are told."""

    name: str
    """`fill`, `resolution`, `warm` or `eviction`."""
    fields: Mapping[str, object]


class Recent:
    """Remembers resolutions, and tells listeners of what happens."""

    def __init__(self, clock: Clock) -> None:
        """Begin with nothing."""
        self._clock = clock
        self._resolutions: deque[Resolution] = deque(maxlen=KEPT_RESOLUTIONS)
        self._trails: LRUCache[str, tuple[str, ...]] = LRUCache(KEPT_TRAILS)
        self._listeners: dict[asyncio.Queue[Happening], str] = {}

    @property
    def resolutions(self) -> list[Resolution]:
        """The last resolutions, the newest first."""
        return list(reversed(self._resolutions))

    def find_trail(self, reference: str) -> tuple[str, ...]:
        """Answer why a tag is answered as it is; nothing where that is not remembered."""
        trail: tuple[str, ...] = self._trails.get(reference, ())
        return trail

    def hear(self, event: str, fields: Mapping[str, object]) -> None:
        """Take an event; what is not for anybody here costs a look into a dictionary."""
        if event == "request":
            if fields.get("kind") == "tag" and "reference" in fields and "source" in fields:
                self._add(fields)
        elif event == "tag.resolved":
            trail = fields.get("trail")
            lines = trail if isinstance(trail, list | tuple) else ()
            self._trails[str(fields.get("reference"))] = tuple(str(line) for line in lines)
        elif self._listeners and (kind := _KINDS.get(event)) is not None:
            name, state = kind
            self._tell(Happening(name, {**fields, "state": state, "event": event}))

    def is_full(self, address: str = "") -> bool:
        """Tell whether nobody else at an address can listen."""
        own = sum(one == address for one in self._listeners.values())
        return own >= MAX_OF_ONE or len(self._listeners) >= MAX_LISTENERS

    @contextmanager
    def listen(self, address: str = "") -> Iterator[asyncio.Queue[Happening] | None]:
        """Put a listener's queue up while the context is open; None where there are too many listeners already."""
        if self.is_full(address):
            yield None
            return
        queue: asyncio.Queue[Happening] = asyncio.Queue(MAX_WAITING)
        self._listeners[queue] = address
        try:
            yield queue
        finally:
            self._listeners.pop(queue, None)

    def _add(self, told: Mapping[str, object]) -> None:
        reference, platform = str(told["reference"]), told.get("platform")
        resolution = Resolution(
            at=self._clock.now(),
            reference=reference,
            client_platform=None if platform is None else str(platform),
            evidence=str(told.get("evidence")),
            source=str(told["source"]),
            cache=str(told.get("cache")),
            trail=self._trails.get(reference, ()),
        )
        self._resolutions.append(resolution)
        if self._listeners:
            self._tell(Happening("resolution", resolution_fields(resolution)))

    def _tell(self, happening: Happening) -> None:
        for queue in self._listeners:
            if not queue.full():
                queue.put_nowait(happening)

    def __repr__(self) -> str:
        return f"<Recent: {len(self._resolutions)} resolutions, {len(self._listeners)} listeners>"


def resolution_fields(resolution: Resolution) -> dict[str, object]:
    """Answer what is told of a resolution."""
    return {
        "at": resolution.at,
        "reference": resolution.reference,
        "client_platform": resolution.client_platform,
        "evidence": resolution.evidence,
        "source": resolution.source,
        "cache": resolution.cache,
        "trail": list(resolution.trail),
    }
