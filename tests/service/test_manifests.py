import json
from pathlib import Path

import pytest

from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import UpstreamMisbehaved
from proxy.oci.manifests import MAX_MANIFEST_BYTES
from proxy.ports import FetchedManifest, Link
from proxy.service.caching import Caching
from proxy.service.manifests import Manifests
from proxy.storage.memory import MemoryBlobStore
from tests.fakes.events import RecordingEvents
from tests.fakes.store import FailingBlobStore
from tests.lab.images import Blob, build_index
from tests.lab.schema1 import SIGNED, build_schema1, sign
from tests.service.bench import AMD64, ARM_V6, ARM_V7, DEBIAN, HUB, Kept, address, jessie, put_blob


def fetched(document: Blob) -> FetchedManifest:
    return FetchedManifest(document.content, document.media_type, address(document))


def open_manifests(kept: Kept, events: RecordingEvents, *, memory_bytes: int = 100_000) -> Manifests:
    return Manifests(kept.store, kept.catalog, events, Caching(events), memory_bytes=memory_bytes)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def manifests(kept: Kept, events: RecordingEvents) -> Manifests:
    return open_manifests(kept, events)


def blob_file(folder: Path, digest: Digest) -> Path:
    return folder / "cache" / "blobs" / digest.algorithm / digest.encoded


async def test_what_was_added_is_found(manifests: Manifests) -> None:
    document = jessie(AMD64).manifest
    added = await manifests.add(fetched(document))
    assert await manifests.find(address(document)) == added
    assert (added.content, added.media_type) == (document.content, document.media_type)
    assert added.descriptor == fetched(document).descriptor


async def test_what_nobody_added_is_not_found(manifests: Manifests, events: RecordingEvents) -> None:
    assert await manifests.find(Digest.of(b"never")) is None
    assert events.told == []


async def test_another_process_finds_it_on_the_disk(disk: Kept, events: RecordingEvents) -> None:
    document = jessie(AMD64).manifest
    await open_manifests(disk, events).add(fetched(document))
    found = await open_manifests(disk, events).find(address(document))
    assert found is not None
    assert found.content == document.content


async def test_memory_answers_without_the_disk(disk: Kept, events: RecordingEvents, tmp_path: Path) -> None:
    document = jessie(AMD64).manifest
    manifests = open_manifests(disk, events)
    await manifests.add(fetched(document))
    blob_file(tmp_path, address(document)).unlink()
    assert await manifests.find(address(document)) is not None


async def test_memory_is_bounded(kept: Kept, events: RecordingEvents) -> None:
    manifests = open_manifests(kept, events, memory_bytes=6000)
    for platform in (AMD64, ARM_V6, ARM_V7):
        await manifests.add(fetched(jessie(platform).manifest))
    assert len(jessie(AMD64).manifest.content) * 3 + 4096 < 6000
    assert repr(manifests) == "<Manifests: 1 in memory>"
    assert await manifests.find(address(jessie(AMD64).manifest)) is not None  # the store has it


async def test_a_manifest_larger_than_the_memory_is_served_from_the_store(kept: Kept, events: RecordingEvents) -> None:
    manifests = open_manifests(kept, events, memory_bytes=10)
    await manifests.add(fetched(jessie(AMD64).manifest))
    assert repr(manifests) == "<Manifests: 0 in memory>"
    assert await manifests.find(address(jessie(AMD64).manifest)) is not None


async def test_a_type_that_only_a_descriptor_tells_is_kept(kept: Kept, events: RecordingEvents) -> None:
    """An OCI document may leave its mediaType out; what it is then depends on who names it."""
    content = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
    await open_manifests(kept, events).add(FetchedManifest(content, media_types.OCI_INDEX, Digest.of(content)))
    found = await open_manifests(kept, events).find(Digest.of(content), media_types.OCI_INDEX)
    assert found is not None
    assert found.media_type == media_types.OCI_INDEX


async def test_a_corrupt_file_is_put_aside(disk: Kept, events: RecordingEvents, tmp_path: Path) -> None:
    document = jessie(AMD64).manifest
    await open_manifests(disk, events).add(fetched(document))
    path = blob_file(tmp_path, address(document))
    path.chmod(0o644)
    path.write_bytes(document.content.replace(b"2", b"3", 1))
    manifests = open_manifests(disk, events)
    assert await manifests.find(address(document)) is None
    assert events.warnings == ["manifest.quarantined"]
    assert not path.exists()
    await manifests.add(fetched(document))
    assert path.read_bytes() == document.content


