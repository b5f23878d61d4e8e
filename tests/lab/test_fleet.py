"""A fleet wants the same blob at once: one download, and nobody is held up by anybody."""

import asyncio
from pathlib import Path

import pytest

from tests.lab.content import Content
from tests.lab.downloads import Curl, SlowReader
from tests.lab.hub import HubStandIn, faults
from tests.lab.images import Blob
from tests.lab.proxies import Proxy, StartProxy, as_docker_hub

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]


@pytest.fixture
async def proxy(hub: HubStandIn, start_proxy: StartProxy) -> Proxy:
    return await start_proxy(config=as_docker_hub(hub.url))


@pytest.fixture
def layer(content: Content) -> Blob:
    return content.image("library/big:1").layers[1]


def url_of(proxy: Proxy, blob: Blob) -> str:
    return f"{proxy.url}/v2/library/big/blobs/{blob.digest}"


def start_clients(count: int, url: str, folder: Path) -> list[Curl]:
    return [Curl(url, folder / f"client-{number}") for number in range(count)]


def assert_one_download(hub: HubStandIn, blob: Blob) -> None:
    """Exactly one, of exactly the blob's size, and one question that led to it."""
    (download,) = hub.requests("cdn", reference=blob.digest)
    assert (download.method, download.status, download.sent_bytes) == ("GET", 200, len(blob.content))
    (asked,) = [record for record in hub.requests("blob", reference=blob.digest) if record.status != 401]
    assert asked.status == 307


@pytest.mark.parametrize("count", [8, 50])
async def test_a_fleet_costs_one_download(
    hub: HubStandIn, proxy: Proxy, layer: Blob, client_folder: Path, count: int
) -> None:
    clients = start_clients(count, url_of(proxy, layer), client_folder)
    got = await asyncio.gather(*(client.finish() for client in clients))
    assert got == [layer.digest] * count
    assert_one_download(hub, layer)


async def test_a_slow_client_slows_nobody(hub: HubStandIn, proxy: Proxy, layer: Blob, client_folder: Path) -> None:
    """At 1 MB/s it is not half through when all the others are done; and it gets the right bytes too."""
    slow = SlowReader(url_of(proxy, layer), bytes_per_second=1_000_000)
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(slow.read())
        await hub.wait_for("cdn")
        clients = start_clients(7, url_of(proxy, layer), client_folder)
        got = await asyncio.gather(*(client.finish() for client in clients))
        received = slow.received
        slow.hurry()
    assert [*got, reading.result()] == [layer.digest] * 8
    assert 0 < received < len(layer.content) / 2
    assert_one_download(hub, layer)


@pytest.mark.parametrize("count", [8, 50])
async def test_the_first_client_may_be_killed(
    hub: HubStandIn, proxy: Proxy, layer: Blob, client_folder: Path, count: int
) -> None:
    """While upstream stands still half-way, and everybody waits for the rest of a download that the first one began."""
    hub.inject(faults.Stall(0.5), kind="cdn", times=1)
    first = Curl(url_of(proxy, layer), client_folder / "first")
    await first.wait_for_bytes()
    others = start_clients(count - 1, url_of(proxy, layer), client_folder)
    await asyncio.gather(*(client.wait_for_bytes() for client in others))
    await first.kill()
    hub.release()
    got = await asyncio.gather(*(client.finish() for client in others))
    assert got == [layer.digest] * (count - 1)
    assert_one_download(hub, layer)


async def test_all_clients_may_be_killed(hub: HubStandIn, proxy: Proxy, layer: Blob, client_folder: Path) -> None:
    """The download goes on without them: the next client costs upstream nothing."""
    hub.inject(faults.Stall(0.5), kind="cdn", times=1)
    clients = start_clients(8, url_of(proxy, layer), client_folder)
    await asyncio.gather(*(client.wait_for_bytes() for client in clients))
    await asyncio.gather(*(client.kill() for client in clients))
    hub.release()
    assert await Curl(url_of(proxy, layer), client_folder / "next").finish() == layer.digest
    assert_one_download(hub, layer)
