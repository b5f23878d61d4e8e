"""The SQLite file of the catalog: opened whatever state it is in, read inline, written in one thread.

Reads run inline on their own connection: 9 µs each (protocol_and_perf.md B5). Writes run in one thread on another, and
are durable against a killed process once awaited. A power cut may lose the last moments: what is lost is asked of
upstream again.

A file that is damaged is put aside and begun anew. One that cannot be written, because the disk is full or read-only,
is read as it is, and what should have been written is kept in memory until it can be.
"""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

from proxy.oci.errors import Unavailable
from proxy.ports import Events
from proxy.storage.schema import SCHEMA, SCHEMA_VERSION

_T = TypeVar("_T")
Row = tuple[Any, ...]
MAX_UNWRITTEN = 20_000
"""How many writes are kept in memory while the file cannot be written; the oldest are given up first."""
READ_ONLY_MODES = ("mode=ro", "immutable=1")
"""How a file is opened that cannot be written. A folder in which SQLite cannot make its -shm file needs the second."""


class Database:
    """The file, its connections, and what waits to be written to it."""

    def __init__(self, path: Path, executor: Executor, events: Events) -> None:
        """Take the file's place, an executor of one thread in which all writing happens, and whom to tell."""
        self.path = path
        self.needs_rebuild = False
        """Whether the file was made anew, or by a version that knew less: the layout may hold more than it tells."""
        self._executor = executor
        self._events = events
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._unwritten: list[tuple[str, Sequence[Row]]] = []
        self._overlay: sqlite3.Connection | None = None
        """What is unwritten, in the same tables; None while all is written."""
        self._is_unwritable = False

    def open(self) -> None:
        """Open the file. Raises Unavailable if that fails for a reason that keeping house cannot mend."""
        try:
            self._writer = self._open_sound()
            self._reader = _connect(self.path)
        except (OSError, sqlite3.Error) as error:
            if not _is_for_want_of_room(self.path, error):
                raise Unavailable(f"the catalog {self.path} cannot be opened: {error}") from error
            self._tell_unwritable(error)
            self._reader = _open_read_only(self.path)
            self.needs_rebuild = self._reader is None

    def close(self) -> None:
        """Write what can be written, and close."""
        for connection in (self._reader, self._overlay):
            if connection is not None:
                connection.close()
        if self._writer is not None:
            self._submit(partial(_write_last, self._writer, self._unwritten))

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def find(self, statement: str, parameters: Row) -> list[Row]:
        """Answer rows: those that are not written yet first, then the file's."""
        found: list[Row] = [] if self._overlay is None else self._overlay.execute(statement, parameters).fetchall()
        if self._reader is not None:
            try:
                found += self._reader.execute(statement, parameters).fetchall()
            except sqlite3.Error as error:
                raise Unavailable(f"the catalog cannot be read: {error}") from error
        return found

    async def keep(self, statement: str, rows: Iterable[Row]) -> None:
        """Write rows; where the file cannot be written, keep them in memory until it can be."""
        batch = [*self._take_unwritten(), (statement, list(rows))]
        try:
            await self._run(lambda writer: _execute(writer, batch))
        except sqlite3.Error as error:
            self._tell_unwritable(error)
            self._keep_in_memory(batch)
        else:
            self._forget_memory()

    async def change(self, call: Callable[[sqlite3.Connection], _T]) -> _T:
        """Change the file in one transaction, in the writer's thread.

        Raises:
            Unavailable: The file cannot be written.
        """
        try:
            return await self._run(call)
        except sqlite3.Error as error:
            raise Unavailable(f"the catalog cannot be written: {error}") from error

    async def look(self, call: Callable[[sqlite3.Connection], _T]) -> _T:
        """Read the file at length, as it is at one moment, in the writer's thread where there is one.

        Raises:
            Unavailable: The file cannot be read.
        """

        def read(connection: sqlite3.Connection) -> _T:
            connection.execute("BEGIN")
            try:
                return call(connection)
            finally:
                connection.rollback()

        try:
            if self._writer is not None:
                return await self._run(read)
            return read(self._reader or self._open_overlay())
        except sqlite3.Error as error:
            raise Unavailable(f"the catalog cannot be read: {error}") from error

    async def _run(self, call: Callable[[sqlite3.Connection], _T]) -> _T:
        writer = self._writer
        if writer is None:
            raise sqlite3.OperationalError("attempt to write a readonly database")

        def run() -> _T:
            with writer:
                return call(writer)

        return await asyncio.get_running_loop().run_in_executor(self._executor, run)

    def _take_unwritten(self) -> list[tuple[str, Sequence[Row]]]:
        taken, self._unwritten = self._unwritten, []
        return taken

    def _keep_in_memory(self, batch: list[tuple[str, Sequence[Row]]]) -> None:
        _execute(self._open_overlay(), batch[-1:])
        self._unwritten = [*batch, *self._unwritten][-MAX_UNWRITTEN:]

    def _open_overlay(self) -> sqlite3.Connection:
        if self._overlay is None:
            self._overlay = sqlite3.connect(":memory:")
            self._overlay.executescript(SCHEMA)
        return self._overlay

    def _forget_memory(self) -> None:
        if self._overlay is not None and not self._unwritten:
            self._overlay.close()
            self._overlay = None
            self._is_unwritable = False
            self._events.note("catalog.writable", file=str(self.path))

    def _tell_unwritable(self, error: Exception) -> None:
        if not self._is_unwritable:
            self._is_unwritable = True
            self._events.warn("catalog.unwritable", file=str(self.path), reason=str(error))

    def _open_sound(self) -> sqlite3.Connection:
        try:
            return self._submit(self._prepare)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error):
                raise
            self._events.warn("catalog.put_aside", file=str(self.path), reason=str(error))
        self._put_aside()
        return self._submit(self._prepare)

    def _prepare(self) -> sqlite3.Connection:
        """Open the file and make its tables; a file that is damaged anywhere is refused (0.1 s for 400,000 rows)."""
        connection = _connect(self.path)
        try:
            if (found := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(found)
            connection.executescript(SCHEMA)
            version = connection.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error:
            connection.close()  # before anybody moves the file: closing removes the log beside it, by name
            raise
        self.needs_rebuild = version < SCHEMA_VERSION
        return connection

    def _submit(self, call: Callable[[], _T]) -> _T:
        return self._executor.submit(call).result()

    def _put_aside(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            name = self.path.with_name(self.path.name + suffix)
            if name.exists():
                name.replace(name.with_name(f"{name.name}.unreadable"))


def _is_for_want_of_room(path: Path, error: Exception) -> bool:
    """Tell whether a file cannot be opened because nothing can be written there, and not because it is none."""
    folder = path.parent
    if path.is_dir() or not folder.is_dir():
        return False
    return not os.access(folder, os.W_OK) or "full" in str(error) or "I/O" in str(error)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5, isolation_level="IMMEDIATE")
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _open_read_only(path: Path) -> sqlite3.Connection | None:
    for mode in READ_ONLY_MODES:
        connection = None
        try:
            connection = sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True)
            connection.execute("SELECT count(*) FROM (SELECT 1 FROM links LIMIT 1)").fetchone()
        except sqlite3.Error:
            if connection is not None:
                connection.close()
        else:
            return connection
    return None


def _execute(connection: sqlite3.Connection, batch: list[tuple[str, Sequence[Row]]]) -> None:
    for statement, rows in batch:
        connection.executemany(statement, rows)


def _write_last(connection: sqlite3.Connection, batch: list[tuple[str, Sequence[Row]]]) -> None:
    with contextlib.suppress(sqlite3.Error), connection:
        _execute(connection, batch)
    connection.close()