async def test_a_blob_that_is_no_manifest_is_not_taken_for_a_broken_one(
    kept: Kept, manifests: Manifests, events: RecordingEvents
) -> None:
    """A client may ask for a layer under `manifests/` (containerd does, of a digest that it knows nothing of)."""
    layer = jessie(AMD64).layers[0]
    await put_blob(kept.store, layer.content)
    assert await manifests.find(address(layer)) is None
    assert events.told == []
    assert kept.store.find_size(address(layer)) == len(layer.content)


async def test_a_blob_larger_than_any_manifest_is_not_even_read(kept: Kept, manifests: Manifests) -> None:
    digest = await put_blob(kept.store, bytes(MAX_MANIFEST_BYTES + 1))
    assert await manifests.find(digest) is None


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        pytest.param(b"<html></html>", "text/html", id="HTML"),
        pytest.param(b"[]", media_types.OCI_INDEX, id="no object"),
        pytest.param(b'{"manifests": [], "layers": []}', media_types.OCI_INDEX, id="index and image"),
        pytest.param(b'{"mediaType": "application/x"}', media_types.OCI_INDEX, id="contradiction"),
    ],
)
async def test_a_document_that_may_not_be_served_is_not_stored(
    manifests: Manifests, kept: Kept, content: bytes, media_type: str
) -> None:
    with pytest.raises(UpstreamMisbehaved, match="cannot be used"):
        await manifests.add(FetchedManifest(content, media_type, Digest.of(content)))
    assert kept.store.find_size(Digest.of(content)) is None


async def test_content_that_is_not_its_digest_is_not_stored(manifests: Manifests, kept: Kept) -> None:
    document = jessie(AMD64).manifest
    false = address(jessie(ARM_V7).manifest)
    with pytest.raises(UpstreamMisbehaved):
        await manifests.add(FetchedManifest(document.content, document.media_type, false))
    assert kept.store.find_size(false) is None
    assert await manifests.find(false) is None


async def test_a_manifest_that_goes_by_its_payload_is_kept_in_memory_only(manifests: Manifests, kept: Kept) -> None:
    """The store is content-addressed: under the digest of a payload, its bytes would be damaged ones."""
    old = build_schema1()
    digest = Digest.parse(old.digest)
    added = await manifests.add(FetchedManifest(old.content, SIGNED, digest))
    assert await manifests.find(digest) is added
    assert await kept.store.list_blobs() == []
    manifests.forget()
    assert await manifests.find(digest) is None


async def test_a_manifest_of_schema_1_that_goes_by_its_bytes_is_stored(manifests: Manifests, kept: Kept) -> None:
    content = build_schema1().payload
    await manifests.add(FetchedManifest(content, media_types.DOCKER_SCHEMA1, Digest.of(content)))
    assert kept.store.find_size(Digest.of(content)) == len(content)


async def test_only_schema_1_goes_by_its_payload(manifests: Manifests, kept: Kept) -> None:
    """What says that it is an image manifest is held to its bytes, whatever signatures it carries."""
    made = sign({"schemaVersion": 1, "config": jessie(AMD64).config.descriptor(), "layers": []})
    with pytest.raises(UpstreamMisbehaved):
        await manifests.add(FetchedManifest(made.content, media_types.OCI_MANIFEST, Digest.parse(made.digest)))
    assert await kept.store.list_blobs() == []
    assert await manifests.find(Digest.parse(made.digest)) is None


async def test_a_link_says_where_the_children_are(manifests: Manifests, kept: Kept) -> None:
    """Shown for both names; proven for the document itself only, since it may name what is not there."""
    image = jessie(ARM_V7)
    added = await manifests.add(fetched(image.manifest))
    await manifests.link(HUB, DEBIAN, "arm32v7/debian", added)
    for repository in (DEBIAN, "arm32v7/debian"):
        own = kept.catalog.find_link(HUB, repository, added.digest)
        assert own == Link(
            HUB, repository, added.digest, "arm32v7/debian", added.media_type, len(added.content), is_proven=True
        )
        for blob in (image.config, *image.layers):
            child = kept.catalog.find_link(HUB, repository, address(blob))
            size = len(blob.content)
            assert child == Link(HUB, repository, address(blob), "arm32v7/debian", blob.media_type, size)


