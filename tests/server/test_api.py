import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from proxy.config.schema import Settings
from proxy.config.serving import ApiSettings
from proxy.config.upstreams import UpstreamSettings
from proxy.server.api import BASE
from proxy.wiring import open_proxy
from tests.cli.folders import IMAGES
from tests.cli.registries import documents_of, serving
from tests.fakes.events import RecordingEvents
from tests.lab.programs import wait_until
from tests.live import Live, pull, run_proxy

NAME = "docker.io/library/debian:jessie"
KINDS: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}
TOKEN = {"Authorization": "Bearer secret"}


@pytest.fixture
def url() -> Iterator[str]:
    with serving(documents_of(IMAGES)) as url:
        yield url


@pytest.fixture
async def live(url: str, tmp_path: Path) -> AsyncIterator[Live]:
    settings = Settings(upstream=(UpstreamSettings(url=url, public="true"),))
    async with run_proxy(settings, tmp_path / "cache") as live:
        await pull(live.client, "library/debian:jessie", "linux/arm/v7")
        await live.settle()
        yield live


async def ask(live: Live, path: str, **query: str) -> Any:
    answer = await live.client.get(BASE + path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def tell(live: Live, path: str, **body: object) -> httpx.Response:
    return await live.client.post(BASE + path, json=body)


async def test_the_state_of_things(live: Live) -> None:
    status = await ask(live, "/status")
    assert status["fleet"][0] == "linux/amd64"
    assert status["cache"]["stored_bytes"] > 0
    assert status["answers"]["blob"]["miss"] == 2
    assert status["bytes"]["served"] > 0
    assert status["upstreams"] == (await ask(live, "/quota"))["upstreams"] == [{"name": "docker.io", "quota": None}]
    assert all(one["written"] == one["size"] for one in status["fills"])  # the disk may not be done with the last


async def list_images(live: Live, **query: str) -> list[dict[str, Any]]:
    images: list[dict[str, Any]] = (await ask(live, "/images", **query))["images"]
    return images


async def test_images_and_tags(live: Live) -> None:
    images = await list_images(live)
    assert [image["reference"] for image in images] == ["docker.io/arm32v7/debian:jessie", NAME]
    assert [image["reference"] for image in await list_images(live, pattern="debian")] == [NAME]
    assert NAME in [tag["reference"] for tag in (await ask(live, "/tags"))["tags"]]


@pytest.mark.parametrize(("path", "name"), [("/images", "images"), ("/tags", "tags")])
async def test_long_lists_come_in_pages(live: Live, path: str, name: str) -> None:
    whole = await ask(live, path)
    assert whole["next"] is None
    page = await ask(live, path, limit="1")
    pages = page[name]
    while page["next"] is not None:
        page = await ask(live, path, limit="1", after=page["next"])
        pages += page[name]
    assert pages == whole[name]
    assert len(pages) > 1


async def test_one_image_with_where_its_builds_are_from(live: Live) -> None:
    image = await ask(live, "/image", reference="debian:jessie")
    assert image["reference"] == NAME
    sources = {one["platform"]: (one["source"], one["origin"], one["whole"]) for one in image["builds"]}
    assert sources["linux/amd64"] == ("upstream", None, False)
    assert sources["linux/arm/v7"] == ("added", "docker.io/arm32v7/debian:jessie", True)
    assert any("arm32v7/debian:jessie" in line for line in image["trail"])
    unknown = await live.client.get(f"{BASE}/image", params={"reference": "nothing:1"})
    assert (unknown.status_code, unknown.json()["errors"][0]["code"]) == (404, "MANIFEST_UNKNOWN")


async def test_what_is_damaged_is_told_and_fetched_again(live: Live) -> None:
    image = await ask(live, "/image", reference="debian:jessie")
    digest = next(one["digest"] for one in image["builds"] if one["platform"] == "linux/arm/v7")
    file = live.cache / "blobs" / digest.replace(":", "/")
    for repair in (True, False):
        content = file.read_bytes()
        file.chmod(0o644)
        file.write_bytes(b"x" + content[1:])
        (damage,) = (await tell(live, "/verify", repair=repair)).json()["damaged"]
        assert (damage["digest"], damage["repaired"]) == (digest, repair)
        assert NAME in damage["references"]
        assert file.exists() is repair


async def test_who_asks(live: Live) -> None:
    told = await ask(live, "/whoami")
    assert told["evidence"] == "none"
    assert told["listener"] == "main"


async def test_what_a_machine_would_be_answered(live: Live) -> None:
    told = await ask(live, "/resolve", reference="debian:jessie", platform="arm7")
    assert (told["reference"], told["platform"], told["evidence"]) == (NAME, "linux/arm/v7", "asked for")
    assert told["image"].startswith("arm32v7/debian:jessie@sha256:")
    assert told["trail"]
    described = await ask(live, "/openapi.json")
    answers = described["paths"][f"{BASE}/resolve"]["get"]["responses"]
    check(answers["200"]["content"]["application/json"]["schema"], told, "/resolve")
    unknown = await ask(live, "/resolve", reference="debian:jessie")
    assert (unknown["platform"], unknown["evidence"]) == (None, "none")


async def test_pins_come_and_go(live: Live) -> None:
    assert (await tell(live, "/pins", reference="debian:jessie")).json() == {"reference": NAME, "pinned": True}
    assert [image["reference"] for image in await list_images(live) if image["pinned"]] == [NAME]
    gone = await live.client.delete(f"{BASE}/pins", params={"reference": "debian:jessie"})
    assert gone.json() == {"reference": NAME, "pinned": False}
    again = await live.client.delete(f"{BASE}/pins", params={"reference": "debian:jessie"})
    assert (again.status_code, again.json()["errors"][0]["message"]) == (404, f"{NAME} is not pinned")


async def test_what_is_purged_is_gone(live: Live) -> None:
    assert (await tell(live, "/verify")).json()["damaged"] == []
    assert (await tell(live, "/gc", dry_run=True)).json()["blobs"] == 0
    assert (await tell(live, "/purge", reference="debian:jessie")).json()["blobs"] > 0
    assert NAME not in [image["reference"] for image in await list_images(live)]


async def test_what_is_pinned_is_not_purged(live: Live) -> None:
    await tell(live, "/pins", reference="debian:jessie")
    before = live.stored()
    refused = await tell(live, "/purge", reference="debian:jessie")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "DENIED")
    assert "is pinned" in refused.json()["errors"][0]["message"]
    assert live.stored() == before


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "reason"),
    [
        ("GET", "/nothing", None, 404, "openapi.json describes what there is"),
        ("PUT", "/status", None, 405, "only by GET, HEAD"),
        ("GET", f"/images?pattern={'a' * 257}", None, 400, "'pattern' is not what it should be"),
        ("DELETE", "/pins?reference=a:1&reference=b:2", None, 400, "'reference' is there twice"),
        ("GET", "/images?limit=0", None, 400, "'limit' is not what it should be"),
        ("GET", "/images?limit=x", None, 400, "'limit' is not what it should be"),
        ("GET", "/images?size=1", None, 400, "no such parameter: 'size'; there is pattern, after, limit"),
        ("POST", "/pins", {}, 400, "'reference' is missing: an image"),
        ("POST", "/pins", {"reference": 1}, 400, "'reference' is not what it should be"),
        ("POST", "/pins", {"reference": "Not A Name"}, 400, "Not A Name"),
        ("POST", "/gc", {"dry_run": 1}, 400, "'dry_run' is not what it should be"),
        ("DELETE", "/pins", None, 400, "'reference' is missing"),
        ("GET", "/resolve", None, 400, "'reference' is missing"),
        ("GET", "/resolve?reference=debian&platform=toaster", None, 400, "toaster"),
        ("GET", "/resolve?reference=other.example/debian", None, 404, "none of this proxy's upstreams"),
    ],
)
async def test_a_call_that_is_not_what_it_should_be(
    live: Live, method: str, path: str, body: object, status: int, reason: str
) -> None:
    answer = await live.client.request(method, BASE + path, json=body)
    assert answer.status_code == status
    assert reason in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("content", "content_type", "reason"),
    [
        (b"{}", "text/plain", "has to be JSON"),
        (b"{", "application/json", "is no JSON"),
        (b"[" * 100_000, "application/json", "is no JSON"),
        (b"[]", "application/json", "has to be an object"),
        (b'"' + b"x" * 300_000 + b'"', "application/json", "larger than"),
        (b'{"dry_run": true, "dry_run": false}', "application/json", "there twice"),
    ],
)
async def test_a_body_that_is_none(live: Live, content: bytes, content_type: str, reason: str) -> None:
    answer = await live.client.post(f"{BASE}/gc", content=content, headers={"Content-Type": content_type})
    assert answer.status_code == 400
    assert reason in answer.json()["errors"][0]["message"]


