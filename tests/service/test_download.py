"""The download by itself; what it is for a fill is in test_fill_trouble.py."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from proxy.oci.errors import BlobUnknown, UpstreamMisbehaved, UpstreamUnreachable
from proxy.service.download import Download, FillPolicy, FillSource
from proxy.spending import Traffic
from tests.fakes.events import RecordingEvents
from tests.fakes.upstream import FakeUpstream, Kind
from tests.service.filling import noise

CONTENT = noise(5000)


@asynccontextmanager
async def downloading(
    *repositories: str, size: int | None = None
) -> AsyncIterator[tuple[FakeUpstream, Download, list[str]]]:
    upstream, told = FakeUpstream(), list[str]()
    upstream.manners.chunk_bytes = 1000
    digest = upstream.put_blob("library/big", CONTENT)
    sources = [FillSource(upstream, repository) for repository in repositories or ("library/big",)]
    policy = FillPolicy(resumes=2, resume_wait_seconds=0)
    events, traffic = RecordingEvents(), Traffic()
    download = Download(
        digest, sources, size, policy=policy, events=events, found=lambda: told.append("found"), traffic=traffic
    )
    yield upstream, download, told
    assert upstream.open_streams == 0


async def _read(download: Download, offset: int = 0) -> bytes:
    async with aclosing(download.chunks(offset)) as chunks:
        return b"".join([chunk async for chunk in chunks])


@pytest.mark.parametrize("offset", [0, 1, 999, 1000, 4999])
@pytest.mark.parametrize("ignores_range", [False, True], ids=["range", "no-range"])
async def test_it_begins_anywhere(offset: int, *, ignores_range: bool) -> None:
    async with downloading() as (upstream, download, told):
        upstream.manners.ignores_range = ignores_range
        assert await _read(download, offset) == CONTENT[offset:]
        assert (download.size, download.source, told) == (5000, FillSource(upstream, "library/big"), ["found"])


async def test_it_can_ask_before_it_loads() -> None:
    async with downloading("library/other", "library/big") as (upstream, download, told):
        await download.look()
        assert (download.size, told) == (5000, ["found"])
        assert await _read(download, 5000) == b""
        assert [one.kind for one in upstream.asked] == [Kind.HEAD_BLOB, Kind.HEAD_BLOB]
        assert repr(download) == f"<Download of {download.digest}: 5000 bytes>"


async def test_nobody_has_it() -> None:
    async with downloading("library/other", "library/none") as (_, download, told):
        with pytest.raises(BlobUnknown):
            await download.look()
        with pytest.raises(BlobUnknown):
            await _read(download)
        assert told == []


async def test_a_source_once_found_is_the_only_one_asked() -> None:
    async with downloading("library/other", "library/big") as (upstream, download, _):
        upstream.manners.breaks_at = [2000]
        assert await _read(download) == CONTENT
        assert [one.repository for one in upstream.asked] == ["library/other", "library/big", "library/big"]


async def test_it_gives_up_after_some_tries_in_vain() -> None:
    async with downloading() as (upstream, download, _):
        upstream.manners.breaks_at = [2000] * 9
        with pytest.raises(UpstreamUnreachable):
            await _read(download)
        assert len(upstream.asked) == 4


@pytest.mark.parametrize("size", [4999, 5001])
async def test_another_size_than_it_should_have_is_refused(size: int) -> None:
    async with downloading(size=size) as (_, download, told):
        with pytest.raises(UpstreamMisbehaved, match=f"should have {size} bytes, upstream has 5000"):
            await _read(download)
        assert told == []


async def test_leaving_it_early_lets_go_of_upstream() -> None:
    async with downloading() as (upstream, download, _):
        async with aclosing(download.chunks(0)) as chunks:
            assert await anext(chunks) == CONTENT[:1000]
        assert upstream.open_streams == 0


async def test_what_arrives_is_counted_also_what_arrives_twice() -> None:
    upstream, traffic = FakeUpstream(), Traffic()
    upstream.manners.chunk_bytes = 1000
    upstream.manners.ignores_range = True
    digest = upstream.put_blob("library/big", CONTENT)
    download = Download(
        digest,
        [FillSource(upstream, "library/big")],
        None,
        policy=FillPolicy(),
        events=RecordingEvents(),
        found=lambda: None,
        traffic=traffic,
    )
    assert await _read(download, 3000) == CONTENT[3000:]
    assert traffic.fetched_bytes == 5000
