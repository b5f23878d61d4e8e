"""The stand-in behaves as Docker Hub does."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from tests.lab.content import AMD64, BIG_LAYER_BYTES, Content
from tests.lab.hub import HUB, OWN, HubStandIn
from tests.lab.images import DOCKER_LIST, DOCKER_MANIFEST, build_image, digest_of
from tests.lab.registry import DockerRegistry

pytestmark = pytest.mark.lab
JESSIE = "/v2/library/debian/manifests/jessie"


@pytest.fixture
async def client(hub: HubStandIn) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=hub.url, trust_env=False, timeout=10) as client:
        yield client


async def sign_in(
    client: httpx.AsyncClient,
    *repositories: str,
    service: str = "registry.docker.io",
    auth: tuple[str, str] | None = None,
) -> dict[str, str]:
    scopes = [("scope", f"repository:{repository}:pull") for repository in repositories]
    request = client.build_request("GET", "/token", params=[("service", service), *scopes])
    answer = await client.send(request, auth=auth)
    assert answer.status_code == 200
    return {"Authorization": f"Bearer {answer.json()['token']}"}


async def test_the_ping_asks_for_a_token(client: httpx.AsyncClient, hub: HubStandIn) -> None:
    answer = await client.get("/v2/")
    assert answer.status_code == 401
    expected = f'Bearer realm="{hub.url}/token",service="registry.docker.io"'
    assert answer.headers["WWW-Authenticate"] == expected
    assert answer.json()["errors"][0]["code"] == "UNAUTHORIZED"
    assert (await client.get("/v2/", headers=await sign_in(client))).status_code == 200


async def test_a_manifest_needs_its_scope(client: httpx.AsyncClient, content: Content) -> None:
    refused = await client.get(JESSIE)
    assert refused.status_code == 401
    assert 'scope="repository:library/debian:pull"' in refused.headers["WWW-Authenticate"]
    assert "error=" not in refused.headers["WWW-Authenticate"]
    other = await client.get(JESSIE, headers=await sign_in(client, "library/redis"))
    assert 'error="insufficient_scope"' in other.headers["WWW-Authenticate"]
    answer = await client.get(JESSIE, headers=await sign_in(client, "library/redis", "library/debian"))
    assert answer.content == content.manifest("library/debian:jessie").content
    assert answer.headers["Content-Type"] == DOCKER_MANIFEST
    assert answer.headers["Docker-Content-Digest"] == content.digest("library/debian:jessie")


async def test_a_head_says_what_the_get_gives(client: httpx.AsyncClient, content: Content) -> None:
    answer = await client.head(JESSIE, headers=await sign_in(client, "library/debian"))
    assert answer.status_code == 200
    assert int(answer.headers["Content-Length"]) == len(content.manifest("library/debian:jessie").content)
    assert answer.headers["Docker-Content-Digest"] == content.digest("library/debian:jessie")
    assert answer.content == b""


async def test_absent_and_private_repositories_look_the_same(client: httpx.AsyncClient, hub: HubStandIn) -> None:
    hub.behaviour = replace(HUB, private=frozenset({"library/redis"}))
    for name in ("arm32v6/nothing", "library/redis"):
        answer = await client.head(f"/v2/{name}/manifests/latest", headers=await sign_in(client, name))
        assert answer.status_code == 401
        assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]


async def test_an_account_opens_private_repositories(client: httpx.AsyncClient, hub: HubStandIn) -> None:
    hub.behaviour = replace(HUB, private=frozenset({"library/debian"}), accounts={"me": "secret"})
    headers = await sign_in(client, "library/debian", auth=("me", "secret"))
    assert (await client.get(JESSIE, headers=headers)).status_code == 200
    assert (await client.get("/token", auth=("me", "wrong"))).status_code == 401


async def test_an_absent_tag_of_a_present_repository_is_unknown(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v2/library/debian/manifests/absent", headers=await sign_in(client, "library/debian"))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "MANIFEST_UNKNOWN")


async def test_wrong_foreign_and_old_tokens_are_invalid(client: httpx.AsyncClient, hub: HubStandIn) -> None:
    wrong_service = await sign_in(client, "library/debian", service="registry-1.docker.io")
    hub.behaviour = replace(HUB, token_seconds=0)
    old = await sign_in(client, "library/debian")
    for headers in (wrong_service, old, {"Authorization": "Bearer a.b.c"}):
        answer = await client.get(JESSIE, headers=headers)
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


async def test_blobs_come_from_the_cdn_which_wants_no_credentials(
    client: httpx.AsyncClient, hub: HubStandIn, content: Content
) -> None:
    layer = content.image("library/debian:jessie").layers[0]
    headers = await sign_in(client, "library/debian")
    redirect = await client.get(f"/v2/library/debian/blobs/{layer.digest}", headers=headers)
    assert redirect.status_code == 307
    location = redirect.headers["Location"]
    assert location.startswith(f"{hub.cdn_url}/")
    assert (await client.get(location)).content == layer.content
    part = await client.get(location, headers={"Range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, layer.content[5:10])
    assert part.headers["Content-Range"] == f"bytes 5-9/{len(layer.content)}"
    assert hub.leaks() == []
    assert (await client.get(location, headers=headers)).status_code == 400
    assert len(hub.leaks()) == 1
    assert (await client.get(location[:-1])).status_code == 403
    assert [record.sent_bytes for record in hub.requests("cdn")][:2] == [len(layer.content), 5]


async def test_an_unknown_blob_is_not_redirected(client: httpx.AsyncClient) -> None:
    headers = await sign_in(client, "library/debian")
    answer = await client.get(f"/v2/library/debian/blobs/{digest_of(b'')}", headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "BLOB_UNKNOWN")


async def test_only_manifest_gets_cost_a_pull(client: httpx.AsyncClient, hub: HubStandIn) -> None:
    hub.behaviour = replace(HUB, pull_limit=2)
    headers = await sign_in(client, "library/debian")
    seen = [await client.request(method, JESSIE, headers=headers) for method in ("HEAD", "GET", "GET", "HEAD")]
    assert [answer.headers["ratelimit-remaining"] for answer in seen] == [f"{left};w=21600" for left in (2, 1, 0, 0)]
    assert seen[0].headers["ratelimit-limit"] == "2;w=21600"
    refused = await client.get(JESSIE, headers=headers)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (429, "TOOMANYREQUESTS")
    hub.reset()
    assert (await client.get(JESSIE, headers=headers)).status_code == 200


async def test_a_list_is_answered_whole_unless_negotiation_is_on(
    client: httpx.AsyncClient, hub: HubStandIn, content: Content
) -> None:
    headers = {**await sign_in(client, "library/redis"), "Accept": DOCKER_MANIFEST}
    path = "/v2/library/redis/manifests/3-alpine"
    assert (await client.get(path, headers=headers)).headers["Content-Type"] == DOCKER_LIST
    hub.behaviour = replace(HUB, legacy_negotiation=True)
    answer = await client.get(path, headers=headers)
    assert answer.headers["Docker-Content-Digest"] == content.digest("library/redis:3-alpine", AMD64)
    headers["Accept"] = f"{DOCKER_MANIFEST};q=1, {DOCKER_LIST}"
    assert (await client.get(path, headers=headers)).headers["Content-Type"] == DOCKER_LIST


async def test_tags_come_in_pages(client: httpx.AsyncClient) -> None:
    headers = await sign_in(client, "library/debian")
    first = await client.get("/v2/library/debian/tags/list?n=1", headers=headers)
    assert first.json() == {"name": "library/debian", "tags": ["bookworm"]}
    second = await client.get(first.links["next"]["url"], headers=headers)
    assert second.json()["tags"] == ["jessie"]
    assert "Link" not in second.headers


async def test_referrers_are_unknown_unless_given(client: httpx.AsyncClient, hub: HubStandIn) -> None:
    headers = await sign_in(client, "library/debian")
    path = f"/v2/library/debian/referrers/{digest_of(b'x')}"
    assert (await client.get(path, headers=headers)).status_code == 404
    hub.referrers[digest_of(b"x")] = []
    assert (await client.get(path, headers=headers)).json()["manifests"] == []


async def test_every_request_is_noted(client: httpx.AsyncClient, hub: HubStandIn, content: Content) -> None:
    headers = await sign_in(client, "library/debian")
    await client.head(JESSIE, headers=headers)
    await client.get(JESSIE, headers=headers)
    assert len(hub.requests("token", "library/debian")) == 1
    assert len(hub.requests("manifest", "library/debian", "jessie")) == 2
    (get,) = hub.requests("manifest-get")
    assert (get.status, get.sent_bytes) == (200, len(content.manifest("library/debian:jessie").content))
    hub.reset()
    assert hub.requests() == []


async def test_a_registry_of_ones_own_is_plain(hub_backend: DockerRegistry, content: Content) -> None:
    async with HubStandIn(hub_backend.url, OWN) as own, httpx.AsyncClient(base_url=own.url) as client:
        assert (await client.get("/v2/")).json() == {}
        answer = await client.get(JESSIE)
        assert answer.content == content.manifest("library/debian:jessie").content
        assert "ratelimit-limit" not in answer.headers
        layer = content.image("library/debian:jessie").layers[0]
        assert (await client.get(f"/v2/library/debian/blobs/{layer.digest}")).content == layer.content
        absent = await client.get("/v2/arm32v6/nothing/manifests/latest")
        assert (absent.status_code, absent.json()["errors"][0]["code"]) == (404, "NAME_UNKNOWN")


async def test_offline_means_refused_and_online_is_the_same_address(client: httpx.AsyncClient, hub: HubStandIn) -> None:
    assert (await client.get("/v2/")).status_code == 401
    await hub.go_offline()
    with pytest.raises(httpx.ConnectError):
        await client.get("/v2/")
    await hub.go_online()
    assert (await client.get("/v2/")).status_code == 401


async def test_many_big_blobs_at_once(client: httpx.AsyncClient, content: Content) -> None:
    layer = content.image("library/big:1").layers[1]
    address = f"/v2/library/big/blobs/{layer.digest}"
    headers = await sign_in(client, "library/big")
    answers = await asyncio.gather(*(client.get(address, headers=headers, follow_redirects=True) for _ in range(3)))
    assert [answer.content for answer in answers] == [layer.content] * 3
    assert len(layer.content) >= BIG_LAYER_BYTES


async def test_pushed_images_appear_at_once(writable_hub: HubStandIn, own_registry: DockerRegistry) -> None:
    async with httpx.AsyncClient(base_url=writable_hub.url) as client:
        await own_registry.push(build_image(AMD64, label="new"), "library/new", "1")
        headers = await sign_in(client, "library/new")
        assert (await client.get("/v2/library/new/manifests/1", headers=headers)).status_code == 200