async def test_a_body_may_come_in_pieces(live: Live) -> None:
    """As it does over any network but the one within a machine."""

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b'{"reference"', b': "debian', b':jessie"}'):
            yield piece
            await asyncio.sleep(0)
            await live.client.get(f"{BASE}/status")  # by then the piece before is there

    answer = await live.client.post(f"{BASE}/pins", content=pieces(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (200, {"reference": NAME, "pinned": True})


async def test_where_there_is_no_api_nothing_tells_of_one(url: str, tmp_path: Path) -> None:
    settings = Settings(upstream=(UpstreamSettings(url=url, public="true"),), api=ApiSettings(read="off"))
    async with run_proxy(settings, tmp_path / "cache") as live:
        answers = [await live.client.request("PUT", BASE + path) for path in ("/status", "/purge", "/nothing")]
        assert {(one.status_code, one.headers.get("Allow")) for one in answers} == {(404, None)}


async def test_without_the_token_nothing_is_changed(url: str, tmp_path: Path) -> None:
    settings = Settings(upstream=(UpstreamSettings(url=url, public="true"),), api=ApiSettings(token="secret"))
    async with run_proxy(settings, tmp_path / "cache") as live:
        await pull(live.client, "library/debian:jessie", "linux/arm/v7")
        await live.settle()
        before = live.stored()
        for path, body in (
            ("/pins", {"reference": "debian:jessie"}),
            ("/purge", {"reference": "debian:jessie"}),
            ("/gc", {}),
        ):
            refused = await live.client.post(BASE + path, json=body)
            assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, 'Bearer realm="polyarch"')
        assert not any(image["pinned"] for image in await list_images(live))
        assert live.stored() == before
        done = await live.client.post(f"{BASE}/pins", json={"reference": "debian:jessie"}, headers=TOKEN)
        assert done.status_code == 200


async def test_a_stranger_changes_nothing_where_no_token_is_set(url: str, tmp_path: Path) -> None:
    """Over the machine's own address in its network: the peer is then no loopback, by the kernel's word."""
    settings = Settings(upstream=(UpstreamSettings(url=url, public="true"),))
    async with open_proxy(settings, tmp_path / "cache", RecordingEvents()) as running, AsyncExitStack() as stack:
        runner = web.ServerRunner(running.entrances[0].server, shutdown_timeout=1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        try:
            await web.TCPSite(runner, own_address(), 0).start()
        except OSError:
            pytest.skip("this machine has no address but its loopback's")
        base = f"http://{own_address()}:{runner.addresses[0][1]}"
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=base, trust_env=False))
        await pull(client, "library/debian:jessie", "linux/arm/v7")
        await wait_until(partial(has_settled, client), seconds=10, purpose="the end of all downloads")
        before = (await client.get(f"{BASE}/images")).json()["images"]
        described = (await client.get(f"{BASE}/openapi.json")).json()["paths"]
        changing = [(method, path) for path, methods in described.items() for method in methods if method != "get"]
        assert len(changing) >= 5
        for method, path in changing:
            refused = await client.request(
                method,
                path,
                params={"reference": "debian:jessie"} if method == "delete" else None,
                json={"reference": "debian:jessie"} if method == "post" else None,
                headers={"Host": "127.0.0.1", "X-Forwarded-For": "127.0.0.1"},
            )
            assert refused.status_code == 401, (method, path)
        after = (await client.get(f"{BASE}/images")).json()["images"]
        assert [without_uses(image) for image in after] == [without_uses(image) for image in before]


