"""What is kept in memory while the file cannot be written, and what becomes of it."""

import asyncio
import sqlite3
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.oci.errors import Unavailable
from proxy.oci.manifests import Descriptor
from proxy.oci.media_types import OCI_MANIFEST
from proxy.ports import Pin, TagState
from proxy.storage import schema
from proxy.storage.catalog import SqliteCatalog
from proxy.storage.database import Database
from proxy.storage.memory import MemoryCatalog
from proxy.telemetry.logs import SilentEvents
from tests.contracts.catalog import ABSENT, JESSIE, LINK, ONE, TWO
from tests.contracts.ledger import Step, steps, tell_all
from tests.fakes.events import RecordingEvents
from tests.storage.breaking import break_writing, mend_writing

TAG = (JESSIE.upstream, JESSIE.repository, JESSIE.tag)
PLACE = (LINK.upstream, LINK.repository, LINK.digest)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalog.sqlite"


@pytest.fixture
def events() -> RecordingEvents:
    return RecordingEvents()


@pytest.fixture
def catalog(path: Path, scribe: Executor, events: RecordingEvents) -> Iterator[SqliteCatalog]:
    with SqliteCatalog(path, scribe, events) as catalog:
        yield catalog


def reopened(path: Path, scribe: Executor) -> SqliteCatalog:
    """The file as the next process finds it; a context manager."""
    return SqliteCatalog(path, scribe, SilentEvents())


def numbered(number: int) -> Descriptor:
    return Descriptor(OCI_MANIFEST, ONE, number)


def test_a_file_that_can_be_written_is_nothing_to_tell_of(path: Path, scribe: Executor) -> None:
    events = RecordingEvents()
    with Database(path, scribe, events) as database:
        assert database.needs_rebuild
    assert events.told == []


async def test_an_episode_is_told_once_when_it_begins_and_once_when_it_ends(
    catalog: SqliteCatalog, path: Path, events: RecordingEvents
) -> None:
    for _ in range(2):
        events.told.clear()
        await break_writing(catalog)
        for _ in range(3):
            await catalog.put_tag(JESSIE)
        reason = "attempt to write a readonly database"
        assert [(one.name, one.fields) for one in events.told] == [
            ("catalog.unwritable", {"file": str(path), "reason": reason})
        ]
        await mend_writing(catalog)
        for _ in range(3):
            await catalog.put_tag(JESSIE)
        assert [one.name for one in events.told] == ["catalog.unwritable", "catalog.writable"]


async def test_what_waited_is_in_the_file_after_the_next_write_that_works(catalog: SqliteCatalog, path: Path) -> None:
    await break_writing(catalog)
    await catalog.put_tag(JESSIE)
    await catalog.put_links([LINK])
    with ThreadPoolExecutor(1) as other, reopened(path, other) as beside:
        assert beside.find_tag(*TAG) is None
        await mend_writing(catalog)
        await catalog.put_uses({ONE: 1.0})
        assert beside.find_tag(*TAG) == JESSIE
        assert beside.find_link(*PLACE) == LINK
        assert catalog._unwritten.is_empty


async def test_what_waited_is_written_at_the_end(path: Path, scribe: Executor) -> None:
    with reopened(path, scribe) as catalog:
        await break_writing(catalog)
        await catalog.put_tag(JESSIE)
        await mend_writing(catalog)
    with reopened(path, scribe) as catalog:
        assert catalog.find_tag(*TAG) == JESSIE


async def test_what_cannot_be_written_even_at_the_end_is_given_up(path: Path, scribe: Executor) -> None:
    with reopened(path, scribe) as catalog:
        await catalog.put_links([LINK])
        await break_writing(catalog)
        await catalog.put_tag(JESSIE)
    with reopened(path, scribe) as catalog:
        assert catalog.find_tag(*TAG) is None
        assert catalog.find_link(*PLACE) == LINK


@pytest.mark.parametrize("in_file", [False, True], ids=["file-unproven", "file-proven"])
@pytest.mark.parametrize("waiting", [False, True], ids=["waiting-unproven", "waiting-proven"])
async def test_a_link_that_waits_replaces_the_file_s_as_if_it_were_written(
    catalog: SqliteCatalog, *, in_file: bool, waiting: bool
) -> None:
    await catalog.put_links([known := replace(LINK, is_proven=in_file)])
    await break_writing(catalog)
    await catalog.put_links([told := replace(LINK, origin="stranger/debian", is_proven=waiting)])
    expected = known if in_file and not waiting else told
    assert (catalog.find_link(*PLACE), await catalog.list_links()) == (expected, [expected])
    await mend_writing(catalog)
    await catalog.put_uses({})
    assert (catalog.find_link(*PLACE), await catalog.list_links()) == (expected, [expected])


