"""The relay by itself; what it is for a fill is in test_fill_store.py."""

import hashlib
from contextlib import aclosing

import pytest

from proxy.oci.errors import UpstreamMisbehaved
from proxy.oci.ranges import ByteRange
from proxy.service.download import Download, FillPolicy, FillSource
from proxy.service.relay import Piece, Relay
from proxy.spending import Traffic
from tests.fakes.events import RecordingEvents
from tests.fakes.upstream import FakeUpstream
from tests.service.filling import noise

CONTENT = noise(5000)


def _download(upstream: FakeUpstream) -> Download:
    digest = upstream.put_blob("library/big", CONTENT)
    upstream.manners.chunk_bytes = 1000
    sources, policy = [FillSource(upstream, "library/big")], FillPolicy(resume_wait_seconds=0)
    return Download(
        digest, sources, 5000, policy=policy, events=RecordingEvents(), found=lambda: None, traffic=Traffic()
    )


async def _read(relay: Relay, upstream: FakeUpstream, part: ByteRange, got: bytearray | None = None) -> bytes:
    found = bytearray() if got is None else got
    async with aclosing(relay.read(_download(upstream), part, 5000)) as parts:
        async for readable, there in parts:
            found += readable.read_at(there.start, there.size)
    return bytes(found)


@pytest.mark.parametrize("offset", [0, 1500])
@pytest.mark.parametrize("part", [(1500, 5000), (1500, 1501), (2999, 3001), (4999, 5000)], ids=str)
async def test_it_goes_on_where_the_store_ends(offset: int, part: tuple[int, int]) -> None:
    relay = Relay(offset, hashlib.sha256(CONTENT[:offset]))
    assert await _read(relay, FakeUpstream(), ByteRange(*part)) == CONTENT[slice(*part)]


async def test_many_readers_may_go_on_from_one_place() -> None:
    relay = Relay(1500, hashlib.sha256(CONTENT[:1500]))
    for _ in range(3):
        assert await _read(relay, FakeUpstream(), ByteRange(1500, 5000)) == CONTENT[1500:]


async def test_a_whole_that_is_wrong_is_not_given_out_whole() -> None:
    upstream, relay, got = FakeUpstream(), Relay(1500, hashlib.sha256(noise(1500, "other"))), bytearray()
    with pytest.raises(UpstreamMisbehaved, match="are not sha256"):
        await _read(relay, upstream, ByteRange(1500, 5000), got)
    assert got == CONTENT[1500:4500]


def test_a_piece_is_read_by_its_place_in_the_blob() -> None:
    piece = Piece(100, b"abcdef")
    assert (piece.file, piece.read_at(100, 2), piece.read_at(104, 10), piece.read_at(106, 1)) == (
        None,
        b"ab",
        b"ef",
        b"",
    )