async def has_settled(client: httpx.AsyncClient) -> bool:
    """Tell whether no download is under way."""
    fills: list[object] = (await client.get(f"{BASE}/status")).json()["fills"]
    return not fills


def own_address() -> str:
    """Answer this machine's address in its network; nothing is sent for that."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("192.0.2.1", 9))  # TEST-NET-1 (RFC 5737)
        return str(asking.getsockname()[0])


def without_uses(image: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in image.items() if name != "used_at"}


async def test_the_description_has_every_endpoint_and_every_answer_fits_it(live: Live) -> None:
    described = await ask(live, "/openapi.json")
    assert described["openapi"] == "3.1.0"
    for path, methods in described["paths"].items():
        if "get" in methods and not any(one["required"] for one in methods["get"].get("parameters", ())):
            kinds = methods["get"]["responses"]["200"]["content"]
            if "application/json" in kinds:
                check(kinds["application/json"]["schema"], (await live.client.get(path)).json(), path)


def check(schema: dict[str, Any], value: Any, where: str) -> None:
    """Hold a value to as much of JSON Schema as the API uses."""
    if "anyOf" in schema:
        if value is not None:
            check(schema["anyOf"][0], value, where)
        return
    kinds: dict[str, Any] = {
        "null": type(None),
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
    }
    assert isinstance(value, kinds[schema["type"]]), f"{where}: {json.dumps(value)[:100]}"
    if "properties" in schema:
        assert set(value) == set(schema["required"]), where
        for name, inner in schema["properties"].items():
            check(inner, value[name], f"{where}.{name}")
    for one in value if isinstance(value, list) else ():
        check(schema["items"], one, where)
