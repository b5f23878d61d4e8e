"""Orders carried out over a bench."""

from collections.abc import Sequence

from proxy.oci.platforms import Platform
from proxy.oci.references import Reference
from proxy.service.warm_plans import WarmOrder
from proxy.service.warming import Ended, Moved, Planned, Warming, WarmLimits, WarmResult, WarmTools
from tests.service.bench import FLEET, Bench

Told = Planned | Moved | Ended


def order(name: str, *platforms: str, with_attestations: bool = False, is_pinned: bool = False) -> WarmOrder:
    """Order an image for some platforms, or for the whole fleet."""
    wanted = tuple(map(Platform.parse, platforms)) or FLEET
    return WarmOrder(Reference.parse(name), wanted, with_attestations, is_pinned)


def warming(bench: Bench, *, parallel: int = 4, reserve: int | None = None, told: list[Told] | None = None) -> Warming:
    """Make who carries out orders."""
    tools = WarmTools({bench.puller.name: bench.puller}, bench.store, bench.catalog, bench.clock)
    kept: list[Told] = [] if told is None else told
    return Warming(tools, WarmLimits(parallel, reserve), kept.append)


async def warm(bench: Bench, *orders: WarmOrder, is_dry: bool = False, reserve: int | None = None) -> list[WarmResult]:
    """Carry out some orders."""
    return await warming(bench, reserve=reserve).run(orders, is_dry=is_dry)


def errors(results: Sequence[WarmResult]) -> list[str]:
    """Answer what went wrong."""
    return [result.error for result in results if result.error]
