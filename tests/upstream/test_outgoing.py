"""A body on its way out."""

from collections.abc import AsyncGenerator

from proxy.upstream.outgoing import Outgoing, OutgoingStream


async def test_it_can_be_begun_again_and_tells_when_it_moves() -> None:
    async def read() -> AsyncGenerator[bytes, None]:
        yield b"ab"
        yield b"c"

    moves = list[None]()
    stream = OutgoingStream(Outgoing(3, read, "a/b"), lambda: moves.append(None))
    for _ in range(2):
        assert [chunk async for chunk in stream] == [b"ab", b"c"]
    assert len(moves) == 6


async def test_content_at_hand_is_one_piece() -> None:
    body = Outgoing.of(b"abc", "a/b")
    assert body.headers == {"Content-Length": "3", "Content-Type": "a/b"}
    assert [chunk async for chunk in body.read()] == [b"abc"]
