"""A fill in good weather: one download, many readers, each at its own pace."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci.errors import BlobUnknown, Unavailable
from proxy.oci.ranges import ByteRange
from proxy.service.fill import PIECE_BYTES
from tests.fakes.store import FailingBlobStore
from tests.fakes.upstream import Kind
from tests.service.bench import Kept
from tests.service.filling import CHUNK, Filling, noise, open_filling, read

SIZE = 10 * CHUNK


@pytest.fixture(params=["memory", "disk"])
async def filling(request: pytest.FixtureRequest) -> AsyncIterator[Filling]:
    kept: Kept | None = request.getfixturevalue("disk") if request.param == "disk" else None
    async with open_filling(noise(SIZE), kept) as filling:
        yield filling


async def test_a_reader_gets_the_blob_and_the_store_keeps_it(filling: Filling) -> None:
    fill = filling.join()
    assert await fill.wait_ready() == SIZE
    assert await read(fill) == filling.content
    await filling.wait_over()
    assert filling.stored == filling.content
    assert filling.events.named("fill.committed") == [{"digest": str(filling.digest), "bytes": SIZE}]
    assert filling.events.warnings == []


@pytest.mark.parametrize("readers", [8, 50])
async def test_many_readers_cost_one_download(filling: Filling, readers: int) -> None:
    found = await asyncio.gather(*(filling.read_all() for _ in range(readers)))
    assert set(found) == {filling.content}
    assert filling.upstream.counts == {"get-blob": 1}


async def test_who_begins_and_who_joins_is_counted(filling: Filling) -> None:
    traffic = filling.bench.fills._tools.traffic
    for _ in range(3):
        filling.join()
    assert (filling.bench.fills.running, traffic.fills_started, traffic.fills_joined) == (1, 1, 2)
    await filling.wait_over()
    assert (filling.bench.fills.running, traffic.fetched_bytes) == (0, SIZE)


async def test_a_blob_that_nobody_reads_comes_in_all_the_same(filling: Filling) -> None:
    filling.join()
    await filling.wait_over()
    assert filling.stored == filling.content


async def test_readers_see_what_has_arrived(filling: Filling) -> None:
    """Long before the end: the last byte of what is there is held back, as it might be the last of all."""
    manners = filling.upstream.manners
    manners.pauses_at = 3 * CHUNK
    fill = filling.join()
    await fill.wait_ready()
    pieces = fill.read(ByteRange(0, SIZE))
    got = b""
    while len(got) < 3 * CHUNK - 1:
        got += await anext(pieces)
    assert got == filling.content[: 3 * CHUNK - 1]
    manners.resume.set()
    assert got + b"".join([piece async for piece in pieces]) == filling.content


async def test_a_slow_reader_slows_nobody(filling: Filling) -> None:
    fill = filling.join()
    await fill.wait_ready()
    slow = fill.read(ByteRange(0, SIZE))
    first = await anext(slow)
    assert await read(fill) == filling.content
    await filling.wait_over()
    assert filling.stored == filling.content
    assert first + b"".join([piece async for piece in slow]) == filling.content  # it goes on after the fill has ended


async def test_the_first_reader_to_leave_ends_nothing(filling: Filling) -> None:
    manners = filling.upstream.manners
    manners.pauses_at = CHUNK
    first = asyncio.ensure_future(filling.read_all())
    await filling.upstream.wait_asked(Kind.GET_BLOB)
    second = asyncio.ensure_future(filling.read_all())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    manners.resume.set()
    assert await second == filling.content
    assert filling.upstream.counts == {"get-blob": 1}


async def test_it_comes_in_when_all_readers_have_left(filling: Filling) -> None:
    filling.upstream.manners.pauses_at = CHUNK
    only = asyncio.ensure_future(filling.read_all())
    await filling.upstream.wait_asked(Kind.GET_BLOB)
    only.cancel()
    await asyncio.wait([only])
    filling.upstream.manners.resume.set()
    await filling.wait_over()
    assert filling.stored == filling.content


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        pytest.param(0, 1, id="the first byte"),
        pytest.param(SIZE - 1, SIZE, id="the last byte"),
        pytest.param(CHUNK - 1, CHUNK + 1, id="across chunks"),
        pytest.param(5 * CHUNK, SIZE, id="to the end"),
        pytest.param(7, 7, id="nothing"),
    ],
)
async def test_a_reader_may_begin_and_end_anywhere(filling: Filling, start: int, stop: int) -> None:
    assert await read(filling.join(), start, stop) == filling.content[start:stop]


async def test_who_reads_after_the_end_gets_it_too(filling: Filling) -> None:
    """A client may be slow to begin: by then the blob may be in the store, and its download forgotten."""
    fill = filling.join()
    await fill.wait_ready()
    await filling.wait_over()
    assert await read(fill) == filling.content
    assert await read(fill, 5, 9) == filling.content[5:9]


async def test_who_joins_after_the_end_begins_anew(filling: Filling) -> None:
    """Whether the blob is stored already is for the caller to look."""
    await filling.read_all()
    await filling.wait_over()
    assert await filling.read_all() == filling.content
    assert filling.offsets == [0, 0]


async def test_the_size_may_be_known_beforehand(filling: Filling) -> None:
    """Then it is at hand as soon as upstream has the blob, whatever upstream says of its size."""
    filling.upstream.manners.hides_size = True
    fill = filling.join(size=SIZE)
    assert await fill.wait_ready() == SIZE
    assert await read(fill) == filling.content


async def test_a_blob_of_unknown_size_is_ready_when_it_is_whole(filling: Filling) -> None:
    manners = filling.upstream.manners
    manners.hides_size, manners.pauses_at = True, 5 * CHUNK
    fill = filling.join()
    waiting = asyncio.ensure_future(fill.wait_ready())
    await filling.upstream.wait_asked(Kind.GET_BLOB)
    assert not waiting.done()
    manners.resume.set()
    assert await waiting == SIZE
    assert await read(fill) == filling.content


async def test_other_places_are_tried_in_order(filling: Filling) -> None:
    filling.upstream.denied.add("private/big")
    fill = filling.join("absent/big", "private/big", "library/big")
    assert await fill.wait_ready() == SIZE
    assert fill.source is not None
    assert fill.source.repository == "library/big"
    assert [one.repository for one in filling.upstream.asked] == ["absent/big", "private/big", "library/big"]


async def test_it_tells_how_far_it_is(filling: Filling) -> None:
    filling.upstream.manners.pauses_at = 2 * CHUNK
    fill = filling.join()
    assert repr(fill) == f"<Fill {filling.digest}: 0 of None bytes, 0 readers>"
    await fill.wait_ready()
    pieces = fill.read(ByteRange(0, SIZE))
    await anext(pieces)
    assert str(SIZE) in repr(filling.bench.fills)
    assert repr(fill).endswith("1 readers>")
    await pieces.aclose()
    assert repr(fill).endswith("0 readers>")
    filling.upstream.manners.resume.set()


async def test_an_empty_blob_is_a_blob(disk: Kept) -> None:
    async with open_filling(b"", disk) as filling:
        assert await filling.read_all() == b""
        await filling.wait_over()
        assert filling.stored == b""


async def test_pieces_are_bounded(disk: Kept) -> None:
    """However large the blob, and however far the reader is behind."""
    async with open_filling(noise(3 * PIECE_BYTES + 5), disk) as filling:
        filling.upstream.manners.chunk_bytes = 2 * PIECE_BYTES
        fill = filling.join()
        pieces: list[bytes] = []
        assert await read(fill, pieces=pieces) == filling.content
        assert max(len(piece) for piece in pieces) <= PIECE_BYTES


async def test_small_chunks_are_gathered_into_few_writes() -> None:
    """Whatever arrives while nothing is written waits for one write: a hop costs as much for a byte as for many."""
    async with open_filling(noise(SIZE)) as filling:
        filling.upstream.manners.chunk_bytes = 10
        pieces: list[bytes] = []
        assert await read(filling.join(), pieces=pieces) == filling.content
        assert len(pieces) <= 3


@given(
    content=st.binary(max_size=300),
    chunk=st.integers(1, 301),
    breaks=st.lists(st.integers(0, 300), max_size=4),
    ignores_range=st.booleans(),
    hides_size=st.booleans(),
    parts=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=3),
)
async def test_any_split_gives_the_same_bytes(
    *,
    content: bytes,
    chunk: int,
    breaks: list[int],
    ignores_range: bool,
    hides_size: bool,
    parts: list[tuple[int, int]],
) -> None:
    """However upstream cuts it into chunks, wherever it breaks off, whoever reads which part of it."""
    async with open_filling(content) as filling:
        manners = filling.upstream.manners
        manners.chunk_bytes, manners.ignores_range, manners.hides_size = chunk, ignores_range, hides_size
        manners.breaks_at = [position for position in breaks if position < len(content)]
        fill = filling.join()
        assert await fill.wait_ready() == len(content)
        spans = [(min(start, len(content)), min(stop, len(content))) for start, stop in parts]
        found = await asyncio.gather(*(read(fill, start, stop) for start, stop in spans), read(fill))
        assert found == [*(content[start:stop] for start, stop in spans), content]
        await filling.wait_over()
        assert filling.stored == content


async def test_who_only_wants_it_kept_hears_how_far_it_is_until_it_is(filling: Filling) -> None:
    fill = filling.join()
    told = [written async for written in fill.keep()]
    assert told == sorted(told)
    assert filling.stored == filling.content
    assert [written async for written in fill.keep()] == []


async def test_who_wants_it_kept_is_told_where_it_cannot_be() -> None:
    store = FailingBlobStore()
    store.room_bytes = SIZE - 1
    async with open_filling(noise(SIZE), Kept(store)) as filling:
        with pytest.raises(Unavailable, match="cannot be kept"):
            [written async for written in filling.join().keep()]


async def test_who_wants_it_kept_is_told_where_it_cannot_be_had(filling: Filling) -> None:
    with pytest.raises(BlobUnknown):
        [written async for written in filling.join("absent/big").keep()]
