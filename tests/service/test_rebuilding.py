"""A catalog made again: what a store tells of tags, links, contents and what was synthesised."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from proxy.oci.digests import Digest
from proxy.oci.errors import Unavailable
from proxy.oci.manifests import Descriptor
from proxy.ports import BlobReader, Link, TagRecord, TagState
from proxy.service.rebuilding import Rebuilding, RebuildTools, restore_tags
from proxy.storage.memory import MemoryBlobStore, MemoryCatalog
from tests.fakes.clock import ManualClock
from tests.fakes.events import RecordingEvents
from tests.fakes.store import FailingBlobStore
from tests.fakes.upstream import FakeUpstream
from tests.lab.images import Blob, Image, Index, build_image, build_index
from tests.service.bench import (
    AMD64,
    ARM64,
    ARM_V6,
    ARM_V7,
    DEBIAN,
    HUB,
    SOURCES,
    Kept,
    address,
    asker,
    jessie,
    open_bench,
    put_blob,
)


class ReadingStore(MemoryBlobStore):
    """Remembers how much was read of what."""

    def __init__(self) -> None:
        super().__init__()
        self.read: dict[Digest, int] = {}

    @contextmanager
    def open_blob(self, digest: Digest, /) -> Iterator[BlobReader]:
        with super().open_blob(digest) as reader:
            yield _Counting(reader, digest, self.read)


class _Counting:
    file = None

    def __init__(self, reader: BlobReader, digest: Digest, read: dict[Digest, int]) -> None:
        self.size = reader.size
        self._reader, self._digest, self._read = reader, digest, read

    def read_at(self, offset: int, size: int, /) -> bytes:
        content = self._reader.read_at(offset, size)
        self._read[self._digest] = self._read.get(self._digest, 0) + len(content)
        return content


@pytest.fixture
def catalog() -> MemoryCatalog:
    lost = MemoryCatalog()
    lost.needs_rebuild = True
    return lost


@pytest.fixture
def store() -> ReadingStore:
    return ReadingStore()


async def put(store: MemoryBlobStore, document: Image | Index) -> Descriptor:
    """Store a document with all that it needs; answer what leads to it."""
    images = (*document.images, *document.attestations) if isinstance(document, Index) else (document,)
    for image in images:
        for blob in (image.manifest, image.config, *image.layers):
            await put_blob(store, blob.content)
    await put_blob(store, document.manifest.content)
    return described(document.manifest)


def described(blob: Blob) -> Descriptor:
    return Descriptor(blob.media_type, address(blob), len(blob.content))


def tagged(found: Descriptor, repository: str = DEBIAN, tag: str = "jessie", upstream: str = HUB) -> TagRecord:
    return TagRecord(upstream, repository, tag, TagState.PRESENT, 0.0, found)


async def rebuild(
    store: MemoryBlobStore, catalog: MemoryCatalog, *records: TagRecord, private: tuple[str, ...] = ()
) -> RecordingEvents:
    events = RecordingEvents()
    await restore_tags(catalog, records)
    await Rebuilding(RebuildTools(store, catalog, ManualClock(), events, private)).run()
    return events


async def test_an_image_is_linked_to_its_repository(store: ReadingStore, catalog: MemoryCatalog) -> None:
    image = jessie(AMD64)
    events = await rebuild(store, catalog, tagged(await put(store, image)))
    for blob in (image.manifest, image.config, *image.layers):
        link = catalog.find_link(HUB, DEBIAN, address(blob))
        assert link == Link(HUB, DEBIAN, address(blob), DEBIAN, blob.media_type, len(blob.content), is_proven=True)
    contents = (await catalog.take_inventory()).contents
    assert set(contents[address(image.manifest)]) == {address(image.config), *map(address, image.layers)}
    assert not catalog.needs_rebuild
    assert [fields["tags"] for fields in events.named("catalog.rebuilt")] == [1]


async def test_what_is_not_stored_is_known_but_not_proven(store: ReadingStore, catalog: MemoryCatalog) -> None:
    amd, arm = jessie(AMD64), jessie(ARM_V7)
    index = build_index([amd, arm])
    await put(store, amd)
    await put_blob(store, index.manifest.content)
    await rebuild(store, catalog, tagged(described(index.manifest)))
    there, missing = (catalog.find_link(HUB, DEBIAN, address(one.manifest)) for one in (amd, arm))
    assert there is not None
    assert there.is_proven
    assert missing is not None
    assert not missing.is_proven
    assert catalog.find_link(HUB, DEBIAN, address(arm.config)) is None


async def test_what_takes_credentials_is_proven_no_further_than_its_tags(
    store: ReadingStore, catalog: MemoryCatalog
) -> None:
    """Nor does another upstream's manifest open it that names its layers."""
    secret = build_image(AMD64, label="secret")
    found = await put(store, secret)
    stranger = build_index([secret])
    await put(store, stranger)
    records = (
        tagged(described(stranger.manifest), "stranger/app", "1"),
        tagged(found, "owner/app", "1", "registry.lan"),
    )
    await rebuild(store, catalog, *records, private=("registry.lan",))
    root = catalog.find_link("registry.lan", "owner/app", found.digest)
    assert root is not None
    assert root.is_proven
    for blob in (secret.config, *secret.layers):
        for place in (("registry.lan", "owner/app"), (HUB, "stranger/app")):
            link = catalog.find_link(*place, address(blob))
            assert link is not None
            assert not link.is_proven


