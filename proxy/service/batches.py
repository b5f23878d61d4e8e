"""Writing what arrives, in batches that make themselves: large ones under load, small ones from a slow upstream."""

import asyncio
from collections.abc import Callable

from proxy.oci.errors import RegistryError
from proxy.ports import Ingest

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
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()

    async def add(self, chunk: bytes) -> None:
        """Let a chunk be written; waits while too much is. Raises what the writing has raised."""
        self._waiting.append(chunk)
        self._size += len(chunk)
        self._arrived.set()
        while self._size >= MAX_WAITING_BYTES and self._error is None:
            self._taken.clear()
            await self._taken.wait()
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Let `run` end when all is written."""
        self._is_finished = True
        self._arrived.set()

    async def run(self) -> None:
        """Write until there is nothing more to come. Raises Unavailable if the store has no room."""
        try:
            while not (self._is_finished and not self._waiting):
                await self._arrived.wait()
                self._arrived.clear()
                await self._write_all()
        except RegistryError as error:
            self._error = error
            raise
        finally:
            self._taken.set()

    async def _write_all(self) -> None:
        while self._waiting:
            batch, self._waiting, self._size = self._waiting, [], 0
            self._taken.set()
            await self._ingest.write(*batch)
            self._wrote()
