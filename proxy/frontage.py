"""The fronts: for each upstream a client, and the use cases over it; made anew when the settings change.

The store, the catalog, the downloads and the questions under way are common to all of them, and outlive them. Whoever
is being served while the settings change is served to the end by the front that he began with.
"""

import random
import ssl
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver

from proxy import version
from proxy.arch.resolution import Policy
from proxy.config.schema import Settings
from proxy.config.upstreams import UpstreamSettings
from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidSetting
from proxy.oci.references import DOCKER_HUB, normalise_registry
from proxy.policies import asks_proposal, build_freshness, build_policy
from proxy.ports import Clock, Upstream
from proxy.server.fronts import Front
from proxy.service.fill import Fills
from proxy.service.freshness import Freshness
from proxy.service.listing import Listings
from proxy.service.lookups import Lookups, LookupTools
from proxy.service.pull import Puller, PullTools
from proxy.service.resolver import Resolver, ResolverTools
from proxy.service.tasks import TaskOwner
from proxy.spending import Purpose, UpstreamMeter
from proxy.upstream.addresses import GuardedResolver
from proxy.upstream.authorization import Credentials
from proxy.upstream.client import RegistryClient
from proxy.upstream.exchange import Endpoint, Exchange, Wire
from proxy.upstream.metering import MeteredTransport
from proxy.upstream.offline import OfflineUpstream
from proxy.upstream.password_files import PasswordFile
from proxy.upstream.pool import OpenUpstream, Plan, UpstreamPool
from proxy.upstream.transport import AiohttpTransport, build_session

CONNECTIONS = 100


@dataclass(slots=True)
class Memory:
    """Who knows of content beside the store and the catalog."""

    fills: list[Fills] = field(default_factory=list)
    forgetters: list[Callable[[Collection[Digest] | None], None]] = field(default_factory=list)
    resolvers: list[Resolver] = field(default_factory=list)

    def find_written(self, digest: Digest) -> int | None:
        """Answer how much is written of a blob that is being filled, or None."""
        return next((found for fills in self.fills if (found := fills.find_written(digest)) is not None), None)

    def forget(self, digests: Collection[Digest] | None) -> None:
        """Forget content that has left; all of it if none is named."""
        for forget in (*self.forgetters, *(resolver.forget for resolver in self.resolvers)):
            forget(digests)


@dataclass(frozen=True, slots=True)
class Shared:
    """What the fronts have in common, whatever the settings."""

    lookups: LookupTools
    resolver: ResolverTools
    pull: PullTools
    clock: Clock
    memory: Memory
    meter: UpstreamMeter


@dataclass(frozen=True, slots=True)
class _Design:
    """All that a front is made of, before anything is changed for it."""

    plan: Plan
    policy: Policy
    freshness: Freshness
    has_words: bool


class Frontage:
    """The fronts of all upstreams."""

    def __init__(self, shared: Shared, owner: TaskOwner) -> None:
        """Take what the fronts have in common, and who owns what goes on without them."""
        self.fronts: dict[str, Front] = {}
        """By the upstream's name; the same object for good, whatever is in it."""
        self._shared = shared
        self._pool = UpstreamPool(partial(owner.start, name="closing an upstream"))

    def change(self, settings: Settings) -> None:
        """Make the fronts that the settings ask for: all of them, or none if it cannot be done.

        Raises:
            InvalidSetting: A file that is named cannot be read.
        """
        designs = {normalise_registry(one.name): self._design(settings, one) for one in settings.upstreams}
        clients = self._pool.change({name: design.plan for name, design in designs.items()})
        self._shared.memory.resolvers.clear()
        fronts = {name: self._build(name, clients[name], design) for name, design in designs.items()}
        self.fronts.clear()
        self.fronts.update(fronts)

    async def aclose(self) -> None:
        """Close all connections to upstreams."""
        await self._pool.aclose()

    def _design(self, settings: Settings, upstream: UpstreamSettings) -> _Design:
        shared = self._shared
        return _Design(
            plan=_plan_offline(upstream)
            if settings.cache.offline
            else _plan_client(upstream, shared.clock, shared.meter),
            policy=build_policy(settings, upstream),
            freshness=build_freshness(settings, upstream),
            has_words=asks_proposal(settings.candidates, upstream),
        )

    def _build(self, name: str, client: Upstream, design: _Design) -> Front:
        shared, tools = self._shared, self._shared.pull
        lookups = Lookups(name, client, design.freshness, shared.lookups)
        resolver = Resolver(lookups, design.policy, shared.resolver)
        shared.memory.resolvers.append(resolver)
        listings = Listings(name, client, tools.manifests, tools.catalog, design.freshness, shared.clock)
        puller = Puller(name, client, lookups, resolver, listings, tools)
        return Front(puller, has_library=name == DOCKER_HUB, has_words=design.has_words)


