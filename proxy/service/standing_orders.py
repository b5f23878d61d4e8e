"""Standing orders: images that are warmed again and again, without anybody asking.

One after another, each as a warm job: they share the line and upstream's pull allowance. When each was begun last is
written down at its end, so that one which a restart broke off is taken up again, and one that is overdue comes at once.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from proxy.oci.errors import RegistryError
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference
from proxy.ports import Diary, DiaryKeeper, Events, Pin
from proxy.service.schedules import Schedule
from proxy.service.tag_patterns import STAR, TagPattern
from proxy.service.warm_jobs import JobState, OrderState, WarmJobs
from proxy.service.warm_plans import WarmOrder
from proxy.service.warming import WarmLimits, WarmTools

POLL_SECONDS = 30.0
"""How often it is looked whether something is due: the wall clock may be set meanwhile."""
RETRY_SECONDS = 600.0
"""After how long images are tried again that were left alone for want of a pull allowance."""
MAX_TAG_PAGES, TAGS_A_PAGE = 100, 1000


@dataclass(frozen=True, slots=True)
class StandingOrder:
    """Some images, and when they are looked after."""

    images: tuple[str, ...]
    """As a person names them; in a tag, a star stands for a version."""
    platforms: tuple[Platform, ...]
    schedule: Schedule
    limits: WarmLimits = field(default_factory=WarmLimits)
    with_attestations: bool = False
    is_pinned: bool = False
    keep_newest: int = 1
    """How many tags of each pattern."""

    @property
    def key(self) -> str:
        """What it is known by: that which is wanted, however often. Who wants something else has not had it yet."""
        wanted = (self.images, list(map(str, self.platforms)), self.with_attestations, self.is_pinned, self.keep_newest)
        return hashlib.sha256(repr(wanted).encode()).hexdigest()[:32]

    def order(self, reference: Reference) -> WarmOrder:
        """Order one image."""
        return WarmOrder(reference, self.platforms, self.with_attestations, self.is_pinned)


@dataclass(frozen=True, slots=True)
class _Round:
    """What is done of a standing order this time."""

    began_at: float
    orders: tuple[WarmOrder, ...]
    """Those that are still to be carried out."""
    picks: Mapping[str, tuple[Reference, ...]] = field(default_factory=dict)
    """What each pattern was found to mean."""
    pins: frozenset[Pin] = frozenset()
    """What was pinned before."""
    failed: frozenset[Reference] = frozenset()
    again_at: float = 0.0


class StandingOrders:
    """All standing orders of a server."""

    def __init__(
        self,
        jobs: WarmJobs,
        open_tools: Callable[[], WarmTools],
        keeper: DiaryKeeper,
        events: Events,
        draw: Callable[[], float],
    ) -> None:
        """Take who carries out orders and with what, where it is written down and told, and who draws lots (0 to 1)."""
        self._jobs = jobs
        self._open_tools = open_tools
        self._keeper = keeper
        self._events = events
        self._draw = draw
        self._orders: tuple[StandingOrder, ...] = ()
        self._changed = asyncio.Event()
        self._lots: dict[str, tuple[float, float]] = {}
        self._postponed: dict[str, _Round] = {}

    def change(self, orders: Sequence[StandingOrder]) -> None:
        """Take other orders; a job that is under way goes on."""
        self._orders = tuple(orders)
        keys = {order.key for order in orders}
        self._lots = {key: lot for key, lot in self._lots.items() if key in keys}
        self._postponed = {key: rest for key, rest in self._postponed.items() if key in keys}
        self._changed.set()

    async def run(self) -> None:
        """Carry out what is due, until cancelled."""
        while True:
            self._changed.clear()
            try:
                await self.check()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again, and the server goes on
                self._events.warn("warm.crashed", reason=repr(error), exc_info=error)
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._changed.wait()

    async def check(self) -> None:
        """Carry out what is due now."""
        for order in self._orders:
            if await self._is_due(order) and order in self._orders:  # others may have come meanwhile
                rest = self._postponed.pop(order.key, None)
                await self._carry_out(order, rest or await self._begin(order))

    async def _is_due(self, order: StandingOrder) -> bool:
        key, now = order.key, self._open_tools().clock.now()
        if key in self._postponed:
            return now >= self._postponed[key].again_at
        diary = self._keeper.read()
        since = diary.begun.get(key)
        if since is None:
            if order.schedule.cron:  # its first moment is still to come, whoever restarts until then
                await self._keeper.write(self._dated(diary, key, now))
            return not order.schedule.cron
        if since > now:  # the clock was set back
            since = now
            await self._keeper.write(self._dated(diary, key, now))
        if self._lots.get(key, (None,))[0] != since:
            self._lots[key] = (since, self._draw())
        return now >= order.schedule.find_due(since, self._lots[key][1])

    def _dated(self, diary: Diary, key: str, began_at: float) -> Diary:
        keys = {order.key for order in self._orders}
        begun = {known: at for known, at in diary.begun.items() if known in keys}
        return replace(diary, begun={**begun, key: began_at})

    async def _begin(self, order: StandingOrder) -> _Round:
        tools = self._open_tools()
        began_at, picks, references = tools.clock.now(), dict[str, tuple[Reference, ...]](), list[Reference]()
        for image in order.images:
            if STAR not in image:
                references.append(Reference.parse(image))
                continue
            try:
                picks[image] = await self._find_newest(tools, image, order.keep_newest)
            except RegistryError as error:
                self._events.warn("warm.not_listed", image=image, reason=error.message)
            references += picks.get(image, ())
        pins = (await tools.ledger.take_inventory()).pins if picks and order.is_pinned else frozenset()
        return _Round(began_at, tuple(order.order(one) for one in dict.fromkeys(references)), picks, pins)

    async def _find_newest(self, tools: WarmTools, image: str, count: int) -> tuple[Reference, ...]:
        name, _, tag = image.rpartition(":")
        base, pattern, last, tags = Reference.parse(name), TagPattern(tag), None, list[str]()
        puller = tools.find_puller(base.registry)
        for _ in range(MAX_TAG_PAGES):
            page = (await puller.listings.list_tags(base.repository, limit=TAGS_A_PAGE, last=last)).page
            tags, last = pattern.pick_newest((*tags, *page.tags), count), page.last
            if last is None:
                break
        if not tags:
            self._events.warn("warm.nothing_meant", image=image)
        return tuple(replace(base, target=found) for found in tags)

    async def _carry_out(self, order: StandingOrder, turn: _Round) -> None:
        job = await self._jobs.wait(self._jobs.start(turn.orders, order.limits).id)
        assert job is not None
        failed = turn.failed | {one.reference for one in job.orders if one.state is OrderState.FAILED}
        left = tuple(one.order for one in job.orders if one.state is OrderState.POSTPONED)
        if left and job.state is not JobState.CANCELLED:
            again_at = self._open_tools().clock.now() + RETRY_SECONDS
            self._postponed[order.key] = replace(turn, orders=left, failed=failed, again_at=again_at)
            self._events.note("warm.postponed", images=[str(one.reference) for one in left])
            return
        diary = self._dated(self._keeper.read(), order.key, turn.began_at)
        if order.is_pinned and job.state is not JobState.CANCELLED:
            diary = await self._hand_on_pins(diary, replace(turn, failed=failed))
        await self._keeper.write(diary)

    async def _hand_on_pins(self, diary: Diary, turn: _Round) -> Diary:
        """Unpin what we pinned of a pattern, once all that is newer is there. What somebody else pinned stays."""
        ledger, pins = self._open_tools().ledger, dict(diary.pins)
        for image, picks in turn.picks.items():
            wanted = {str(one.target): Pin(one.registry, one.repository, str(one.target)) for one in picks}
            ours = set(pins.get(image, ()))
            if picks and turn.failed.isdisjoint(picks):
                base = picks[0]
                for tag in ours - wanted.keys():
                    await ledger.remove_pin(Pin(base.registry, base.repository, tag))
                ours &= wanted.keys()
            done = {str(one.target) for one in picks if one not in turn.failed}
            pins[image] = tuple(sorted(ours | {tag for tag in done if wanted[tag] not in turn.pins}))
        return replace(diary, pins=pins)

    def __repr__(self) -> str:
        return f"<StandingOrders: {len(self._orders)}, {len(self._postponed)} postponed>"
