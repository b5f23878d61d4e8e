"""Warm jobs: orders carried out in the background of a server, looked at while they are, and ended by a word.

A job is shown by snapshots, which never change. Whoever follows one is given the newest there is, a few times a second
at most, and always the last: a slow listener misses steps, and nothing heaps up for him.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from proxy.oci.digests import Digest
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference
from proxy.ports import Clock, Events
from proxy.service.freshness import CacheState
from proxy.service.tasks import TaskOwner
from proxy.service.warm_plans import WarmCost, WarmOrder, WarmPart, WarmPlan, cost_of
from proxy.service.warming import Ended, Moved, Planned, Warming, WarmLimits, WarmResult, WarmTools
from proxy.spending import Spending

KEPT_JOBS = 50
"""How many jobs that have ended are remembered."""
JOBS_AT_ONCE = 4
"""How many jobs run side by side; further ones wait."""
PAUSE_SECONDS = 0.2
"""How long a listener is left alone between two snapshots, but for the last."""


class JobState(StrEnum):
    """How far a job is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """Some order of it has failed; the others were carried out all the same."""
    CANCELLED = "cancelled"


class OrderState(StrEnum):
    """How far an order is. Where the job was cancelled, it stays what it was then."""

    WAITING = "waiting"
    PLANNED = "planned"
    """It is known what it takes; dry, that is all."""
    FETCHING = "fetching"
    DONE = "done"
    FAILED = "failed"
    POSTPONED = "postponed"
    """Too little is left of upstream's pull allowance."""


@dataclass(frozen=True, slots=True)
class JobPart:
    """A config or a layer that an order needs."""

    digest: Digest
    size: int
    """In bytes."""
    written: int
    """How many bytes of it are there."""
    state: CacheState
    """How it was found when the order was planned: HIT, REVALIDATED or MISS."""
    found: int
    """How many bytes of it were there then."""


@dataclass(frozen=True, slots=True)
class JobOrder:
    """An order, and how far it is."""

    order: WarmOrder
    state: OrderState
    error: str
    """Why it failed; empty where it did not."""
    size: int
    """How many bytes its parts have; 0 until it is planned."""
    written: int
    """How many of them are there."""
    missing: tuple[Platform, ...]
    """The platforms that nothing of it runs on."""
    parts: tuple[JobPart, ...]
    plan: WarmPlan | None = None
    """None until it is known what it takes."""
    spent: Spending = field(default_factory=Spending)
    """What it has cost upstream so far."""
    seconds: float = 0.0
    """How long it took; 0 until it has ended."""

    @property
    def reference(self) -> Reference:
        """The image."""
        return self.order.reference


@dataclass(frozen=True, slots=True)
class WarmJob:
    """A job as it was at one moment."""

    id: str
    state: JobState
    is_dry: bool
    created_at: float
    """Wall clock, in seconds since 1970."""
    ended_at: float | None
    orders: tuple[JobOrder, ...]
    cost: WarmCost | None
    """What was foreseen; None until all orders are planned, or have ended without a plan."""
    spent: Spending
    """What it has cost upstream so far."""

    @property
    def is_over(self) -> bool:
        """Whether it will not change any more."""
        return self.state is not JobState.RUNNING


@dataclass(slots=True)
class _Progress:
    """How far an order is, while that changes."""

    order: WarmOrder
    state: OrderState = OrderState.WAITING
    error: str = ""
    plan: WarmPlan | None = None
    spending: Spending = field(default_factory=Spending)
    written: dict[Digest, int] = field(default_factory=dict)
    seconds: float = 0.0

    def plan_for(self, plan: WarmPlan, spending: Spending) -> None:
        self.state, self.plan, self.spending = OrderState.PLANNED, plan, spending
        self.written = {
            part.descriptor.digest: part.written if part.state is CacheState.MISS else part.descriptor.size
            for part in plan.parts
        }

    def move(self, digest: Digest, written: int) -> None:
        self.state = OrderState.FETCHING
        self.written[digest] = max(written, self.written.get(digest, 0))

    def end(self, result: WarmResult, *, is_dry: bool) -> None:
        self.error, self.spending, self.seconds = result.error, result.spending, result.seconds
        if result.is_postponed:
            self.state = OrderState.POSTPONED
        elif result.error:
            self.state = OrderState.FAILED
        else:
            self.state = OrderState.PLANNED if is_dry else OrderState.DONE

    def show(self) -> JobOrder:
        plan = self.plan
        parts = tuple(map(self._show_part, plan.parts)) if plan else ()
        return JobOrder(
            order=self.order,
            state=self.state,
            error=self.error,
            size=sum(part.size for part in parts),
            written=sum(part.written for part in parts),
            missing=plan.missing if plan else (),
            parts=parts,
            plan=plan,
            spent=Spending(self.spending.requests.copy(), self.spending.blob_bytes),
            seconds=self.seconds,
        )

    def _show_part(self, part: WarmPart) -> JobPart:
        digest, size = part.descriptor.digest, part.descriptor.size
        return JobPart(digest, size, self.written[digest], part.state, size - part.lacking)


