"""A disk that is full, and one that is read-only: real file systems of a few pages."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.oci.digests import Digest
from proxy.oci.errors import Unavailable
from proxy.oci.manifests import Descriptor
from proxy.oci.media_types import OCI_MANIFEST
from proxy.ports import Ingest
from proxy.storage.catalog import SqliteCatalog
from proxy.storage.disk import DiskBlobStore
from proxy.storage.layout_index import INDEX_FILE, LayoutIndex
from proxy.telemetry.logs import SilentEvents
from tests.contracts.blob_store import CONTENT, DIGEST, put, read
from tests.contracts.catalog import JESSIE, LINK
from tests.lab import tools
from tests.storage.programs import link_of

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
    mounted = _run("mount", "-t", "tmpfs", "-o", "size=2m,mode=755", "polyarch-test", str(folder))
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
    _run("mount", "-o", "remount,ro", str(small)).check_returncode()
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
    _run("mount", "-o", "remount,ro", str(small)).check_returncode()
    first, second = DiskBlobStore(small, writers), DiskBlobStore(small, writers)
    assert first.prepare()
    assert not second.prepare()
    assert read(first, DIGEST) == CONTENT
    first.close()
    second.close()


def test_a_read_only_folder_that_is_no_cache_cannot_be_used(small: Path, writers: Executor) -> None:
    _run("mount", "-o", "remount,ro", str(small)).check_returncode()
    with pytest.raises(Unavailable, match=f"the cache folder {small} cannot be used: Read-only file system"):
        DiskBlobStore(small, writers).prepare()


async def test_a_catalog_in_a_read_only_folder_is_read_as_it_is(small: Path, scribe: Executor) -> None:
    path = small / "catalog.sqlite"
    with SqliteCatalog(path, scribe, SilentEvents()) as catalog:
        await catalog.put_tag(JESSIE)
    _run("mount", "-o", "remount,ro", str(small)).check_returncode()
    with SqliteCatalog(path, scribe, SilentEvents()) as catalog:
        await catalog.put_links([LINK])
        assert catalog.list_tags() == [JESSIE]
        assert catalog.find_link(LINK.upstream, LINK.repository, LINK.digest) == LINK


async def test_where_a_read_only_folder_has_no_catalog_everything_is_kept_in_memory(
    small: Path, scribe: Executor
) -> None:
    _run("mount", "-o", "remount,ro", str(small)).check_returncode()
    with SqliteCatalog(small / "catalog.sqlite", scribe, SilentEvents()) as catalog:
        assert catalog.list_tags() == []
        await catalog.put_tag(JESSIE)
        assert catalog.list_tags() == [JESSIE]
    assert _names(small) == []


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _fill_up(folder: Path) -> None:
    with (folder / "filling").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)


async def _write_all(ingest: Ingest, content: bytes, chunk_bytes: int) -> None:
    for start in range(0, len(content), chunk_bytes):
        await ingest.write(content[start : start + chunk_bytes])
