"""A fill and its store: without room, with what an earlier one left, and when nobody waits for it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.oci.digests import Digest
from proxy.oci.errors import (
    BlobUnknown,
    RegistryError,
    Unavailable,
    UpstreamMisbehaved,
    UpstreamUnreachable,
)
from proxy.oci.ranges import ByteRange
from proxy.ports import Ingest
from proxy.service.batches import MAX_WAITING_BYTES
from proxy.service.download import FillPolicy
from proxy.service.fill import Fill
from proxy.storage.memory import MemoryBlobStore, MemoryIngest
from tests.fakes.store import FailingBlobStore
from tests.fakes.upstream import Kind
from tests.service.bench import Kept, kept_on_disk
from tests.service.filling import CHUNK, Filling, noise, open_filling, read

SIZE = 10 * CHUNK


@pytest.fixture
async def filling(disk: Kept) -> AsyncIterator[Filling]:
    async with open_filling(noise(SIZE), disk) as filling:
        yield filling


def ingest_files(folder: Path) -> list[str]:
    return [path.name for path in (folder / "cache" / "ingest").iterdir()]


async def read_until_error(filling: Filling, kind: type[RegistryError]) -> bytes:
    """Read until the error that must come; answer what was got before."""
    pieces: list[bytes] = []
    with pytest.raises(kind):
        await read(filling.join(), pieces=pieces)
    return b"".join(pieces)


# A store that cannot keep it


@pytest.mark.parametrize("readers", [1, 3])
@pytest.mark.parametrize("room_bytes", [None, 0, 1, 3 * CHUNK, SIZE - 1], ids="room-{}".format)
async def test_a_store_without_room_costs_nobody_a_byte(room_bytes: int | None, readers: int) -> None:
    store = FailingBlobStore()
    store.room_bytes, store.is_writable = room_bytes, room_bytes is not None
    async with open_filling(noise(SIZE), Kept(store)) as filling:
        fill = filling.join()
        found = await asyncio.gather(*(read(fill) for _ in range(readers)), read(fill, 2 * CHUNK, 7 * CHUNK))
        assert found == [*[filling.content] * readers, filling.content[2 * CHUNK : 7 * CHUNK]]
        await filling.wait_over()
        assert store.find_size(filling.digest) is None
        assert filling.events.warnings == ["cache.unwritable"]
        store.room_bytes, store.is_writable = None, True
        assert await filling.read_all() == filling.content
        await filling.wait_over()
        assert filling.stored == filling.content
        assert len(filling.events.named("cache.writable")) == 1


async def test_a_store_without_room_says_so_once() -> None:
    store = FailingBlobStore()
    store.is_writable = False
    async with open_filling(noise(SIZE), Kept(store)) as filling:
        for _ in range(3):
            assert await filling.read_all() == filling.content
            await filling.wait_over()
        assert filling.events.warnings == ["cache.unwritable"]


async def test_wrong_bytes_are_not_given_out_whole_without_the_store_either() -> None:
    store = FailingBlobStore()
    store.room_bytes = 2 * CHUNK
    async with open_filling(noise(SIZE), Kept(store)) as filling:
        filling.upstream.manners.sends = noise(SIZE, "other")
        assert len(await read_until_error(filling, UpstreamMisbehaved)) < SIZE


async def test_a_break_is_taken_up_without_the_store_too() -> None:
    store = FailingBlobStore()
    store.is_writable = False
    async with open_filling(noise(SIZE), Kept(store)) as filling:
        filling.upstream.manners.breaks_at = [4 * CHUNK]
        assert await filling.read_all() == filling.content
        assert filling.offsets == [0, 4 * CHUNK]


async def test_without_the_store_nobody_who_has_it_is_told_too() -> None:
    store = FailingBlobStore()
    store.is_writable = False
    async with open_filling(noise(SIZE), Kept(store)) as filling:
        with pytest.raises(BlobUnknown):
            await filling.join("library/other").wait_ready()


async def test_who_comes_late_to_a_fill_without_a_store_begins_at_the_beginning() -> None:
    store = FailingBlobStore()
    store.room_bytes = 3 * CHUNK
    async with open_filling(noise(SIZE), Kept(store)) as filling:
        fill = filling.join()
        assert await read(fill) == filling.content
        await filling.wait_over()
        assert await read(fill) == filling.content


class _Refusing:
    """Room for no blob of some size."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.told: list[tuple[str, int | None]] = []
        self.waited = 0
        self.suspended = 0

    def reserve(self, _digest: Digest, size: int | None, /) -> bool:
        self.told.append(("reserve", size))
        return size != self.size

    async def wait(self) -> None:
        self.waited += 1

    def release(self, _digest: Digest, stored: int, /, *, suspended: int = 0) -> None:
        self.told.append(("release", stored))
        self.suspended = suspended