def _plan_offline(upstream: UpstreamSettings) -> Plan:
    name = normalise_registry(upstream.name)
    return Plan(("offline", name), lambda: OpenUpstream(OfflineUpstream(name), _close_nothing))


async def _close_nothing() -> None:
    """Close an upstream that there is none of."""


def _plan_client(upstream: UpstreamSettings, clock: Clock, meter: UpstreamMeter) -> Plan:
    endpoint, tls = build_endpoint(upstream), build_tls(upstream)
    authorities = tuple(tls.get_ca_certs(binary_form=True)) if upstream.ca_file else ()
    # Two files may hold the same password, until one of them is renewed.
    terms = (endpoint, authorities, upstream.password_file)
    return Plan(terms, partial(_open_client, endpoint, tls, clock, meter))


def _open_client(endpoint: Endpoint, tls: ssl.SSLContext, clock: Clock, meter: UpstreamMeter) -> OpenUpstream:
    exchange = open_exchange(endpoint, tls, clock, meter)
    return OpenUpstream(RegistryClient(exchange), exchange.aclose)


def open_exchange(endpoint: Endpoint, tls: ssl.SSLContext, clock: Clock, meter: UpstreamMeter) -> Exchange:
    """Open an exchange over connections of its own; whoever opens it closes it."""
    resolver = ThreadedResolver()
    guard = GuardedResolver(resolver, upstream_host=urlsplit(endpoint.url).hostname or "")
    wire = Wire(
        direct=MeteredTransport(_transport(resolver, tls), endpoint.name, meter, clock, other=Purpose.TOKEN),
        guarded=MeteredTransport(_transport(guard, tls), endpoint.name, meter, clock, other=Purpose.REDIRECT),
        guard=guard,
        clock=clock,
        random=random.random,
    )
    return Exchange(endpoint, wire, user_agent=f"polyarch/{version.VERSION}")


def _transport(resolver: AbstractResolver, tls: ssl.SSLContext) -> AiohttpTransport:
    return AiohttpTransport(build_session(resolver, connections=CONNECTIONS, tls=tls))


def build_endpoint(upstream: UpstreamSettings) -> Endpoint:
    """Answer where an upstream is, and how it is to be asked.

    Raises:
        InvalidSetting: Its password cannot be read.
    """
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
    if upstream.password_file is None:
        return Credentials(upstream.username, upstream.password, upstream.repositories)
    try:
        file = PasswordFile(upstream.password_file)
    except OSError as error:
        raise InvalidSetting(
            f"upstream {upstream.name}: password_file {upstream.password_file}: {error.strerror}"
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidSetting(f"upstream {upstream.name}: password_file {upstream.password_file}: not UTF-8") from error
    return Credentials(upstream.username, file.read(), upstream.repositories, current=file.read)


def build_tls(upstream: UpstreamSettings) -> ssl.SSLContext:
    """Answer which certificates are trusted for an upstream.

    Raises:
        InvalidSetting: Its own cannot be read.
    """
    context = ssl.create_default_context()
    if upstream.ca_file is not None:
        try:
            context.load_verify_locations(upstream.ca_file)
        except OSError as error:
            reason = str(error) if isinstance(error, ssl.SSLError) else error.strerror
            raise InvalidSetting(f"upstream {upstream.name}: ca_file {upstream.ca_file}: {reason}") from error
    return context
