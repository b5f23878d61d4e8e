"""A body on its way out."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstream.outgoing import PIECE_BYTES, Outgoing, OutgoingStream, Patience, Wish


async def test_it_can_be_begun_again_and_tells_when_it_moves() -> None:
    async def read() -> AsyncGenerator[bytes, None]:
        yield b"ab"
        yield b"c"

    moves = list[bool]()
    stream = OutgoingStream(Outgoing(3, read, "a/b"), moves.append)
    for _ in range(2):
        assert [chunk async for chunk in stream] == [b"ab", b"c"]
    assert moves == [False, False, True] * 2


@given(st.lists(st.integers(0, 3 * PIECE_BYTES), max_size=4))
async def test_it_goes_out_in_small_pieces_and_whole(sizes: list[int]) -> None:
    async def read() -> AsyncGenerator[bytes, None]:
        for number, size in enumerate(sizes):
            yield bytes([number]) * size

    pieces = [piece async for piece in OutgoingStream(Outgoing(sum(sizes), read, "a/b"), lambda _: None)]
    assert all(0 < len(piece) <= PIECE_BYTES for piece in pieces)
    assert b"".join(pieces) == b"".join(bytes([number]) * size for number, size in enumerate(sizes))


async def test_content_at_hand_is_one_piece() -> None:
    body = Outgoing.of(b"abc", "a/b")
    assert body.headers == {"Content-Length": "3", "Content-Type": "a/b"}
    assert [chunk async for chunk in body.read()] == [b"abc"]


async def test_patience_ends_where_nothing_is_answered() -> None:
    with pytest.raises(TimeoutError):
        async with Patience(answer_seconds=0, stall_seconds=60, upload_seconds=60):
            await asyncio.Event().wait()


@pytest.mark.parametrize(("is_last", "seconds"), [(False, (0, 60)), (True, (60, 0))], ids=["stalled", "not answered"])
async def test_patience_begins_anew_with_each_move(is_last: object, seconds: tuple[float, float]) -> None:
    patience = Patience(answer_seconds=60, stall_seconds=seconds[0], upload_seconds=seconds[1])

    async def wait() -> None:
        async with patience:
            patience.renew(not is_last)
            assert patience.seconds == 60
            patience.renew(bool(is_last))
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await wait()
    patience.renew(not is_last)
    assert repr(patience) == "<Patience for 0 s>", "what moves after the answer changes nothing any more"


def test_what_reads_is_told_from_what_writes() -> None:
    assert [Wish(method, "x", {}).writes for method in ("GET", "HEAD", "POST", "PATCH", "PUT")] == [False] * 2 + [
        True
    ] * 3
