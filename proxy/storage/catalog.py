"""The facts in one SQLite file: tags, and which repository may show which content.

Reads run inline on their own connection: 9 µs each (protocol_and_perf.md B5). Writes run in one thread on another, and
are durable against a killed process once awaited. A power cut may lose the last moments: what is lost is asked of
upstream again. The blobs themselves are not in here; a catalog that cannot be read is put aside and begun anew.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from proxy.oci.digests import Digest
from proxy.oci.errors import Unavailable
from proxy.oci.manifests import Descriptor
from proxy.ports import Link, TagRecord, TagState

_T = TypeVar("_T")

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS tags (
    upstream TEXT NOT NULL, repository TEXT NOT NULL, tag TEXT NOT NULL,
    state TEXT NOT NULL, checked_at REAL NOT NULL, media_type TEXT, digest TEXT, size INTEGER,
    PRIMARY KEY (upstream, repository, tag)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS links (
    upstream TEXT NOT NULL, repository TEXT NOT NULL, digest TEXT NOT NULL,
    origin TEXT NOT NULL, media_type TEXT NOT NULL, size INTEGER, is_proven INTEGER NOT NULL,
    PRIMARY KEY (upstream, repository, digest)
) WITHOUT ROWID;
"""
_PUT_TAG = """
REPLACE INTO tags (upstream, repository, tag, state, checked_at, media_type, digest, size)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_FIND_TAG = """
SELECT upstream, repository, tag, state, checked_at, media_type, digest, size FROM tags
WHERE upstream = ? AND repository = ? AND tag = ?
"""
_LIST_TAGS = """
SELECT upstream, repository, tag, state, checked_at, media_type, digest, size FROM tags
WHERE state = 'present' AND (upstream = ?1 OR ?1 IS NULL) AND (repository = ?2 OR ?2 IS NULL)
ORDER BY upstream, repository, tag
"""
_PUT_LINK = """
INSERT INTO links (upstream, repository, digest, origin, media_type, size, is_proven) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET origin = excluded.origin, media_type = excluded.media_type, size = excluded.size,
    is_proven = excluded.is_proven
WHERE excluded.is_proven OR NOT is_proven
"""
_FIND_LINK = (
    "SELECT origin, media_type, size, is_proven FROM links WHERE upstream = ? AND repository = ? AND digest = ?"
)


class SqliteCatalog:
    """The catalog in a file; a context manager that opens and closes it."""

    def __init__(self, path: Path, executor: Executor) -> None:
        """Take the file's place, and an executor of one thread: all writing happens there."""
        self.path = path
        self._executor = executor
        self._reader: sqlite3.Connection
        self._writer: sqlite3.Connection

    def __enter__(self) -> Self:
        try:
            self._writer = self._open_sound()
            self._reader = _connect(self.path)
        except (OSError, sqlite3.Error) as error:
            raise Unavailable(f"the catalog {self.path} cannot be opened: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._reader.close()
        self._executor.submit(self._writer.close).result()

    def find_tag(self, upstream: str, repository: str, tag: str, /) -> TagRecord | None:
        """Answer what is known of a tag."""
        rows = self._read(_FIND_TAG, (upstream, repository, tag))
        return _tag_record(rows[0]) if rows else None

    async def put_tag(self, record: TagRecord, /) -> None:
        """Remember what upstream said of a tag."""
        await self._write(_PUT_TAG, [_tag_row(record)])

    def find_link(self, upstream: str, repository: str, digest: Digest, /) -> Link | None:
        """Answer the link of a repository to some content, if there is one."""
        rows = self._read(_FIND_LINK, (upstream, repository, str(digest)))
        if not rows:
            return None
        origin, media_type, size, is_proven = rows[0]
        return Link(upstream, repository, digest, origin, media_type, size, bool(is_proven))

    async def put_links(self, links: Iterable[Link], /) -> None:
        """Remember links; one that is not proven never replaces one that is."""
        rows = [
            (link.upstream, link.repository, str(link.digest), link.origin, link.media_type, link.size, link.is_proven)
            for link in links
        ]
        await self._write(_PUT_LINK, rows)

    def list_tags(self, upstream: str | None = None, repository: str | None = None, /) -> list[TagRecord]:
        """Answer the tags known to be PRESENT, in order of their names."""
        return [_tag_record(row) for row in self._read(_LIST_TAGS, (upstream, repository))]

    def _read(self, statement: str, parameters: tuple[object, ...]) -> list[Any]:
        try:
            return self._reader.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise Unavailable(f"the catalog cannot be read: {error}") from error

    async def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        def run() -> None:
            with self._writer:
                self._writer.executemany(statement, rows)

        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, run)
        except sqlite3.Error as error:
            raise Unavailable(f"the catalog cannot be written: {error}") from error

    def _open_sound(self) -> sqlite3.Connection:
        try:
            return self._submit(lambda: _prepare(self.path))
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error):
                raise
        self._put_aside()
        return self._submit(lambda: _prepare(self.path))

    def _submit(self, call: Callable[[], _T]) -> _T:
        return self._executor.submit(call).result()

    def _put_aside(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            name = self.path.with_name(self.path.name + suffix)
            if name.exists():
                name.replace(name.with_name(f"{name.name}.unreadable"))

    def __repr__(self) -> str:
        return f"<SqliteCatalog {self.path}>"


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5, isolation_level="IMMEDIATE")
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _prepare(path: Path) -> sqlite3.Connection:
    """Open the file and make its tables; a file that is damaged anywhere is refused (0.1 s for 400,000 rows)."""
    connection = _connect(path)
    try:
        if (found := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(found)
        connection.executescript(SCHEMA)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except sqlite3.Error:
        connection.close()  # before anybody moves the file: closing removes the log beside it, by name
        raise
    return connection


def _tag_row(record: TagRecord) -> tuple[object, ...]:
    found = record.descriptor
    target = (None, None, None) if found is None else (found.media_type, str(found.digest), found.size)
    return (record.upstream, record.repository, record.tag, record.state, record.checked_at, *target)


def _tag_record(row: tuple[str, str, str, str, float, str, str, int]) -> TagRecord:
    descriptor = Descriptor(row[5], Digest.parse(row[6]), row[7]) if row[6] else None
    return TagRecord(row[0], row[1], row[2], TagState(row[3]), row[4], descriptor)
