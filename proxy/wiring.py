"""The composition root: settings become running objects, opened and closed by one async context manager."""

import random
import ssl
import time
from collections.abc import AsyncIterator, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from aiohttp import ThreadedResolver

from proxy import version
from proxy.config.schema import Settings
from proxy.config.upstreams import UpstreamSettings
from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidSetting
from proxy.oci.references import DOCKER_HUB, normalise_registry
from proxy.policies import (
    asks_proposal,
    build_clients,
    build_fill_policy,
    build_freshness,
    build_policy,
    cache_limits,
    list_doors,
    list_private,
)
from proxy.ports import BlobStore, Catalog, Clock, Events, Purpose, Upstream
from proxy.server.clients import Clients
from proxy.server.connections import RegistryServer, build_server
from proxy.server.doors import Door
from proxy.server.fronts import Front
from proxy.server.middleware import ServerEvents
from proxy.server.registry import Contents, RegistryHandler
from proxy.service.caching import Caching
from proxy.service.fill import Fills, FillTools
from proxy.service.housekeeping import Housekeeper
from proxy.service.listing import Listings
from proxy.service.lookups import Lookups, LookupTools
from proxy.service.manifests import Manifests
from proxy.service.pull import Puller, PullTools
from proxy.service.rebuilding import Rebuilding, RebuildTools, restore_tags
from proxy.service.recency import Recency
from proxy.service.resolver import Resolver, ResolverTools
from proxy.service.room import Room
from proxy.service.small_blobs import SmallBlobs
from proxy.service.stock import HouseTools
from proxy.service.tally import Tally
from proxy.service.tasks import SingleFlight, TaskOwner
from proxy.storage.catalog import SqliteCatalog
from proxy.storage.disk import DiskBlobStore
from proxy.storage.layout_index import LayoutIndex
from proxy.storage.layout_tags import read_tags
from proxy.upstream.addresses import GuardedResolver
from proxy.upstream.authorization import Credentials
from proxy.upstream.client import RegistryClient
from proxy.upstream.exchange import Endpoint, Exchange, Wire
from proxy.upstream.metering import MeteredTransport, NoMeter
from proxy.upstream.offline import OfflineUpstream
from proxy.upstream.transport import AiohttpTransport, build_session

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
    clients: Clients
    store: BlobStore
    catalog: Catalog
    housekeeper: Housekeeper
    owns_cache: bool
    """False where another process had the cache folder open before."""


@dataclass(frozen=True, slots=True)
class _Memory:
    """Who knows of content beside the store and the catalog."""

    fills: list[Fills] = field(default_factory=list)
    forgetters: list[Callable[[Collection[Digest] | None], None]] = field(default_factory=list)

    def find_written(self, digest: Digest) -> int | None:
        """Answer how much is written of a blob that is being filled, or None."""
        return next((found for fills in self.fills if (found := fills.find_written(digest)) is not None), None)

    def forget(self, digests: Collection[Digest] | None) -> None:
        """Forget content that has left; all of it if none is named."""
        for forget in self.forgetters:
            forget(digests)