async def test_an_index_links_its_images(manifests: Manifests, kept: Kept) -> None:
    index = build_index([jessie(AMD64), jessie(ARM_V7)], attested=True)
    added = await manifests.add(fetched(index.manifest))
    await manifests.link(HUB, DEBIAN, DEBIAN, added)
    for image in (*index.images, *index.attestations):
        link = kept.catalog.find_link(HUB, DEBIAN, address(image.manifest))
        assert link is not None
        assert not link.is_proven


async def test_a_synthesised_index_links_itself_only(manifests: Manifests, kept: Kept) -> None:
    """It has no origin; whoever made it knows where each of its images comes from."""
    index = build_index([jessie(AMD64), jessie(ARM_V7)])
    added = await manifests.add(fetched(index.manifest))
    await manifests.link(HUB, DEBIAN, "", added)
    own = kept.catalog.find_link(HUB, DEBIAN, added.digest)
    assert own is not None
    assert (own.origin, own.is_proven) == ("", True)
    assert kept.catalog.find_link(HUB, DEBIAN, address(jessie(AMD64).manifest)) is None
    assert kept.catalog.find_link(HUB, "", added.digest) is None


async def test_what_is_stored_is_not_written_again(disk: Kept, events: RecordingEvents, tmp_path: Path) -> None:
    manifests = open_manifests(disk, events)
    added = await manifests.add(fetched(jessie(AMD64).manifest))
    path = blob_file(tmp_path, added.digest)
    before = path.stat().st_ino
    await manifests.put(added)
    assert path.stat().st_ino == before


async def test_a_manifest_that_could_not_be_written_is_written_when_it_is_asked_for_again(
    events: RecordingEvents,
) -> None:
    store = FailingBlobStore()
    manifests = open_manifests(Kept(store), events)
    store.is_writable = False
    added = await manifests.add(fetched(jessie(AMD64).manifest))
    assert await manifests.find(added.digest) == added
    assert store.find_size(added.digest) is None
    store.is_writable = True
    assert await manifests.find(added.digest) == added
    assert store.find_size(added.digest) == len(added.content)
    assert [told.name for told in events.told] == ["cache.unwritable", "cache.writable"]


async def test_a_manifest_goes_on_with_nothing_that_a_killed_process_has_left(events: RecordingEvents) -> None:
    store, document = MemoryBlobStore(), jessie(AMD64).manifest
    store.suspended[address(document)] = document.content[:100]
    await open_manifests(Kept(store), events).add(fetched(document))
    assert store.blobs == {address(document): document.content}


async def test_what_has_left_the_store_is_forgotten(manifests: Manifests, kept: Kept) -> None:
    added = await manifests.add(fetched(jessie(AMD64).manifest))
    await kept.store.remove(added.digest)
    assert await manifests.find(added.digest) == added
    manifests.forget([added.digest, Digest.of(b"never there")])
    assert await manifests.find(added.digest) is None


async def test_what_a_manifest_needs_is_remembered_with_its_links(manifests: Manifests, kept: Kept) -> None:
    added = await manifests.add(fetched(jessie(AMD64).manifest))
    await manifests.link(HUB, DEBIAN, DEBIAN, added)
    children = {child.digest for child in added.document.children}
    assert {parent: set(found) for parent, found in (await kept.catalog.take_inventory()).contents.items()} == {
        added.digest: children
    }


async def test_what_cannot_be_read_is_put_aside_and_stored_again(events: RecordingEvents) -> None:
    store, document = FailingBlobStore(), jessie(AMD64).manifest
    manifests = open_manifests(Kept(store), events, memory_bytes=0)
    await manifests.add(fetched(document))
    store.unreadable.add(address(document))
    assert await manifests.find(address(document)) is None
    assert [told["digest"] for told in events.named("manifest.quarantined")] == [str(address(document))]
    await manifests.add(fetched(document))
    assert await manifests.find(address(document)) is not None