@pytest.mark.parametrize("is_size_known", [False, True])
async def test_a_blob_that_there_is_no_room_for_is_served_and_not_kept(*, is_size_known: bool) -> None:
    room = _Refusing(SIZE)
    async with open_filling(noise(SIZE), room=room) as filling:
        assert await read(filling.join(size=SIZE if is_size_known else None)) == filling.content
        await filling.wait_over()
        assert filling.stored is None
        assert filling.events.warnings == []
        assert len(filling.events.named("fill.uncached")) == 1
        assert room.told == [*([] if is_size_known else [("reserve", None)]), ("reserve", SIZE), ("release", 0)]


async def test_who_keeps_count_hears_what_waits_for_the_next_try() -> None:
    room = _Refusing(-1)
    async with open_filling(noise(SIZE), room=room) as filling:
        filling.upstream.manners.breaks_at = [3 * CHUNK] * 7
        await read_until_error(filling, UpstreamUnreachable)
        await filling.wait_over()
        assert room.told[-1] == ("release", 0)
        assert room.suspended == 3 * CHUNK


async def test_who_keeps_count_hears_what_was_stored() -> None:
    room = _Refusing(-1)
    async with open_filling(noise(SIZE), room=room) as filling:
        await filling.read_all()
        await filling.wait_over()
        assert room.told == [("reserve", None), ("reserve", SIZE), ("release", SIZE)]


# Clients that leave


async def test_a_fill_that_nobody_wants_any_more_may_be_ended() -> None:
    policy = FillPolicy(resume_wait_seconds=0, keep_without_clients=False, abandon_seconds=0.2)
    async with open_filling(noise(SIZE), fill_policy=policy) as filling:
        filling.upstream.manners.pauses_at = 3 * CHUNK
        fill = filling.join()
        await fill.wait_ready()
        pieces = fill.read(ByteRange(0, SIZE))
        await anext(pieces)
        await pieces.aclose()
        await filling.wait_over()
        assert filling.stored is None
        filling.upstream.manners.pauses_at = None
        assert await filling.read_all() == filling.content
        assert filling.offsets[0] == 0
        assert 0 < filling.offsets[1] <= 3 * CHUNK


async def test_a_fill_that_another_client_joins_in_time_goes_on() -> None:
    policy = FillPolicy(resume_wait_seconds=0, keep_without_clients=False, abandon_seconds=30)
    async with open_filling(noise(SIZE), fill_policy=policy) as filling:
        filling.upstream.manners.pauses_at = 3 * CHUNK
        fill = filling.join()
        await fill.wait_ready()
        first = fill.read(ByteRange(0, SIZE))
        await anext(first)
        await first.aclose()
        reading = asyncio.ensure_future(filling.read_all())
        await asyncio.sleep(0)
        filling.upstream.manners.resume.set()
        assert await reading == filling.content
        assert filling.offsets == [0]


async def test_a_disk_that_fails_at_the_very_end_takes_nothing_from_readers() -> None:
    store = FailingBlobStore()
    store.can_commit = False
    async with open_filling(noise(SIZE), Kept(store)) as filling:
        filling.upstream.manners.pauses_at = CHUNK
        fill = filling.join()
        await fill.wait_ready()
        pieces = fill.read(ByteRange(0, SIZE))
        first = await anext(pieces)
        filling.upstream.manners.resume.set()
        await filling.wait_over()
        assert first + b"".join([piece async for piece in pieces]) == filling.content
        assert filling.stored is None
        assert filling.events.warnings == ["cache.unwritable"]


async def test_what_broke_off_is_kept_for_the_next_try(filling: Filling) -> None:
    filling.upstream.manners.breaks_at = [3 * CHUNK] * 7
    await read_until_error(filling, UpstreamUnreachable)
    await filling.wait_over()
    assert filling.bench.store.find_size(filling.digest) is None
    asked = len(filling.offsets)
    assert await filling.read_all() == filling.content
    assert filling.offsets[asked:] == [3 * CHUNK]


async def test_nothing_is_left_of_what_is_wrong(filling: Filling, tmp_path: Path) -> None:
    filling.upstream.manners.sends = noise(SIZE, "other")
    await read_until_error(filling, UpstreamMisbehaved)
    await filling.wait_over()
    assert ingest_files(tmp_path) == []
    assert filling.bench.store.find_size(Digest.of(filling.content)) is None


# What an earlier fill has left


def _memory(filling: Filling) -> MemoryBlobStore:
    assert isinstance(filling.bench.store, MemoryBlobStore)
    return filling.bench.store


