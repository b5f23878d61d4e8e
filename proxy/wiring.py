"""The composition root: settings become running objects, opened and closed by one async context manager."""

import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.config.schema import Settings
from proxy.frontage import Frontage, Memory, Shared
from proxy.policies import (
    build_access,
    build_clients,
    build_fill_policy,
    cache_limits,
    list_doors,
    list_private,
    list_standing_orders,
)
from proxy.ports import BlobStore, Catalog, Clock, Events, Quota
from proxy.server.api import Api, ApiTools
from proxy.server.clients import Clients
from proxy.server.connections import RegistryServer, build_server
from proxy.server.dashboard import FOLDER, HOME_PATHS, show_dashboard
from proxy.server.doors import Door
from proxy.server.endpoints import Sight
from proxy.server.fronts import Front, pick_front
from proxy.server.identity import Identity
from proxy.server.middleware import ServerEvents
from proxy.server.operations import API, HEALTH, METRICS, READINESS, Operations, Probes, tell_metrics
from proxy.server.registry import Contents, RegistryHandler
from proxy.service.caching import Caching
from proxy.service.fill import Fills, FillTools
from proxy.service.freshness import Freshness
from proxy.service.history import History
from proxy.service.housekeeping import Housekeeper
from proxy.service.image_details import ImageDetails
from proxy.service.inspection import Inspection
from proxy.service.lookups import LookupTools
from proxy.service.manifests import Manifests
from proxy.service.pull import PullTools
from proxy.service.rebuilding import Rebuilding, RebuildTools, restore_tags
from proxy.service.recency import Recency
from proxy.service.recent import Recent
from proxy.service.refetching import Refetching
from proxy.service.resolver import ResolverTools
from proxy.service.room import Room
from proxy.service.small_blobs import SmallBlobs
from proxy.service.standing_orders import StandingOrders
from proxy.service.stock import HouseTools
from proxy.service.tally import Tally
from proxy.service.tasks import SingleFlight, TaskOwner
from proxy.service.verification import Verification
from proxy.service.warm_jobs import WarmJobs
from proxy.service.warming import WarmTools
from proxy.spending import Traffic
from proxy.storage.catalog import SqliteCatalog
from proxy.storage.diary import JsonDiary
from proxy.storage.disk import DiskBlobStore
from proxy.storage.layout_index import LayoutIndex
from proxy.storage.layout_tags import read_tags
from proxy.telemetry.metrics import CONTENT_TYPE, CacheSight, CountedEvents, Metrics, Sights
from proxy.version import VERSION

CATALOG_FILE = "catalog.sqlite"
CONNECTIONS = 100
WRITER_THREADS = 4


class SystemClock:
    """The `Clock` port, from the system."""

    def now(self) -> float:
        """Answer the wall clock, in seconds since 1970."""
        return time.time()  # noqa: TID251 - this is the clock that is passed to everybody else

    def monotonic(self) -> float:
        """Answer a clock that never jumps, in seconds."""
        return time.monotonic()


@dataclass(frozen=True, slots=True)
class Entrance:
    """An address to listen at, and what answers there."""

    listen: tuple[str, int]
    tls_certificate: Path | None
    tls_key: Path | None
    door: Door
    server: RegistryServer


@dataclass(frozen=True, slots=True)
class Running:
    """Everything that runs, for the commands that need it."""

    entrances: tuple[Entrance, ...]
    """The server's own address first."""
    fronts: dict[str, Front]
    handler: RegistryHandler
    store: BlobStore
    catalog: SqliteCatalog
    housekeeper: Housekeeper
    metrics: Metrics
    warm_jobs: WarmJobs
    standing_orders: StandingOrders
    """What is warmed again and again, for whoever serves to run."""
    identity: Identity
    """By which it shows that it is the one that its cache folder names."""
    owns_cache: bool
    """False where another process had the cache folder open before."""
    change: Callable[[Settings], None]
    """Takes other settings for requests to come, all of them or none: raises InvalidSetting. Addresses, the cache
    folder and how much memory is used stay as they are."""

    @property
    def clients(self) -> Clients:
        """How clients are told apart."""
        return self.handler.clients


@dataclass(frozen=True, slots=True)
class _Changing:
    """Everything that can be changed while it runs."""

    sight: "_Sight"
    frontage: Frontage
    handler: RegistryHandler
    api: Api
    fills: Fills
    housekeeper: Housekeeper
    standing_orders: StandingOrders
    entrances: Sequence[Entrance]

    def __call__(self, settings: Settings) -> None:
        clients, limits = build_clients(settings), cache_limits(settings, self.sight.cache)
        access = build_access(settings)
        doors = {listen: door for listen, _, _, door in list_doors(settings)}
        self.frontage.change(settings)  # the last that may fail
        self.handler.clients = clients
        self.api.access, self.api.sight = access, self.sight.of(settings)
        self.fills.change(build_fill_policy(settings))
        self.housekeeper.occupancy.limits = limits
        self.standing_orders.change(list_standing_orders(settings))
        for entrance in self.entrances:
            if (door := doors.get(entrance.listen)) is not None:
                entrance.door.change(door.listeners)


