"""A disk that is full, and one that is read-only: real file systems of a few pages."""

import itertools
import random
import subprocess
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.oci.digests import Digest
from proxy.oci.errors import Unavailable
from proxy.oci.manifests import Descriptor
from proxy.oci.media_types import OCI_MANIFEST
from proxy.ports import Ingest, Pin
from proxy.storage.catalog import SqliteCatalog
from proxy.storage.disk import DiskBlobStore
from proxy.storage.layout_index import INDEX_FILE, LayoutIndex
from proxy.storage.memory import MemoryCatalog
from proxy.telemetry.logs import SilentEvents
from tests.contracts.blob_store import CONTENT, DIGEST, put, read, suspend, suspended
from tests.contracts.catalog import JESSIE, LINK, TWO
from tests.fakes.events import RecordingEvents
from tests.lab import tools
from tests.storage.programs import link_of, note_for_ever, running

pytestmark = pytest.mark.lab
MIB = 1024 * 1024


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    tools.require_root()
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = _run("mount", "-t", "tmpfs", "-o", "size=2m,nr_inodes=100,mode=755", "polyarch-test", str(folder))
    if mounted.returncode:
        tools.leave(f"a tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    _run("umount", str(folder)).check_returncode()


@pytest.fixture
def store(small: Path, writers: Executor) -> Iterator[DiskBlobStore]:
    store = DiskBlobStore(small, writers)
    store.prepare()
    yield store
    store.close()


@pytest.mark.parametrize("chunk_bytes", [64 * 1024, 3 * MIB], ids=["at-once", "in-a-thread"])
async def test_a_blob_that_does_not_fit_is_told_and_leaves_no_trace(store: DiskBlobStore, chunk_bytes: int) -> None:
    await put(store, CONTENT)
    content = b"x" * (3 * MIB)
    ingest = await store.begin_ingest(Digest.of(content))
    with pytest.raises(Unavailable, match="the cache cannot be written: No space left on device"):
        await _write_all(ingest, content, chunk_bytes)
    assert ingest.read_at(0, ingest.written) == content[: ingest.written]
    await ingest.abort()
    ingest.close()
    assert store.find_size(Digest.of(content)) is None
    assert read(store, DIGEST) == CONTENT
    fitting = b"y" * MIB
    await put(store, fitting)
    assert read(store, Digest.of(fitting)) == fitting


async def test_a_full_disk_stops_no_reader_of_what_is_stored(store: DiskBlobStore, small: Path) -> None:
    await put(store, CONTENT)
    _fill_up(small)
    assert read(store, DIGEST) == CONTENT
    await store.quarantine(DIGEST)
    assert store.find_size(DIGEST) is None


async def test_a_catalog_on_a_full_disk_reads_on(small: Path, scribe: Executor) -> None:
    with SqliteCatalog(small / "catalog.sqlite", scribe, SilentEvents()) as catalog:
        await catalog.put_tag(JESSIE)
        _fill_up(small)
        await catalog.put_links(link_of(number) for number in range(5000))
        assert catalog.find_tag("docker.io", "library/debian", "jessie") == JESSIE
        (small / "filling").unlink()
        await catalog.put_links([LINK])
        assert catalog.find_link(LINK.upstream, LINK.repository, LINK.digest) == LINK


async def test_an_index_file_that_does_not_fit_stays_as_it_was(
    store: DiskBlobStore, small: Path, writers: Executor, scribe: Executor
) -> None:
    found = Descriptor(OCI_MANIFEST, await put(store, CONTENT), len(CONTENT))
    with SqliteCatalog(small / "catalog.sqlite", scribe, SilentEvents()) as catalog:
        async with LayoutIndex(small, catalog, store, writers):
            pass
        before = (small / INDEX_FILE).read_bytes()
        async with LayoutIndex(small, catalog, store, writers):
            for number in range(200):
                await catalog.put_tag(replace(JESSIE, tag=str(number), descriptor=found))
            _fill_up(small)
        assert (small / INDEX_FILE).read_bytes() == before


async def test_a_folder_that_becomes_read_only_still_serves(store: DiskBlobStore, small: Path) -> None:
    await put(store, CONTENT)
    store.close()  # a mount with open files cannot become read-only
    _remount(small, "ro")
    assert read(store, DIGEST) == CONTENT
    with pytest.raises(Unavailable, match="the cache cannot be written: Read-only file system"):
        await store.begin_ingest(DIGEST)
    await store.quarantine(DIGEST)
    assert read(store, DIGEST) == CONTENT


async def test_a_read_only_folder_that_is_a_cache_is_used_as_it_is(
    store: DiskBlobStore, small: Path, writers: Executor
) -> None:
    await put(store, CONTENT)
    store.close()
    _remount(small, "ro")
    first, second = DiskBlobStore(small, writers), DiskBlobStore(small, writers)
    assert first.prepare()
    assert not second.prepare()
    assert read(first, DIGEST) == CONTENT
    first.close()
    second.close()


def test_a_read_only_folder_that_is_no_cache_cannot_be_used(small: Path, writers: Executor) -> None:
    _remount(small, "ro")
    with pytest.raises(Unavailable, match=f"the cache folder {small} cannot be used: Read-only file system"):
        DiskBlobStore(small, writers).prepare()


async def test_a_catalog_in_a_read_only_folder_is_read_as_it_is(small: Path, scribe: Executor) -> None:
    path = small / "catalog.sqlite"
    with SqliteCatalog(path, scribe, SilentEvents()) as catalog:
        await catalog.put_tag(JESSIE)
    _remount(small, "ro")
    with SqliteCatalog(path, scribe, SilentEvents()) as catalog:
        await catalog.put_links([LINK])
        assert catalog.list_tags() == [JESSIE]
        assert catalog.find_link(LINK.upstream, LINK.repository, LINK.digest) == LINK


async def test_where_a_read_only_folder_has_no_catalog_everything_is_kept_in_memory(
    small: Path, scribe: Executor
) -> None:
    _remount(small, "ro")
    with SqliteCatalog(small / "catalog.sqlite", scribe, SilentEvents()) as catalog:
        assert catalog.list_tags() == []
        await catalog.put_tag(JESSIE)
        assert catalog.list_tags() == [JESSIE]
    assert _names(small) == []


# A disk that is full


async def test_what_broke_off_for_want_of_room_is_gone_on_with_once_there_is_some(
    store: DiskBlobStore, small: Path
) -> None:
    content = random.Random(7).randbytes(MIB + 17)  # noqa: S311 - so that no part of it is like another
    (small / "hoard").write_bytes(b"x" * MIB)
    ingest = await store.begin_ingest(Digest.of(content))
    with pytest.raises(Unavailable, match="No space left on device"):
        await _write_all(ingest, content, 64 * 1024)
    await ingest.suspend()
    ingest.close()
    ((_, size),) = await suspended(store)
    assert size == ingest.written > 0
    (small / "hoard").unlink()
    again = await store.begin_ingest(Digest.of(content))
    assert again.written == size
    await again.write(content[size:])
    await again.commit()
    again.close()
    assert read(store, Digest.of(content)) == content


async def test_on_a_full_disk_content_can_be_removed_and_listed(store: DiskBlobStore, small: Path) -> None:
    await put(store, CONTENT)
    await put(store, b"x" * MIB)
    _fill_up(small)
    assert store.free_bytes() == 0
    assert len(await store.list_blobs()) == 2
    await store.remove(Digest.of(b"x" * MIB))
    assert store.free_bytes() >= MIB
    await put(store, b"y" * (MIB // 2))


def test_a_cache_on_a_full_disk_is_used(store: DiskBlobStore, small: Path, writers: Executor) -> None:
    store.close()
    _fill_up(small)
    again = DiskBlobStore(small, writers)
    assert again.prepare()
    again.close()


def test_a_full_disk_without_a_cache_cannot_be_used(small: Path, writers: Executor) -> None:
    _fill_up(small, takes_names=True)
    with pytest.raises(Unavailable, match="cannot be used: No space left on device"):
        DiskBlobStore(small, writers).prepare()


async def test_what_a_full_disk_does_not_take_is_kept_and_written_when_it_does(small: Path, scribe: Executor) -> None:
    events, path = RecordingEvents(), small / "catalog.sqlite"
    with SqliteCatalog(path, scribe, events) as catalog:
        await catalog.put_tag(JESSIE)
        _fill_up(small)
        for number in range(0, 600, 100):
            await catalog.put_links(link_of(number + step) for step in range(100))
        moved = replace(JESSIE, checked_at=JESSIE.checked_at + 1, descriptor=Descriptor(OCI_MANIFEST, TWO, 1))
        await catalog.put_tag(moved)
        assert events.warnings == ["catalog.unwritable"]
        assert catalog.list_tags() == [moved]
        (small / "filling").unlink()
        await catalog.put_links([LINK])
        assert events.told[-1].name == "catalog.writable"
        with ThreadPoolExecutor(1) as other, SqliteCatalog(path, other, SilentEvents()) as beside:
            assert beside.list_tags() == [moved]
            assert {one.digest for one in await beside.list_links()} >= {link_of(n).digest for n in range(600)}


@pytest.mark.parametrize("is_there", [False, True], ids=["new", "known"])
async def test_a_catalog_that_is_opened_on_a_full_disk_begins_to_write_when_there_is_room(
    small: Path, scribe: Executor, *, is_there: bool
) -> None:
    events, path = RecordingEvents(), small / "catalog.sqlite"
    if is_there:
        with SqliteCatalog(path, scribe, SilentEvents()) as catalog:
            await catalog.put_tag(JESSIE)
    _fill_up(small, takes_names=True)
    with SqliteCatalog(path, scribe, events) as catalog:
        assert catalog.list_tags() == [JESSIE] * is_there
        await catalog.put_links(link_of(number) for number in range(300))
        await catalog.put_tag(other := replace(JESSIE, tag="wheezy"))
        assert events.warnings == ["catalog.unwritable"]
        assert catalog.list_tags() == [*[JESSIE] * is_there, other]
        _make_room(small)
        await catalog.put_uses({TWO: 1.0})
        assert events.told[-1].name == "catalog.writable"
        await catalog.put_tag(third := replace(JESSIE, tag="x"))
        assert catalog.list_tags() == [*[JESSIE] * is_there, other, third]
    with SqliteCatalog(path, scribe, events) as catalog:
        assert catalog.list_tags() == [*[JESSIE] * is_there, other, third]
        assert len(await catalog.list_links()) == 300


# A disk that is read-only


async def test_a_read_only_catalog_begins_to_write_when_its_disk_can_be_written(small: Path, scribe: Executor) -> None:
    events, path = RecordingEvents(), small / "catalog.sqlite"
    with SqliteCatalog(path, scribe, SilentEvents()) as catalog:
        await catalog.put_tag(JESSIE)
    _remount(small, "ro")
    with SqliteCatalog(path, scribe, events) as catalog:
        assert not (await catalog.take_inventory()).uses
        await catalog.put_tag(other := replace(JESSIE, tag="wheezy"))
        for _ in range(2):
            with pytest.raises(Unavailable, match="the catalog cannot be written"):
                await catalog.put_pin(Pin("u", "r", "t"))
        assert (await catalog.take_inventory()).tags == (JESSIE, other)
        assert events.warnings == ["catalog.unwritable"]
        _remount(small, "rw")
        await catalog.put_pin(Pin("u", "r", "t"))
        assert events.told[-1].name == "catalog.writable"
        with ThreadPoolExecutor(1) as elsewhere, SqliteCatalog(path, elsewhere, SilentEvents()) as beside:
            assert beside.list_tags() == [JESSIE, other]
            await beside.put_tag(third := replace(JESSIE, tag="x"))
            assert catalog.list_tags() == [JESSIE, other, third]


async def test_a_catalog_that_was_killed_is_read_with_its_log_from_a_read_only_disk(
    small: Path, scribe: Executor
) -> None:
    with running(note_for_ever, small) as victim:
        told = [victim.read_line() for _ in range(20)] + victim.kill()
    _remount(small, "ro")
    with SqliteCatalog(small / "catalog.sqlite", scribe, SilentEvents()) as catalog:
        assert len(catalog.list_tags()) >= len(told)


def test_a_damaged_catalog_on_a_read_only_disk_is_as_good_as_none(small: Path, scribe: Executor) -> None:
    (small / "catalog.sqlite").write_bytes(b"this is no database" * 1000)
    _remount(small, "ro")
    events = RecordingEvents()
    with SqliteCatalog(small / "catalog.sqlite", scribe, events) as catalog:
        assert catalog.list_tags() == []
        assert catalog.needs_rebuild
    assert events.warnings == ["catalog.unwritable"]


async def test_a_store_on_a_read_only_disk_lists_and_lets_nothing_be_changed(
    store: DiskBlobStore, small: Path, writers: Executor
) -> None:
    await put(store, CONTENT)
    await suspend(store, b"half", of=LINK.digest)
    store.close()
    _remount(small, "ro")
    again = DiskBlobStore(small, writers)
    again.prepare()
    assert [one.digest for one in await again.list_blobs()] == [DIGEST]
    await again.remove(DIGEST)
    await again.quarantine(DIGEST)
    await again.drop_suspended(LINK.digest)
    for digest in (DIGEST, LINK.digest):
        with pytest.raises(Unavailable, match="the cache cannot be written: Read-only file system"):
            await again.begin_ingest(digest)
    assert read(again, DIGEST) == CONTENT
    again.close()


async def test_a_read_only_cache_without_a_lock_file_is_owned_by_nobody(
    store: DiskBlobStore, small: Path, writers: Executor
) -> None:
    """Another tool made it."""
    await put(store, CONTENT)
    store.close()
    (small / "lock").unlink()
    _remount(small, "ro")
    again = DiskBlobStore(small, writers)
    assert not again.prepare()
    assert read(again, DIGEST) == CONTENT
    again.close()


async def test_the_index_file_of_a_read_only_disk_stays_as_it_is(
    store: DiskBlobStore, small: Path, writers: Executor
) -> None:
    catalog = MemoryCatalog()
    async with LayoutIndex(small, catalog, store, writers):
        pass
    store.close()
    before = (small / INDEX_FILE).read_bytes()
    _remount(small, "ro")
    async with LayoutIndex(small, catalog, store, writers):
        await catalog.put_tag(JESSIE)
    assert (small / INDEX_FILE).read_bytes() == before


def _remount(folder: Path, how: str) -> None:
    _run("mount", "-o", f"remount,{how}", str(folder)).check_returncode()


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _fill_up(folder: Path, *, takes_names: bool = False) -> None:
    with (folder / "filling").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    if takes_names:
        with suppress(OSError):
            for number in itertools.count():
                (folder / f"empty-{number}").touch()


def _make_room(folder: Path) -> None:
    for path in (folder / "filling", *folder.glob("empty-*")):
        path.unlink()


async def _write_all(ingest: Ingest, content: bytes, chunk_bytes: int) -> None:
    for start in range(0, len(content), chunk_bytes):
        await ingest.write(content[start : start + chunk_bytes])
