from collections.abc import Awaitable, Callable

import pytest

from proxy.oci.digests import Digest
from proxy.service.stored_blobs import read_sound, read_stored, write_whole
from tests.fakes.events import RecordingEvents
from tests.fakes.store import FailingBlobStore
from tests.service.bench import put_blob

CONTENT = b"a config"
ROOM = len(CONTENT)
Read = Callable[[FailingBlobStore, RecordingEvents, Digest, int], Awaitable[bytes | None]]
BOTH = pytest.mark.parametrize("read", [read_stored, read_sound])


@pytest.fixture
def store() -> FailingBlobStore:
    return FailingBlobStore()


@BOTH
@pytest.mark.parametrize("content", [b"", CONTENT], ids=["empty", "as large as may be"])
async def test_what_is_stored_is_read(
    store: FailingBlobStore, events: RecordingEvents, read: Read, content: bytes
) -> None:
    assert await read(store, events, await put_blob(store, content), ROOM) == content
    assert events.told == []


@BOTH
async def test_what_is_not_stored_is_none(store: FailingBlobStore, events: RecordingEvents, read: Read) -> None:
    assert await read(store, events, Digest.of(CONTENT), ROOM) is None
    assert events.told == []


@BOTH
async def test_what_is_too_large_is_left_where_it_is(
    store: FailingBlobStore, events: RecordingEvents, read: Read
) -> None:
    digest = await put_blob(store, CONTENT)
    assert await read(store, events, digest, ROOM - 1) is None
    assert store.find_size(digest) == len(CONTENT)
    assert events.told == []


@BOTH
async def test_what_cannot_be_read_is_put_aside(store: FailingBlobStore, events: RecordingEvents, read: Read) -> None:
    digest = await put_blob(store, CONTENT)
    store.unreadable.add(digest)
    assert await read(store, events, digest, ROOM) is None
    assert store.find_size(digest) is None
    assert events.warnings == ["blob.quarantined"]
    assert events.named("blob.quarantined") == [
        {"digest": str(digest), "reason": f"{digest} cannot be read: Input/output error"}
    ]


async def test_what_is_not_what_its_digest_says_is_put_aside(store: FailingBlobStore, events: RecordingEvents) -> None:
    digest = Digest.of(CONTENT)
    store.put_broken(digest, b"a conf!g")
    assert await read_stored(store, events, digest, ROOM) == b"a conf!g"
    assert await read_sound(store, events, digest, ROOM) is None
    assert store.find_size(digest) is None
    assert events.named("blob.quarantined") == [{"digest": str(digest), "bytes": ROOM}]


async def test_it_is_told_by_the_name_that_the_reader_gives_it(
    store: FailingBlobStore, events: RecordingEvents
) -> None:
    unreadable, false = await put_blob(store, CONTENT), Digest.of(b"another")
    store.unreadable.add(unreadable)
    store.put_broken(false, CONTENT)
    for digest in (unreadable, false):
        assert await read_sound(store, events, digest, ROOM, "manifest.quarantined") is None
    assert events.warnings == ["manifest.quarantined"] * 2


async def test_what_is_written_is_read_again_and_once_is_enough(
    store: FailingBlobStore, events: RecordingEvents
) -> None:
    digest = Digest.of(CONTENT)
    for _ in range(2):
        await write_whole(store, digest, CONTENT)
    assert await read_sound(store, events, digest, ROOM) == CONTENT


async def test_what_broke_off_once_is_written_anew(store: FailingBlobStore, events: RecordingEvents) -> None:
    digest = Digest.of(CONTENT)
    broken_off = await store.begin_ingest(digest)
    await broken_off.write(CONTENT[:3])
    await broken_off.suspend()
    broken_off.close()
    await write_whole(store, digest, CONTENT)
    assert await read_sound(store, events, digest, ROOM) == CONTENT
    assert await store.list_suspended() == []
