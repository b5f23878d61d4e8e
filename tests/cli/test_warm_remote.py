"""Warming by a server that is a stand-in: it breaks off, is started anew, and is told to end. A real one: the lab."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from proxy.cli import warm_remote
from proxy.cli.clients.addresses import ProxyAddress
from proxy.cli.servers import Server, ServerUnusable, open_api
from proxy.cli.warm_remote import IMAGES_A_JOB, PATIENCE_SECONDS, RemoteWarming, Wanted, WarmWish
from proxy.oci.references import Reference
from proxy.warm_folder import Ended, Moved, Planned, WarmLimits
from tests.cli.jobs import job_of, order_of, part_of
from tests.cli.warm_server import StandIn, standing_in_to_warm
from tests.fakes.clock import ManualClock

JESSIE = Wanted(Reference.parse("debian:jessie"), ("arm6", "fleet"))
PLANNED = order_of("planned", part_of(b"layer", 100, 0))
DONE = order_of("done", {**part_of(b"layer", 100, 0), "written": 100})
DIGESTS = Wanted(Reference.parse(f"debian@sha256:{'0' * 64}"), ("arm6",))


@pytest.fixture
async def server() -> AsyncIterator[StandIn]:
    async with standing_in_to_warm() as server:
        yield server


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
async def remote(
    server: StandIn, clock: ManualClock, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RemoteWarming]:
    monkeypatch.setattr(warm_remote, "RETRY_SECONDS", 0.01)
    async with open_api(Server(ProxyAddress.parse(server.host))) as api:
        yield RemoteWarming(api, clock, said.append)


def ignore(_: Planned | Moved | Ended) -> None: ...


async def test_a_server_is_told_all_that_is_wanted_and_followed_to_the_end(
    server: StandIn, remote: RemoteWarming
) -> None:
    server.streams = [[job_of(PLANNED), job_of(DONE, state="done")]]
    told: list[Planned | Moved | Ended] = []
    await remote.start([JESSIE], WarmWish(WarmLimits(3, 20), with_attestations=True, is_pinned=True))
    (result,) = await remote.follow(told.append)
    assert result.is_done
    assert [type(one) for one in told] == [Planned, Moved, Ended]
    platforms = ["arm6", "linux/amd64", "linux/arm64"]
    body = {"images": [{"reference": "docker.io/library/debian:jessie", "platforms": platforms}]}
    wish = {"parallel": 3, "reserve": 20, "attestations": True, "pin": True, "dry_run": False}
    assert server.asked == [
        ("GET", "/status", None),
        ("POST", "/warm", {**body, **wish}),
        ("GET", "/warm/job-1/events", None),
    ]
    assert repr(remote) == f"<RemoteWarming by {server.host}: 1 jobs>"


async def test_many_images_are_several_jobs_one_after_another(server: StandIn, remote: RemoteWarming) -> None:
    server.streams = [[job_of(PLANNED, state="done")], [job_of(DONE, state="done")]]
    wanted = [Wanted(Reference.parse(f"debian:{number}"), ("arm6",)) for number in range(IMAGES_A_JOB + 1)]
    await remote.start(wanted, WarmWish(WarmLimits()))
    await remote.follow(ignore)
    assert [path for _, path, _ in server.asked] == ["/warm", "/warm/job-1/events"] * 2
    bodies = [body for method, _, body in server.asked if method == "POST"]
    assert [len(body["images"]) for body in bodies] == [IMAGES_A_JOB, 1]
    assert "reserve" not in bodies[0]


async def test_a_later_job_that_is_not_begun_is_told_with_its_images(server: StandIn, remote: RemoteWarming) -> None:
    server.streams = [[job_of(PLANNED, state="done")]]
    wanted = [Wanted(Reference.parse(f"debian:{number}"), ("arm6",)) for number in range(IMAGES_A_JOB + 2)]
    await remote.start(wanted, WarmWish(WarmLimits()))
    server.begun = lambda: web.Response(status=503)
    results = await remote.follow(ignore)
    failed = [str(one.order.reference.target) for one in results if "answers 503" in one.error]
    assert failed == [str(IMAGES_A_JOB), str(IMAGES_A_JOB + 1)]


async def test_a_stream_that_breaks_is_taken_up_again(server: StandIn, remote: RemoteWarming) -> None:
    server.streams = [[job_of(PLANNED)], [job_of(PLANNED), job_of(DONE, state="done")]]
    server.looks = [job_of(PLANNED)]
    told: list[Planned | Moved | Ended] = []
    await remote.start([DIGESTS], WarmWish(WarmLimits()))
    await remote.follow(told.append)
    assert [path for _, path, _ in server.asked[1:]] == ["/warm/job-1/events", "/warm/job-1", "/warm/job-1/events"]
    assert [type(one) for one in told if isinstance(one, Planned)] == [Planned]


async def test_without_a_stream_it_is_asked_again_and_again(server: StandIn, remote: RemoteWarming) -> None:
    server.looks = [job_of(PLANNED), job_of(PLANNED), job_of(DONE, state="done")]
    await remote.start([DIGESTS], WarmWish(WarmLimits()))
    results = await remote.follow(ignore)
    assert [result.is_done for result in results if result.plan] == [True]


async def test_a_server_that_was_started_anew_has_forgotten_and_that_is_told(
    server: StandIn, remote: RemoteWarming
) -> None:
    server.streams = [[job_of(PLANNED)]]
    await remote.start([DIGESTS], WarmWish(WarmLimits()))
    results = await remote.follow(ignore)
    assert {result.error for result in results} == {
        "the server was started anew meanwhile: run this again, what has come is kept"
    }


async def test_a_server_that_is_gone_for_good_is_given_up(
    server: StandIn, remote: RemoteWarming, clock: ManualClock, said: list[str]
) -> None:
    await remote.start([DIGESTS], WarmWish(WarmLimits()))
    server.is_silent = True
    following = asyncio.ensure_future(remote.follow(ignore))
    await server.wait_asked(8)  # it is asked again all the while
    assert not following.done()
    clock.tick(PATIENCE_SECONDS + 1)
    (result,) = await following
    assert result.error.endswith("; it may go on there")
    (line,) = said
    assert line.endswith("; it is asked again for a minute")


async def test_what_another_version_tells_ends_it(server: StandIn, remote: RemoteWarming) -> None:
    server.streams = [[{"id": "job-1", "orders": 1}]]
    await remote.start([DIGESTS], WarmWish(WarmLimits()))
    (result,) = await remote.follow(ignore)
    assert "another version" in result.error


async def test_a_server_that_begins_nothing_is_told(server: StandIn, remote: RemoteWarming) -> None:
    server.begun = lambda: web.json_response([])
    with pytest.raises(ServerUnusable, match="started no job"):
        await remote.start([DIGESTS], WarmWish(WarmLimits()))


async def test_ended_before_anything_was_begun_there_is_nothing_to_end(remote: RemoteWarming) -> None:
    assert await remote.cancel() == "nothing was begun on the server"


async def test_ended_it_ends_on_the_server(server: StandIn, remote: RemoteWarming) -> None:
    server.streams, server.holds = [[job_of(PLANNED)]], True
    await remote.start([DIGESTS], WarmWish(WarmLimits()))
    following = asyncio.ensure_future(remote.follow(ignore))
    await server.reached.wait()
    following.cancel()
    await asyncio.wait([following])
    assert await remote.cancel() == "cancelled on the server; what has come is kept"
    assert server.asked[-1][:2] == ("DELETE", "/warm/job-1")


async def test_what_is_ended_while_it_begins_is_known_and_ends_too(server: StandIn, remote: RemoteWarming) -> None:
    starting = asyncio.ensure_future(remote.start([DIGESTS], WarmWish(WarmLimits())))
    await server.wait_asked(1)
    starting.cancel()
    await asyncio.wait([starting])
    assert await remote.cancel() == "cancelled on the server; what has come is kept"
    assert server.asked[-1][:2] == ("DELETE", "/warm/job-1")


async def test_a_server_that_cannot_be_told_to_end_may_go_on(server: StandIn, remote: RemoteWarming) -> None:
    await remote.start([DIGESTS], WarmWish(WarmLimits()))
    server.is_silent = True
    assert (await remote.cancel()).startswith("the server could not be told to end, and may go on: http://")