@dataclass(frozen=True, slots=True)
class _Sight:
    """What the API tells of the settings, whatever they are."""

    cache: Path
    owns_cache: bool

    def of(self, settings: Settings) -> Sight:
        fleet = tuple(str(platform) for platform in settings.resolution.fleet)
        return Sight(fleet, str(self.cache), settings.cache.offline, self.owns_cache)


@dataclass(frozen=True, slots=True)
class _Telling:
    """Who knows what went through."""

    traffic: Traffic
    history: History
    recent: Recent


@asynccontextmanager
async def open_proxy(settings: Settings, cache: Path, events: ServerEvents) -> AsyncIterator[Running]:
    """Open everything that the settings ask for; close it on leaving. Needs no network.

    Args:
        settings: What to run.
        cache: The cache folder; made if it is not there.
        events: Where happenings are told.

    Raises:
        Unavailable: The cache folder cannot be used.
        InvalidSetting: A file that is named cannot be read.
    """
    clock, metrics = SystemClock(), Metrics(Traffic(), version=VERSION)
    telling = _Telling(metrics.traffic, History(metrics.traffic, clock), Recent(clock))
    events = CountedEvents(events, metrics, telling.recent.hear)
    async with AsyncExitStack() as stack:
        store, catalog, owner, owns_cache = await _open_cache(settings, cache, clock, events, stack)
        recency = Recency(catalog, clock)
        owner.start(recency.run(), name="recency")
        owner.start(telling.history.run(), name="history")
        memory = Memory()
        house = HouseTools(store, catalog, clock, events, lambda: recency.recent, memory.find_written, memory.forget)
        housekeeper = Housekeeper(house, cache_limits(settings, cache))
        shared = _share(settings, house, catalog, owner, recency, housekeeper, memory, metrics)
        frontage = Frontage(shared, owner)
        stack.push_async_callback(frontage.aclose)
        frontage.change(settings)
        if owns_cache:
            owner.start(housekeeper.run(), name="housekeeping")
        stack.callback(_tell_served, events, shared.pull.tally)
        handler = _build_handler(settings, frontage.fronts, house, memory)
        sight = _Sight(cache, owns_cache=owns_cache)
        warming = await _open_warming(settings, house, frontage.fronts, cache, stack)
        api = _build_api(settings, house, housekeeper, shared, handler, sight, warming[0], telling)
        probes = Probes(store, catalog, Identity())
        entrances = tuple(_build_entrances(settings, _build_operations(handler, api, probes, metrics), events, clock))
        changing = _Changing(sight, frontage, handler, api, shared.pull.fills, housekeeper, warming[1], entrances)
        metrics.watch(_watch(shared.pull.fills, housekeeper, store, frontage.fronts), frontage.fronts)
        parts = (entrances, frontage.fronts, handler, store, catalog, housekeeper, metrics, *warming)
        yield Running(*parts, probes.identity, owns_cache, changing)


def _build_entrances(
    settings: Settings, operations: Operations, events: ServerEvents, clock: Clock
) -> Iterator[Entrance]:
    for listen, certificate, key, door in list_doors(settings):
        yield Entrance(listen, certificate, key, door, build_server(operations, door, events, clock))


async def _open_cache(
    settings: Settings, cache: Path, clock: Clock, events: ServerEvents, stack: AsyncExitStack
) -> tuple[DiskBlobStore, SqliteCatalog, TaskOwner, bool]:
    """Open the cache folder; answer its store, its catalog, who owns what goes on in it, and whether it is ours."""
    writers = stack.enter_context(ThreadPoolExecutor(WRITER_THREADS, "blob-writer"))
    scribe = stack.enter_context(ThreadPoolExecutor(1, "catalog-writer"))
    store = DiskBlobStore(cache, writers)
    stack.callback(store.close)
    owns_cache = store.prepare()
    catalog = stack.enter_context(SqliteCatalog(cache / CATALOG_FILE, scribe, events))
    owner = await stack.enter_async_context(TaskOwner(events))
    if owns_cache and catalog.needs_rebuild:
        rebuilding = await begin_rebuilding(settings, store, catalog, clock, events)
        owner.start(rebuilding.run(), name="rebuilding")
    await stack.enter_async_context(LayoutIndex(cache, catalog, store, writers))
    return store, catalog, owner, owns_cache


