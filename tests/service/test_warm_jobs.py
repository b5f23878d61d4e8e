"""Warm jobs: begun at once, looked at while they run, ended by a word; what one of them does stops no other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import pytest

from proxy.oci.errors import UpstreamUnreachable
from proxy.ports import Quota
from proxy.service import warm_jobs as module
from proxy.service.tasks import TaskOwner
from proxy.service.warm_jobs import JobState, OrderState, WarmJob, WarmJobs
from proxy.service.warm_plans import WarmOrder
from proxy.service.warming import WarmLimits, WarmTools
from tests.fakes.upstream import FakeUpstream, Kind
from tests.service.bench import AMD64, ARM64, ARM_V6, Bench, address, jessie, open_bench
from tests.service.warmth import order

LIMITS = WarmLimits()
ENDLESS = 3600.0


@asynccontextmanager
async def open_jobs(bench: Bench, *, pause_seconds: float = 0) -> AsyncIterator[WarmJobs]:
    tools = WarmTools({bench.puller.name: bench.puller}, bench.store, bench.catalog, bench.clock)
    numbers = count(1)
    async with TaskOwner(bench.events) as owner:
        yield WarmJobs(
            lambda: tools, owner, bench.events, make_id=lambda: f"job-{next(numbers)}", pause_seconds=pause_seconds
        )


@pytest.fixture
async def jobs(bench: Bench) -> AsyncIterator[WarmJobs]:
    async with open_jobs(bench) as jobs:
        yield jobs


async def run(jobs: WarmJobs, *orders: WarmOrder, is_dry: bool = False, reserve: int | None = None) -> WarmJob:
    """Carry out some orders, and answer the job as it is at its end."""
    started = jobs.start(orders, WarmLimits(reserve=reserve), is_dry=is_dry)
    assert started.state is JobState.RUNNING
    ended = await jobs.wait(started.id)
    assert ended is not None
    return ended


async def test_a_job_begins_at_once_and_has_everything_in_the_cache_at_its_end(bench: Bench, jobs: WarmJobs) -> None:
    job = jobs.start([order("debian:jessie", AMD64, ARM64)], LIMITS)
    assert [one.state for one in job.orders] == [OrderState.WAITING]
    assert (job.cost, job.ended_at, job.is_over) == (None, None, False)
    assert job.orders[0].plan is None
    bench.clock.tick(5)
    ended = await jobs.wait(job.id)
    assert ended is not None
    assert (ended.state, ended.is_over, ended.ended_at) == (JobState.DONE, True, job.created_at + 5)
    (only,) = ended.orders
    assert (only.state, str(only.reference)) == (OrderState.DONE, "docker.io/library/debian:jessie")
    assert only.written == only.size == sum(part.size for part in only.parts) > 0
    assert ended.spent.blob_bytes > 0
    assert only.plan is not None
    assert list(map(str, only.plan.images)) == [AMD64, ARM64]
    assert sum(part.size - part.found for part in only.parts) == sum(part.lacking for part in only.plan.parts) > 0
    assert only.spent == ended.spent
    assert bench.store.find_size(address(jessie(ARM64).layers[0])) is not None


async def test_dry_it_tells_the_cost_and_fetches_nothing(bench: Bench, jobs: WarmJobs) -> None:
    ended = await run(jobs, order("debian:jessie", AMD64), is_dry=True)
    assert (ended.state, ended.is_dry, ended.orders[0].state) == (JobState.DONE, True, OrderState.PLANNED)
    assert ended.cost is not None
    assert ended.orders[0].written + ended.cost.size == ended.orders[0].size
    fetched = (await run(jobs, order("debian:jessie", AMD64))).spent.blob_bytes
    assert fetched == ended.cost.size


async def test_what_failed_is_named_and_stops_no_other(bench: Bench, jobs: WarmJobs) -> None:
    ended = await run(jobs, order("debian:nowhere"), order("debian:jessie", AMD64, "linux/s390x"))
    assert ended.state is JobState.FAILED
    failed, done = ended.orders
    assert (failed.state, failed.parts, "absent" in failed.error) == (OrderState.FAILED, (), True)
    assert (done.state, list(map(str, done.missing))) == (OrderState.DONE, ["linux/s390x"])
    assert ended.cost is not None
    (told,) = bench.events.named("warm.ended")
    assert (told["state"], told["failed"]) == ("failed", {"docker.io/library/debian:nowhere": failed.error})


async def test_what_is_postponed_is_no_failure(bench: Bench, jobs: WarmJobs) -> None:
    bench.upstream.quota = Quota(limit=100, remaining=10, window_seconds=21600)
    ended = await run(jobs, order("debian:jessie", AMD64), reserve=10)
    assert (ended.state, ended.orders[0].state) == (JobState.DONE, OrderState.POSTPONED)


async def test_two_jobs_that_want_the_same_share_what_is_fetched(bench: Bench, jobs: WarmJobs) -> None:
    gate = bench.upstream.hold(Kind.GET_BLOB)
    started = [jobs.start([order("debian:jessie", AMD64)], LIMITS) for _ in range(2)]
    await bench.upstream.wait_asked(Kind.GET_BLOB)
    gate.set()
    ended = [await jobs.wait(job.id) for job in started]
    assert [job and job.state for job in ended] == [JobState.DONE, JobState.DONE]
    assert bench.upstream.count(Kind.GET_BLOB, "library/debian") == 1 + len(jessie(AMD64).layers)


async def test_a_cancelled_job_ends_and_leaves_the_downloads_of_others_alone(bench: Bench, jobs: WarmJobs) -> None:
    gate = bench.upstream.hold(Kind.GET_BLOB)
    first, second = (jobs.start([order("debian:jessie", AMD64)], LIMITS) for _ in range(2))
    await bench.upstream.wait_asked(Kind.GET_BLOB)
    assert jobs.cancel(first.id)
    cancelled = await jobs.wait(first.id)
    assert cancelled is not None
    assert cancelled.state is JobState.CANCELLED
    assert not jobs.cancel(first.id)
    gate.set()
    ended = await jobs.wait(second.id)
    assert ended is not None
    assert ended.state is JobState.DONE


async def test_a_job_may_be_cancelled_before_its_first_step(jobs: WarmJobs) -> None:
    job = jobs.start([order("debian:jessie", AMD64)], LIMITS)
    assert jobs.cancel(job.id)
    ended = await jobs.wait(job.id)
    assert ended is not None
    assert ended.state is JobState.CANCELLED


async def test_whoever_follows_a_job_sees_it_grow_and_end(bench: Bench, jobs: WarmJobs) -> None:
    job = jobs.start([order("debian:jessie", AMD64), order("debian:nowhere")], LIMITS)
    seen = [snapshot async for snapshot in jobs.subscribe(job.id)]
    assert [snapshot.is_over for snapshot in seen] == [False] * (len(seen) - 1) + [True]
    written = [snapshot.orders[0].written for snapshot in seen]
    assert written == sorted(written)
    assert [snapshot async for snapshot in jobs.subscribe(job.id)] == [seen[-1]]


async def test_a_listener_is_told_so_often_and_no_oftener_and_always_of_the_end(bench: Bench) -> None:
    async with open_jobs(bench, pause_seconds=ENDLESS) as jobs:
        job = jobs.start([order("debian:jessie")], LIMITS)
        seen = [snapshot async for snapshot in jobs.subscribe(job.id)]
    assert [snapshot.state for snapshot in seen] == [JobState.RUNNING, JobState.DONE]


async def test_there_may_be_no_such_job(jobs: WarmJobs) -> None:
    assert jobs.find("nowhere") is None
    assert await jobs.wait("nowhere") is None
    assert not jobs.cancel("nowhere")
    assert [snapshot async for snapshot in jobs.subscribe("nowhere")] == []


async def test_the_newest_jobs_are_remembered(jobs: WarmJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_JOBS", 2)
    for _ in range(4):
        await run(jobs)
    assert [job.id for job in jobs.list()] == ["job-4", "job-3"]
    assert jobs.find("job-4") == jobs.list()[0]
    assert repr(jobs) == "<WarmJobs: 0 of 2 running>"


async def test_no_more_jobs_run_at_once_than_may(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "JOBS_AT_ONCE", 1)
    async with open_jobs(bench) as jobs:
        gate = bench.upstream.hold(Kind.GET_BLOB)
        first, second = (jobs.start([order("debian:jessie", AMD64)], LIMITS) for _ in range(2))
        await bench.upstream.wait_asked(Kind.GET_BLOB)
        waiting = jobs.find(second.id)
        assert waiting is not None
        assert waiting.orders[0].state is OrderState.WAITING
        gate.set()
        assert [job and job.state for job in (await jobs.wait(first.id), await jobs.wait(second.id))] == [
            JobState.DONE,
            JobState.DONE,
        ]


async def test_a_fault_of_ours_ends_the_job_and_is_told(bench: Bench) -> None:
    class Broken(dict[str, object]):
        def get(self, key: str, default: object = None) -> object:
            raise ZeroDivisionError

    tools = WarmTools(Broken(), bench.store, bench.catalog, bench.clock)  # type: ignore[arg-type]  # that is the point
    async with TaskOwner(bench.events) as owner:
        jobs = WarmJobs(lambda: tools, owner, bench.events)
        ended = await run(jobs, order("debian:jessie", AMD64))
        await asyncio.wait_for(asyncio.gather(*asyncio.all_tasks() & owner._tasks, return_exceptions=True), 10)
    assert ended.state is JobState.FAILED
    assert "task.crashed" in bench.events.warnings


async def test_the_end_of_the_server_breaks_jobs_off(upstream: FakeUpstream) -> None:
    async with open_bench(upstream) as bench:
        gate = upstream.hold(Kind.GET_BLOB)
        async with open_jobs(bench) as jobs:
            job = jobs.start([order("debian:jessie", ARM_V6)], LIMITS)
            await upstream.wait_asked(Kind.GET_BLOB)
        gate.set()
        ended = jobs.find(job.id)
    assert ended is not None
    assert (ended.state, ended.orders[0].error) == (JobState.CANCELLED, "")


async def test_upstream_that_is_away_is_the_order_s_failure(bench: Bench, jobs: WarmJobs) -> None:
    bench.upstream.fail(UpstreamUnreachable("gone"))
    ended = await run(jobs, order("debian:jessie", AMD64))
    assert (ended.state, ended.orders[0].error) == (JobState.FAILED, "gone")
