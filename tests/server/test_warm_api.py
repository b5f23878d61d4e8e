"""Warming by the API, over the wiring: begun, followed, listed and ended."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.config.schema import Settings
from proxy.config.upstreams import UpstreamSettings
from proxy.server.api import BASE
from tests.cli.folders import IMAGES
from tests.cli.registries import documents_of, serving
from tests.live import Live, run_proxy

NAME = "docker.io/library/debian:jessie"


@pytest.fixture
def url() -> Iterator[str]:
    with serving(documents_of(IMAGES)) as url:
        yield url


@pytest.fixture
async def live(url: str, tmp_path: Path) -> AsyncIterator[Live]:
    settings = Settings(upstream=(UpstreamSettings(url=url, public="true"),))
    async with run_proxy(settings, tmp_path / "cache") as live:
        yield live


async def start(live: Live, *images: object, **wish: object) -> dict[str, Any]:
    answer = await live.client.post(f"{BASE}/warm", json={"images": images, **wish})
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def follow(live: Live, job: str) -> list[dict[str, Any]]:
    """Answer everything that is told of a job, up to its end."""
    told = []
    async with live.client.stream("GET", f"{BASE}/warm/{job}/events") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                assert line == "event: job"
            elif line.startswith("data: "):
                told.append(json.loads(line.removeprefix("data: ")))
    return told


async def test_a_job_is_followed_to_its_end(live: Live) -> None:
    begun = await start(live, "debian:jessie", platforms=["arm7"], pin=True)
    assert (begun["state"], begun["dry_run"], begun["ended_at"]) == ("running", False, None)
    last = (await follow(live, begun["id"]))[-1]
    assert (last["state"], last["orders"][0]["state"]) == ("done", "done")
    (order,) = last["orders"]
    assert (order["reference"], order["platforms"], order["missing"]) == (NAME, ["linux/arm/v7"], [])
    assert [one["platform"] for one in order["images"]] == ["linux/arm/v7"]
    assert order["written"] == order["size"] == sum(part["written"] for part in order["parts"])
    assert order["to_fetch"] == sum(part["size"] for part in order["parts"] if part["state"] == "miss")
    assert last["spent"]["pulls"] > 0
    assert last["ended_at"] is not None
    shown = (await live.client.get(f"{BASE}/warm/{begun['id']}")).json()
    assert shown == last == (await follow(live, begun["id"]))[-1]
    images = (await live.client.get(f"{BASE}/images", params={"pattern": "debian"})).json()["images"]
    assert [(one["reference"], one["pinned"]) for one in images] == [(NAME, True)]


async def test_jobs_are_listed_newest_first_and_without_their_layers(live: Live) -> None:
    jobs = [(await start(live, "debian:jessie", platforms=["arm7"], dry_run=True))["id"] for _ in range(2)]
    for job in jobs:
        await follow(live, job)
    listed = (await live.client.get(f"{BASE}/warm")).json()["jobs"]
    assert [one["id"] for one in listed] == jobs[::-1]
    assert all(one["dry_run"] and one["state"] == "done" for one in listed)
    assert "parts" not in listed[0]["orders"][0]
    assert listed[0]["cost"]["requests"] > 0


async def test_without_platforms_it_is_for_the_fleet_and_an_image_may_have_its_own(live: Live) -> None:
    own = {"reference": "debian:jessie", "platforms": ["rpi"]}
    job = await start(live, own, "docker.io/library/debian:jessie", "other:1", platforms=["arm7"], dry_run=True)
    platforms = {one["reference"]: one["platforms"] for one in job["orders"]}
    assert platforms == {NAME: ["linux/arm/v6", "linux/arm/v7"], "docker.io/library/other:1": ["linux/arm/v7"]}
    whole = await start(live, "debian:jessie", dry_run=True)
    assert whole["orders"][0]["platforms"][0] == "linux/amd64"
    assert len(whole["orders"][0]["platforms"]) == 4
    for one in (job, whole):
        await follow(live, one["id"])


async def test_an_image_that_is_nowhere_fails_its_job_and_stops_no_other(live: Live) -> None:
    job = await start(live, "nothing:1", "debian:jessie", platforms=["arm7"])
    last = (await follow(live, job["id"]))[-1]
    assert last["state"] == "failed"
    states = {one["reference"]: (one["state"], one["error"]) for one in last["orders"]}
    assert states[NAME] == ("done", None)
    state, error = states["docker.io/library/nothing:1"]
    assert state == "failed"
    assert "not found" in error or "nothing" in error


@pytest.fixture
async def stuck(tmp_path: Path) -> AsyncIterator[tuple[Live, str]]:
    """A proxy whose upstream never answers, and a job that waits for it."""

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    held = list[asyncio.StreamWriter]()
    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    try:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        settings = Settings(upstream=(UpstreamSettings(url=url, public="true", timeout=60),))
        async with run_proxy(settings, tmp_path / "cache") as live:
            yield live, (await start(live, "debian:jessie"))["id"]
    finally:
        for writer in held:
            writer.close()
        server.close()


async def test_a_job_is_ended_by_a_word(stuck: tuple[Live, str]) -> None:
    live, job = stuck
    async with live.client.stream("GET", f"{BASE}/warm/{job}/events") as answer:
        lines = answer.aiter_lines()
        assert json.loads(await next_told(lines))["state"] == "running"
        ended = await live.client.delete(f"{BASE}/warm/{job}")
        assert (ended.status_code, ended.json()["state"]) == (200, "cancelled")
        assert json.loads(await next_told(lines))["state"] == "cancelled"
    again = await live.client.delete(f"{BASE}/warm/{job}")
    assert (again.status_code, again.json()["state"]) == (200, "cancelled")


async def next_told(lines: AsyncIterator[str]) -> str:
    while not (line := await anext(lines)).startswith("data: "):
        pass
    return line.removeprefix("data: ")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/warm/none"), ("DELETE", "/warm/none"), ("GET", "/warm/none/events")]
)
async def test_a_job_that_there_is_not(live: Live, method: str, path: str) -> None:
    answer = await live.client.request(method, BASE + path)
    assert answer.status_code == 404
    assert "no such job" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ({}, "'images' is missing"),
        ({"images": []}, "'images' is not what it should be"),
        ({"images": ["debian"] * 1001}, "'images' is not what it should be"),
        ({"images": [{"reference": "debian"}]}, "'images' is not what it should be"),
        ({"images": ["Not A Name"]}, "Not A Name"),
        ({"images": ["debian"], "platforms": ["toaster"]}, "toaster"),
        ({"images": ["debian"], "platforms": []}, "'platforms' is not what it should be"),
        ({"images": ["debian"], "parallel": 0}, "'parallel' is not what it should be"),
        ({"images": ["debian"], "id": "x"}, "no such parameter: 'id'"),
    ],
)
async def test_a_wish_that_is_not_what_it_should_be(live: Live, wish: dict[str, object], reason: str) -> None:
    answer = await live.client.post(f"{BASE}/warm", json=wish)
    assert answer.status_code == 400, answer.text
    assert reason in answer.json()["errors"][0]["message"]
    assert (await live.client.get(f"{BASE}/warm")).json() == {"jobs": []}
