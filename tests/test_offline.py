"""After one pull nobody needs upstream: everything again from the cache, also by a proxy that was started anew."""

import asyncio
import time
from pathlib import Path

import httpx
import pytest

from tests.lab.content import ARM64
from tests.lab.hub import HubStandIn, faults
from tests.live import AGENTS, Live, Pulled, pull, run_proxy, settings_for

pytestmark = pytest.mark.lab

NAMES = ("library/debian:jessie", "library/debian:bookworm", "library/redis:3-alpine", "library/multi:latest")
WITHOUT = {("library/debian:bookworm", "linux/arm/v6"), ("library/redis:3-alpine", "linux/arm/v6")}
"""Nobody has built these."""
PULLS = [(name, platform) for name in NAMES for platform in AGENTS if (name, platform) not in WITHOUT]
FAST_SECONDS = 2.0


async def pull_all(live: Live) -> dict[tuple[str, str], Pulled]:
    return {(name, platform): await pull(live.client, name, platform) for name, platform in PULLS}


async def timed_get(live: Live, path: str) -> tuple[httpx.Response, float]:
    began = time.monotonic()
    answer = await live.client.get(path)
    return answer, time.monotonic() - began


async def test_everything_that_was_pulled_can_be_pulled_again(live_hub: HubStandIn, tmp_path: Path) -> None:
    """By the same process, and by the next one, whose tags have all expired."""
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        first = await pull_all(live)
        await live.settle()
        stored = live.stored()
        await live_hub.go_offline()
        assert await pull_all(live) == first
    async with run_proxy(settings_for(live_hub, tag_ttl=0), tmp_path) as live:
        again = await pull_all(live)
        assert again == first
        assert {pulled.state for pulled in again.values()} == {"stale"}
        assert live.stored() == stored


async def test_what_is_stale_is_marked_so(live_hub: HubStandIn, tmp_path: Path) -> None:
    async with run_proxy(settings_for(live_hub, tag_ttl=0), tmp_path) as live:
        await pull(live.client, "library/debian:jessie", ARM64)
        await live_hub.go_offline()
        answer = await live.client.get("/v2/library/debian/manifests/jessie")
        assert answer.headers["Polyarch-Cache"] == "stale"
        assert "upstream cannot be asked" in answer.headers["Warning"]
        tags = await live.client.get("/v2/library/debian/tags/list")
        assert (tags.json()["tags"], tags.headers["Polyarch-Cache"]) == (["jessie"], "stale")


async def test_what_is_unknown_fails_fast_and_says_why(live_hub: HubStandIn, tmp_path: Path) -> None:
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        await pull(live.client, "library/debian:jessie", ARM64)
        await live_hub.go_offline()
        for path in (
            "/v2/library/never/manifests/1",
            "/v2/library/debian/manifests/never",
            f"/v2/library/debian/manifests/sha256:{'0' * 64}",
            f"/v2/library/debian/blobs/sha256:{'0' * 64}",
            "/v2/library/never/tags/list",
        ):
            answer, seconds = await timed_get(live, path)
            assert answer.status_code == 503, path
            (error,) = answer.json()["errors"]
            assert error["code"] == "UNAVAILABLE"
            assert "docker.io cannot be asked now" in error["message"]
            assert seconds < FAST_SECONDS, path


async def test_an_upstream_that_does_not_answer_is_waited_for_once(live_hub: HubStandIn, tmp_path: Path) -> None:
    """Not once a tag, and not once a client: a pull must not be slower through a dead upstream than without us."""
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        first = await pull_all(live)
    async with run_proxy(settings_for(live_hub, tag_ttl=0, timeout=0.5), tmp_path) as live:
        live_hub.inject(faults.Stall())
        began = time.monotonic()
        assert await pull_all(live) == first
        assert time.monotonic() - began < FAST_SECONDS


async def test_many_clients_wait_no_longer_than_one(live_hub: HubStandIn, tmp_path: Path) -> None:
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        first = await pull_all(live)
    async with run_proxy(settings_for(live_hub, tag_ttl=0, timeout=0.5), tmp_path) as live:
        live_hub.inject(faults.Stall())
        began = time.monotonic()
        again = await asyncio.gather(*(pull(live.client, name, platform) for name, platform in PULLS))
        assert dict(zip(PULLS, again, strict=True)) == first
        assert time.monotonic() - began < FAST_SECONDS


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(faults.Status(429, b"toomanyrequests"), id="429"),
        pytest.param(faults.Status(503), id="503"),
        pytest.param(faults.DROP, id="dropped"),
        pytest.param(faults.HTML, id="a hotel's sign-in page"),
    ],
)
async def test_an_upstream_that_fails_is_no_reason_to_fail(
    live_hub: HubStandIn, tmp_path: Path, fault: faults.Fault
) -> None:
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        first = await pull(live.client, "library/debian:jessie", ARM64)
    async with run_proxy(settings_for(live_hub, tag_ttl=0), tmp_path) as live:
        live_hub.inject(fault)
        again = await pull(live.client, "library/debian:jessie", ARM64)
    assert (again, again.state) == (first, "stale")


async def test_a_token_service_that_fails_is_no_reason_to_fail(live_hub: HubStandIn, tmp_path: Path) -> None:
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        first = await pull(live.client, "library/debian:jessie", ARM64)
    async with run_proxy(settings_for(live_hub, tag_ttl=0), tmp_path) as live:
        live_hub.inject(faults.Status(500), kind="token")
        again = await pull(live.client, "library/debian:jessie", ARM64)
    assert (again, again.state) == (first, "stale")


async def test_starting_needs_no_upstream(live_hub: HubStandIn, tmp_path: Path) -> None:
    await live_hub.go_offline()
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        assert (await live.client.get("/v2/")).status_code == 200
        await live_hub.go_online()
        assert (await pull(live.client, "library/debian:jessie", ARM64)).state == "miss"


async def test_upstream_is_asked_again_once_it_is_back(live_hub: HubStandIn, tmp_path: Path) -> None:
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        await pull(live.client, "library/debian:jessie", ARM64)
        await live_hub.go_offline()
    async with run_proxy(settings_for(live_hub, tag_ttl=0), tmp_path) as live:
        assert (await pull(live.client, "library/debian:jessie", ARM64)).state == "stale"
    await live_hub.go_online()
    async with run_proxy(settings_for(live_hub, tag_ttl=0), tmp_path) as live:
        assert (await pull(live.client, "library/debian:jessie", ARM64)).state == "revalidated"
