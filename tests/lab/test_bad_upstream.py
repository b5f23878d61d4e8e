"""Upstream misbehaves: the client is told in the registry's envelope, and nothing wrong is kept."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.lab.content import Content
from tests.lab.hub import HubStandIn, faults
from tests.lab.images import MANIFEST_TYPES, digest_of
from tests.lab.proxies import Proxy, StartProxy, as_docker_hub

pytestmark = pytest.mark.lab

REFUSED = {502, 503, 504}

IN_BUFFERS = 8 * 1024**2
"""More than the socket buffers of both ends hold on loopback."""


@pytest.fixture
async def proxy(hub: HubStandIn, start_proxy: StartProxy) -> Proxy:
    return await start_proxy(config=as_docker_hub(hub.url))


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Accept": ", ".join(MANIFEST_TYPES)}
    address = f"{proxy.url}/v2/library/debian/"
    async with httpx.AsyncClient(base_url=address, headers=headers, trust_env=False, timeout=50) as client:
        yield client


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(faults.WrongBytes(), id="wrong bytes"),
        pytest.param(faults.Replace(b"{}", "application/json"), id="another document"),
        pytest.param(faults.WrongSize(10), id="too short"),
        pytest.param(faults.WrongSize(-10), id="cut and announced so"),
        pytest.param(faults.HTML, id="HTML"),
        pytest.param(faults.oversize_manifest(), id="5 MiB"),
        pytest.param(faults.index_and_image(), id="index and image"),
        pytest.param(faults.RedirectLoop(), id="redirect loop"),
        pytest.param(faults.METADATA_SERVICE, id="link-local redirect"),
        pytest.param(faults.DROP, id="dropped"),
        pytest.param(faults.Status(500), id="500"),
    ],
)
@pytest.mark.parametrize("by", ["tag", "digest"])
async def test_a_wrong_manifest_is_refused(
    hub: HubStandIn, client: httpx.AsyncClient, content: Content, fault: faults.Fault, by: str
) -> None:
    """And as soon as upstream is right again by digest, so is the answer."""
    digest = content.digest("library/debian:jessie")
    hub.inject(fault, kind="manifest-get", repository="library/debian")
    wrong = await client.get(f"manifests/{digest if by == 'digest' else 'jessie'}")
    assert wrong.status_code in REFUSED
    assert wrong.json()["errors"][0]["code"]
    assert "127.0.0.1" not in wrong.text
    hub.reset()
    right = await client.get(f"manifests/{digest}")
    assert digest_of(right.content) == digest


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(faults.WrongBytes(), id="wrong bytes"),
        pytest.param(faults.WrongSize(-1), id="too short"),
        pytest.param(faults.Status(404), id="404"),
        pytest.param(faults.Status(500), id="500"),
    ],
)
async def test_a_wrong_blob_is_never_whole(
    hub: HubStandIn, client: httpx.AsyncClient, content: Content, fault: faults.Fault
) -> None:
    image = content.image("library/debian:jessie")
    layer = image.layers[0]
    await client.get(f"manifests/{image.manifest.digest}")
    hub.inject(fault, kind="cdn")
    assert await fetch(client, f"blobs/{layer.digest}") != layer.content
    hub.reset()
    assert await fetch(client, f"blobs/{layer.digest}") == layer.content


async def test_a_broken_download_is_taken_up_where_it_broke(
    hub: HubStandIn, client: httpx.AsyncClient, content: Content
) -> None:
    layer = content.image("library/big:1").layers[1]
    hub.inject(faults.Cut(0.5), kind="cdn", times=1)
    client.base_url = httpx.URL(str(client.base_url).replace("/debian/", "/big/"))
    await client.get(f"manifests/{content.digest('library/big:1')}")
    assert await fetch(client, f"blobs/{layer.digest}") == layer.content
    first, second = hub.requests("cdn", reference=layer.digest)
    # What a broken connection still held in its buffers is lost with it: a moment's worth, not more.
    begun = int(second.headers["Range"].removeprefix("bytes=").removesuffix("-"))
    assert first.sent_bytes - IN_BUFFERS <= begun <= first.sent_bytes
    assert hub.leaks() == []


async def test_a_token_realm_on_a_foreign_host_is_not_asked(hub: HubStandIn, client: httpx.AsyncClient) -> None:
    hub.inject(faults.ForeignRealm("http://127.0.0.9:9/token"))
    wrong = await client.get("manifests/jessie")
    assert wrong.status_code in REFUSED
    assert hub.requests("token") == []


async def test_a_blob_redirected_to_the_same_host_is_found(
    hub: HubStandIn, client: httpx.AsyncClient, content: Content
) -> None:
    image = content.image("library/debian:jessie")
    hub.inject(faults.RelativeLocation(), kind="blob")
    await client.get(f"manifests/{image.manifest.digest}")
    assert await fetch(client, f"blobs/{image.config.digest}") == image.config.content


async def fetch(client: httpx.AsyncClient, path: str) -> bytes | None:
    """Return a whole body, or `None` for an error or a body that is cut visibly short."""
    try:
        answer = await client.get(path)
    except httpx.RemoteProtocolError:
        return None
    return answer.content if answer.is_success else None
