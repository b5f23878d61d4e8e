"""The disk is full, or read-only, or breaks: every pull goes on, what is cached is served, and it is said once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.lab.content import ARM_V7, Content
from tests.lab.disks import Disk, ext4_disk, memory_disk
from tests.lab.downloads import Curl
from tests.lab.hub import HubStandIn
from tests.lab.images import Image
from tests.lab.killing import broken, stored
from tests.lab.programs import wait_until
from tests.lab.proxies import Proxy, StartProxy, as_docker_hub
from tests.lab.pulling import pull

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

KNOWN, NEW, LATER = "library/debian:jessie", "library/redis:3-alpine", "library/multi:latest"


@pytest.fixture
async def disk(client_folder: Path) -> AsyncIterator[Disk]:
    """A disk of 8 MB."""
    async with memory_disk(client_folder / "disk") as disk:
        yield disk


@pytest.fixture
async def fragile_disk(client_folder: Path) -> AsyncIterator[Disk]:
    """A disk that can be made to break."""
    async with ext4_disk(client_folder / "disk") as disk:
        yield disk


class Bench:
    """A proxy with its cache on a small disk."""

    def __init__(self, hub: HubStandIn, start_proxy: StartProxy, content: Content) -> None:
        self.hub, self._start_proxy, self._content = hub, start_proxy, content
        self.proxy: Proxy

    async def start_on(self, disk: Disk) -> None:
        """Start a proxy with its cache there."""
        self.proxy = await self._start_proxy(config=as_docker_hub(self.hub.url), cache=disk.path / "cache")

    async def pull(self, name: str) -> set[str]:
        """Pull; every byte is checked."""
        image = self._content.documents[name]
        return await pull(self.proxy.url, self._content, name, None if isinstance(image, Image) else ARM_V7)

    async def pull_large(self, folder: Path, *, clients: int) -> None:
        """Pull a layer that is larger than the disk, by some clients at once."""
        layer = self._content.image("library/big:1").layers[1]
        url = f"{self.proxy.url}/v2/library/big/blobs/{layer.digest}"
        curls = [Curl(url, folder / f"client-{number}") for number in range(clients)]
        assert set(await asyncio.gather(*(curl.finish() for curl in curls))) == {layer.digest}

    async def pull_until_kept(self, name: str) -> None:
        """Pull until all of it is in the cache: a client has its last byte a moment before the disk has it."""

        async def is_kept() -> bool:
            return await self.pull(name) <= stored(self.proxy.cache)

        await wait_until(is_kept, seconds=20, purpose=f"{name} in the cache")

    async def assert_needs_no_upstream(self, name: str) -> None:
        """See that upstream is asked nothing any more."""
        self.hub.reset()
        await self.pull(name)
        assert self.hub.requests("blob") == self.hub.requests("manifest-get") == []

    def said(self, event: str) -> int:
        """Count a line in the log."""
        return self.proxy.log().count(f'"{event}"')


@pytest.fixture
def bench(hub: HubStandIn, start_proxy: StartProxy, content: Content) -> Bench:
    return Bench(hub, start_proxy, content)


async def test_a_full_disk_stops_no_pull(bench: Bench, disk: Disk, client_folder: Path) -> None:
    await bench.start_on(disk)
    await bench.pull_until_kept(KNOWN)
    assert bench.said("cache.unwritable") == 0
    disk.fill()
    await bench.assert_needs_no_upstream(KNOWN)
    await bench.pull(NEW)
    await bench.pull_large(client_folder, clients=4)
    await bench.pull(LATER)
    assert bench.said("cache.unwritable") == 1
    assert broken(bench.proxy.cache) == []


async def test_once_there_is_room_again_it_caches_again(bench: Bench, disk: Disk) -> None:
    """And the next time that the disk is full is told anew."""
    await bench.start_on(disk)
    disk.fill()
    await bench.pull(NEW)
    assert bench.said("cache.unwritable") == 1
    disk.clear()
    await bench.pull_until_kept(NEW)
    await bench.assert_needs_no_upstream(NEW)
    assert (bench.said("cache.unwritable"), bench.said("cache.writable")) == (1, 1)
    disk.fill()
    await bench.pull(LATER)
    assert bench.said("cache.unwritable") == 2
    disk.clear()
    await bench.proxy.restart()
    await bench.hub.go_offline()
    await bench.pull(NEW)


async def test_a_blob_that_is_larger_than_the_disk(bench: Bench, disk: Disk, client_folder: Path) -> None:
    """It is never begun to be written, for everybody can see that it does not fit; the disk is no worse for it."""
    await bench.start_on(disk)
    await bench.pull_large(client_folder, clients=4)
    await bench.pull_until_kept(KNOWN)
    assert bench.said("fill.uncached") >= 1
    assert bench.said("cache.unwritable") == 0
    assert not any((bench.proxy.cache / "ingest").iterdir())


async def test_a_disk_that_breaks_under_our_hands(bench: Bench, fragile_disk: Disk, client_folder: Path) -> None:
    """Every file that is open, and every new one, is refused from one moment to the next."""
    await bench.start_on(fragile_disk)
    await bench.pull_until_kept(KNOWN)
    await fragile_disk.break_down()
    await bench.assert_needs_no_upstream(KNOWN)
    await bench.pull(NEW)
    await bench.pull_large(client_folder, clients=2)
    assert bench.said("cache.unwritable") == 1


async def test_a_start_on_a_read_only_disk(bench: Bench, disk: Disk) -> None:
    """With a cache that is warm: it needs no upstream for what is there, and serves what is not."""
    await bench.start_on(disk)
    await bench.pull_until_kept(KNOWN)
    await bench.proxy.stop()
    await disk.remount_read_only()
    await bench.proxy.start()
    await bench.pull(NEW)
    await bench.assert_needs_no_upstream(KNOWN)
    assert bench.said("cache.unwritable") == 1
    await bench.hub.go_offline()
    await bench.pull(KNOWN)
