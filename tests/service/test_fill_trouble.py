"""A fill when something goes wrong: upstream, the disk, or we ourselves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from proxy.oci.errors import (
    BlobUnknown,
    RegistryError,
    Unavailable,
    UpstreamMisbehaved,
    UpstreamRefused,
    UpstreamUnreachable,
)
from proxy.oci.ranges import ByteRange
from proxy.service.download import FillPolicy, FillSource
from tests.fakes.upstream import FakeUpstream, Kind
from tests.service.bench import Kept
from tests.service.filling import CHUNK, REPOSITORY, Filling, noise, open_filling, read

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


# A download that breaks off


async def test_a_broken_download_goes_on_where_it_was(filling: Filling) -> None:
    filling.upstream.manners.breaks_at = [3 * CHUNK, 7 * CHUNK]
    assert await filling.read_all() == filling.content
    assert filling.offsets == [0, 3 * CHUNK, 7 * CHUNK]
    assert [told["offset"] for told in filling.events.named("fill.resumed")] == [3 * CHUNK, 7 * CHUNK]


async def test_a_download_that_ends_too_early_goes_on() -> None:
    async with open_filling(noise(SIZE), fill_policy=FillPolicy(resume_wait_seconds=0.1)) as filling:
        filling.upstream.manners.ends_early_at = 4 * CHUNK
        fill = filling.join()
        await fill.wait_ready()
        pieces = fill.read(ByteRange(0, SIZE))
        got = b""
        while len(got) < 4 * CHUNK - 1:
            got += await anext(pieces)
        filling.upstream.manners.ends_early_at = None
        assert got + b"".join([piece async for piece in pieces]) == filling.content
        assert set(filling.offsets) == {0, 4 * CHUNK}


async def test_an_upstream_that_ignores_the_range_is_read_over_again(filling: Filling) -> None:
    filling.upstream.manners.breaks_at = [3 * CHUNK + 1]
    filling.upstream.manners.ignores_range = True
    assert await filling.read_all() == filling.content
    assert filling.offsets == [0, 3 * CHUNK + 1]


async def test_a_break_before_the_first_byte_is_one_too(filling: Filling) -> None:
    filling.upstream.manners.breaks_at = [0, 0]
    assert await filling.read_all() == filling.content
    assert filling.offsets == [0, 0, 0]


async def test_a_break_after_the_last_byte_is_none(filling: Filling) -> None:
    filling.upstream.manners.breaks_at = [SIZE]
    assert await filling.read_all() == filling.content
    assert filling.offsets == [0]


async def test_it_gives_up_when_nothing_moves_any_more(filling: Filling) -> None:
    filling.upstream.manners.breaks_at = [3 * CHUNK] * 20
    got = await read_until_error(filling, UpstreamUnreachable)
    assert got == filling.content[: 3 * CHUNK - 1]
    assert len(filling.offsets) == 1 + FillPolicy().resumes + 1  # the first; the fruitless ones; the last straw
    assert filling.stored is None
    assert filling.events.warnings[-1] == "fill.failed"


async def test_progress_is_worth_another_try(filling: Filling) -> None:
    """However often it breaks, as long as something came in between."""
    filling.upstream.manners.breaks_at = [position for position in range(CHUNK, SIZE, 500) for _ in range(3)]
    assert await filling.read_all() == filling.content


async def test_a_dead_upstream_is_asked_once(filling: Filling) -> None:
    """A client waits for the first byte: whoever asked may do something better."""
    filling.upstream.go_offline()
    with pytest.raises(UpstreamUnreachable, match="gone"):
        await filling.join().wait_ready()
    assert filling.offsets == [0]


async def test_a_blob_that_vanishes_halfway_is_told(filling: Filling) -> None:
    filling.upstream.manners.breaks_at = [3 * CHUNK]
    filling.upstream.manners.pauses_at = 2 * CHUNK
    reading = asyncio.ensure_future(read_until_error(filling, BlobUnknown))
    await filling.upstream.wait_asked(Kind.GET_BLOB)
    del filling.upstream.repositories[REPOSITORY].blobs[filling.digest]
    filling.upstream.manners.resume.set()
    assert await reading == filling.content[: 3 * CHUNK - 1]
    assert filling.stored is None


# A blob that nobody has


async def test_nobody_has_it(filling: Filling) -> None:
    filling.upstream.denied.add("private/big")
    with pytest.raises(UpstreamRefused):
        await filling.join("absent/big", "private/big").wait_ready()
    await filling.wait_over()
    assert filling.stored is None


async def test_a_failure_is_not_remembered(filling: Filling) -> None:
    with pytest.raises(BlobUnknown):
        await filling.join("absent/big").wait_ready()
    assert await filling.read_all() == filling.content


async def test_who_reads_after_a_failure_is_told_its_reason(filling: Filling) -> None:
    filling.upstream.manners.sends = noise(SIZE, "other")
    fill = filling.join()
    await filling.wait_over()
    with pytest.raises(UpstreamMisbehaved, match="are not sha256"):
        await read(fill)
    with pytest.raises(UpstreamMisbehaved, match="are not sha256"):
        await anext(fill.read(ByteRange(0, SIZE)))


# Wrong content


async def test_wrong_bytes_are_never_given_out_whole(filling: Filling, tmp_path: Path) -> None:
    wrong = noise(SIZE, "other")
    filling.upstream.manners.sends = wrong
    assert await read_until_error(filling, UpstreamMisbehaved) == wrong[:-1]
    await filling.wait_over()
    assert filling.stored is None
    assert ingest_files(tmp_path) == []
    filling.upstream.manners.sends = None
    assert await filling.read_all() == filling.content  # the next try is clean


async def test_one_wrong_byte_is_enough(disk: Kept) -> None:
    async with open_filling(b"x", disk) as filling:
        filling.upstream.manners.sends = b"y"
        pieces: list[bytes] = []
        with pytest.raises(UpstreamMisbehaved):
            await read(filling.join(), pieces=pieces)
        assert pieces == []


async def test_an_empty_answer_for_a_blob_that_is_not_empty(disk: Kept) -> None:
    async with open_filling(b"x", disk) as filling:
        filling.upstream.manners.sends, filling.upstream.manners.announces = b"", 0
        fill = filling.join()
        await filling.wait_over()
        assert filling.stored is None
        with pytest.raises(UpstreamMisbehaved):
            await fill.wait_ready()


@pytest.mark.parametrize("announced", [SIZE - 1, SIZE + 1, 0])
async def test_another_size_than_the_descriptor_says_is_refused_at_once(filling: Filling, announced: int) -> None:
    filling.upstream.manners.announces = announced
    with pytest.raises(UpstreamMisbehaved, match=f"should have {SIZE} bytes, upstream has {announced}"):
        await filling.join(size=SIZE).wait_ready()


async def test_more_bytes_than_announced_are_refused(filling: Filling) -> None:
    filling.upstream.manners.announces = SIZE - 1
    pieces: list[bytes] = []
    with pytest.raises(UpstreamMisbehaved, match="more than"):
        await read(filling.join(), pieces=pieces)
    await filling.wait_over()
    assert filling.stored is None


async def test_fewer_bytes_than_announced_are_waited_for_in_vain(filling: Filling) -> None:
    """The end of such a stream is a break: upstream is asked for the rest, and has none."""
    filling.upstream.manners.announces = SIZE + 1
    got: list[bytes] = []
    with pytest.raises(UpstreamMisbehaved):
        await read(filling.join(), pieces=got)
    assert filling.offsets == [0, SIZE]
    assert filling.stored is None


async def test_an_endless_stream_is_cut_off(disk: Kept) -> None:
    """It may not fill the disk: the size that was announced bounds it."""
    async with open_filling(noise(SIZE), disk) as filling:
        filling.upstream.manners.sends = noise(1000 * SIZE)
        await read_until_error(filling, UpstreamMisbehaved)
        await filling.wait_over()
        assert filling.stored is None


# We ourselves


async def test_the_end_of_the_proxy_ends_it(tmp_path: Path, disk: Kept) -> None:
    async with AsyncExitStack() as stack:
        filling = await stack.enter_async_context(open_filling(noise(SIZE), disk))
        filling.upstream.manners.pauses_at = 3 * CHUNK
        fill = filling.join()
        await fill.wait_ready()
        pieces = fill.read(ByteRange(0, SIZE))
        assert await anext(pieces) == filling.content[: 3 * CHUNK - 1]
    with pytest.raises(Unavailable, match="shutting down"):
        await anext(pieces)
    assert filling.stored is None
    assert len(ingest_files(tmp_path)) == 1


async def test_a_fault_of_ours_is_told_to_the_log_not_to_the_reader(filling: Filling) -> None:
    class Broken(FakeUpstream):
        async def _admit(self, *_: object) -> None:
            raise ZeroDivisionError("ours")

    fill = filling.bench.fills.join(filling.digest, [FillSource(Broken(), REPOSITORY)], None)
    with pytest.raises(Unavailable, match="its log has the reason"):
        await fill.wait_ready()
    await filling.wait_over()
    assert "ours" in str(filling.events.named("task.crashed")[0]["reason"])
