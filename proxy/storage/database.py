"""The SQLite file of the catalog: opened whatever state it is in, read inline, written in one thread.

Reads run inline on their own connection: 9 µs each (protocol_and_perf.md B5). Writes run in one thread on another, and
are durable against a killed process once awaited. A power cut may lose the last moments: what is lost is asked of
upstream again.

A file that is damaged is put aside and begun anew. One that cannot be written, because the disk is full or read-only,
is read as it is, and what should have been written is kept in memory until it can be.
"""

import asyncio
import contextlib
import sqlite3
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

from proxy.oci.errors import Unavailable
from proxy.ports import Events
from proxy.storage.schema import SCHEMA, SCHEMA_VERSION, TABLES
from proxy.storage.unwritten import Row, Unwritten, Write

_T = TypeVar("_T")
READ_ONLY_MODES = ("mode=ro", "immutable=1")
"""How a file is opened that cannot be written. A folder in which SQLite cannot make its -shm file needs the second."""
_WANT_OF_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY})
_PRIMARY_CODE = 0xFF
"""The part of an SQLite error code that is no detail (https://www.sqlite.org/rescode.html)."""


class Database:
    """The file, its connections, and what waits to be written to it."""

    def __init__(self, path: Path, executor: Executor, events: Events) -> None:
        """Take the file's place, an executor of one thread in which all writing happens, and whom to tell."""
        self.path = path
        self.needs_rebuild = False
        """Whether the file was made anew, or by a version that knew less: the layout may hold more than it tells."""
        self._executor = executor
        self._events = events
        self._unwritten = Unwritten()
        self._reader: sqlite3.Connection | None = None
        self._has_stale_reader = False
        """Whether the reader was opened while there was no writer: it may not see what is written now."""
        self._writer: sqlite3.Connection | None = None
        """Belongs to the writer's thread, and is opened there; None while the file cannot be written at all."""
        self._is_unwritable = False
        self._is_closed = False

    def open(self) -> None:
        """Open the file. Raises Unavailable if that fails for a reason that keeping house cannot mend."""
        try:
            self._executor.submit(self._open_writer).result()
        except (OSError, sqlite3.Error) as error:
            if not _is_for_want_of_room(self.path, error):
                raise Unavailable(f"the catalog {self.path} cannot be opened: {error}") from error
            self._tell_unwritable(error)
            self._reader = _open_read_only(self.path)
        else:
            self._renew_reader()
        version = 0 if self._reader is None else self._reader.execute("PRAGMA user_version").fetchone()[0]
        self.needs_rebuild = version < SCHEMA_VERSION

    def close(self) -> None:
        """Write what can be written, and close."""
        self._is_closed = True
        if self._reader is not None:
            self._reader.close()  # before the writer: the last one to close tidies up the log
        self._executor.submit(self._close_writer).result()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def find(self, statement: str, parameters: Row) -> list[Row]:
        """Answer rows: those that are not written yet first, then the file's."""
        try:
            found = [] if self._unwritten.is_empty else self._unwritten.find(statement, parameters)
            if self._has_stale_reader:
                self._renew_reader()
            if self._reader is not None:
                found += self._reader.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise Unavailable(f"the catalog cannot be read: {error}") from error
        return found

    async def keep(self, statement: str, rows: Iterable[Row]) -> None:
        """Write rows; where the file cannot be written, keep them in memory until it can be."""
        trouble = await self._run(partial(self._write_or_wait, Write(statement, list(rows))))
        if trouble is None:
            self._tell_writable()
        else:
            self._tell_unwritable(trouble)

    async def change(self, call: Callable[[sqlite3.Connection], _T]) -> _T:
        """Change the file in one transaction, in the writer's thread, after all that was to be written before.

        Raises:
            Unavailable: The file cannot be written.
        """
        try:
            changed = await self._run(partial(self._write, call))
        except (OSError, sqlite3.Error) as error:
            raise Unavailable(f"the catalog cannot be written: {error}") from error
        self._tell_writable()
        return changed

    async def look(self, *statements: str) -> list[list[Row]]:
        """Answer all rows of each statement, as they are at one moment: as `find` does, in the writer's thread.

        Raises:
            Unavailable: The file cannot be read.
        """
        try:
            return await self._run(partial(self._read_all, statements))
        except sqlite3.Error as error:
            raise Unavailable(f"the catalog cannot be read: {error}") from error

    async def _run(self, call: Callable[[], _T]) -> _T:
        if self._is_closed:
            raise Unavailable(f"the catalog {self.path} is closed")
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    # In the writer's thread: one after the other, in the order in which they were asked for.

    def _write_or_wait(self, write: Write) -> Exception | None:
        """Write, or let it wait; answer what was in the way."""
        try:
            self._write(lambda file: file.executemany(write.statement, write.rows))
        except (OSError, sqlite3.Error) as error:
            if not _is_trouble_with_the_file(error):
                raise
            self._unwritten.add(write)
            return error
        return None

    def _write(self, call: Callable[[sqlite3.Connection], _T]) -> _T:
        writer = self._writer or self._open_writer()
        self._unwritten.write_back(writer)
        with writer:
            return call(writer)

    def _read_all(self, statements: Iterable[str]) -> list[list[Row]]:
        file = self._writer or _open_read_only(self.path)
        if file is None:
            return [self._unwritten.find(statement) for statement in statements]
        try:
            file.execute("BEGIN")
            return [self._unwritten.find(each) + file.execute(each).fetchall() for each in statements]
        finally:
            file.rollback()
            if file is not self._writer:
                file.close()

    def _open_writer(self) -> sqlite3.Connection:
        try:
            writer = self._prepare()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error):
                raise
            self._put_aside()
            writer = self._prepare()
            self._events.warn("catalog.put_aside", file=str(self.path), reason=str(error))
        # Said before anything is written: a reader that would not see it must not be asked any more.
        self._has_stale_reader = True
        self._writer = writer
        return writer

    def _prepare(self) -> sqlite3.Connection:
        """Open the file and make its tables; a file that is damaged anywhere is refused (0.1 s for 400,000 rows)."""
        connection = _connect(self.path)
        try:
            connection.execute("BEGIN IMMEDIATE")  # one that cannot be written is not looked through in vain
            connection.rollback()
            _check(connection)
            connection.executescript(SCHEMA)
        except sqlite3.Error:
            connection.close()  # before anybody moves the file: closing removes the log beside it, by name
            raise
        return connection

    def _put_aside(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            name = self.path.with_name(self.path.name + suffix)
            if name.exists():
                name.replace(name.with_name(f"{name.name}.unreadable"))

    def _close_writer(self) -> None:
        with contextlib.suppress(OSError, sqlite3.Error):
            if not self._unwritten.is_empty:
                self._unwritten.write_back(self._writer or self._open_writer())
        self._unwritten.close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    # In the loop's thread

    def _renew_reader(self) -> None:
        self._has_stale_reader = False
        former, self._reader = self._reader, _connect(self.path)
        if former is not None:
            former.close()

    def _tell_unwritable(self, error: Exception) -> None:
        if not self._is_unwritable:
            self._is_unwritable = True
            self._events.warn("catalog.unwritable", file=str(self.path), reason=str(error))

    def _tell_writable(self) -> None:
        if self._is_unwritable:
            self._is_unwritable = False
            self._events.note("catalog.writable", file=str(self.path))


def _is_trouble_with_the_file(error: Exception) -> bool:
    """Tell whether the file is at fault, and not what is to be written: that would be refused everywhere."""
    return isinstance(error, OSError) or type(error) in {sqlite3.OperationalError, sqlite3.DatabaseError}


def _is_for_want_of_room(path: Path, error: Exception) -> bool:
    """Tell whether a file cannot be opened because nothing can be written there, and not because it is none."""
    folder = path.parent
    if path.is_dir() or not folder.is_dir():
        return False
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE
    return code in _WANT_OF_ROOM or not _takes_files(folder)


def _takes_files(folder: Path) -> bool:
    """Tell whether a file can be made in a folder: it may be read-only, somebody else's, or have no names left."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


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
    """Open a file that cannot be written; None where there is none that can be read."""
    for mode in READ_ONLY_MODES:
        connection = None
        try:
            connection = sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True)
            _check(connection)
            _add_what_is_missing(connection)
        except sqlite3.Error:
            if connection is not None:
                connection.close()
        else:
            return connection
    return None


def _add_what_is_missing(connection: sqlite3.Connection) -> None:
    """Let the tables of a newer version be there, and empty: they are kept in memory, beside the file."""
    connection.execute("PRAGMA temp_store = MEMORY")
    found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for name in TABLES.keys() - found:
        connection.execute(f"CREATE TEMP TABLE {name} {TABLES[name]}")


def _check(connection: sqlite3.Connection) -> None:
    if (found := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise sqlite3.DatabaseError(found)
