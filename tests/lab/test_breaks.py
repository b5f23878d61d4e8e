"""The line to upstream breaks, stalls, lies or is not there: what was begun is finished, or ended visibly and soon."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.lab.content import ARM_V7, Content
from tests.lab.downloads import Curl
from tests.lab.hub import OWN, HubStandIn, faults
from tests.lab.images import MANIFEST_TYPES, Blob
from tests.lab.names import ABSENT, SILENT, own_names
from tests.lab.programs import wait_until
from tests.lab.proxies import Proxy, StartProxy, as_docker_hub

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

IN_BUFFERS = 8 * 1024**2
"""More than the socket buffers of both ends hold on loopback."""
STALLED_SECONDS = 2.0
SOON_SECONDS = 2.0
PARTIAL = "exit 18: "
"""What curl says of a body that ends before its announced length."""


@pytest.fixture
async def proxy(hub: HubStandIn, start_proxy: StartProxy) -> Proxy:
    limits = f'timeout = "{STALLED_SECONDS}s"\nstall_timeout = "{STALLED_SECONDS}s"\n'
    return await start_proxy(config=as_docker_hub(hub.url) + limits)


@pytest.fixture
def layer(content: Content) -> Blob:
    return content.image("library/big:1").layers[1]


@pytest.fixture
def start_client(proxy: Proxy, layer: Blob, client_folder: Path) -> "StartClient":
    return StartClient(f"{proxy.url}/v2/library/big/blobs/{layer.digest}", client_folder)


class StartClient:
    """Called to begin another download of the large layer."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url, self._folder, self._count = url, folder, 0

    def __call__(self) -> Curl:
        self._count += 1
        return Curl(self._url, self._folder / f"client-{self._count}")


def path_of(proxy: Proxy, blob: Blob) -> Path:
    return proxy.cache / "blobs" / blob.digest.replace(":", "/")


# Breaks


@pytest.mark.parametrize("after", [0.1, 0.5, 0.99])
async def test_a_broken_download_is_taken_up_by_one_range(
    hub: HubStandIn, start_client: StartClient, layer: Blob, after: float
) -> None:
    hub.inject(faults.Cut(after), kind="cdn", times=1)
    assert await start_client().finish() == layer.digest
    first, second = hub.requests("cdn", reference=layer.digest)
    begun = int(second.headers["Range"].removeprefix("bytes=").removesuffix("-"))
    assert first.sent_bytes == int(len(layer.content) * after)
    assert max(1, first.sent_bytes - IN_BUFFERS) <= begun <= first.sent_bytes
    assert (second.status, second.sent_bytes) == (206, len(layer.content) - begun)
    assert hub.leaks() == []


async def test_wrong_bytes_after_the_break_are_never_kept(
    hub: HubStandIn, proxy: Proxy, start_client: StartClient, layer: Blob
) -> None:
    hub.inject(faults.Cut(0.5), kind="cdn", times=1)
    hub.inject(faults.Resumed(faults.WrongBytes()), kind="cdn")
    assert (await start_client().finish()).startswith(PARTIAL)
    assert len(hub.requests("cdn", reference=layer.digest)) == 2
    assert not path_of(proxy, layer).exists()
    hub.reset()
    assert await start_client().finish() == layer.digest
    (clean,) = hub.requests("cdn", reference=layer.digest)
    assert "Range" not in clean.headers  # nothing of what was wrong is built upon


# Stalls


async def test_a_stalled_download_is_taken_up_and_holds_up_no_other(
    hub: HubStandIn, proxy: Proxy, start_client: StartClient, layer: Blob, content: Content, client_folder: Path
) -> None:
    hub.inject(faults.Stall(0.5), kind="cdn", reference=layer.digest, times=1)
    stalled = start_client()
    await stalled.wait_for_bytes()
    began = time.monotonic()
    other = content.image("library/debian:jessie").layers[0]
    got = await Curl(f"{proxy.url}/v2/library/debian/blobs/{other.digest}", client_folder / "other").finish()
    assert got == other.digest
    assert len(hub.requests("cdn", reference=layer.digest)) == 1  # all the while it stood still
    assert await stalled.finish() == layer.digest
    assert time.monotonic() - began < STALLED_SECONDS + SOON_SECONDS
    assert len(hub.requests("cdn", reference=layer.digest)) == 2


async def test_a_download_that_never_begins_ends_in_time(
    hub: HubStandIn, start_client: StartClient, layer: Blob
) -> None:
    hub.inject(faults.Stall(), kind="cdn")
    began = time.monotonic()
    assert "503" in await start_client().finish()
    assert time.monotonic() - began < STALLED_SECONDS + SOON_SECONDS
    hub.reset()
    assert await start_client().finish() == layer.digest