async def _open_warming(
    settings: Settings, house: HouseTools, fronts: Mapping[str, Front], cache: Path, stack: AsyncExitStack
) -> tuple[WarmJobs, StandingOrders]:
    def open_tools() -> WarmTools:
        pullers = {name: front.puller for name, front in fronts.items()}
        return WarmTools(pullers, house.store, house.ledger, house.clock)

    scribe = stack.enter_context(ThreadPoolExecutor(1, "diary-writer"))
    # An owner of its own, which ends before the upstreams are closed: jobs are broken off then, and do not fail.
    jobs = WarmJobs(open_tools, await stack.enter_async_context(TaskOwner(house.events)), house.events)
    diary = JsonDiary(cache, scribe, house.events)
    standing = StandingOrders(jobs, open_tools, diary, house.events, random.random)
    standing.change(list_standing_orders(settings))
    return jobs, standing


def _share(
    settings: Settings,
    house: HouseTools,
    catalog: Catalog,
    owner: TaskOwner,
    recency: Recency,
    room: Room,
    memory: Memory,
    metrics: Metrics,
) -> Shared:
    store, events, clock = house.store, house.events, house.clock
    caching = Caching(events)
    manifests = Manifests(store, catalog, events, caching, memory_bytes=settings.cache.memory // 2)
    fills = Fills(FillTools(store, events, build_fill_policy(settings), room, caching, metrics.traffic), owner)
    memory.fills.append(fills)
    memory.forgetters.append(manifests.forget)
    lookups = LookupTools(
        catalog, store, manifests, fills, clock, events, flights=SingleFlight(owner), fetches=SingleFlight(owner)
    )
    return Shared(
        lookups,
        ResolverTools(catalog, manifests, clock, events, SingleFlight(owner)),
        PullTools(catalog, store, manifests, fills, events, owner, Tally(), recency.note),
        clock,
        memory,
        metrics,
    )


def _watch(fills: Fills, housekeeper: Housekeeper, store: BlobStore, fronts: Mapping[str, Front]) -> Sights:
    def look_at_cache() -> CacheSight:
        occupancy, limits = housekeeper.occupancy, housekeeper.occupancy.limits
        return CacheSight(occupancy.stored_bytes, limits.max_bytes, store.free_bytes(), limits.min_free_bytes)

    def list_quotas() -> dict[str, Quota]:
        return {name: quota for name, front in fronts.items() if (quota := front.puller.quota) is not None}

    return Sights(lambda: fills.running, look_at_cache, list_quotas)


def _build_handler(
    settings: Settings, fronts: Mapping[str, Front], house: HouseTools, memory: Memory
) -> RegistryHandler:
    small = SmallBlobs(house.store, house.events, memory_bytes=settings.cache.memory // 2)
    memory.forgetters.append(small.forget)
    return RegistryHandler(fronts, Contents(house.store, small), house.clock, build_clients(settings))


def _build_api(
    settings: Settings,
    house: HouseTools,
    housekeeper: Housekeeper,
    shared: Shared,
    registry: RegistryHandler,
    sight: _Sight,
    warm_jobs: WarmJobs,
    telling: _Telling,
) -> Api:
    store, ledger, clock = house.store, house.ledger, house.clock
    inspection = Inspection(store, ledger, Freshness(tag_seconds=settings.cache.tag_ttl), clock)
    repair = Refetching(lambda name: pick_front(registry.fronts, name).puller)
    tools = ApiTools(
        registry=registry,
        store=store,
        ledger=ledger,
        inspection=inspection,
        details=ImageDetails(store, shared.lookups.catalog, ledger, inspection),
        verification=Verification(store, ledger, repair, house.forget),
        housekeeper=housekeeper,
        tally=shared.pull.tally,
        traffic=telling.traffic,
        fills=shared.pull.fills,
        clock=clock,
        warm_jobs=warm_jobs,
        history=telling.history,
        recent=telling.recent,
    )
    return Api(tools, build_access(settings), sight.of(settings))


def _build_operations(handler: RegistryHandler, api: Api, probes: Probes, metrics: Metrics) -> Operations:
    pages = {
        HEALTH: probes.tell_health,
        READINESS: probes.tell_readiness,
        METRICS: tell_metrics(metrics.render, CONTENT_TYPE),
        **dict.fromkeys(HOME_PATHS, show_dashboard),
    }
    return Operations(handler, pages, {API: api.handle, FOLDER: show_dashboard})


def _tell_served(events: ServerEvents, tally: Tally) -> None:
    if tally.counts:
        events.note("served", **tally.as_fields())


async def begin_rebuilding(
    settings: Settings, store: DiskBlobStore, catalog: SqliteCatalog, clock: Clock, events: Events
) -> Rebuilding:
    """Put back the tags of a lost catalog, before the layout's index is written anew; answer who does the rest."""
    await restore_tags(catalog, read_tags(store.root))
    return Rebuilding(RebuildTools(store, catalog, clock, events, list_private(settings)))
