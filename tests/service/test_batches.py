import asyncio
import itertools

import pytest

from proxy.oci.digests import Digest
from proxy.oci.errors import Unavailable
from proxy.service.batches import MAX_WAITING_BYTES, BatchWriter
from proxy.storage.memory import MemoryBlobStore, MemoryIngest
from tests.fakes.store import FailingBlobStore

DIGEST = Digest.of(b"never mind")


class _Slow(MemoryIngest):
    """An ingest that writes when it is let."""

    def __init__(self) -> None:
        super().__init__(MemoryBlobStore(), DIGEST)
        self.batches: list[int] = []
        self.begun, self.let = asyncio.Event(), asyncio.Event()

    async def write(self, *chunks: bytes) -> None:
        self.batches.append(len(chunks))
        self.begun.set()
        await self.let.wait()
        await super().write(*chunks)


async def test_what_arrives_while_it_writes_is_one_batch() -> None:
    ingest, told = _Slow(), list[int]()
    writer = BatchWriter(ingest, lambda: told.append(ingest.written))
    running = asyncio.ensure_future(writer.run())
    await writer.add(b"a")
    await ingest.begun.wait()
    for chunk in (b"b", b"c", b"d"):
        await writer.add(chunk)
    ingest.let.set()
    writer.finish()
    await running
    assert (ingest.batches, told, ingest.read_at(0, 9)) == ([1, 3], [1, 4], b"abcd")


async def test_a_lone_chunk_waits_for_no_other() -> None:
    ingest, wrote = _Slow(), asyncio.Event()
    ingest.let.set()
    writer = BatchWriter(ingest, wrote.set)
    running = asyncio.ensure_future(writer.run())
    await writer.add(b"alone")
    await wrote.wait()
    assert ingest.written == 5
    writer.finish()
    await running


async def test_too_much_waits() -> None:
    ingest = _Slow()
    writer = BatchWriter(ingest, lambda: None)
    running = asyncio.ensure_future(writer.run())
    await writer.add(b"a")
    await ingest.begun.wait()
    adding = asyncio.ensure_future(writer.add(bytes(MAX_WAITING_BYTES)))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not adding.done()
    ingest.let.set()
    await adding
    writer.finish()
    await running
    assert ingest.written == MAX_WAITING_BYTES + 1


@pytest.mark.parametrize("size", [1, MAX_WAITING_BYTES], ids=["little", "too-much"])
async def test_a_disk_that_fails_is_told_to_both_sides(size: int) -> None:
    store = FailingBlobStore()
    store.room_bytes = 0
    writer = BatchWriter(await store.begin_ingest(DIGEST), lambda: None)
    running = asyncio.ensure_future(writer.run())
    with pytest.raises(Unavailable, match="No space left"):
        await _add_for_ever(writer, bytes(size))
    writer.finish()
    with pytest.raises(Unavailable, match="No space left"):
        await running


async def _add_for_ever(writer: BatchWriter, chunk: bytes) -> None:
    for _ in itertools.count():
        await writer.add(chunk)
        await asyncio.sleep(0)


async def test_nothing_to_write_ends_at_once() -> None:
    writer = BatchWriter(_Slow(), lambda: None)
    writer.finish()
    await writer.run()
