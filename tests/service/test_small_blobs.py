from pathlib import Path

import pytest

from proxy.oci.digests import Digest
from proxy.service.small_blobs import ENTRY_BYTES, SMALL_BYTES, SmallBlobs
from tests.fakes.events import RecordingEvents
from tests.fakes.store import FailingBlobStore
from tests.service.bench import Kept, put_blob

CONTENT = b"a config"
ROOM = 10 * (SMALL_BYTES + ENTRY_BYTES)


@pytest.fixture
def store() -> FailingBlobStore:
    return FailingBlobStore()


def open_small(store: FailingBlobStore, events: RecordingEvents, *, memory_bytes: int = ROOM) -> SmallBlobs:
    return SmallBlobs(store, events, memory_bytes=memory_bytes)


@pytest.mark.parametrize("content", [b"", CONTENT, b"x" * SMALL_BYTES], ids=["empty", "short", "as large as may be"])
async def test_what_is_stored_is_found(store: FailingBlobStore, events: RecordingEvents, content: bytes) -> None:
    digest = await put_blob(store, content)
    small = open_small(store, events)
    for _ in range(2):
        assert await small.find(digest) == content
    assert repr(small) == "<SmallBlobs: 1 in memory>"
    assert events.told == []


async def test_memory_answers_without_the_disk(disk: Kept, events: RecordingEvents, tmp_path: Path) -> None:
    digest = await put_blob(disk.store, CONTENT)
    small = SmallBlobs(disk.store, events, memory_bytes=ROOM)
    await small.find(digest)
    (tmp_path / "cache" / "blobs" / "sha256" / digest.encoded).unlink()
    assert await small.find(digest) == CONTENT


async def test_what_is_not_stored_is_not_found(store: FailingBlobStore, events: RecordingEvents) -> None:
    small = open_small(store, events)
    assert await small.find(Digest.of(CONTENT)) is None
    assert (repr(small), events.told) == ("<SmallBlobs: 0 in memory>", [])


async def test_what_is_large_is_left_where_it_is(store: FailingBlobStore, events: RecordingEvents) -> None:
    digest = await put_blob(store, b"x" * (SMALL_BYTES + 1))
    assert await open_small(store, events).find(digest) is None
    assert store.find_size(digest) == SMALL_BYTES + 1
    assert events.told == []


async def test_what_is_not_what_its_digest_says_is_put_aside(store: FailingBlobStore, events: RecordingEvents) -> None:
    digest = Digest.of(CONTENT)
    store.put_broken(digest, b"a conf!g")
    small = open_small(store, events)
    assert await small.find(digest) is None
    assert store.find_size(digest) is None
    (told,) = events.named("blob.quarantined")
    assert told["digest"] == str(digest)
    await put_blob(store, CONTENT)
    assert await small.find(digest) == CONTENT


async def test_memory_is_bounded_also_for_many_that_are_tiny(store: FailingBlobStore, events: RecordingEvents) -> None:
    small = open_small(store, events, memory_bytes=3 * (ENTRY_BYTES + 1))
    digests = [await put_blob(store, bytes([number])) for number in range(5)]
    for digest in digests:
        assert await small.find(digest) is not None
    assert repr(small) == "<SmallBlobs: 3 in memory>"
    assert await small.find(digests[0]) == b"\0"


async def test_who_gives_it_no_memory_is_served_from_the_disk(store: FailingBlobStore, events: RecordingEvents) -> None:
    digest = await put_blob(store, CONTENT)
    small = open_small(store, events, memory_bytes=0)
    assert await small.find(digest) == CONTENT
    assert repr(small) == "<SmallBlobs: 0 in memory>"


async def test_what_has_left_is_forgotten(store: FailingBlobStore, events: RecordingEvents) -> None:
    small = open_small(store, events)
    kept, gone = await put_blob(store, b"kept"), await put_blob(store, b"gone")
    for digest in (kept, gone):
        await small.find(digest)
    await store.remove(gone)
    small.forget([gone, Digest.of(b"never there")])
    assert await small.find(gone) is None
    assert await small.find(kept) == b"kept"
    small.forget(None)
    assert repr(small) == "<SmallBlobs: 0 in memory>"


async def test_what_cannot_be_read_is_put_aside(store: FailingBlobStore, events: RecordingEvents) -> None:
    digest = await put_blob(store, CONTENT)
    store.unreadable.add(digest)
    small = open_small(store, events)
    assert await small.find(digest) is None
    assert store.find_size(digest) is None
    (told,) = events.named("blob.quarantined")
    assert (told["digest"], told["reason"]) == (str(digest), f"{digest} cannot be read: Input/output error")
    await put_blob(store, CONTENT)
    assert await small.find(digest) == CONTENT