async def test_a_tag_that_is_gone_hides_the_file_s_that_is_present(catalog: SqliteCatalog) -> None:
    other = replace(JESSIE, tag="wheezy")
    for record in (JESSIE, other):
        await catalog.put_tag(record)
    await break_writing(catalog)
    await catalog.put_tag(gone := replace(ABSENT, tag=JESSIE.tag))
    await catalog.put_tag(late := replace(JESSIE, tag="buster"))
    for _ in range(2):
        assert catalog.find_tag(*TAG) == gone
        assert catalog.list_tags() == [late, other]
        assert (await catalog.take_inventory()).tags == (late, other)
        await mend_writing(catalog)
        await catalog.put_uses({})


async def test_pins_and_forgetting_are_refused_instead_of_kept_in_memory(
    catalog: SqliteCatalog, events: RecordingEvents
) -> None:
    await catalog.put_tag(JESSIE)
    await catalog.put_pin(pin := Pin(*TAG))
    await break_writing(catalog)
    refused = pytest.raises(Unavailable, match="the catalog cannot be written: attempt to write a readonly")
    with refused:
        await catalog.put_pin(Pin("u", "r", "t"))
    with refused:
        await catalog.remove_pin(pin)
    with refused:
        await catalog.forget_content([ONE])
    with refused:
        await catalog.forget_tag(*TAG)
    assert (await catalog.take_inventory()).pins == {pin}
    assert catalog.find_tag(*TAG) == JESSIE


async def test_what_is_forgotten_is_not_brought_back_by_what_waited(
    catalog: SqliteCatalog, path: Path, events: RecordingEvents
) -> None:
    await break_writing(catalog)
    await catalog.put_tag(JESSIE)
    await catalog.put_contents(ONE, [TWO])
    await mend_writing(catalog)
    await catalog.forget_content([ONE])
    assert catalog.find_tag(*TAG) is None
    await catalog.put_uses({TWO: 1.0})
    inventory = await catalog.take_inventory()
    assert (inventory.tags, inventory.contents) == ((), {})
    assert [one.name for one in events.told] == ["catalog.unwritable", "catalog.writable"]


async def test_what_no_file_would_take_is_its_caller_s_and_costs_nobody_else_s(
    catalog: SqliteCatalog, path: Path, scribe: Executor
) -> None:
    await break_writing(catalog)
    await catalog.put_tag(JESSIE)
    impossible = replace(LINK, origin="\udce9")
    with pytest.raises(UnicodeEncodeError):
        await catalog.put_links([impossible])
    await mend_writing(catalog)
    with pytest.raises(UnicodeEncodeError):
        await catalog.put_links([impossible])
    await catalog.put_links([LINK])
    with ThreadPoolExecutor(1) as other, reopened(path, other) as beside:
        assert beside.find_tag(*TAG) == JESSIE
        assert beside.find_link(*PLACE) == LINK


async def test_a_file_that_somebody_else_writes_for_long_is_waited_for_in_memory(
    catalog: SqliteCatalog, path: Path, events: RecordingEvents
) -> None:
    await catalog.change(lambda file: file.execute("PRAGMA busy_timeout = 1"))
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        await catalog.put_tag(JESSIE)
        assert catalog.find_tag(*TAG) == JESSIE
        assert events.warnings == ["catalog.unwritable"]
        other.execute("ROLLBACK")
    other.close()
    await catalog.put_links([LINK])
    assert events.told[-1].name == "catalog.writable"
    assert catalog.find_tag(*TAG) == JESSIE


async def test_a_closed_catalog_says_so(path: Path, scribe: Executor) -> None:
    with reopened(path, scribe) as catalog:
        pass
    for refused in (catalog.put_tag(JESSIE), catalog.put_pin(Pin(*TAG)), catalog.take_inventory()):
        with pytest.raises(Unavailable, match="is closed"):
            await refused
    with pytest.raises(Unavailable, match="closed"):
        catalog.find_tag(*TAG)


# Many at once


@settings(max_examples=40)
@given(
    breaks=st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=6),
    cancelled=st.lists(st.integers(0, 29), max_size=4),
)
def test_whatever_is_put_at_once_while_the_disk_comes_and_goes_is_kept_in_its_order(
    breaks: list[tuple[int, bool]], cancelled: list[int]
) -> None:
    """Thirty records of one tag, begun one after the other and awaited together: the last one holds."""

    async def put_all(catalog: SqliteCatalog) -> None:
        puts: list[asyncio.Task[None]] = []
        for number in range(30):
            for _, is_broken in (one for one in breaks if one[0] == number):
                statement = f"PRAGMA query_only = {'ON' if is_broken else 'OFF'}"
                catalog._executor.submit(cast("sqlite3.Connection", catalog._writer).execute, statement)
            record = replace(JESSIE, checked_at=float(number), descriptor=numbered(number))
            puts.append(asyncio.ensure_future(catalog.put_tag(record)))
            await asyncio.sleep(0)  # let it begin
        for number in cancelled:
            if number < 29:
                puts[number].cancel()
        await asyncio.gather(*puts, return_exceptions=True)
        assert puts[29].exception() is None
        seen = catalog.find_tag(*TAG)
        assert seen is not None
        assert seen.descriptor == numbered(29)
        await mend_writing(catalog)

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as scribe:
        path = Path(folder) / "catalog.sqlite"
        with reopened(path, scribe) as catalog:
            asyncio.run(put_all(catalog))
        with reopened(path, scribe) as catalog:
            found = catalog.find_tag(*TAG)
            assert found is not None
            assert found.descriptor == numbered(29)