async def test_a_download_that_stalls_for_good_is_ended_visibly(
    hub: HubStandIn, start_proxy: StartProxy, layer: Blob, client_folder: Path
) -> None:
    """After five attempts to take it up, each within its time limit, and the waits between them."""
    proxy = await start_proxy(config=as_docker_hub(hub.url) + 'timeout = "300ms"\nstall_timeout = "300ms"\n')
    start_client = StartClient(f"{proxy.url}/v2/library/big/blobs/{layer.digest}", client_folder)
    hub.inject(faults.Stall(0.5), kind="cdn", times=1)
    hub.inject(faults.Resumed(faults.Stall()), kind="cdn")
    began = time.monotonic()
    assert (await start_client().finish()).startswith(PARTIAL)
    assert time.monotonic() - began < 30
    hub.reset()
    assert await start_client().finish() == layer.digest


# Refusals

ASKED = {
    "tag": ("manifest", "latest"),
    "manifest": ("manifest", None),
    "blob": ("blob", None),
    "cdn": ("cdn", None),
    "token": ("token", None),
}
FAILING = {
    "tag": [503, 200, 200],
    "manifest": [503, 503, 200],
    "blob": [200, 200, 503],
    "cdn": [200, 200, 503],
    "token": [503, 503, 503],
}
"""By what fails: what is answered to the tag, the manifest and the blob while nothing is known."""


@pytest.fixture
async def expiring(hub: HubStandIn, start_proxy: StartProxy) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a proxy whose tags are never fresh."""
    proxy = await start_proxy(config=f'[cache]\ntag_ttl = "0s"\nretry_interval = "0s"\n{as_docker_hub(hub.url)}')
    headers = {"Accept": ", ".join(MANIFEST_TYPES)}
    async with httpx.AsyncClient(base_url=proxy.url, headers=headers, trust_env=False, timeout=30) as client:
        yield client


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("failing", FAILING)
async def test_a_refusal_is_told_soon_and_not_remembered(
    hub: HubStandIn, expiring: httpx.AsyncClient, content: Content, failing: str, status: int
) -> None:
    """And nobody hears of it who asks for what is known."""
    image = content.image("library/multi:latest", ARM_V7)
    parts = (content.manifest("library/multi:latest"), image.manifest, image.config)
    references = ("manifests/latest", f"manifests/{image.manifest.digest}", f"blobs/{image.config.digest}")
    kind, reference = ASKED[failing]
    fault = faults.Status(status, b"no", {"Retry-After": "600"} if status == 429 else {})
    hub.inject(fault, kind=kind, reference=reference)

    async def ask() -> list[httpx.Response]:
        began = time.monotonic()
        answers = [await expiring.get(f"/v2/library/multi/{reference}") for reference in references]
        assert time.monotonic() - began < SOON_SECONDS
        return answers

    refused = await ask()
    assert [answer.status_code for answer in refused] == FAILING[failing]
    assert all(answer.json()["errors"][0]["code"] == "UNAVAILABLE" for answer in refused if answer.is_error)
    hub.reset()
    assert [answer.content for answer in await ask()] == [part.content for part in parts]
    hub.inject(fault, kind=kind, reference=reference)
    assert [answer.content for answer in await ask()] == [part.content for part in parts]


# Names

NAME = "registry.lab.test"


@pytest.mark.parametrize("beyond", [pytest.param(ABSENT, id="refused"), pytest.param(SILENT, id="unanswered")])
async def test_a_name_service_that_is_gone(
    hub: HubStandIn, start_proxy: StartProxy, content: Content, client_folder: Path, beyond: str
) -> None:
    """What is known is served at once; what is not fails in time, and works again when names do."""
    hub.behaviour = OWN
    config = as_docker_hub(hub.url.replace("127.0.0.1", NAME)) + 'timeout = "1s"\nconnect_timeout = "1s"\n'
    with own_names(client_folder / "names", beyond=beyond) as names:
        names.publish(NAME)
        proxy = await start_proxy(
            config=f'[cache]\ntag_ttl = "0s"\nretry_interval = "0s"\n{config}', wrapper=names.wrapper
        )
        async with httpx.AsyncClient(base_url=f"{proxy.url}/v2/library/", trust_env=False, timeout=30) as client:
            known = content.manifest("library/multi:latest")
            assert (await client.get("multi/manifests/latest")).content == known.content
            names.withdraw()
            await proxy.restart()
            began = time.monotonic()
            unknown, *again = await asyncio.gather(
                client.get("redis/manifests/3-alpine"),
                *(client.get("multi/manifests/latest") for _ in range(20)),
            )
            assert time.monotonic() - began < 1 + SOON_SECONDS
            assert unknown.status_code == 503
            assert {answer.content for answer in again} == {known.content}
            names.publish(NAME)

            async def is_found() -> bool:
                found = await client.get("redis/manifests/3-alpine")
                return found.content == content.manifest("library/redis:3-alpine").content

            await wait_until(is_found, seconds=20, purpose="the end of the question that nobody answered")
            assert await proxy.stop() == 0
