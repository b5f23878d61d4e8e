"""The end of a server: what is being pulled is pulled to its end, or taken up by the next one where it was cut off."""

import asyncio
import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.lab.content import Content
from tests.lab.downloads import Curl, SlowReader
from tests.lab.hub import HubStandIn, faults
from tests.lab.images import Blob
from tests.lab.programs import wait_until
from tests.lab.proxies import Proxy, StartProxy, as_docker_hub

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

SLOW = 2 * 1024**2
IN_BUFFERS = 8 * 1024**2


@pytest.fixture
def layer(content: Content) -> Blob:
    return content.image("library/big:1").layers[1]


def url_of(proxy: Proxy, blob: Blob) -> str:
    return f"{proxy.url}/v2/library/big/blobs/{blob.digest}"


async def told(proxy: Proxy, event: str) -> None:
    async def is_told() -> bool:
        return f'"event": "{event}"' in proxy.log()

    await wait_until(is_told, seconds=10, purpose=event)


async def code_of(proxy: Proxy) -> int | None:
    """Wait for its end, without telling it again."""

    async def has_ended() -> bool:
        return proxy._running.code is not None

    await wait_until(has_ended, seconds=10, purpose="the end")
    return proxy._running.code


async def test_a_slow_download_survives_the_end_of_its_server(
    hub: HubStandIn, start_proxy: StartProxy, layer: Blob
) -> None:
    proxy = await start_proxy(config=as_docker_hub(hub.url))
    reader = SlowReader(url_of(proxy, layer), SLOW)
    reading = asyncio.ensure_future(reader.read())

    async def has_begun() -> bool:
        return reader.received > 0

    await wait_until(has_begun, seconds=30, purpose="the first bytes")
    os.kill(proxy.pid, signal.SIGTERM)
    await told(proxy, "stopping")
    assert reader.received < len(layer.content)
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{proxy.url}/v2/")
    reader.hurry()
    assert await reading == layer.digest
    assert await code_of(proxy) == 0


@pytest.mark.parametrize("ending", ["the limit", "a second signal"])
async def test_one_that_takes_too_long_is_cut_and_taken_up_by_the_next_server(
    hub: HubStandIn, start_proxy: StartProxy, layer: Blob, client_folder: Path, ending: str
) -> None:
    limit = "300ms" if ending == "the limit" else "1m"
    proxy = await start_proxy(config=f'[server]\ndrain_seconds = "{limit}"\n' + as_docker_hub(hub.url))
    hub.inject(faults.Stall(0.5), kind="cdn", reference=layer.digest, times=1)
    client = Curl(url_of(proxy, layer), client_folder / "first")
    await client.wait_for_bytes(len(layer.content) // 2 - IN_BUFFERS)
    began = time.monotonic()
    os.kill(proxy.pid, signal.SIGTERM)
    await told(proxy, "stopping")
    if ending == "a second signal":
        os.kill(proxy.pid, signal.SIGTERM)
    await told(proxy, "drain.cut_short")
    assert await code_of(proxy) == 0
    assert time.monotonic() - began < 5
    assert (await client.finish()).startswith("exit 18: ")  # it sees that there is more to come
    hub.release()
    await proxy.start()
    assert await Curl(url_of(proxy, layer), client_folder / "second").finish() == layer.digest
    first, second = [one for one in hub.requests("cdn", reference=layer.digest) if one.method == "GET"]
    begun = int(second.headers["Range"].removeprefix("bytes=").removesuffix("-"))
    assert max(1, first.sent_bytes - IN_BUFFERS) <= begun <= first.sent_bytes
    assert second.sent_bytes == len(layer.content) - begun
