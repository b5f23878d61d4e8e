import asyncio
import gzip
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci.digests import Digest
from proxy.oci.errors import BlobDamaged, BlobUnknown, UpstreamUnreachable
from proxy.ports import BlobSource
from proxy.service.layer_prefix import (
    MAX_PACKED_BYTES,
    MAX_UNPACKED_BYTES,
    PACKED_PIECE_BYTES,
    PIECE_BYTES,
    Unpacker,
    read_prefix,
)
from proxy.storage.memory import MemoryBlobStore
from tests.fakes.store import FailingBlobStore
from tests.fakes.upstream import FakeUpstream, Kind
from tests.service.bench import put_blob

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.ports import BlobStore, BlobStream

NOISE = random.Random(1).randbytes(6 * 1024 * 1024)  # noqa: S311 - what gzip cannot shrink


async def take(source: BlobSource, content: bytes, store: "BlobStore | None" = None) -> list[bytes]:
    pieces = read_prefix(store or MemoryBlobStore(), source, "owner/app", Digest.of(content))
    async with aclosing(pieces):
        return [piece async for piece in pieces]


def holding(content: bytes) -> FakeUpstream:
    upstream = FakeUpstream()
    upstream.put_blob("owner/app", content)
    return upstream


class CountingSource:
    """Hands a fake upstream's blobs on, and counts their bytes."""

    def __init__(self, upstream: FakeUpstream) -> None:
        self.upstream = upstream
        self.taken = 0

    async def head_blob(self, repository: str, digest: Digest, /) -> int:
        return await self.upstream.head_blob(repository, digest)

    @asynccontextmanager
    async def open_blob(self, repository: str, digest: Digest, /, *, offset: int = 0) -> "AsyncIterator[BlobStream]":
        async with self.upstream.open_blob(repository, digest, offset=offset) as stream:
            yield CountingStream(stream, self)


class CountingStream:
    def __init__(self, stream: "BlobStream", source: CountingSource) -> None:
        self.size, self.offset = stream.size, stream.offset
        self._stream, self._source = stream, source

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._stream.chunks()) as chunks:
            async for chunk in chunks:
                self._source.taken += len(chunk)
                yield chunk


@pytest.mark.parametrize("is_packed", [False, True], ids=["plain", "gzip"])
async def test_the_beginning_is_taken_and_the_rest_left(*, is_packed: bool) -> None:
    content = gzip.compress(NOISE, 1) if is_packed else NOISE
    source = CountingSource(holding(content))
    found = b"".join(await take(source, content))
    assert NOISE.startswith(found)
    assert MAX_PACKED_BYTES - 64 * 1024 < len(found) <= MAX_PACKED_BYTES
    assert source.taken <= MAX_PACKED_BYTES + source.upstream.manners.chunk_bytes
    assert source.upstream.open_streams == 0
    assert source.upstream.counts == {"get-blob": 1}


async def test_who_has_seen_enough_leaves_at_once() -> None:
    source = CountingSource(holding(NOISE))
    pieces = read_prefix(MemoryBlobStore(), source, "owner/app", Digest.of(NOISE))
    async with aclosing(pieces):
        await anext(pieces)
    assert source.taken == source.upstream.manners.chunk_bytes
    assert source.upstream.open_streams == 0


async def test_what_is_stored_is_not_asked_for() -> None:
    store, upstream = MemoryBlobStore(), FakeUpstream()
    await put_blob(store, NOISE)
    assert b"".join(await take(upstream, NOISE, store)) == NOISE[:MAX_PACKED_BYTES]
    assert upstream.counts == {}


async def test_a_bomb_is_left_after_the_first_megabytes() -> None:
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    pieces = await take(holding(bomb), bomb)
    assert sum(map(len, pieces)) == MAX_UNPACKED_BYTES
    assert max(map(len, pieces)) <= PIECE_BYTES


async def test_troubles_are_told() -> None:
    content = gzip.compress(NOISE, 1)
    upstream = holding(content)
    upstream.manners.breaks_at = [100_000]
    with pytest.raises(UpstreamUnreachable):
        await take(upstream, content)
    with pytest.raises(BlobUnknown):
        await take(upstream, b"another")
    store = FailingBlobStore()
    store.unreadable.add(await put_blob(store, content))
    with pytest.raises(BlobDamaged):
        await take(upstream, content, store)
    assert upstream.count(Kind.GET_BLOB) == 2
    assert upstream.open_streams == 0


def unpack(content: bytes, step: int) -> bytes:
    unpacker = Unpacker()
    chunks = [content[at : at + step] for at in range(0, len(content), step)]
    return b"".join(piece for chunk in chunks for piece in unpacker.unpack(chunk))


@given(st.binary(max_size=300), st.binary(max_size=300), st.integers(1, 50), st.integers(0, 700))
def test_a_layer_may_end_anywhere(first: bytes, second: bytes, step: int, end: int) -> None:
    """Two gzip members, as eStargz has one for each file."""
    packed = gzip.compress(first) + gzip.compress(second)
    assert unpack(packed, step) == first + second
    assert (first + second).startswith(unpack(packed[:end], step))


@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes_can_be_unpacked(content: bytes, step: int) -> None:
    for head in (b"\x1f\x8b\x08\0", b"\x28\xb5\x2f\xfd", b""):
        unpack(head + content, step)


async def test_what_is_damaged_or_packed_otherwise_ends() -> None:
    content = b"\x1f\x8b\x08\0" + NOISE
    source = CountingSource(holding(content))
    await take(source, content)
    assert source.taken < MAX_PACKED_BYTES
    frame = b"\x28\xb5\x2f\xfd" + b"\xff" * 100_000
    assert b"".join(await take(holding(frame), frame)) == b""


async def test_empty_gzip_members_keep_nobody_waiting() -> None:
    """They are twenty bytes each, and nothing comes of them: a layer of nothing else would take seconds in one go."""
    upstream, turns = holding(gzip.compress(b"") * 40_000), 0
    upstream.manners.chunk_bytes = MAX_PACKED_BYTES
    reading = asyncio.ensure_future(take(upstream, gzip.compress(b"") * 40_000))
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1
    assert await reading == []
    assert turns > 40_000 * 20 // PACKED_PIECE_BYTES