@dataclass(frozen=True, slots=True)
class _Shared:
    """What the parts for each upstream have in common."""

    settings: Settings
    lookups: LookupTools
    resolver: ResolverTools
    pull: PullTools
    clock: Clock
    memory: _Memory


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
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        store, catalog, owner, owns_cache = await _open_cache(settings, cache, clock, events, stack)
        recency = Recency(catalog, clock)
        owner.start(recency.run(), name="recency")
        memory = _Memory()
        house = HouseTools(store, catalog, clock, events, lambda: recency.recent, memory.find_written, memory.forget)
        housekeeper = Housekeeper(house, cache_limits(settings, cache))
        shared = _share(settings, house, catalog, owner, recency, housekeeper, memory)
        fronts = {
            normalise_registry(upstream.name): await _open_front(upstream, shared, stack)
            for upstream in settings.upstreams
        }
        if owns_cache:
            owner.start(housekeeper.run(), name="housekeeping")
        stack.callback(_tell_served, events, shared.pull.tally)
        small = SmallBlobs(store, events, memory_bytes=settings.cache.memory // 2)
        memory.forgetters.append(small.forget)
        clients = build_clients(settings)
        handler = RegistryHandler(fronts, Contents(store, small), clock, clients)
        entrances = tuple(
            Entrance(listen, certificate, key, door, build_server(handler, door, events, clock))
            for listen, certificate, key, door in list_doors(settings)
        )
        yield Running(entrances, fronts, clients, store, catalog, housekeeper, owns_cache)


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


def _share(
    settings: Settings,
    house: HouseTools,
    catalog: Catalog,
    owner: TaskOwner,
    recency: Recency,
    room: Room,
    memory: _Memory,
) -> _Shared:
    store, events, clock = house.store, house.events, house.clock
    caching = Caching(events)
    manifests = Manifests(store, catalog, events, caching, memory_bytes=settings.cache.memory // 2)
    fills = Fills(FillTools(store, events, build_fill_policy(settings), room, caching), owner)
    memory.fills.append(fills)
    memory.forgetters.append(manifests.forget)
    lookups = LookupTools(
        catalog, store, manifests, fills, clock, events, flights=SingleFlight(owner), fetches=SingleFlight(owner)
    )
    return _Shared(
        settings,
        lookups,
        ResolverTools(catalog, manifests, clock, events, SingleFlight(owner)),
        PullTools(catalog, store, manifests, fills, events, owner, Tally(), recency.note),
        clock,
        memory,
    )


def _tell_served(events: ServerEvents, tally: Tally) -> None:
    if tally.counts:
        events.note("served", **tally.as_fields())


async def begin_rebuilding(
    settings: Settings, store: DiskBlobStore, catalog: SqliteCatalog, clock: Clock, events: Events
) -> Rebuilding:
    """Put back the tags of a lost catalog, before the layout's index is written anew; answer who does the rest."""
    await restore_tags(catalog, read_tags(store.root))
    return Rebuilding(RebuildTools(store, catalog, clock, events, list_private(settings)))


async def _open_front(upstream: UpstreamSettings, shared: _Shared, stack: AsyncExitStack) -> Front:
    name = normalise_registry(upstream.name)
    client = await _open_upstream(upstream, shared, stack)
    freshness = build_freshness(shared.settings, upstream)
    lookups = Lookups(name, client, freshness, shared.lookups)
    resolver = Resolver(lookups, build_policy(shared.settings, upstream), shared.resolver)
    shared.memory.forgetters.append(resolver.forget)
    tools = shared.pull
    listings = Listings(name, client, tools.manifests, tools.catalog, freshness, shared.clock)
    puller = Puller(name, client, lookups, resolver, listings, tools)
    is_hub = name == DOCKER_HUB
    return Front(puller, has_library=is_hub, has_words=asks_proposal(shared.settings.candidates, upstream))


async def _open_upstream(upstream: UpstreamSettings, shared: _Shared, stack: AsyncExitStack) -> Upstream:
    if shared.settings.cache.offline:
        return OfflineUpstream(normalise_registry(upstream.name))
    return await _open_client(upstream, shared.clock, stack)


async def _open_client(upstream: UpstreamSettings, clock: Clock, stack: AsyncExitStack) -> RegistryClient:
    endpoint = _endpoint(upstream)
    tls = _tls(upstream)
    resolver = ThreadedResolver()
    guard = GuardedResolver(resolver, upstream_host=urlsplit(endpoint.url).hostname or "")
    wire = Wire(
        direct=_metered(build_session(resolver, connections=CONNECTIONS, tls=tls), endpoint, clock, Purpose.TOKEN),
        guarded=_metered(build_session(guard, connections=CONNECTIONS, tls=tls), endpoint, clock, Purpose.REDIRECT),
        guard=guard,
        clock=clock,
        random=random.random,
    )
    client = RegistryClient(Exchange(endpoint, wire, user_agent=f"polyarch/{version.VERSION}"))
    stack.push_async_callback(client.aclose)
    return client


def _metered(session: aiohttp.ClientSession, endpoint: Endpoint, clock: Clock, other: Purpose) -> MeteredTransport:
    return MeteredTransport(AiohttpTransport(session), endpoint.name, NoMeter(), clock, other=other)


def _endpoint(upstream: UpstreamSettings) -> Endpoint:
    return Endpoint(
        name=normalise_registry(upstream.name),
        url=upstream.address,
        token_hosts=upstream.all_token_hosts,
        credentials=_credentials(upstream),
        timeout_seconds=upstream.timeout,
        connect_timeout_seconds=upstream.connect_timeout,
        stall_timeout_seconds=upstream.stall_timeout,
    )


def _credentials(upstream: UpstreamSettings) -> Credentials | None:
    if not upstream.username:
        return None
    password = upstream.password
    if upstream.password_file is not None:
        try:
            password = upstream.password_file.read_text("utf-8").strip()
        except OSError as error:
            raise InvalidSetting(f"password_file {upstream.password_file}: {error.strerror}") from error
    return Credentials(upstream.username, password, upstream.repositories)


def _tls(upstream: UpstreamSettings) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if upstream.ca_file is not None:
        try:
            context.load_verify_locations(upstream.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise InvalidSetting(f"ca_file {upstream.ca_file}: {error}") from error
    return context
