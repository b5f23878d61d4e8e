"""Writing what arrives, in batches: large ones under load, small ones from a slow upstream.

A hop to the writing thread, and waking the readers after it, costs as much for a byte as for a mebibyte. So a batch
waits until it is worth that, but never long: who follows a slow upstream sees what has arrived.
"""

import asyncio
from collections.abc import Callable

from proxy.oci.errors import RegistryError, Unavailable
from proxy.ports import Ingest

BATCH_BYTES = 1024 * 1024
"""From here on a batch waits for nothing."""
GATHER_SECONDS = 0.01
"""How long a smaller one waits for more."""
MAX_WAITING_BYTES = 2 * 1024 * 1024
"""How much may have arrived without being written; upstream waits from there on."""


class BatchWriter:
    """Writes what is waiting, all of it at once; one batch is hashed and written while the next one gathers."""

    def __init__(self, ingest: Ingest, wrote: Callable[[], None]) -> None:
        """Take where to write, and what to call after each batch."""
        self._ingest = ingest
        self._wrote = wrote
        self._waiting: list[bytes] = []
        self._size = 0
        self._is_finished = False
        self._error: RegistryError | None = None
        self._ripe = asyncio.Event()
        self._taken = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    async def add(self, chunk: bytes) -> None:
        """Let a chunk be written; waits while too much is. Raises what the writing has raised."""
        self._waiting.append(chunk)
        self._size += len(chunk)
        if self._size >= BATCH_BYTES:
            self._ripe.set()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._ripe.set)
        while self._size >= MAX_WAITING_BYTES and self._error is None:
            self._taken.clear()
            await self._taken.wait()
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Let `run` end when all is written."""
        self._is_finished = True
        self._ripe.set()

    async def run(self) -> None:
        """Write until there is nothing more to come. Raises Unavailable if the store has no room."""
        try:
            while not (self._is_finished and not self._waiting):
                await self._ripe.wait()
                await self._write_batch()
        except BaseException as error:
            self._error = error if isinstance(error, RegistryError) else Unavailable("what arrived cannot be written")
            raise
        finally:
            self._stop_timer()
            self._taken.set()

    async def _write_batch(self) -> None:
        batch, self._waiting, self._size = self._waiting, [], 0
        self._stop_timer()
        if not self._is_finished:
            self._ripe.clear()
        self._taken.set()
        await self._ingest.write(*batch)
        self._wrote()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
