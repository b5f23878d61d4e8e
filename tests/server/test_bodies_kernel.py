"""Bodies that the kernel sends: what it refuses, what it sends too little of, and how much it is asked for."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.oci.digests import Digest
from proxy.server import bodies
from tests.fakes.upstream import FakeUpstream, Kind
from tests.server.serving import Served, serve
from tests.server.test_bodies import LARGE, REPOSITORY, path_of, warm
from tests.service.bench import Kept


@pytest.fixture
async def served(disk: Kept) -> AsyncIterator[Served]:
    upstream = FakeUpstream()
    upstream.put_blob(REPOSITORY, LARGE)
    async with serve(upstream, disk) as served:
        yield served


@pytest.mark.parametrize("is_warm", [True, False], ids=["stored", "on-its-way"])
async def test_where_the_kernel_will_not_readers_do_not_share_a_position(
    served: Served, monkeypatch: pytest.MonkeyPatch, *, is_warm: bool
) -> None:
    """Asyncio's own stand-in for sendfile(2) seeks in the file, which all readers of a fill have in common."""
    if is_warm:
        await warm(served, LARGE)

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(os, "sendfile", refuse)
    gate = served.upstream.hold(Kind.GET_BLOB)
    herd = [asyncio.ensure_future(served.client.get(path_of(LARGE))) for _ in range(5)]
    gate.set()
    assert [(await one).content == LARGE for one in herd] == [True] * 5


async def test_the_kernel_is_never_asked_for_more_than_a_small_machine_can_count(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    await warm(served, LARGE)
    asked: list[int] = []
    send = os.sendfile

    def spy(target: int, source: int, offset: int, count: int) -> int:
        asked.append(count)
        return send(target, source, offset, count)

    monkeypatch.setattr(os, "sendfile", spy)
    monkeypatch.setattr(bodies, "CALL_BYTES", 1_000_000)
    assert (await served.client.get(path_of(LARGE))).content == LARGE
    assert len(asked) >= len(LARGE) // 1_000_000
    assert max(asked) <= 1_000_000


async def test_a_file_that_has_become_shorter_is_cut_visibly(served: Served, tmp_path: Path) -> None:
    """Not left hanging: the client waits for the rest on a connection that stays."""
    await warm(served, LARGE)
    digest = Digest.of(LARGE)
    with served.bench.store.open_blob(digest) as reader:
        assert reader.size == len(LARGE)
    asked = asyncio.Event()
    find = served.bench.store.find_size
    served.bench.store.find_size = lambda _: len(LARGE) if asked.is_set() else find(digest)  # type: ignore[method-assign]
    os.truncate(tmp_path / "cache" / "blobs" / "sha256" / digest.encoded, 100_000)
    asked.set()
    async with asyncio.timeout(10), served.connect() as wire:
        await wire.send("GET", path_of(LARGE))
        head = await wire.head()
        body = await wire.rest()
    assert head.status == 200
    assert body == LARGE[:100_000]
    (told,) = served.events.named("body.cut_short")
    assert "shorter" in str(told["reason"])
    served.bench.store.find_size = find  # type: ignore[method-assign]
    assert (await served.client.get(path_of(LARGE))).content == LARGE


async def test_a_bad_sector_costs_one_client_its_body_and_the_next_nothing(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    await warm(served, LARGE)

    def fail(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "sendfile", fail)
        broken.setattr(os, "pread", fail)
        async with asyncio.timeout(10), served.connect() as wire:
            await wire.send("GET", path_of(LARGE))
            await wire.head()
            assert await wire.rest() == b""
    assert (await served.client.get(path_of(LARGE))).content == LARGE
    assert served.upstream.count(Kind.GET_BLOB) == 2
