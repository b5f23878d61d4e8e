"""A cache folder opened to be warmed: with upstreams behind it, beside a server or without one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from proxy.config.schema import Settings
from proxy.server.middleware import ServerEvents
from proxy.service.freshness import CacheState
from proxy.service.warm_plans import WarmCost, WarmOrder, WarmPart, WarmPlan, cost_of
from proxy.service.warming import (
    Ended,
    Moved,
    Planned,
    Warming,
    WarmLimits,
    WarmResult,
    WarmTools,
    Watch,
    count_registry_requests,
)
from proxy.wiring import SystemClock, open_proxy

__all__ = [
    "CacheState",
    "Ended",
    "Moved",
    "Planned",
    "WarmCost",
    "WarmLimits",
    "WarmOrder",
    "WarmPart",
    "WarmPlan",
    "WarmResult",
    "Warming",
    "Watch",
    "cost_of",
    "count_registry_requests",
    "open_warming",
]


@asynccontextmanager
async def open_warming(
    settings: Settings, folder: Path, events: ServerEvents, limits: WarmLimits, watch: Watch
) -> AsyncIterator[Warming]:
    """Open a cache folder, which is made if it is not there, and what its settings say is upstream.

    Args:
        settings: What the server runs with.
        folder: The cache folder.
        events: Where happenings are told.
        limits: How much is done at once, and when it stops.
        watch: Who is told how far it is.

    Raises:
        InvalidSetting: A file that is named cannot be read.
        Unavailable: The cache folder cannot be used.
    """
    async with open_proxy(settings, folder, events) as running:
        pullers = {name: front.puller for name, front in running.fronts.items()}
        yield Warming(WarmTools(pullers, running.store, running.catalog, SystemClock()), limits, watch)
