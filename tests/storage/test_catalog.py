import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from proxy.oci.errors import Unavailable
from proxy.ports import Catalog
from proxy.storage.catalog import SqliteCatalog
from proxy.telemetry.logs import SilentEvents
from tests.contracts.catalog import JESSIE, LINK, CatalogContract
from tests.contracts.ledger import Books, LedgerContract
from tests.storage.breaking import break_writing
from tests.storage.programs import link_of, note_for_ever, record_of, running

PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalog.sqlite"


@pytest.fixture
def opened(path: Path, scribe: Executor) -> Iterator[SqliteCatalog]:
    with SqliteCatalog(path, scribe, SilentEvents()) as catalog:
        yield catalog


class TestSqliteCatalog(CatalogContract):
    @pytest.fixture
    def catalog(self, opened: SqliteCatalog) -> Catalog:
        return opened


class TestSqliteLedger(LedgerContract):
    @pytest.fixture
    def books(self, opened: SqliteCatalog) -> Books:
        return opened


@pytest.fixture
def unwritable(path: Path, scribe: Executor) -> Iterator[SqliteCatalog]:
    """A catalog whose file takes nothing: all that it is told is kept in memory."""
    with SqliteCatalog(path, scribe, SilentEvents()) as catalog:
        asyncio.run(break_writing(catalog))
        yield catalog


class TestSqliteCatalogThatCannotBeWritten(CatalogContract):
    """Nobody who asks or tells notices."""

    @pytest.fixture
    def catalog(self, unwritable: SqliteCatalog) -> Catalog:
        return unwritable


async def _fill(path: Path, scribe: Executor, count: int = 2000) -> None:
    with SqliteCatalog(path, scribe, SilentEvents()) as catalog:
        await catalog.put_tag(JESSIE)
        await catalog.put_links([LINK, *(link_of(number) for number in range(count))])


def _find_both(catalog: Catalog) -> tuple[object, object]:
    return catalog.find_tag("docker.io", "library/debian", "jessie"), catalog.find_link(*_PLACE)


_PLACE = (LINK.upstream, LINK.repository, LINK.digest)


async def test_facts_survive_a_reopening(path: Path, scribe: Executor) -> None:
    await _fill(path, scribe)
    for _ in range(2):
        with SqliteCatalog(path, scribe, SilentEvents()) as catalog:
            assert _find_both(catalog) == (JESSIE, LINK)
            assert catalog.list_tags() == [JESSIE]


async def test_nothing_lies_beside_a_catalog_that_was_closed(path: Path, scribe: Executor) -> None:
    await _fill(path, scribe)
    assert [entry.name for entry in path.parent.iterdir()] == ["catalog.sqlite"]


@pytest.mark.parametrize("count", [1, 200])
def test_what_was_awaited_before_a_kill_is_there(path: Path, scribe: Executor, count: int) -> None:
    with running(note_for_ever, path.parent) as victim:
        told = [victim.read_line() for _ in range(count)] + victim.kill()
    with SqliteCatalog(path, scribe, SilentEvents()) as catalog:
        for number in map(int, told):
            record, link = record_of(number), link_of(number)
            assert catalog.find_tag(record.upstream, record.repository, record.tag) == record
            assert catalog.find_link(link.upstream, link.repository, link.digest) == link


