"""Each fault does what its name says, to whom it is meant for, as often as it is meant to."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.lab.content import Content
from tests.lab.hub import OWN, HubStandIn, faults
from tests.lab.images import OCI_INDEX, OCI_MANIFEST, digest_of
from tests.lab.registry import DockerRegistry

pytestmark = pytest.mark.lab
JESSIE = "/v2/library/debian/manifests/jessie"


@pytest.fixture
async def own(hub_backend: DockerRegistry) -> AsyncIterator[HubStandIn]:
    async with HubStandIn(hub_backend.url, OWN) as stand_in:
        yield stand_in


@pytest.fixture
async def client(own: HubStandIn) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=own.url, trust_env=False, timeout=10) as client:
        yield client


@pytest.fixture
def body(content: Content) -> bytes:
    return content.manifest("library/debian:jessie").content


async def test_a_fault_strikes_whom_it_is_meant_for(own: HubStandIn, client: httpx.AsyncClient) -> None:
    fault = faults.Status(503, b"busy", {"Retry-After": "7"})
    own.inject(fault, kind="manifest-get", repository="library/debian", reference="jessie", times=2)
    assert (await client.head(JESSIE)).status_code == 200
    assert (await client.get("/v2/library/redis/manifests/3-alpine")).status_code == 200
    first = await client.get(JESSIE)
    assert (first.status_code, first.content, first.headers["Retry-After"]) == (503, b"busy", "7")
    assert [(await client.get(JESSIE)).status_code for _ in range(2)] == [503, 200]
    with own.failing(fault, kind="manifest"):
        assert (await client.head(JESSIE)).status_code == 503
    assert (await client.head(JESSIE)).status_code == 200


@pytest.mark.parametrize("after", [None, 0.0, 0.5], ids=["before headers", "before body", "in the body"])
async def test_a_stall_lasts_until_released(
    own: HubStandIn, client: httpx.AsyncClient, body: bytes, after: float | None
) -> None:
    own.inject(faults.Stall(after), kind="manifest-get", times=1)
    with pytest.raises(httpx.ReadTimeout):
        await client.get(JESSIE, timeout=0.2)
    assert own.requests("manifest-get")[0].sent_bytes == int(len(body) * (after or 0))
    own.reset()
    own.inject(faults.Stall(after), kind="manifest-get", times=1)
    async with asyncio.TaskGroup() as tasks:
        pending = tasks.create_task(client.get(JESSIE))
        await own.wait_for("manifest-get")
        await asyncio.wait([pending], timeout=0.1)
        assert not pending.done()
        own.release()
    assert pending.result().content == body


@pytest.mark.parametrize("fault", [faults.Cut(0.5), faults.WrongSize(10)], ids=["cut", "announced too long"])
async def test_a_short_body_is_visible(own: HubStandIn, client: httpx.AsyncClient, fault: faults.Fault) -> None:
    own.inject(fault, kind="manifest-get")
    with pytest.raises(httpx.RemoteProtocolError, match="closed connection without sending complete"):
        await client.get(JESSIE)


async def test_half_of_a_big_blob_is_half(own: HubStandIn, client: httpx.AsyncClient, content: Content) -> None:
    layer = content.image("library/big:1").layers[1]
    own.inject(faults.Cut(0.25), kind="blob")
    async with client.stream("GET", f"/v2/library/big/blobs/{layer.digest}") as answer:
        with pytest.raises(httpx.RemoteProtocolError):
            await answer.aread()
    assert own.requests("blob")[0].sent_bytes == len(layer.content) // 4


async def test_a_dropped_connection_says_nothing(own: HubStandIn, client: httpx.AsyncClient) -> None:
    own.inject(faults.DROP, times=1)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        await client.get(JESSIE)
    assert (await client.get(JESSIE)).status_code == 200


async def test_wrong_bytes_keep_length_and_headers(own: HubStandIn, client: httpx.AsyncClient, body: bytes) -> None:
    own.inject(faults.WrongBytes())
    answer = await client.get(JESSIE)
    assert answer.content[1:] == body[1:]
    assert answer.content != body
    assert answer.headers["Docker-Content-Digest"] == digest_of(body)


async def test_a_size_that_is_too_small(own: HubStandIn, client: httpx.AsyncClient, body: bytes) -> None:
    own.inject(faults.WrongSize(-5))
    assert (await client.get(JESSIE)).content == body[:-5]


async def test_headers_change_or_vanish(own: HubStandIn, client: httpx.AsyncClient) -> None:
    own.inject(faults.Headers({"Docker-Content-Digest": digest_of(b"other"), "ETag": None}))
    answer = await client.head(JESSIE)
    assert answer.headers["Docker-Content-Digest"] == digest_of(b"other")
    assert "ETag" not in answer.headers


async def test_html_with_status_200(own: HubStandIn, client: httpx.AsyncClient) -> None:
    own.inject(faults.HTML)
    answer = await client.get(JESSIE)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html")


async def test_an_oversize_manifest_is_well_formed(own: HubStandIn, client: httpx.AsyncClient) -> None:
    own.inject(faults.oversize_manifest())
    answer = await client.get(JESSIE)
    assert len(answer.content) > 5_000_000
    assert answer.json()["mediaType"] == OCI_MANIFEST == answer.headers["Content-Type"]
    assert answer.headers["Docker-Content-Digest"] == digest_of(answer.content)


async def test_index_and_image_in_one(own: HubStandIn, client: httpx.AsyncClient) -> None:
    own.inject(faults.index_and_image())
    answer = await client.get(JESSIE)
    assert answer.headers["Content-Type"] == OCI_INDEX
    assert {"config", "layers", "manifests"} <= answer.json().keys()


async def test_redirects_that_lead_nowhere(own: HubStandIn, client: httpx.AsyncClient) -> None:
    with own.failing(faults.RedirectLoop()), pytest.raises(httpx.TooManyRedirects):
        await client.get(JESSIE, follow_redirects=True)
    with own.failing(faults.METADATA_SERVICE):
        assert (await client.get(JESSIE)).headers["Location"].startswith("http://169.254.169.254/")


async def test_a_relative_location_leads_to_the_same_host(hub: HubStandIn, content: Content) -> None:
    layer = content.image("library/debian:jessie").layers[0]
    hub.inject(faults.RelativeLocation(), kind="blob")
    async with httpx.AsyncClient(base_url=hub.url) as client:
        token = (await client.get("/token?service=registry.docker.io&scope=repository:library/debian:pull")).json()
        headers = {"Authorization": f"Bearer {token['token']}"}
        path = f"/v2/library/debian/blobs/{layer.digest}"
        answer = await client.get(path, headers=headers, follow_redirects=True)
    assert answer.history[0].headers["Location"].startswith("/cdn/")
    assert (answer.status_code, answer.content) == (200, layer.content)


async def test_a_foreign_realm(hub: HubStandIn) -> None:
    hub.inject(faults.ForeignRealm("http://127.0.0.3:9/token"))
    async with httpx.AsyncClient() as client:
        challenge = (await client.get(f"{hub.url}/v2/")).headers["WWW-Authenticate"]
    assert challenge.startswith('Bearer realm="http://127.0.0.3:9/token",service=')