async def test_the_next_start_goes_on_where_the_end_of_the_proxy_was(tmp_path: Path) -> None:
    with kept_on_disk(tmp_path / "cache") as kept:
        async with open_filling(noise(SIZE), kept) as filling:
            filling.upstream.manners.pauses_at = 3 * CHUNK
            fill = filling.join()
            await fill.wait_ready()
            pieces = fill.read(ByteRange(0, SIZE))
            got = b""
            while len(got) < 3 * CHUNK - 1:
                got += await anext(pieces)
            await pieces.aclose()
    assert len(ingest_files(tmp_path)) == 1
    with kept_on_disk(tmp_path / "cache") as kept:
        async with open_filling(noise(SIZE), kept) as filling:
            assert await filling.read_all() == filling.content
            await filling.wait_over()
            assert filling.offsets == [3 * CHUNK]
            assert filling.stored == filling.content
    assert ingest_files(tmp_path) == []


@pytest.mark.parametrize(
    ("left", "offsets", "heads"),
    [
        pytest.param(noise(SIZE)[: 4 * CHUNK], [4 * CHUNK], 0, id="a-part"),
        pytest.param(noise(SIZE), [], 1, id="all-but-the-commit"),
        pytest.param(noise(SIZE) + b"more", [0], 1, id="more-than-there-is"),
    ],
)
@pytest.mark.parametrize("is_size_known", [False, True], ids=["size-unknown", "size-known"])
async def test_what_an_earlier_fill_has_left_is_gone_on_with(
    left: bytes, offsets: list[int], heads: int, *, is_size_known: bool
) -> None:
    async with open_filling(noise(SIZE)) as filling:
        _memory(filling).suspended[filling.digest] = left
        fill = filling.join(size=SIZE if is_size_known else None)
        assert await read(fill) == filling.content
        await filling.wait_over()
        assert filling.offsets == offsets
        asked = [one.kind for one in filling.upstream.asked]
        assert asked.count(Kind.HEAD_BLOB) == (heads if is_size_known else 1)
        assert filling.stored == filling.content


async def test_what_was_left_wrong_is_told_by_the_digest_and_thrown_away() -> None:
    """A power cut may leave zeros at the end of a file that was being written."""
    async with open_filling(noise(SIZE)) as filling:
        _memory(filling).suspended[filling.digest] = noise(3 * CHUNK)[:-100] + bytes(100)
        got = await read_until_error(filling, UpstreamMisbehaved)
        assert len(got) == SIZE - 1
        await filling.wait_over()
        assert filling.stored is None
        assert await filling.read_all() == filling.content
        assert filling.offsets == [3 * CHUNK, 0]


async def test_who_waits_for_the_first_byte_is_a_client() -> None:
    policy = FillPolicy(resume_wait_seconds=0, keep_without_clients=False, abandon_seconds=0.05)
    async with open_filling(noise(SIZE), fill_policy=policy) as filling:
        gate = filling.upstream.hold(Kind.GET_BLOB)
        asyncio.get_running_loop().call_later(0.3, gate.set)
        assert await filling.read_all() == filling.content


async def test_who_comes_to_a_fill_that_is_being_given_up_begins_anew() -> None:
    policy = FillPolicy(resume_wait_seconds=0, keep_without_clients=False, abandon_seconds=0)
    async with open_filling(noise(SIZE), fill_policy=policy) as filling:
        filling.upstream.manners.pauses_at = 3 * CHUNK
        abandoned = filling.join()
        with pytest.raises(Unavailable, match="every client has left"):
            await _wait_failed(abandoned)
        filling.upstream.manners.pauses_at = None
        assert filling.bench.fills.find(filling.digest) is None


async def _wait_failed(fill: Fill) -> None:
    """Wait without being a client, until a client would be told why."""
    while not fill.has_failed:  # noqa: ASYNC110 - nothing else tells
        await asyncio.sleep(0.01)
    await fill.wait_ready()


async def test_who_was_answered_gets_it_though_the_disk_failed_at_the_very_end() -> None:
    store = FailingBlobStore()
    store.can_commit = False
    async with open_filling(noise(SIZE), Kept(store)) as filling:
        fill = filling.join()
        await fill.wait_ready()
        await filling.wait_over()
        assert await read(fill) == filling.content


class _Crashing(MemoryBlobStore):
    """A store that fails as nobody expects."""

    async def begin_ingest(self, digest: Digest, /) -> Ingest:
        return _CrashingIngest(self, digest)


class _CrashingIngest(MemoryIngest):
    async def write(self, *chunks: bytes) -> None:
        raise MemoryError


async def test_a_writer_that_crashes_leaves_nobody_waiting() -> None:
    content = noise(3 * MAX_WAITING_BYTES)
    async with open_filling(content, Kept(_Crashing())) as filling, asyncio.timeout(10):
        filling.upstream.manners.chunk_bytes = 300_000
        assert await filling.read_all() == content
        await filling.wait_over()
