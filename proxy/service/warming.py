"""Warming: into the cache what machines will need of an image, before any of them asks for it.

It goes the way of a client: the tag, the image for each platform, the image's config and layers. What is there already
is left alone, what several images share comes once, and what broke off goes on where it was: fills see to that. One
image that fails stops no other.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

from proxy.oci.errors import NameUnknown, RegistryError
from proxy.oci.references import Reference
from proxy.ports import BlobStore, Clock, Ledger, Pin
from proxy.service.freshness import CacheState
from proxy.service.pull import Puller
from proxy.service.warm_plans import WarmOrder, WarmPart, WarmPlan, make_plan
from proxy.spending import SPENDING, Purpose, Spending


@dataclass(frozen=True, slots=True)
class WarmResult:
    """What became of an order."""

    order: WarmOrder
    plan: WarmPlan | None
    """None where it was not even clear what is needed."""
    spending: Spending
    """What it has cost upstream."""
    seconds: float
    error: str = ""
    """Why it failed; empty where it did not."""
    is_postponed: bool = False
    """Whether it was left alone, since too little is left of upstream's pull allowance."""

    @property
    def is_done(self) -> bool:
        """Whether all of it is in the cache."""
        return not self.error and not self.is_postponed


@dataclass(frozen=True, slots=True)
class Planned:
    """It became clear what an order comes to."""

    plan: WarmPlan
    spending: Spending = field(default_factory=Spending)
    """What it costs upstream, which still grows."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Some of a part has come."""

    order: WarmOrder
    part: WarmPart
    written: int
    """How many bytes of it are there by now."""


@dataclass(frozen=True, slots=True)
class Ended:
    """An order has come to its end."""

    result: WarmResult


Watch = Callable[[Planned | Moved | Ended], None]


@dataclass(frozen=True, slots=True)
class WarmTools:
    """What warming works with."""

    pullers: Mapping[str, Puller]
    """One for each upstream, by its name."""
    store: BlobStore
    ledger: Ledger
    clock: Clock

    def find_puller(self, registry: str) -> Puller:
        """Answer who pulls from a registry; raises NameUnknown where it is no upstream."""
        puller = self.pullers.get(registry)
        if puller is None:
            raise NameUnknown(f"{registry} is none of this proxy's upstreams: {', '.join(sorted(self.pullers))}")
        return puller


@dataclass(frozen=True, slots=True)
class WarmLimits:
    """How much is done at once, and when it stops."""

    parallel: int = 4
    """How many images, and how many downloads."""
    reserve: int | None = None
    """How much is to be left of an upstream's pull allowance; None for no matter how little."""


class Warming:
    """Carries out orders."""

    def __init__(self, tools: WarmTools, limits: WarmLimits, watch: Watch = lambda _: None) -> None:
        """Take what to work with, and who is told how far it is."""
        self._tools = tools
        self._limits = limits
        self._watch = watch
        self._images = asyncio.Semaphore(limits.parallel)
        self._downloads = asyncio.Semaphore(limits.parallel)
        self._looking = asyncio.Lock()
        self._looked: set[str] = set()
        """The upstreams that were asked what is left of their allowance."""

    async def run(self, orders: Iterable[WarmOrder], *, is_dry: bool = False) -> list[WarmResult]:
        """Carry out some orders, and answer what became of each; dry, only find out what they come to.

        Finding out fetches manifests, which stay in the cache. Of a pull allowance they are the part that counts.
        """
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._carry_out(order, is_dry=is_dry)) for order in orders]
        return [task.result() for task in tasks]

    async def _carry_out(self, order: WarmOrder, *, is_dry: bool) -> WarmResult:
        spending, plan, error, is_postponed = Spending(), None, "", False
        SPENDING.set(spending)
        async with self._images:
            began = self._tools.clock.monotonic()
            try:
                puller = self._tools.find_puller(order.reference.registry)
                error = await self._find_shortage(puller, order.reference)
                is_postponed = bool(error)
                if not is_postponed:
                    plan = await make_plan(puller, self._tools.store, order)
                    self._watch(Planned(plan, spending))
                    if not is_dry:
                        await self._fetch(puller, plan)
            except RegistryError as failure:
                error = failure.message
        seconds = self._tools.clock.monotonic() - began
        result = WarmResult(order, plan, spending, seconds, error, is_postponed)
        self._watch(Ended(result))
        return result

    async def _find_shortage(self, puller: Puller, reference: Reference) -> str:
        """Answer why an order has to wait; nothing where it has not."""
        reserve = self._limits.reserve
        if reserve is None:
            return ""
        async with self._looking:
            if puller.name not in self._looked and isinstance(reference.target, str):
                self._looked.add(puller.name)
                # By HEAD, which is free: what is known may be of hours ago, and after a start it is nothing.
                with suppress(RegistryError):
                    await puller.listings.ask_quota(reference.repository, reference.target)
        quota = puller.quota
        if quota is None or quota.remaining > reserve:
            return ""
        return (
            f"postponed: {puller.name} has {quota.remaining} of {quota.limit} pulls left, and {reserve} are kept back"
        )

    async def _fetch(self, puller: Puller, plan: WarmPlan) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for part in plan.parts:
                    if part.state is not CacheState.HIT:
                        group.create_task(self._fetch_part(puller, plan.order, part))
        except ExceptionGroup as failures:
            raise _first_error(failures) from failures
        if plan.order.is_pinned:
            reference = plan.order.reference
            await self._tools.ledger.put_pin(Pin(reference.registry, reference.repository, str(reference.target)))

    async def _fetch_part(self, puller: Puller, order: WarmOrder, part: WarmPart) -> None:
        async with self._downloads:
            answer = await puller.get_blob((order.reference.repository,), part.descriptor.digest)
            if answer.fill is not None:
                async with aclosing(answer.fill.keep()) as steps:
                    async for written in steps:
                        self._watch(Moved(order, part, written))
        self._watch(Moved(order, part, part.descriptor.size))

    def __repr__(self) -> str:
        return f"<Warming by {', '.join(sorted(self._tools.pullers))}>"


def count_registry_requests(spending: Spending) -> int:
    """Answer how many requests went to the registry itself, in the same sense as a `WarmCost` foresees them."""
    return sum(spending.requests.values()) - spending.requests[Purpose.TOKEN] - spending.requests[Purpose.REDIRECT]


def _first_error(failures: ExceptionGroup[Exception]) -> Exception:
    first = failures.exceptions[0]
    return _first_error(first) if isinstance(first, ExceptionGroup) else first
