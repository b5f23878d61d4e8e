import asyncio
from collections.abc import Awaitable, Callable

import pytest

from proxy.oci.errors import UpstreamUnreachable
from proxy.service.tasks import SingleFlight, TaskOwner, gather_bounded
from tests.fakes.events import RecordingEvents


async def forever() -> None:
    await asyncio.Event().wait()


async def test_an_owner_ends_and_awaits_what_still_runs(events: RecordingEvents) -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0)  # ending takes its time, and is waited for
            ended.set()

    async with TaskOwner(events) as owner:
        task = owner.start(work(), name="work")
        await asyncio.sleep(0)
        assert repr(owner) == "<TaskOwner of ['work']>"
    assert ended.is_set()
    assert task.cancelled()
    assert events.told == []


async def test_a_task_that_ends_by_itself_is_forgotten(events: RecordingEvents) -> None:
    async with TaskOwner(events) as owner:
        assert await owner.start(asyncio.sleep(0, "done"), name="work") == "done"
        assert repr(owner) == "<TaskOwner of []>"


async def test_a_crash_is_told_even_if_nobody_waits(events: RecordingEvents) -> None:
    async def crash() -> None:
        raise ZeroDivisionError("ours")

    async with TaskOwner(events) as owner:
        task = owner.start(crash(), name="sums")
        await asyncio.wait([task])
    (told,) = events.named("task.crashed")
    assert told["task"] == "sums"
    assert "ours" in str(told["reason"])
    assert isinstance(told["exc_info"], ZeroDivisionError)


async def test_a_registrys_error_is_no_crash(events: RecordingEvents) -> None:
    async def fail() -> None:
        raise UpstreamUnreachable("gone")

    async with TaskOwner(events) as owner:
        await asyncio.wait([owner.start(fail(), name="fetch")])
    assert events.told == []


class Work:
    """Work that counts its runs, and ends when it is told to."""

    def __init__(self) -> None:
        self.runs = 0
        self.go = asyncio.Event()

    async def run(self) -> int:
        self.runs += 1
        await self.go.wait()
        return self.runs


@pytest.fixture
def work() -> Work:
    return Work()


async def test_many_who_ask_at_once_share_one_run(events: RecordingEvents, work: Work) -> None:
    async with TaskOwner(events) as owner, asyncio.TaskGroup() as clients:
        flights = SingleFlight[int](owner)
        asked = [clients.create_task(flights.run("key", work.run)) for _ in range(50)]
        await asyncio.sleep(0)
        work.go.set()
        assert {await one for one in asked} == {1}
        assert work.runs == 1
        assert await flights.run("key", work.run) == 2  # a later one asks anew


async def test_other_keys_have_runs_of_their_own(events: RecordingEvents, work: Work) -> None:
    work.go.set()
    async with TaskOwner(events) as owner:
        flights = SingleFlight[int](owner)
        await asyncio.gather(flights.run("one", work.run), flights.run("other", work.run))
    assert work.runs == 2


async def test_the_first_who_leaves_ends_nothing_for_the_others(events: RecordingEvents, work: Work) -> None:
    async with TaskOwner(events) as owner, asyncio.TaskGroup() as clients:
        flights = SingleFlight[int](owner)
        first = clients.create_task(flights.run("key", work.run))
        second = clients.create_task(flights.run("key", work.run))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        work.go.set()
        assert await second == 1
    assert first.cancelled()


async def test_work_goes_on_when_everybody_has_left(events: RecordingEvents, work: Work) -> None:
    async with TaskOwner(events) as owner:
        flights = SingleFlight[int](owner)
        only = asyncio.ensure_future(flights.run("key", work.run))
        await asyncio.sleep(0)
        only.cancel()
        await asyncio.wait([only])
        work.go.set()
        assert await flights.run("key", work.run) == 1


async def test_all_who_share_a_run_are_told_of_its_failure(events: RecordingEvents) -> None:
    async def fail() -> int:
        await asyncio.sleep(0)
        raise UpstreamUnreachable("gone")

    async with TaskOwner(events) as owner:
        flights = SingleFlight[int](owner)
        found = await asyncio.gather(*(flights.run("key", fail) for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in found] == [UpstreamUnreachable] * 3


@pytest.mark.parametrize("count", [0, 1, 5])
async def test_work_side_by_side_is_answered_in_order(count: int) -> None:
    def answer(number: int) -> Callable[[], Awaitable[int]]:
        async def run() -> int:
            for _ in range(count - number):
                await asyncio.sleep(0)  # the last one is done first
            return number

        return run

    assert await gather_bounded([answer(number) for number in range(count)], asyncio.Semaphore(3)) == list(range(count))


async def test_no_more_runs_side_by_side_than_the_limit_lets() -> None:
    running = most = 0

    async def run() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    await gather_bounded([run] * 10, asyncio.Semaphore(3))
    assert most == 3


async def test_a_failure_side_by_side_is_raised_as_it_is() -> None:
    async def fail() -> None:
        raise UpstreamUnreachable("gone")

    with pytest.raises(UpstreamUnreachable, match="gone"):
        await gather_bounded([fail, forever], asyncio.Semaphore(3))
