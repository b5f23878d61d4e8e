"""What polyarch promises about the answers themselves, seen on the wire in front of a real registry."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.lab.content import AMD64, ARM64, ARM_V6, ARM_V7, Content
from tests.lab.hub import HubStandIn
from tests.lab.images import DOCKER_LIST, DOCKER_MANIFEST, MANIFEST_TYPES, build_image, digest_of
from tests.lab.proxies import Proxy, StartProxy, as_docker_hub
from tests.lab.registry import DockerRegistry

pytestmark = pytest.mark.lab

JESSIE = "/v2/library/debian/manifests/jessie"
PI_ZERO_AGENT = "docker/18.09.0 go/go1.10.4 git-commit/4d60db4 kernel/6.1.21+ os/linux arch/arm"
ALL_TYPES = {"Accept": ", ".join(MANIFEST_TYPES)}


@pytest.fixture
async def proxy(hub: HubStandIn, start_proxy: StartProxy) -> Proxy:
    return await start_proxy(config=as_docker_hub(hub.url))


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=proxy.url, headers=ALL_TYPES, trust_env=False, timeout=30) as client:
        yield client


async def test_a_client_that_knows_no_index_is_answered_with_its_image(
    client: httpx.AsyncClient, content: Content
) -> None:
    headers = {"Accept": DOCKER_MANIFEST, "User-Agent": PI_ZERO_AGENT}
    answer = await client.get(JESSIE, headers=headers)
    assert answer.content == content.manifest("arm32v6/debian:jessie").content
    assert answer.headers["Docker-Content-Digest"] == content.digest("arm32v6/debian:jessie")
    assert (await client.get("/v2/arm6/debian/manifests/jessie")).content == answer.content


async def test_a_complete_index_stays_as_it_is_to_the_byte(client: httpx.AsyncClient, content: Content) -> None:
    for name, tag in (("redis", "3-alpine"), ("multi", "latest")):
        answer = await client.get(f"/v2/library/{name}/manifests/{tag}")
        upstream = content.manifest(f"library/{name}:{tag}")
        assert (answer.content, answer.headers["Content-Type"]) == (upstream.content, upstream.media_type)
        assert answer.headers["Docker-Content-Digest"] == upstream.digest


async def test_a_synthesised_index_lists_what_there_is(client: httpx.AsyncClient, content: Content) -> None:
    answer = await client.get(JESSIE)
    assert answer.headers["Content-Type"] == DOCKER_LIST
    entries = json.loads(answer.content)["manifests"]
    assert entries[0]["digest"] == content.digest("library/debian:jessie")
    listed = {"/".join(entry["platform"].get(key, "") for key in ("architecture", "variant")) for entry in entries}
    assert {"amd64/", "arm/v8", "arm/v7", "arm/v6"} <= listed
    assert [entry["digest"] for entry in entries[1:]] == [  # v7 under v8, too: docs/decisions/0012
        content.digest(f"{namespace}/debian:jessie") for namespace in ("arm64v8", "arm32v7", "arm32v7", "arm32v6")
    ]


async def test_head_and_get_agree_for_good(
    client: httpx.AsyncClient, hub: HubStandIn, proxy: Proxy, start_proxy: StartProxy
) -> None:
    """By tag and by digest, after a restart, with upstream gone, and at another proxy with a cache of its own."""
    head = await client.head(JESSIE)
    digest = head.headers["Docker-Content-Digest"]
    body = (await client.get(f"/v2/library/debian/manifests/{digest}")).content
    assert (digest_of(body), len(body)) == (digest, int(head.headers["Content-Length"]))
    other = await start_proxy(config=as_docker_hub(hub.url))
    assert (await client.head(f"{other.url}{JESSIE}")).headers["Docker-Content-Digest"] == digest
    await hub.go_offline()
    await proxy.restart()
    assert (await client.get(f"/v2/library/debian/manifests/{digest}")).content == body
    assert (await client.head(JESSIE)).headers["Docker-Content-Digest"] == digest


async def test_no_candidate_is_asked_twice_in_the_negative_time(
    hub: HubStandIn, client: httpx.AsyncClient, proxy: Proxy
) -> None:
    for _ in range(3):
        assert (await client.get("/v2/library/app/manifests/1")).status_code == 200
        assert (await client.get("/v2/library/redis/manifests/3-alpine")).status_code == 200
    await proxy.restart()
    assert (await client.get("/v2/library/app/manifests/1")).status_code == 200
    candidates = [record for record in hub.requests("manifest") if not record.repository.startswith("library/")]
    assert candidates
    assert len({record.path for record in candidates}) == len(candidates)


async def test_blobs_of_a_candidate_come_under_the_requested_name(
    client: httpx.AsyncClient, hub: HubStandIn, content: Content
) -> None:
    await client.get(JESSIE)
    for namespace, platform in (("arm64v8", ARM64), ("arm32v7", ARM_V7), ("arm32v6", ARM_V6)):
        image = content.image(f"{namespace}/debian:jessie", platform)
        await client.get(f"/v2/library/debian/manifests/{image.manifest.digest}")
        for blob in (image.config, *image.layers):
            answer = await client.get(f"/v2/library/debian/blobs/{blob.digest}")
            assert answer.content == blob.content
    assert hub.leaks() == []


async def test_cold_blobs_arrive_whole_however_they_are_asked_for(
    own_registry: DockerRegistry, start_proxy: StartProxy
) -> None:
    """Many small fills, some of which are over before the first reader has come."""
    images = [build_image(AMD64, label=str(number), padding_bytes=number % 3 * 30_000) for number in range(60)]
    for number, image in enumerate(images):
        await own_registry.push(image, "library/many", str(number))
    proxy = await start_proxy(config=as_docker_hub(own_registry.url))
    async with httpx.AsyncClient(base_url=f"{proxy.url}/v2/library/many/", trust_env=False, timeout=30) as client:
        for image in images:
            assert (await client.get(f"manifests/{image.manifest.digest}")).content == image.manifest.content
            blobs = (image.config, *image.layers)
            answers = await asyncio.gather(
                *(client.get(f"blobs/{blob.digest}", headers={"Connection": "close"}) for blob in blobs)
            )
            assert [answer.content for answer in answers] == [blob.content for blob in blobs]
