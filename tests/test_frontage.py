"""Settings that change while it runs, in front of the lab's stand-in: whoever is being served is served to the end."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from proxy.config.resolving import ResolutionSettings
from proxy.config.schema import CacheSettings, FillSettings, Settings
from proxy.config.serving import ClientSettings, ListenerSettings
from proxy.config.upstreams import UpstreamSettings
from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidSetting
from proxy.oci.platforms import Platform
from proxy.wiring import Running, open_proxy
from tests.fakes.events import RecordingEvents

NOBODY = "http://127.0.0.1:9"


def settings_with(*upstreams: UpstreamSettings) -> Settings:
    return Settings(upstream=upstreams or (UpstreamSettings(url=NOBODY),))


@asynccontextmanager
async def serving(settings: Settings, cache: Path) -> AsyncIterator[tuple[Running, httpx.AsyncClient]]:
    async with open_proxy(settings, cache, RecordingEvents()) as running:
        runner = web.ServerRunner(running.entrances[0].server, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=30) as client:
                yield running, client
        finally:
            await runner.cleanup()


async def test_an_upstream_may_come_and_go(tmp_path: Path) -> None:
    async with serving(settings_with(), tmp_path) as (running, client):
        path = "/v2/own.example/app/tags/list"
        assert (await client.get(path)).json()["errors"][0]["code"] != "NAME_UNKNOWN"
        asked = "/v2/app/tags/list?ns=own.example"
        assert "none of this proxy's upstreams" in (await client.get(asked)).text
        running.change(settings_with(UpstreamSettings(name="own.example", url=NOBODY)))
        assert (await client.get(asked)).status_code == 503
        running.change(settings_with())
        assert "none of this proxy's upstreams" in (await client.get(asked)).text


async def test_what_clients_are_taken_for_changes_with_the_next_request(tmp_path: Path) -> None:
    arm6, arm7 = Platform("linux", "arm", "v6"), Platform("linux", "arm", "v7")
    async with serving(settings_with(), tmp_path) as (running, client):
        assert (await client.get("/whoami")).json()["evidence"] == "none"
        rule = ClientSettings(network=(ip_network("127.0.0.0/8"),), platform=arm6)
        running.change(replace(settings_with(), client=(rule,)))
        assert (await client.get("/whoami")).json()["evidence"] == "client-rule"
        listener = ListenerSettings(host="127.0.0.1", platform=arm7)
        running.change(replace(settings_with(), client=(rule,), listener=(listener,)))
        seen = (await client.get("/whoami")).json()
        assert (seen["evidence"], seen["platform"]) == ("listener", "linux/arm/v7")
        assert running.clients.neighbourhood is not None
        running.change(replace(settings_with(), resolution=ResolutionSettings(default_platform=arm7)))
        assert (await client.get("/whoami")).json()["evidence"] == "default"


async def test_bounds_and_downloads_follow(tmp_path: Path) -> None:
    async with open_proxy(settings_with(), tmp_path, RecordingEvents()) as running:
        cache, fill = CacheSettings(max_bytes=1000, min_free_bytes=7), FillSettings(keep_without_clients=False)
        running.change(replace(settings_with(), cache=cache, fill=fill))
        limits = running.housekeeper.occupancy.limits
        assert (limits.max_bytes, limits.min_free_bytes) == (1000, 7)


async def test_what_cannot_be_done_changes_nothing(tmp_path: Path) -> None:
    broken = UpstreamSettings(name="a.example", url=NOBODY, username="me", password_file=tmp_path / "none")
    async with open_proxy(settings_with(), tmp_path / "cache", RecordingEvents()) as running:
        before = dict(running.fronts)
        with pytest.raises(InvalidSetting, match="password_file"):
            running.change(settings_with(UpstreamSettings(url="http://127.0.0.1:8"), broken))
        assert running.fronts == before


async def test_offline_may_be_switched_on_and_off(tmp_path: Path) -> None:
    async with serving(settings_with(), tmp_path) as (running, client):
        for is_offline in (True, False):
            running.change(replace(settings_with(), cache=CacheSettings(offline=is_offline)))
            answer = await client.get("/v2/library/debian/manifests/jessie")
            assert (answer.status_code, "offline" in answer.text) == (503, is_offline)


async def test_an_answer_under_way_is_finished_by_the_upstream_that_it_began_with(tmp_path: Path) -> None:
    gate, asked = asyncio.Event(), asyncio.Event()

    async def slow(_: web.BaseRequest) -> web.Response:
        asked.set()
        await gate.wait()
        return web.json_response({"name": "library/debian", "tags": ["old"]})

    upstream = web.ServerRunner(web.Server(slow), shutdown_timeout=1)
    await upstream.setup()
    await web.TCPSite(upstream, "127.0.0.1", 0).start()
    first = settings_with(UpstreamSettings(url=f"http://127.0.0.1:{upstream.addresses[0][1]}"))
    async with serving(first, tmp_path) as (running, client):
        answer = asyncio.ensure_future(client.get("/v2/library/debian/tags/list"))
        await asked.wait()
        running.change(settings_with())
        assert (await client.get("/v2/library/alpine/tags/list")).status_code == 503
        gate.set()
        assert (await answer).json()["tags"] == ["old"]
    await upstream.cleanup()


async def test_nobody_waits_for_an_upstream_that_the_settings_have_given_up(tmp_path: Path) -> None:
    """Neither for what it was asked for a tag, nor for a manifest; who asked it gets what it says."""
    gate, asked = asyncio.Event(), asyncio.Event()
    content = b'{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}'
    path, digest = "/v2/library/debian/manifests", Digest.of(content)

    async def hanging(_: web.BaseRequest) -> web.Response:
        asked.set()
        await gate.wait()
        return web.Response(status=404)

    async def quick(_: web.BaseRequest) -> web.Response:
        return web.Response(body=content, content_type="application/vnd.oci.image.index.v1+json")

    runners = [web.ServerRunner(web.Server(one), shutdown_timeout=1) for one in (hanging, quick)]
    for runner in runners:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
    before, after = (
        settings_with(UpstreamSettings(url=f"http://127.0.0.1:{runner.addresses[0][1]}")) for runner in runners
    )
    try:
        for target in ("jessie", str(digest)):
            gate.clear()
            asked.clear()
            async with serving(before, tmp_path / target[:6]) as (running, client):
                waiting = asyncio.ensure_future(client.get(f"{path}/{target}"))
                await asked.wait()
                running.change(after)
                assert (await client.get(f"{path}/{target}")).content == content
                assert not waiting.done()
                gate.set()
                assert (await waiting).status_code == 404
    finally:
        for runner in runners:
            await runner.cleanup()


async def test_another_password_file_is_followed_even_if_it_holds_the_same_password(tmp_path: Path) -> None:
    shown: list[str] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        shown.append(request.headers.get("Authorization", ""))
        if not shown[-1]:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="own"'})
        return web.json_response({"name": "library/debian", "tags": ["1"]})

    upstream = web.ServerRunner(web.Server(answer), shutdown_timeout=1)
    await upstream.setup()
    await web.TCPSite(upstream, "127.0.0.1", 0).start()
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("old")
    second.write_text("old")
    own = UpstreamSettings(
        url=f"http://127.0.0.1:{upstream.addresses[0][1]}",
        username="me",
        password_file=first,
        repositories=("library/*",),
    )
    try:
        async with serving(settings_with(own), tmp_path / "cache") as (running, client):
            await client.get("/v2/library/debian/tags/list")
            running.change(settings_with(replace(own, password_file=second)))
            second.write_text("renewed")
            await client.get("/v2/library/debian/tags/list")
    finally:
        await upstream.cleanup()
    assert shown[-1] == f"Basic {b64encode(b'me:renewed').decode()}"
