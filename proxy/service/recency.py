"""The last use of content: noted in memory on every request, written down now and then."""

import asyncio
from collections.abc import Mapping

from proxy.oci.digests import Digest
from proxy.ports import Clock, Ledger

FLUSH_SECONDS = 10.0
"""How often uses are written down: what a killed process loses is this much of an order."""


class Recency:
    """What was used when."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        """Take where uses are written down."""
        self._ledger = ledger
        self._clock = clock
        self._fresh: dict[Digest, float] = {}

    @property
    def unwritten(self) -> Mapping[Digest, float]:
        """The uses that are not written down yet: wall clock, in seconds since 1970."""
        return self._fresh

    def note(self, digest: Digest) -> None:
        """Note that some content was asked for. Costs a dictionary entry: this is called for every request."""
        self._fresh[digest] = self._clock.now()

    async def flush(self) -> None:
        """Write down what was noted."""
        noted, self._fresh = self._fresh, {}
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