async def test_a_manifest_that_no_tag_leads_to_is_known_by_its_contents(
    store: ReadingStore, catalog: MemoryCatalog
) -> None:
    image = jessie(AMD64)
    await put(store, image)
    await rebuild(store, catalog)
    assert address(image.manifest) in (await catalog.take_inventory()).contents
    assert await catalog.list_links() == []


async def test_a_tag_that_leads_nowhere_is_passed_over(store: ReadingStore, catalog: MemoryCatalog) -> None:
    await catalog.put_tag(TagRecord(HUB, DEBIAN, "jessie", TagState.PRESENT, 0.0))
    await rebuild(store, catalog)
    assert not catalog.needs_rebuild


async def test_layers_are_not_read(store: ReadingStore, catalog: MemoryCatalog) -> None:
    """But for the first bytes of small ones."""
    layer = await put_blob(store, b"\x1f\x8b" + b"x" * 100_000)
    large = await put_blob(store, b"{" * (5 * 1024 * 1024))
    await rebuild(store, catalog)
    assert store.read[layer] <= 64
    assert large not in store.read


@pytest.mark.parametrize("content", [b"{", b"{}", b'{"mediaType": "application/json"}', b" {]", b'{"manifests": 5}'])
async def test_what_looks_like_a_document_and_is_none_is_passed_over(
    store: ReadingStore, catalog: MemoryCatalog, content: bytes
) -> None:
    digest = await put_blob(store, content)
    await rebuild(store, catalog, tagged(Descriptor("application/json", digest, len(content))))
    assert (await catalog.take_inventory()).contents == {}
    assert not catalog.needs_rebuild


async def test_a_document_that_is_not_what_its_digest_says_tells_nothing(
    store: ReadingStore, catalog: MemoryCatalog
) -> None:
    found = await put(store, jessie(AMD64))
    store.blobs[found.digest] = jessie(ARM_V7).manifest.content
    await rebuild(store, catalog, tagged(found))
    assert found.digest not in (await catalog.take_inventory()).contents


async def test_tags_that_are_known_are_not_replaced(catalog: MemoryCatalog) -> None:
    old = tagged(described(jessie(AMD64).manifest))
    known = replace(old, checked_at=5.0, descriptor=described(jessie(ARM_V7).manifest))
    await catalog.put_tag(known)
    await restore_tags(catalog, [old])
    assert catalog.list_tags() == [known]


async def test_links_that_are_known_are_not_replaced(store: ReadingStore, catalog: MemoryCatalog) -> None:
    found = await put(store, jessie(AMD64))
    known = Link(HUB, DEBIAN, found.digest, "elsewhere/debian", found.media_type, found.size, is_proven=True)
    await catalog.put_links([known])
    await rebuild(store, catalog, tagged(found))
    assert catalog.find_link(HUB, DEBIAN, found.digest) == known


async def test_a_catalog_that_cannot_be_written_goes_on_without_knowing(store: ReadingStore) -> None:
    class Unwritable(MemoryCatalog):
        async def finish_rebuild(self) -> None:
            raise Unavailable("the catalog cannot be written: full")

    catalog = Unwritable()
    catalog.needs_rebuild = True
    events = await rebuild(store, catalog, tagged(await put(store, jessie(AMD64))))
    assert catalog.needs_rebuild
    assert events.warnings == ["catalog.not_rebuilt"]


async def test_a_synthesised_index_is_found_again_with_what_it_was_made_from(
    upstream: FakeUpstream, catalog: MemoryCatalog
) -> None:
    kept = Kept()
    assert isinstance(kept.store, MemoryBlobStore)
    async with open_bench(upstream, kept) as bench:
        answer = await bench.puller.get_tag((DEBIAN,), "jessie", asker(AMD64))
        for platform in (ARM64, ARM_V7, ARM_V6):
            await bench.puller.get_manifest((DEBIAN,), address(jessie(platform).manifest))
        before = await kept.catalog.take_inventory()
        records = kept.catalog.list_tags()
    await rebuild(kept.store, catalog, *(replace(record, checked_at=0.0) for record in records))
    after = await catalog.take_inventory()
    assert after.answers == before.answers
    made = answer.descriptor.digest
    assert set(after.contents[made]) == set(before.contents[made])
    link = catalog.find_link(HUB, DEBIAN, made)
    assert link is not None
    assert (link.origin, link.is_proven) == ("", True)
    for platform, repository in SOURCES.items():
        found = catalog.find_link(HUB, DEBIAN, address(jessie(platform).manifest))
        assert found is not None
        assert (found.origin, found.is_proven) == (repository, True)


async def test_what_cannot_be_read_is_put_aside(catalog: MemoryCatalog) -> None:
    store, image, stray = FailingBlobStore(), jessie(AMD64), jessie(ARM64).manifest
    record = tagged(await put(store, image))
    await put_blob(store, stray.content)
    store.unreadable |= {address(image.manifest), address(stray)}
    events = await rebuild(store, catalog, record)
    assert {told["digest"] for told in events.named("blob.quarantined")} == {
        str(address(blob)) for blob in (image.manifest, stray)
    }
    assert store.find_size(address(image.manifest)) is store.find_size(address(stray)) is None
    assert not catalog.needs_rebuild


def test_it_tells_what_it_is(store: ReadingStore, catalog: MemoryCatalog) -> None:
    tools = RebuildTools(store, catalog, ManualClock(), RecordingEvents())
    assert repr(Rebuilding(tools)) == "<Rebuilding: 0 documents>"