def _garbage(content: bytes) -> bytes:
    return b"this is no database, whatever its name says" * (len(content) // 40)


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _cut_within_a_page(content: bytes) -> bytes:
    return content[: len(content) // 2 // PAGE * PAGE + 100]


def _cut_within_the_header(content: bytes) -> bytes:
    return content[:50]


def _broken_schema(content: bytes) -> bytes:
    return content[:100] + b"\xaa" * (PAGE - 100) + content[PAGE:]


def _broken_middle(content: bytes) -> bytes:
    return content[: 10 * PAGE] + b"\xaa" * (5 * PAGE) + content[15 * PAGE :]


@pytest.mark.parametrize(
    "damage",
    [_garbage, _cut, _cut_within_a_page, _cut_within_the_header, _broken_schema, _broken_middle],
    ids=lambda damage: damage.__name__.strip("_"),
)
def test_a_damaged_catalog_is_put_aside_and_begun_anew(
    path: Path, scribe: Executor, damage: Callable[[bytes], bytes]
) -> None:
    asyncio.run(_fill(path, scribe))
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    with SqliteCatalog(path, scribe, SilentEvents()) as catalog:
        assert _find_both(catalog) == (None, None)
        assert catalog.list_tags() == []
        asyncio.run(catalog.put_tag(JESSIE))
        asyncio.run(catalog.put_links([LINK]))
        assert _find_both(catalog) == (JESSIE, LINK)
    assert path.with_name("catalog.sqlite.unreadable").read_bytes() == damaged
    with SqliteCatalog(path, scribe, SilentEvents()) as catalog:
        assert _find_both(catalog) == (JESSIE, LINK)


def test_a_catalog_that_breaks_again_replaces_what_was_put_aside(path: Path, scribe: Executor) -> None:
    for number in range(2):
        path.write_bytes(f"broken {number} ".encode() * 100)
        with SqliteCatalog(path, scribe, SilentEvents()) as catalog:
            assert catalog.list_tags() == []
    assert path.with_name("catalog.sqlite.unreadable").read_bytes().startswith(b"broken 1")


@pytest.mark.parametrize("damage", [_garbage, _cut_within_the_header])
def test_a_damaged_log_costs_no_more_than_what_it_held(
    path: Path, scribe: Executor, damage: Callable[[bytes], bytes]
) -> None:
    asyncio.run(_fill(path, scribe))
    with running(note_for_ever, path.parent) as victim:
        victim.read_line()
        victim.kill()
    log = path.with_name("catalog.sqlite-wal")
    log.write_bytes(damage(log.read_bytes()))
    with SqliteCatalog(path, scribe, SilentEvents()) as catalog:
        assert _find_both(catalog) == (JESSIE, LINK)


def test_an_empty_file_is_an_empty_catalog(path: Path, scribe: Executor) -> None:
    path.touch()
    with SqliteCatalog(path, scribe, SilentEvents()) as catalog:
        assert catalog.list_tags() == []
    assert not path.with_name("catalog.sqlite.unreadable").exists()


@pytest.mark.parametrize("obstacle", ["a folder", "a file where its folder should be"])
def test_a_catalog_that_cannot_be_opened_is_told(path: Path, scribe: Executor, obstacle: str) -> None:
    if obstacle == "a folder":
        path.mkdir()
    else:
        path.touch()
        path /= "catalog.sqlite"
    with (
        pytest.raises(Unavailable, match=f"the catalog {path} cannot be opened: unable"),
        SqliteCatalog(path, scribe, SilentEvents()),
    ):
        pass
    assert not path.with_name("catalog.sqlite.unreadable").exists()


async def test_two_processes_may_keep_one_catalog(opened: SqliteCatalog, path: Path, scribe: Executor) -> None:
    """`polyarch resolve` beside `polyarch serve`."""
    with SqliteCatalog(path, scribe, SilentEvents()) as beside:
        await opened.put_tag(JESSIE)
        await beside.put_links([LINK])
        assert _find_both(opened) == _find_both(beside) == (JESSIE, LINK)


async def test_reading_goes_on_while_somebody_writes(opened: SqliteCatalog, path: Path) -> None:
    await opened.put_tag(JESSIE)
    with sqlite3.connect(path, isolation_level=None) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM tags")
        assert opened.list_tags() == [JESSIE]
        writer.execute("ROLLBACK")
    writer.close()


async def test_readers_see_whole_batches_only(opened: SqliteCatalog) -> None:
    """Links are put 500 at a time, first and last together; whoever finds the last finds the first."""
    batches = [[link_of(500 * batch + number) for number in range(500)] for batch in range(6)]
    over = asyncio.Event()

    async def look() -> int:
        looks = 0
        while not over.is_set():
            for batch in batches:
                last, first = (
                    opened.find_link(one.upstream, one.repository, one.digest) for one in (batch[-1], batch[0])
                )
                assert last is None or first is not None
            looks += 1
            await asyncio.sleep(0)
        return looks

    looking = asyncio.ensure_future(look())
    for batch in batches:
        await opened.put_links(batch)
    over.set()
    assert await looking > 0
    assert all(opened.find_link(one.upstream, one.repository, one.digest) for batch in batches for one in batch)


async def test_a_batch_of_links_is_put_as_a_whole_or_not_at_all(opened: SqliteCatalog) -> None:
    impossible = LINK.__class__("docker.io", "x", LINK.digest, origin="\udce9")
    with pytest.raises(UnicodeEncodeError):
        await opened.put_links([LINK, impossible])
    assert opened.find_link(*_PLACE) is None


async def test_writing_happens_in_the_executor_s_thread_only(opened: SqliteCatalog, scribe: Executor) -> None:
    await opened.put_tag(JESSIE)
    writing = scribe.submit(threading.get_ident).result()
    assert writing != threading.get_ident()
    with pytest.raises(sqlite3.ProgrammingError, match="same thread"):
        cast("sqlite3.Connection", opened._writer).execute("SELECT 1")


async def test_trouble_with_the_file_is_told_as_unavailable(opened: SqliteCatalog, path: Path) -> None:
    """Somebody else has taken the tables away."""
    with sqlite3.connect(path) as other:
        other.execute("DROP TABLE tags")
        other.execute("DROP TABLE links")
    other.close()
    with pytest.raises(Unavailable, match="the catalog cannot be read: no such table"):
        opened.find_tag("docker.io", "library/debian", "jessie")
    with pytest.raises(Unavailable, match="cannot be read"):
        opened.find_link(*_PLACE)
    with pytest.raises(Unavailable, match="cannot be read"):
        opened.list_tags()
    with pytest.raises(Unavailable, match="the catalog cannot be written: no such table"):
        await opened.forget_tag("docker.io", "library/debian", "jessie")


def test_a_catalog_is_closed_whatever_happens_inside(path: Path, scribe: Executor) -> None:
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(RuntimeError, match="inside"), SqliteCatalog(path, scribe, SilentEvents()):
            raise RuntimeError("inside")
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


def test_a_catalog_is_known_by_its_file(opened: SqliteCatalog, path: Path) -> None:
    assert repr(opened) == f"<SqliteCatalog {path}>"


async def test_a_proven_link_is_remembered_until_something_newer_is_told(opened: SqliteCatalog, path: Path) -> None:
    await opened.put_links([LINK])
    assert opened.find_link(*_PLACE) == LINK
    with sqlite3.connect(path) as other:
        other.execute("DELETE FROM links")
    other.close()
    assert opened.find_link(*_PLACE) == LINK
    newer = replace(LINK, origin="library/debian")
    await opened.put_links([newer])
    assert opened.find_link(*_PLACE) == newer
    await opened.forget_content([LINK.digest])
    assert opened.find_link(*_PLACE) is None
