"""The last use of content: noted in memory on every request, written down now and then."""

import asyncio
from collections import ChainMap
from collections.abc import Mapping

from proxy.oci.digests import Digest
from proxy.ports import Clock, Ledger

FLUSH_SECONDS = 10.0
"""How often uses are written down: what a killed process loses is this much of an order."""
KEEP_SECONDS = 300.0
"""How long what was written down is remembered at least: whoever makes room looks at it until all of it has left."""
MAX_KEPT = 100_000
"""How much content is remembered so for longer than until the next is; twice as much is the most there ever is."""


class Recency:
    """What was used when."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        """Take where uses are written down."""
        self._ledger = ledger
        self._clock = clock
        self._fresh: dict[Digest, float] = {}
        self._written: dict[Digest, float] = {}
        self._written_before: dict[Digest, float] = {}
        self._turned_at = clock.monotonic()

    @property
    def recent(self) -> Mapping[Digest, float]:
        """The uses that are not written down yet, and those of the last minutes: wall clock, in seconds since 1970."""
        return ChainMap(self._fresh, self._written, self._written_before)

    def note(self, digest: Digest) -> None:
        """Note that some content was asked for. Costs a dictionary entry: this is called for every request."""
        self._fresh[digest] = self._clock.now()

    async def flush(self) -> None:
        """Write down what was noted."""
        noted, self._fresh = self._fresh, {}
        if len(self._written) >= MAX_KEPT or self._clock.monotonic() - self._turned_at >= KEEP_SECONDS:
            self._written, self._written_before = {}, self._written
            self._turned_at = self._clock.monotonic()
        self._written.update(noted)
        if noted:
            await self._ledger.put_uses(noted)

    async def run(self) -> None:
        """Write down what was noted, now and then, and once more when cancelled."""
        try:
            while True:
                await asyncio.sleep(FLUSH_SECONDS)
                await self.flush()
        finally:
            await self.flush()

    def __repr__(self) -> str:
        return f"<Recency: {len(self._fresh)} uses to be written>"
