"""Standing orders: carried out when they are due, once each time, after a restart too, and never at clients' cost."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

import pytest

from proxy.oci.errors import UpstreamUnreachable
from proxy.oci.platforms import Platform
from proxy.ports import Diary, Pin, Quota
from proxy.service import standing_orders as module
from proxy.service.schedules import Schedule
from proxy.service.standing_orders import RETRY_SECONDS, StandingOrder, StandingOrders
from proxy.service.tasks import TaskOwner
from proxy.service.warm_jobs import JobState, WarmJobs
from proxy.service.warming import WarmLimits, WarmTools
from tests.fakes.upstream import FakeUpstream, Kind
from tests.service.bench import AMD64, HUB, Bench, jessie

HOUR = 3600.0
APP = "library/app"
HOURLY = Schedule(every=HOUR, jitter=600)
DAILY = Schedule(cron="15 3 * * *", jitter=0, zone=ZoneInfo("UTC"))


def standing(*images: str, schedule: Schedule = HOURLY, reserve: int | None = None) -> StandingOrder:
    return StandingOrder(images, (Platform.parse(AMD64),), schedule, WarmLimits(reserve=reserve))


JESSIE = standing("debian:jessie")
NEWEST = replace(standing("app:7.*-slim"), is_pinned=True, keep_newest=2)


@dataclass
class MemoryDiary:
    """The `DiaryKeeper` port."""

    diary: Diary = field(default_factory=Diary)

    def read(self) -> Diary:
        return self.diary

    async def write(self, diary: Diary, /) -> None:
        self.diary = diary


@dataclass(frozen=True)
class Watch:
    """Standing orders over a bench."""

    bench: Bench
    jobs: WarmJobs
    orders: StandingOrders

    @property
    def states(self) -> Sequence[JobState]:
        return [job.state for job in reversed(self.jobs.list())]

    async def after(self, seconds: float) -> int:
        """Look after some time whether something is due; answer how many jobs there have been."""
        self.bench.clock.tick(seconds)
        await self.orders.check()
        return len(self.jobs.list())

    async def pins(self) -> set[str]:
        return {pin.target for pin in (await self.bench.catalog.take_inventory()).pins}


@asynccontextmanager
async def watching(
    bench: Bench, *orders: StandingOrder, diary: MemoryDiary | None = None, lot: float = 0.5
) -> AsyncIterator[Watch]:
    tools = WarmTools({bench.puller.name: bench.puller}, bench.store, bench.catalog, bench.clock)
    async with TaskOwner(bench.events) as owner:
        jobs = WarmJobs(lambda: tools, owner, bench.events)
        found = StandingOrders(jobs, lambda: tools, diary or MemoryDiary(), bench.events, lambda: lot)
        found.change(orders)
        yield Watch(bench, jobs, found)


async def test_what_was_never_done_is_done_at_once_and_again_with_its_interval(bench: Bench) -> None:
    async with watching(bench, JESSIE) as watch:
        assert await watch.after(0) == 1
        assert await watch.after(0) == 1
        assert await watch.after(HOUR + 299) == 1
        assert await watch.after(2) == 2
        assert await watch.after(0) == 2
        assert watch.states == [JobState.DONE] * 2


async def test_a_cron_line_waits_for_its_first_moment_and_remembers_it_over_a_restart(bench: Bench) -> None:
    diary, order = MemoryDiary(), standing("debian:jessie", schedule=DAILY)
    async with watching(bench, order, diary=diary) as watch:
        assert await watch.after(0) == 0
    async with watching(bench, order, diary=diary) as watch:
        assert await watch.after(24 * HOUR) == 1
        assert await watch.after(HOUR) == 1


async def test_what_is_overdue_comes_once_at_the_start_and_what_is_not_waits(bench: Bench) -> None:
    diary = MemoryDiary()
    async with watching(bench, JESSIE, diary=diary) as watch:
        assert await watch.after(0) == 1
    async with watching(bench, JESSIE, diary=diary) as watch:
        assert await watch.after(60) == 0
    async with watching(bench, JESSIE, diary=diary) as watch:
        assert await watch.after(50 * HOUR) == 1
        assert await watch.after(0) == 1


async def test_a_clock_that_is_set_back_does_not_hold_it_up_for_long(bench: Bench) -> None:
    async with watching(bench, JESSIE, lot=0) as watch:
        assert await watch.after(0) == 1
        bench.clock.jump(-1000 * HOUR)
        assert await watch.after(0) == 1
        assert await watch.after(HOUR) == 2


async def test_what_a_restart_broke_off_is_taken_up_again(bench: Bench) -> None:
    diary, gate = MemoryDiary(), bench.upstream.hold(Kind.GET_BLOB)
    async with TaskOwner(bench.events) as owner, watching(bench, JESSIE, diary=diary) as watch:
        owner.start(watch.orders.run(), name="standing")
        await bench.upstream.wait_asked(Kind.GET_BLOB)
        raised = [task.cancel() for task in asyncio.all_tasks() if task.get_name() == "standing"]
        assert raised == [True]
    assert diary.diary.begun == {}
    gate.set()
    async with watching(bench, JESSIE, diary=diary) as watch:
        assert await watch.after(1) == 1


async def test_whoever_wants_something_else_has_not_had_it(bench: Bench) -> None:
    async with watching(bench, JESSIE) as watch:
        assert await watch.after(0) == 1
        watch.orders.change([replace(JESSIE, schedule=Schedule(every=2 * HOUR))])
        assert await watch.after(0) == 1
        watch.orders.change([replace(JESSIE, with_attestations=True)])
        assert await watch.after(0) == 2
        watch.orders.change([])
        assert await watch.after(100 * HOUR) == 2


async def test_images_are_left_alone_while_the_allowance_is_low_and_come_once_it_is_not(bench: Bench) -> None:
    bench.upstream.quota = Quota(100, 10, 21600)
    async with watching(bench, standing("debian:jessie", reserve=10)) as watch:
        assert await watch.after(0) == 1
        assert bench.upstream.counts == {"head-manifest": 1}  # it asks what is left, in a way that costs nothing
        assert await watch.after(RETRY_SECONDS - 1) == 1
        assert await watch.after(1) == 2
        assert bench.upstream.counts == {"head-manifest": 2}
        bench.upstream.quota = Quota(100, 90, 21600)
        assert await watch.after(RETRY_SECONDS) == 3
        assert bench.upstream.count(Kind.GET_BLOB) > 0
        assert await watch.after(RETRY_SECONDS) == 3
        assert repr(watch.orders) == "<StandingOrders: 1, 0 postponed>"


async def test_what_failed_is_tried_with_the_next_turn_and_stops_no_other(bench: Bench) -> None:
    async with watching(bench, standing("debian:nowhere", "debian:jessie"), standing("ghcr.io/a/b:*")) as watch:
        assert await watch.after(0) == 2
        assert watch.states == [JobState.FAILED, JobState.DONE]
        assert await watch.after(0) == 2
        (told,) = bench.events.named("warm.not_listed")
        assert told["image"] == "ghcr.io/a/b:*"


def push_app(upstream: FakeUpstream, *tags: str) -> None:
    for tag in tags:
        upstream.push(f"{APP}:{tag}", jessie(AMD64))


async def test_the_newest_of_a_pattern_are_kept_and_older_ones_let_go(bench: Bench) -> None:
    push_app(bench.upstream, "7.9-slim", "7.10-slim", "7.8-slim", "8.0-slim", "7.11", "latest")
    await bench.catalog.put_pin(Pin(HUB, APP, "7.8-slim"))  # somebody else's
    async with watching(bench, NEWEST, lot=0) as watch:
        await watch.after(0)
        assert await watch.pins() == {"7.10-slim", "7.9-slim", "7.8-slim"}
        push_app(bench.upstream, "7.11-slim")
        await watch.after(HOUR)
        assert await watch.pins() == {"7.11-slim", "7.10-slim", "7.8-slim"}


async def test_nothing_is_let_go_before_what_is_newer_is_there(bench: Bench) -> None:
    push_app(bench.upstream, "7.1-slim", "7.2-slim")
    async with watching(bench, NEWEST, lot=0) as watch:
        await watch.after(0)
        push_app(bench.upstream, "7.3-slim")
        bench.upstream.fail(UpstreamUnreachable("gone"), kind=Kind.HEAD_MANIFEST)
        bench.upstream.fail(UpstreamUnreachable("gone"), kind=Kind.GET_MANIFEST)
        await watch.after(HOUR)
        assert await watch.pins() == {"7.1-slim", "7.2-slim"}
        bench.upstream.recover()
        await watch.after(HOUR)
        assert await watch.pins() == {"7.2-slim", "7.3-slim"}


async def test_a_pattern_that_means_nothing_is_told(bench: Bench) -> None:
    push_app(bench.upstream, "latest")
    async with watching(bench, NEWEST) as watch:
        await watch.after(0)
    assert bench.events.named("warm.nothing_meant") == [{"image": "app:7.*-slim"}]


async def test_a_long_list_of_tags_is_read_page_by_page(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAGS_A_PAGE", 1)
    push_app(bench.upstream, "7.1-slim", "7.2-slim", "7.3-slim")
    async with watching(bench, NEWEST) as watch:
        await watch.after(0)
        assert await watch.pins() == {"7.3-slim", "7.2-slim"}
    monkeypatch.setattr(module, "MAX_TAG_PAGES", 1)
    async with watching(bench, NEWEST) as watch:
        await watch.after(0)
        (job,) = watch.jobs.list()
        assert [str(one.reference.target) for one in job.orders] == ["7.1-slim"]


async def test_it_goes_on_by_itself_and_survives_what_should_not_happen(bench: Bench) -> None:
    class Broken(MemoryDiary):
        def read(self) -> Diary:
            raise ZeroDivisionError

    async with watching(bench, JESSIE, diary=Broken()) as watch, TaskOwner(bench.events) as owner:
        owner.start(watch.orders.run(), name="standing")
        for _ in range(5):
            await asyncio.sleep(0)
        assert "warm.crashed" in bench.events.warnings
    async with watching(bench) as watch, TaskOwner(bench.events) as owner:
        owner.start(watch.orders.run(), name="standing")
        await asyncio.sleep(0)
        watch.orders.change([JESSIE])
        while not watch.jobs.list():  # noqa: ASYNC110 - nobody tells that there is one
            await asyncio.sleep(0)
        (job,) = watch.jobs.list()
        ended = await watch.jobs.wait(job.id)
    assert ended is not None
    assert ended.state is JobState.DONE
