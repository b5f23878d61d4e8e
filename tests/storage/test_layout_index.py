import asyncio
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from proxy.oci.digests import Digest
from proxy.oci.manifests import Descriptor
from proxy.oci.media_types import OCI_INDEX, OCI_MANIFEST
from proxy.ports import TagRecord, TagState
from proxy.storage.disk import DiskBlobStore
from proxy.storage.layout_index import INDEX_FILE, LayoutIndex
from proxy.storage.memory import MemoryCatalog
from tests.contracts.blob_store import put

FIRST, SECOND = b'{"first": true}', b'{"second": true}'
ENTRY = {
    "mediaType": OCI_MANIFEST,
    "digest": str(Digest.of(FIRST)),
    "size": len(FIRST),
    "annotations": {"org.opencontainers.image.ref.name": "docker.io/library/debian:jessie"},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def store(root: Path, writers: Executor) -> Iterator[DiskBlobStore]:
    store = DiskBlobStore(root, writers)
    store.prepare()
    yield store
    store.close()


@dataclass(frozen=True, slots=True)
class Layout:
    """A folder, what is known, and the index of both."""

    root: Path
    catalog: MemoryCatalog
    store: DiskBlobStore
    writers: Executor

    def open(self, settle_seconds: float = 0.01) -> AbstractAsyncContextManager[LayoutIndex]:
        return LayoutIndex(self.root, self.catalog, self.store, self.writers, settle_seconds=settle_seconds)

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.root / INDEX_FILE).read_bytes())
        return found

    def names(self) -> list[str]:
        if not (self.root / INDEX_FILE).exists():
            return []
        return [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in self.read()["manifests"]]

    async def wait_for(self, *names: str) -> None:
        deadline = time.monotonic() + 20
        while self.names() != list(names):
            assert time.monotonic() < deadline, self.names()
            await asyncio.sleep(0.005)


@pytest.fixture
def layout(root: Path, store: DiskBlobStore, writers: Executor) -> Layout:
    return Layout(root, MemoryCatalog(), store, writers)


def _tag(tag: str, content: bytes = FIRST, repository: str = "library/debian") -> TagRecord:
    found = Descriptor(OCI_MANIFEST, Digest.of(content), len(content))
    return TagRecord("docker.io", repository, tag, TagState.PRESENT, 1.0, found)


async def test_it_names_the_tags_whose_content_is_stored(layout: Layout) -> None:
    await put(layout.store, FIRST)
    async with layout.open():
        await layout.catalog.put_tag(_tag("jessie"))
        await layout.catalog.put_tag(_tag("wheezy", SECOND))
        await layout.catalog.put_tag(replace(_tag("potato"), state=TagState.ABSENT, descriptor=None))
        await layout.catalog.put_tag(replace(_tag("secret"), state=TagState.DENIED, descriptor=None))
    assert layout.read() == {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [ENTRY]}


async def test_one_document_under_two_tags_is_named_twice(layout: Layout) -> None:
    await put(layout.store, FIRST)
    async with layout.open():
        await layout.catalog.put_tag(_tag("jessie"))
        await layout.catalog.put_tag(_tag("8"))
        await layout.catalog.put_tag(replace(_tag("8"), upstream="ghcr.io"))
    assert layout.names() == [
        "docker.io/library/debian:8",
        "docker.io/library/debian:jessie",
        "ghcr.io/library/debian:8",
    ]


async def test_tags_of_our_own_making_are_not_named(layout: Layout) -> None:
    """A synthesised index is remembered under a tag that no client can ask for."""
    await put(layout.store, FIRST)
    async with layout.open():
        await layout.catalog.put_tag(_tag("@jessie"))
    assert layout.names() == []


