"""The upstream clients in use, over changes of the settings: kept where nothing changed, closed when nobody uses them.

A request, a download or a question in the background goes on with the client that it began with. How long that is, only
they know; so a client that is replaced is closed when nothing refers to it any more.
"""

import asyncio
import itertools
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from proxy.ports import Upstream


@dataclass(frozen=True, slots=True)
class OpenUpstream:
    """A client, and what ends it. The latter must not refer to the former."""

    client: Upstream
    aclose: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a client is to be like, and how it is made. To make it cannot fail."""

    terms: object
    """A client is as good as another one if their terms are equal."""
    open: Callable[[], OpenUpstream]


class UpstreamPool:
    """The clients that are in use, by the name of their upstream."""

    def __init__(self, start: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        """Take what runs the closing of a client."""
        self._start = start
        self._loop = asyncio.get_running_loop()
        self._current: dict[str, tuple[object, OpenUpstream]] = {}
        self._numbers = itertools.count()
        self._retired: dict[int, tuple[weakref.finalize[Any, Upstream], Callable[[], Awaitable[None]]]] = {}

    @property
    def retired(self) -> int:
        """How many clients are still in use though the settings do not have them any more."""
        return len(self._retired)

    def change(self, plans: Mapping[str, Plan]) -> dict[str, Upstream]:
        """Answer a client for each plan, the one that there is where it will do; let the others go."""
        before = self._current
        self._current = {
            name: known if (known := before.get(name)) and known[0] == plan.terms else (plan.terms, plan.open())
            for name, plan in plans.items()
        }
        for name, known in before.items():
            if self._current.get(name) is not known:
                self._retire(known[1])
        return {name: opened.client for name, (_, opened) in self._current.items()}

    def _retire(self, opened: OpenUpstream) -> None:
        key = next(self._numbers)  # no `id`: what was let go of leaves its address to the next one
        # Whoever lets go of it last may do so in any thread.
        ending = weakref.finalize(opened.client, self._loop.call_soon_threadsafe, self._close, key)
        ending.atexit = False
        self._retired[key] = ending, opened.aclose

    def _close(self, key: int) -> None:
        retired = self._retired.pop(key, None)
        if retired is None:  # at the end they were all closed
            return
        _, aclose = retired

        async def close() -> None:
            await aclose()

        self._start(close())

    async def aclose(self) -> None:
        """Close all clients, whoever uses them."""
        retired, current = list(self._retired.values()), list(self._current.values())
        self._retired.clear()
        self._current.clear()
        for ending, _ in retired:  # first of all: while one is closed, another one may be let go of
            ending.detach()
        for close in (*(aclose for _, aclose in retired), *(opened.aclose for _, opened in current)):
            await close()

    def __repr__(self) -> str:
        return f"<UpstreamPool: {', '.join(self._current) or 'none'}; {self.retired} retired>"
