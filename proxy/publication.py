"""Registries opened to be published to, and to publish from: what `polyarch index` and `polyarch build` work with.

A registry that the settings have as an upstream is reached as they say; any other one by its name, over HTTPS, but for
this machine's own. Who one is there is told by the settings, or else by what `docker login` has written down.
"""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address

from proxy.config.docker_logins import Logins
from proxy.config.schema import Settings
from proxy.config.upstreams import UpstreamSettings
from proxy.frontage import build_endpoint, build_tls, open_exchange
from proxy.oci.references import normalise_registry
from proxy.service.gathering import Gathered, gather, read_platform
from proxy.service.publishing import Origin, Part, Place, Publication, Publisher, Step
from proxy.storage.layout_rewriting import state_platform
from proxy.storage.layout_source import LayoutSource
from proxy.storage.saved_images import adopt_directory, unpack_saved
from proxy.upstream.authorization import Credentials
from proxy.upstream.client import RegistryClient
from proxy.upstream.exchange import Exchange
from proxy.upstream.metering import NoMeter
from proxy.upstream.pushing import RegistryPusher
from proxy.wiring import SystemClock

__all__ = [
    "Gathered",
    "LayoutSource",
    "Origin",
    "Part",
    "Place",
    "Publication",
    "Publisher",
    "Registries",
    "Step",
    "adopt_directory",
    "gather",
    "open_registries",
    "read_platform",
    "state_platform",
    "unpack_saved",
]

PULL, PUSH = "pull", "pull,push"
_BY_HAND = "name a user in its [[upstream]] of the configuration"


@dataclass(frozen=True, slots=True)
class Manner:
    """How registries are reached that the settings do not have."""

    logins: Logins
    is_plain: bool
    """Over HTTP, wherever they are."""


class Registries:
    """Registries by their names, each opened when it is first needed."""

    def __init__(self, settings: Settings, manner: Manner, stack: AsyncExitStack) -> None:
        """Take what is known of them, and what closes them."""
        self._known = {normalise_registry(one.name): one for one in settings.upstreams}
        self._manner = manner
        self._stack = stack
        self._open: dict[tuple[str, str], Exchange] = {}

    def source(self, registry: str) -> RegistryClient:
        """Answer a registry to take images from.

        Raises:
            InvalidSetting: A file that the settings name for it cannot be read.
        """
        return RegistryClient(self._exchange(registry, PULL))

    def destination(self, registry: str) -> RegistryPusher:
        """Answer a registry to publish to.

        Raises:
            InvalidSetting: As `source`.
        """
        return RegistryPusher(self._exchange(registry, PUSH), random.random)

    def explain_login(self, registry: str) -> str:
        """Say who one is at a registry that refused something, or what would have to be known of it."""
        known, logins = self._known.get(registry), self._manner.logins
        if known is not None and known.username:
            return f"it was asked as {known.username!r}, as the configuration says"
        if registry in logins.known:
            return f"it was asked as {logins.known[registry].username!r}, who is logged in there"
        helper = logins.find_helper(registry)
        if helper is not None:
            return f"its password is kept by docker-credential-{helper}, which polyarch does not run: {_BY_HAND}"
        if registry in logins.identity_tokens:
            return f"the login there is an identity token, which polyarch does not use: {_BY_HAND}"
        return f"log in there by `docker login {registry}`"

    def _exchange(self, registry: str, actions: str) -> Exchange:
        found = self._open.get((registry, actions))
        if found is None:
            upstream = self._known.get(registry) or _stranger(registry, is_plain=self._manner.is_plain)
            endpoint = replace(build_endpoint(upstream), actions=actions)
            login = self._manner.logins.known.get(registry)
            if endpoint.credentials is None and login is not None:
                endpoint = replace(endpoint, credentials=Credentials(login.username, login.password, ("*",)))
            found = open_exchange(endpoint, build_tls(upstream), SystemClock(), NoMeter())
            self._stack.push_async_callback(found.aclose)
            self._open[registry, actions] = found
        return found

    def __repr__(self) -> str:
        return f"<Registries: {', '.join(sorted({name for name, _ in self._open})) or 'none yet'}>"


@asynccontextmanager
async def open_registries(settings: Settings, logins: Logins, *, is_plain: bool = False) -> AsyncIterator[Registries]:
    """Open registries as they are needed; close them on leaving.

    Args:
        settings: Their upstreams are reached as they say.
        logins: Who one is at all others.
        is_plain: Whether others are reached over HTTP.
    """
    async with AsyncExitStack() as stack:
        yield Registries(settings, Manner(logins, is_plain), stack)


def _stranger(registry: str, *, is_plain: bool) -> UpstreamSettings:
    upstream = UpstreamSettings(name=registry)
    return replace(upstream, url=f"http://{registry}") if is_plain or is_on_this_machine(registry) else upstream


def is_on_this_machine(registry: str) -> bool:
    """Tell whether a registry is on a loopback address, where Docker speaks HTTP, too."""
    host = registry.rpartition(":")[0] if registry.rpartition(":")[2].isdigit() else registry
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