async def test_it_follows_the_tags_while_it_is_open(layout: Layout) -> None:
    await put(layout.store, FIRST)
    await put(layout.store, SECOND)
    async with layout.open():
        await layout.catalog.put_tag(_tag("jessie"))
        await layout.wait_for("docker.io/library/debian:jessie")
        await layout.catalog.put_tag(_tag("jessie", SECOND))
        await layout.catalog.put_tag(_tag("wheezy"))
        await layout.wait_for("docker.io/library/debian:jessie", "docker.io/library/debian:wheezy")
        assert layout.read()["manifests"][0]["digest"] == str(Digest.of(SECOND))
        await layout.catalog.put_tag(replace(_tag("wheezy"), state=TagState.ABSENT, descriptor=None))
        await layout.wait_for("docker.io/library/debian:jessie")


async def test_a_fresh_folder_gets_its_index_without_any_tag(layout: Layout) -> None:
    """image-spec, image-layout.md: the file must be there."""
    async with layout.open():
        deadline = time.monotonic() + 20
        while not (layout.root / INDEX_FILE).exists():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)
    assert layout.read()["manifests"] == []


async def test_a_start_makes_up_for_what_a_killed_process_did_not_write(layout: Layout) -> None:
    await put(layout.store, FIRST)
    await layout.catalog.put_tag(_tag("jessie"))
    async with layout.open():
        await layout.wait_for("docker.io/library/debian:jessie")


async def test_leaving_does_not_wait_for_the_dust_to_settle(layout: Layout) -> None:
    await put(layout.store, FIRST)
    async with asyncio.timeout(20), layout.open(settle_seconds=3600):
        await layout.catalog.put_tag(_tag("jessie"))
    assert layout.names() == ["docker.io/library/debian:jessie"]


async def test_what_changed_last_before_leaving_is_written(layout: Layout) -> None:
    """Whether the writer waits, gathers or writes at that moment."""
    await put(layout.store, FIRST)
    for number in range(30):
        async with layout.open(settle_seconds=0):
            await layout.catalog.put_tag(_tag("jessie"))
            for _ in range(number):
                await asyncio.sleep(0)
            await layout.catalog.put_tag(_tag(f"tag-{number}"))
        assert f"docker.io/library/debian:tag-{number}" in layout.names()


async def test_an_index_that_cannot_be_written_stops_nobody(layout: Layout) -> None:
    (layout.root / INDEX_FILE).mkdir()
    await put(layout.store, FIRST)
    async with layout.open():
        await layout.catalog.put_tag(_tag("jessie"))
        assert layout.catalog.find_tag("docker.io", "library/debian", "jessie") == _tag("jessie")


async def test_a_folder_with_many_writers_stays_readable(layout: Layout) -> None:
    """`polyarch resolve` beside `polyarch serve`: two processes write the same file."""
    await put(layout.store, FIRST)
    async with layout.open(settle_seconds=0), layout.open(settle_seconds=0):
        for number in range(40):
            await asyncio.gather(
                layout.catalog.put_tag(_tag(f"one-{number}")), layout.catalog.put_tag(_tag(f"two-{number}"))
            )
            if (layout.root / INDEX_FILE).exists():
                layout.read()
    assert len(layout.names()) == 80


async def test_what_it_says_already_is_not_written_again(layout: Layout) -> None:
    """Tags are checked all day long, and seldom move."""
    await put(layout.store, FIRST)
    async with layout.open():
        await layout.catalog.put_tag(_tag("jessie"))
    before = (layout.root / INDEX_FILE).stat()
    async with layout.open():
        await layout.catalog.put_tag(replace(_tag("jessie"), checked_at=2.0))
    assert os.path.samestat((layout.root / INDEX_FILE).stat(), before)
    assert layout.names() == ["docker.io/library/debian:jessie"]


async def test_what_another_process_wrote_meanwhile_is_written_over(layout: Layout) -> None:
    await put(layout.store, FIRST)
    async with layout.open():
        await layout.catalog.put_tag(_tag("jessie"))
        await layout.wait_for("docker.io/library/debian:jessie")
        (layout.root / INDEX_FILE).write_text('{"manifests": []}')
        await layout.catalog.put_tag(replace(_tag("jessie"), checked_at=2.0))
        await layout.wait_for("docker.io/library/debian:jessie")


def test_it_is_known_by_its_folder(layout: Layout) -> None:
    assert repr(layout.open()) == f"<LayoutIndex {layout.root}>"
