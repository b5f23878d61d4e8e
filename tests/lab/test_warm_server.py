"""Warming by a server that has the cache open: whichever of the two is killed, nothing is lost, or fetched twice."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.lab.hub import HubStandIn
from tests.lab.programs import wait_until
from tests.lab.proxies import Proxy, StartProxy, as_docker_hub
from tests.lab.warming import COUNT, Warm, fetched, report_of

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

NOTHING = {"requests": 0, "pulls": 0, "tokens": 0, "bytes": 0}


async def jobs_of(proxy: Proxy) -> list[Mapping[str, Any]]:
    """Answer the server's warm jobs, the newest first."""
    async with httpx.AsyncClient(trust_env=False) as client:
        jobs: list[Mapping[str, Any]] = (await client.get(f"{proxy.url}/api/v1/warm")).json()["jobs"]
        return jobs


async def wait_job(proxy: Proxy, state: str) -> Mapping[str, Any]:
    """Wait until the newest job is in a state."""

    async def is_there() -> bool:
        return bool(jobs := await jobs_of(proxy)) and jobs[0]["state"] == state

    await wait_until(is_there, seconds=120, purpose=f"a job that is {state}")
    return (await jobs_of(proxy))[0]


async def test_a_command_that_is_killed_leaves_the_rest_to_the_server(
    warm_hub: HubStandIn, tmp_path: Path, start_proxy: StartProxy
) -> None:
    warm = Warm(tmp_path, warm_hub)
    proxy = await start_proxy(config=as_docker_hub(warm_hub.url), cache=warm.cache)
    warm.hold()
    program = warm.start()
    await warm.wait_half_way(program)
    assert f"warming by the server at {proxy.url}, which has this cache open" in program.log()
    await program.kill()
    assert (await jobs_of(proxy))[0]["state"] == "running"
    warm_hub.release()
    job = await wait_job(proxy, "done")
    assert {order["state"] for order in job["orders"]} == {"done"}
    digests = [digest for digest, _ in fetched(warm_hub)]
    assert len(set(digests)) == len(digests), "something was fetched twice"
    warm_hub.reset()
    report = await warm.run()
    assert (report["spent"], warm_hub.requests()) == (NOTHING, [])
    assert len(report["images"]) == COUNT
    assert all(image["state"] == "done" and image["to_fetch"] == 0 for image in report["images"])


async def test_a_server_that_is_killed_is_told_and_the_same_command_goes_on_where_it_was(
    warm_hub: HubStandIn, tmp_path: Path, start_proxy: StartProxy
) -> None:
    warm = Warm(tmp_path, warm_hub)
    proxy = await start_proxy(config=as_docker_hub(warm_hub.url), cache=warm.cache)
    warm.hold()
    program = warm.start()
    await warm.wait_half_way(program)
    await proxy.kill()
    stored, suspended = warm.stored(), warm.suspended()
    warm_hub.reset()
    await proxy.start()
    assert await warm.finish(program) == 1
    errors = {image["error"] for image in report_of(program)["images"]}
    assert "the server was started anew meanwhile: run this again, what has come is kept" in errors
    assert fetched(warm_hub) == []
    report = await warm.run()
    assert f"warming by the server at {proxy.url}" in warm.log()
    assert all(image["state"] == "done" for image in report["images"])
    again = fetched(warm_hub)
    assert len({digest for digest, _ in again}) == len(again), "something was begun twice"
    assert not {digest for digest, _ in again} & stored, "what was whole was fetched again"
    assert {digest: start for digest, start in again if start} == {
        digest: size for digest, size in suspended.items() if digest in dict(again)
    }
    assert warm.held <= {digest for digest, start in again if start}


async def test_ctrl_c_ends_it_on_the_server(warm_hub: HubStandIn, tmp_path: Path, start_proxy: StartProxy) -> None:
    warm = Warm(tmp_path, warm_hub)
    proxy = await start_proxy(config=as_docker_hub(warm_hub.url), cache=warm.cache)
    for ending, code in ((signal.SIGINT, 1), (signal.SIGTERM, 128 + signal.SIGTERM)):
        warm_hub.reset()
        warm.hold()
        program = warm.start()
        await wait_job(proxy, "running")
        os.kill(program.pid, ending)
        assert await warm.finish(program) == code, program.log()
        assert "cancelled on the server; what has come is kept" in program.log()
        assert "Traceback" not in program.log()
        await wait_job(proxy, "cancelled")
    warm_hub.reset()
    warm_hub.release()
    assert len((await warm.run())["images"]) == COUNT


async def test_whoever_sits_at_the_place_of_a_killed_server_is_asked_for_nothing(
    warm_hub: HubStandIn, tmp_path: Path, start_proxy: StartProxy
) -> None:
    warm = Warm(tmp_path, warm_hub)
    config = as_docker_hub(warm_hub.url)
    killed = await start_proxy(config=config, cache=warm.cache)
    await killed.kill()
    assert (warm.cache / "server.json").exists()
    other = await start_proxy(config=config)
    await other.stop()
    other.host = killed.host
    await other.start()
    await warm.run()
    assert f"warming the cache folder {warm.cache} itself" in warm.log()
    assert await jobs_of(other) == []