@settings(max_examples=60)
@given(taken=st.lists(steps | st.sampled_from(("break", "mend")), max_size=20))
def test_it_tells_what_the_reference_tells_whatever_becomes_of_the_disk(taken: list[Step | str]) -> None:
    """Whatever is refused is refused as a whole; whatever is not, everybody sees, then and in the end."""

    async def live_through(catalog: SqliteCatalog, reference: MemoryCatalog) -> None:
        is_broken = False
        for step in taken:
            if isinstance(step, str):
                if is_broken != (step == "break"):
                    is_broken = not is_broken
                    await (break_writing if is_broken else mend_writing)(catalog)
                continue
            try:
                await step(catalog)
            except Unavailable:
                assert is_broken
            else:
                await step(reference)
            assert await tell_all(catalog) == await tell_all(reference)
            assert catalog.read_revision() == reference.read_revision()
        await mend_writing(catalog)

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as scribe:
        path, reference = Path(folder) / "catalog.sqlite", MemoryCatalog()
        with reopened(path, scribe) as catalog:
            asyncio.run(live_through(catalog, reference))
        with reopened(path, scribe) as catalog:
            assert asyncio.run(tell_all(catalog)) == asyncio.run(tell_all(reference))
            assert catalog.read_revision() == reference.read_revision()


# Files of other versions


def _make_old(path: Path) -> None:
    """A file of version 1: it knows tags and links only."""
    with sqlite3.connect(path) as file:
        for name in ("tags", "links"):
            file.execute(f"CREATE TABLE {name} {schema.TABLES[name]}")
        file.executemany(schema.PUT_TAG, [("docker.io", "library/debian", "jessie", "absent", 1.0, None, None, None)])
    file.close()


async def test_a_file_of_an_older_version_has_to_be_rebuilt_once(path: Path, scribe: Executor) -> None:
    _make_old(path)
    told: list[bool] = []
    with reopened(path, scribe) as catalog:
        told.append(catalog.needs_rebuild)
        await catalog.put_contents(ONE, [TWO])
        await catalog.finish_rebuild()
        told.append(catalog.needs_rebuild)
    with reopened(path, scribe) as catalog:
        told.append(catalog.needs_rebuild)
        assert (await catalog.take_inventory()).contents == {ONE: (TWO,)}
    assert told == [True, False, False]


async def test_a_rebuild_that_cannot_be_noted_is_done_again_by_the_next_process(path: Path, scribe: Executor) -> None:
    with reopened(path, scribe) as catalog:
        await break_writing(catalog)
        await catalog.finish_rebuild()
        assert not catalog.needs_rebuild
    with reopened(path, scribe) as catalog:
        assert catalog.needs_rebuild


async def test_a_newer_table_that_a_read_only_file_lacks_is_there_in_memory(
    path: Path, scribe: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    _make_old(path)
    events = RecordingEvents()
    monkeypatch.setattr("proxy.storage.database._connect", _refuse)
    with SqliteCatalog(path, scribe, events) as catalog:
        assert events.warnings == ["catalog.unwritable"]
        assert catalog.needs_rebuild
        assert catalog.read_revision() == 0
        found = catalog.find_tag(*TAG)
        assert found is not None
        assert found.state is TagState.ABSENT
        await catalog.put_contents(ONE, [TWO])
        await catalog.raise_revision()
        assert (await catalog.take_inventory()).contents == {ONE: (TWO,)}
        assert catalog.read_revision() == 1
        monkeypatch.undo()
        await catalog.put_uses({ONE: 2.0})
        assert events.told[-1].name == "catalog.writable"
        assert (await catalog.take_inventory()).contents == {ONE: (TWO,)}
        assert catalog.read_revision() == 1
        await catalog.put_pin(Pin(*TAG))
    with reopened(path, scribe) as catalog:
        assert (await catalog.take_inventory()).uses == {ONE: 2.0}


def _refuse(path: Path) -> sqlite3.Connection:
    error = sqlite3.OperationalError("attempt to write a readonly database")
    error.sqlite_errorcode = sqlite3.SQLITE_READONLY
    raise error
