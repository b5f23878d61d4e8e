"""A private image, which only the proxy's own credentials can read, is served under its own name and no other."""

from dataclasses import replace

import httpx
import pytest

from tests.lab.content import AMD64
from tests.lab.hub import HUB, HubStandIn
from tests.lab.images import Image, build_image
from tests.lab.proxies import Proxy, StartProxy, as_docker_hub
from tests.lab.pulling import registry_client
from tests.lab.registry import DockerRegistry

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

CREDENTIALS = 'username = "me"\npassword = "secret"\nrepositories = ["me/private"]\n'
ELSEWHERE = """\
[[upstream]]
name = "elsewhere.example"
url = "{url}"
"""
PRIVATE = "/v2/me/private"
OTHER_NAMES = (
    "/v2/library/app",
    "/v2/library/private",
    "/v2/me/other",
    "/v2/arm7/app",
    "/v2/arm7/me/other",
    "/v2/linux-arm-v7/library/app",
    "/linux-arm-v7/v2/library/app",
)


@pytest.fixture
async def image(own_registry: DockerRegistry) -> Image:
    private = build_image(AMD64, label="private")
    await own_registry.push(private, "me/private", "1")
    return private


@pytest.fixture
async def proxy(writable_hub: HubStandIn, image: Image, start_proxy: StartProxy) -> Proxy:
    writable_hub.behaviour = replace(HUB, private=frozenset({"me/private"}), accounts={"me": "secret"})
    return await start_proxy(
        config=as_docker_hub(writable_hub.url) + CREDENTIALS + ELSEWHERE.format(url=writable_hub.url)
    )


async def test_a_private_image_is_not_served_under_another_name(
    writable_hub: HubStandIn, proxy: Proxy, image: Image
) -> None:
    """Neither when it is in the cache, nor with upstream gone, nor after a restart."""
    async with registry_client(proxy.url) as client:
        await _assert_served(client, image)
        await _assert_nowhere_else(client, image)
        await writable_hub.go_offline()
        await _assert_served(client, image)
        await _assert_nowhere_else(client, image)
        await proxy.restart()
        await _assert_served(client, image)
        await _assert_nowhere_else(client, image)


async def test_the_credentials_are_for_no_other_repository(
    writable_hub: HubStandIn, own_registry: DockerRegistry, proxy: Proxy, image: Image
) -> None:
    await own_registry.push(image, "me/secret", "1")
    writable_hub.behaviour = replace(writable_hub.behaviour, private=frozenset({"me/private", "me/secret"}))
    async with registry_client(proxy.url) as client:
        await _assert_served(client, image)
        assert (await client.get("/v2/me/secret/manifests/1")).status_code in (401, 403, 404)
        for blob in (image.config, *image.layers):
            assert (await client.get(f"/v2/me/secret/blobs/{blob.digest}")).status_code in (401, 403, 404)
    tokens = writable_hub.requests("token", "me/secret")
    assert tokens
    assert not any("Authorization" in record.headers for record in tokens)


async def _assert_served(client: httpx.AsyncClient, image: Image) -> None:
    for reference in ("1", image.manifest.digest):
        assert (await client.get(f"{PRIVATE}/manifests/{reference}")).content == image.manifest.content
    for blob in (image.config, *image.layers):
        assert (await client.get(f"{PRIVATE}/blobs/{blob.digest}")).content == blob.content


async def _assert_nowhere_else(client: httpx.AsyncClient, image: Image) -> None:
    for name in OTHER_NAMES:
        await _assert_refused(client, name, "", image)
    await _assert_refused(client, PRIVATE, "?ns=elsewhere.example", image)
    await _assert_refused(client, "/v2/elsewhere.example/me/private", "", image)


async def _assert_refused(client: httpx.AsyncClient, name: str, query: str, image: Image) -> None:
    paths = [f"manifests/{image.manifest.digest}", *(f"blobs/{blob.digest}" for blob in (image.config, *image.layers))]
    for path in paths:
        for method in ("HEAD", "GET"):
            answer = await client.request(method, f"{name}/{path}{query}")
            assert answer.status_code in (401, 403, 404, 503), f"{method} {name}/{path}{query}: {answer.status_code}"
            assert image.manifest.content not in answer.content
