"""What should have been written to the catalog's file, and could not be yet: the disk is full, or read-only.

Readers see it in the same tables as the file's, in memory; the writer's thread writes it, in order, as soon as it can.
It is bounded: of what cannot be written for long, the oldest is given up, and asked of upstream again.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from proxy.storage.schema import LATE, SCHEMA

Row = tuple[Any, ...]
MAX_ROWS = 20_000
"""How many rows wait in memory at most: some 20 MB."""
CHUNK_ROWS = 500
"""How many rows are written in one transaction, or a little more: so much is tried in vain while a disk stays full."""


@dataclass(frozen=True, slots=True)
class Write:
    """A statement and the rows that it is to be executed with: all of them, or none."""

    statement: str
    rows: Sequence[Row]


class Unwritten:
    """Writes that wait. Added to and written back in the writer's thread only; read anywhere."""

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        """Take how many rows may wait."""
        self.is_empty = True
        """Whether nothing waits: asked before every look-up."""
        self._max_rows = max_rows
        self._writes: deque[Write] = deque()
        self._count = 0
        self._tables: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def add(self, write: Write) -> None:
        """Let a write wait. Raises what SQLite has against it, whatever the file: then it does not wait."""
        with self._lock:
            if self._tables is None:
                self._tables = _build_tables(())
            _execute(self._tables, write.statement, write.rows)
            self.is_empty = False
        self._writes.append(write)
        self._count += len(write.rows)
        if self._count > self._max_rows:
            self._give_up_oldest()

    def find(self, statement: str, parameters: Row = ()) -> list[Row]:
        """Answer the rows that wait."""
        with self._lock:
            return [] if self._tables is None else self._tables.execute(statement, parameters).fetchall()

    def write_back(self, file: sqlite3.Connection) -> None:
        """Write what waits. Raises sqlite3.Error where the file cannot take it all; the rest goes on waiting."""
        while self._writes:
            chunk = self._first_chunk()
            with file:
                for write in chunk:
                    file.executemany(LATE.get(write.statement, write.statement), write.rows)
            for write in chunk:
                self._writes.popleft()
                self._count -= len(write.rows)
        self._replace(None)

    def close(self) -> None:
        """Give up whatever still waits."""
        self._writes.clear()
        self._count = 0
        self._replace(None)

    def _first_chunk(self) -> list[Write]:
        chunk: list[Write] = []
        size = 0
        for write in self._writes:
            if chunk and size + len(write.rows) > CHUNK_ROWS:
                break
            chunk.append(write)
            size += len(write.rows)
        return chunk

    def _give_up_oldest(self) -> None:
        # Half of it at once: the tables have to be made anew, since a row may stem from several writes.
        while self._count > self._max_rows // 2 and len(self._writes) > 1:
            self._count -= len(self._writes.popleft().rows)
        self._replace(_build_tables(self._writes))

    def _replace(self, tables: sqlite3.Connection | None) -> None:
        with self._lock:
            former, self._tables = self._tables, tables
            self.is_empty = tables is None
            if former is not None:
                former.close()

    def __repr__(self) -> str:
        return f"<Unwritten: {self._count} rows>"


def _build_tables(writes: Sequence[Write] | deque[Write]) -> sqlite3.Connection:
    tables = sqlite3.connect(":memory:", check_same_thread=False)  # the lock lets one thread in at a time
    tables.executescript(SCHEMA)
    for write in writes:
        _execute(tables, write.statement, write.rows)
    return tables


def _execute(tables: sqlite3.Connection, statement: str, rows: Sequence[Row]) -> None:
    with tables:
        tables.executemany(statement, rows)
