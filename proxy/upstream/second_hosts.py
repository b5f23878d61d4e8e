"""Registries that an upstream leads on to, each with tokens of its own.

lscr.io sends manifests on to ghcr.io, registry.k8s.io to regional hosts of pkg.dev: registries that may ask for a token
themselves (protocol_and_perf.md A4). What they get is anonymous, fetched for them and shown to them alone: neither the
upstream's credentials nor its tokens (go-containerregistry #2337 carried those on, #2360 mended it). Where a redirect
leads to anything else than a registry's API, nothing is ever shown.
"""

from collections.abc import Mapping

import cachetools
import httpx

from proxy.oci.errors import ClientError
from proxy.oci.routes import Ping, parse_route
from proxy.ports import Clock
from proxy.upstream.authorization import Authorizer, FetchToken

MAX_HOSTS = 64
"""How many are remembered; registry.k8s.io has some twenty regions."""

TokenHosts = Mapping[str, frozenset[str]]
"""Hosts (`name` or `name:port`) that give tokens for a registry on another host, by that registry's own."""


class SecondHosts:
    """The authorizers of one upstream's second hosts, one a host, none with credentials."""

    def __init__(self, token_hosts: TokenHosts, *, clock: Clock, fetch_token: FetchToken) -> None:
        """Take the token services that are known, and the function that asks one."""
        self._token_hosts = token_hosts
        self._clock = clock
        self._fetch_token = fetch_token
        self._authorizers: cachetools.LRUCache[str, Authorizer] = cachetools.LRUCache(MAX_HOSTS)

    def authorizer_for(self, url: httpx.URL) -> Authorizer:
        """Answer who authorizes requests to the host of a URL."""
        origin = f"{url.scheme}://{authority(url)}"
        found = self._authorizers.get(origin)
        if found is None:
            found = self._authorizers[origin] = Authorizer(
                origin,
                token_hosts=self._token_hosts.get(authority(url), frozenset()),
                credentials=None,
                clock=self._clock,
                fetch_token=self._fetch_token,
            )
        return found

    def __repr__(self) -> str:
        return f"<SecondHosts: {', '.join(sorted(self._authorizers)) or 'none yet'}>"


def authority(url: httpx.URL) -> str:
    """Answer the host of a URL, and its port unless it is the scheme's own."""
    return url.netloc.decode("ascii").lower()


def find_repository(url: httpx.URL) -> str | None:
    """Answer which repository a URL is about, by that host's own name for it; None where it is no registry's API."""
    try:
        resource = parse_route(url.raw_path.partition(b"?")[0].decode("ascii")).resource
    except ClientError:
        return None
    return None if isinstance(resource, Ping) else resource.repository