class _Job:
    """A job, while it changes."""

    def __init__(self, job_id: str, orders: Iterable[WarmOrder], clock: Clock, *, is_dry: bool) -> None:
        self.id = job_id
        self.is_dry = is_dry
        self.state = JobState.RUNNING
        self.over = asyncio.Event()
        self.changed = asyncio.Event()
        """Set with the next change; another one takes its place then."""
        self.orders = {order: _Progress(order) for order in orders}
        self.task: asyncio.Task[None] | None = None
        self._clock = clock
        self._created_at = clock.now()
        self._ended_at: float | None = None

    def hear(self, event: Planned | Moved | Ended) -> None:
        match event:
            case Planned(plan=plan, spending=spending):
                self.orders[plan.order].plan_for(plan, spending)
            case Moved(order=order, part=part, written=written):
                self.orders[order].move(part.descriptor.digest, written)
            case Ended(result=result):
                self.orders[result.order].end(result, is_dry=self.is_dry)
        self._tell()

    def end(self, state: JobState) -> None:
        if not self.over.is_set():
            self.state, self._ended_at = state, self._clock.now()
            self.over.set()
            self._tell()

    def _tell(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    @property
    def has_failed(self) -> bool:
        return any(one.state is OrderState.FAILED for one in self.orders.values())

    def show(self) -> WarmJob:
        plans = [one.plan for one in self.orders.values() if one.plan]
        is_foreseen = all(one.state is not OrderState.WAITING for one in self.orders.values())
        spent = Spending()
        for one in self.orders.values():
            spent.requests.update(one.spending.requests)
            spent.blob_bytes += one.spending.blob_bytes
        return WarmJob(
            id=self.id,
            state=self.state,
            is_dry=self.is_dry,
            created_at=self._created_at,
            ended_at=self._ended_at,
            orders=tuple(one.show() for one in self.orders.values()),
            cost=cost_of(plans) if is_foreseen else None,
            spent=spent,
        )


class WarmJobs:
    """All warm jobs of a server."""

    def __init__(
        self,
        open_tools: Callable[[], WarmTools],
        owner: TaskOwner,
        events: Events,
        *,
        make_id: Callable[[], str] = lambda: secrets.token_hex(6),
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        """Take how to come by what a job works with, who owns the jobs, where they are told, and how to name them.

        A job works to its end with what it began with. The owner has to end before the upstreams are closed: else jobs
        would fail for want of them, instead of being broken off.
        """
        self._open_tools = open_tools
        self._owner = owner
        self._events = events
        self._make_id = make_id
        self._pause_seconds = pause_seconds
        self._jobs: dict[str, _Job] = {}
        self._running = asyncio.Semaphore(JOBS_AT_ONCE)

    def start(self, orders: Iterable[WarmOrder], limits: WarmLimits, *, is_dry: bool = False) -> WarmJob:
        """Begin to carry out some orders, and answer the job at once; dry, only to find out what they come to."""
        tools = self._open_tools()
        job = _Job(self._make_id(), orders, tools.clock, is_dry=is_dry)
        self._forget()
        self._jobs[job.id] = job
        self._events.note("warm.started", job=job.id, images=[str(one.reference) for one in job.orders], dry=is_dry)
        job.task = self._owner.start(self._run(job, Warming(tools, limits, job.hear)), name=f"warm job {job.id}")
        # One that is cancelled before its first step would never come to its own end.
        job.task.add_done_callback(lambda _: job.end(JobState.CANCELLED))
        return job.show()

    def list(self) -> tuple[WarmJob, ...]:
        """Answer the jobs that are remembered, newest first."""
        return tuple(job.show() for job in reversed(self._jobs.values()))

    def find(self, job_id: str) -> WarmJob | None:
        """Answer a job as it is now, or None if there is none."""
        job = self._jobs.get(job_id)
        return job.show() if job else None

    def cancel(self, job_id: str) -> bool:
        """End a job, and answer whether there was one to be ended. Downloads that others wait for go on.

        It is over a moment later: `wait` and `subscribe` tell.
        """
        job = self._jobs.get(job_id)
        if job is None or job.task is None or job.over.is_set():
            return False
        return job.task.cancel()

    async def wait(self, job_id: str) -> WarmJob | None:
        """Wait until a job is over, and answer it as it is then; None if there is none."""
        job = self._jobs.get(job_id)
        if job is None:
            return None
        await job.over.wait()
        return job.show()

    async def subscribe(self, job_id: str) -> AsyncGenerator[WarmJob, None]:
        """Answer a job as it is now, then the newest there is whenever it has changed, last as it is at its end.

        Nothing at all where there is no such job.
        """
        job = self._jobs.get(job_id)
        while job is not None:
            changed = job.changed  # before it is shown: what changes while the listener is busy is not missed
            snapshot = job.show()
            yield snapshot
            if snapshot.is_over:
                return
            await changed.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause_seconds):
                    await job.over.wait()

    async def _run(self, job: _Job, warming: Warming) -> None:
        try:
            async with self._running:
                await warming.run(list(job.orders), is_dry=job.is_dry)
        except asyncio.CancelledError:
            job.end(JobState.CANCELLED)
            raise
        except BaseException:  # a fault of ours, which the owner tells
            job.end(JobState.FAILED)
            raise
        else:
            job.end(JobState.FAILED if job.has_failed else JobState.DONE)
        finally:
            spent = job.show().spent
            self._events.note(
                "warm.ended",
                job=job.id,
                state=str(job.state),
                requests=spent.requests.total(),
                bytes=spent.blob_bytes,
                failed={
                    str(one.order.reference): one.error for one in job.orders.values() if one.state is OrderState.FAILED
                },
            )

    def _forget(self) -> None:
        ended = [job.id for job in self._jobs.values() if job.over.is_set()]
        for job_id in ended[: max(len(ended) - KEPT_JOBS + 1, 0)]:
            del self._jobs[job_id]

    def __repr__(self) -> str:
        return f"<WarmJobs: {sum(not job.over.is_set() for job in self._jobs.values())} of {len(self._jobs)} running>"
