"""What went on, told by the API over the wiring."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.config.schema import Settings
from proxy.config.upstreams import UpstreamSettings
from proxy.server.api import BASE
from proxy.service.recent import MAX_OF_ONE
from tests.cli.folders import IMAGES
from tests.cli.registries import documents_of, serving
from tests.lab.programs import wait_until
from tests.live import Live, pull, run_proxy

NAME = "docker.io/library/debian:jessie"


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    with serving(documents_of(IMAGES)) as url:
        settings = Settings(upstream=(UpstreamSettings(url=url, public="true"),))
        async with run_proxy(settings, tmp_path / "cache") as live:
            yield live


async def test_who_was_answered_what_and_why(live: Live) -> None:
    await pull(live.client, "library/debian:jessie", "linux/arm/v7")
    found = (await live.client.get(f"{BASE}/resolutions")).json()["resolutions"]
    (first,) = found
    assert (first["reference"], first["client_platform"], first["evidence"]) == (NAME, "linux/arm/v7", "user-agent")
    assert first["source"].startswith("arm32v7/debian:jessie@sha256:")
    assert any("arm32v7/debian:jessie" in line for line in first["trail"])
    assert first["at"].endswith("Z")
    await pull(live.client, "library/debian:jessie", "linux/amd64")
    newest = (await live.client.get(f"{BASE}/resolutions", params={"limit": 1})).json()["resolutions"]
    assert [(one["client_platform"], one["cache"], one["trail"]) for one in newest] == [
        ("linux/amd64", "hit", first["trail"])
    ]


async def test_a_failed_question_is_no_resolution(live: Live) -> None:
    assert (await live.client.get("/v2/library/nothing/manifests/1")).status_code == 404
    assert (await live.client.get(f"{BASE}/resolutions")).json() == {"resolutions": []}


async def test_the_history_counts_what_went_through(live: Live) -> None:
    before = (await live.client.get(f"{BASE}/history")).json()
    assert before["step_seconds"] == 60
    await pull(live.client, "library/debian:jessie", "linux/arm/v7")
    (point,) = (await live.client.get(f"{BASE}/history")).json()["points"]
    assert point["requests"] > before["points"][-1]["requests"]
    assert 0 < point["bytes_fetched"] <= point["bytes_served"]


async def next_told(lines: AsyncIterator[str]) -> tuple[str, Any]:
    name = ""
    while not (line := await anext(lines)).startswith("data: "):
        name = line.removeprefix("event: ") if line.startswith("event: ") else name
    return name, json.loads(line.removeprefix("data: "))


async def test_listeners_hear_of_a_pull_while_it_goes_on(live: Live) -> None:
    async with live.client.stream("GET", f"{BASE}/events") as answer:
        lines = answer.aiter_lines()
        await anext(lines)
        await pull(live.client, "library/debian:jessie", "linux/arm/v7")
        told = list[tuple[str, Any]]()
        while {name for name, _ in told} != {"resolution", "fill"}:
            told.append(await next_told(lines))
    resolution = next(fields for name, fields in told if name == "resolution")
    assert (resolution["reference"], resolution["client_platform"]) == (NAME, "linux/arm/v7")
    assert resolution["at"].endswith("Z")
    fills = [fields for name, fields in told if name == "fill"]
    assert all((one["state"], one["event"]) == ("ended", "fill.committed") for one in fills)


async def test_listeners_hear_of_warm_jobs(live: Live) -> None:
    async with live.client.stream("GET", f"{BASE}/events") as answer:
        lines = answer.aiter_lines()
        await anext(lines)
        job = (await live.client.post(f"{BASE}/warm", json={"images": ["debian:jessie"], "dry_run": True})).json()
        states = list[str]()
        while states[-1:] != ["ended"]:
            name, fields = await next_told(lines)
            if name == "warm":
                assert fields["job"] == job["id"]
                states.append(fields["state"])
    assert states == ["started", "ended"]


async def test_nobody_can_listen_as_often_as_he_likes(live: Live) -> None:
    async with AsyncExitStack() as stack:
        limits = httpx.Limits(max_connections=MAX_OF_ONE)
        many = await stack.enter_async_context(
            httpx.AsyncClient(base_url=live.client.base_url, trust_env=False, timeout=30, limits=limits)
        )
        for _ in range(MAX_OF_ONE):
            answer = await stack.enter_async_context(many.stream("GET", f"{BASE}/events"))
            await anext(answer.aiter_lines())
        refused = await live.client.get(f"{BASE}/events")
        assert refused.status_code == 503
        assert "too many listen" in refused.json()["errors"][0]["message"]
        await answer.aclose()

        async def may_listen_again() -> bool:
            async with live.client.stream("GET", f"{BASE}/events") as again:
                return again.status_code == 200

        await wait_until(may_listen_again, seconds=10, purpose="a place of one who has left")
