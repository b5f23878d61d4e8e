"""Where a redirect may lead: never from a public registry into somebody's private network.

A registry's answer decides where blobs are fetched from, so an answer could point us at a cloud's metadata service or a
router's page (CVE-2026-2376, CVE-2020-13788, CVE-2025-59346; peers.md §4b). Addresses fall into kinds. A redirect may
lead to a public address, or to one of the kind that the upstream itself was configured at. The check is made on the
address that is connected to, after DNS, on every hop.
"""

import ipaddress
import socket
from enum import StrEnum

from aiohttp.abc import AbstractResolver, ResolveResult

from proxy.oci.errors import UpstreamMisbehaved

_WRAPPING = tuple(ipaddress.IPv6Network(text) for text in ("::/96", "::ffff:0:0/96", "64:ff9b::/96"))
"""Networks whose last 32 bits are an IPv4 address: compatible, mapped, and NAT64 (RFC 4291 §2.5.5, RFC 6052 §2.1)."""
_LOCAL = tuple(ipaddress.IPv6Network(text) for text in ("fec0::/10", "64:ff9b:1::/48"))
"""Private networks that not every `ipaddress` knows as such (RFC 3879, RFC 8215)."""


class AddressKind(StrEnum):
    """The kinds of address that matter for what may be reached."""

    PUBLIC = "public"
    PRIVATE = "private"
    LOOPBACK = "loopback"
    LINK_LOCAL = "link-local"
    OTHER = "reserved"


def kind_of(address: str) -> AddressKind:
    """Tell the kind of an IP address in its text form; an IPv6 address that wraps an IPv4 one is of that one's kind."""
    parsed = _unwrapped(ipaddress.ip_address(address.partition("%")[0]))
    if parsed.is_loopback or parsed.is_unspecified:
        return AddressKind.LOOPBACK
    if parsed.is_link_local:
        return AddressKind.LINK_LOCAL
    if parsed.is_multicast:
        return AddressKind.OTHER
    if parsed.is_private or any(parsed in network for network in _LOCAL):
        return AddressKind.PRIVATE
    return AddressKind.PUBLIC if parsed.is_global else AddressKind.OTHER


def _unwrapped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if not isinstance(address, ipaddress.IPv6Address) or address.is_loopback:
        return address
    if any(address in network for network in _WRAPPING):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.sixtofour or address


def is_literal(host: str) -> bool:
    """Tell an IP address from a name."""
    try:
        ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    return True


class GuardedResolver(AbstractResolver):
    """Resolves names, and refuses the answers that a redirect may not lead to."""

    def __init__(self, inner: AbstractResolver, upstream_host: str) -> None:
        """Take the resolver that asks, and the host at which the upstream was configured."""
        self._inner = inner
        self._upstream_host = upstream_host

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Answer the permitted addresses of a host.

        Raises:
            UpstreamMisbehaved: The host has only addresses that may not be reached.
        """
        found = await self._inner.resolve(host, port, family)
        permitted = await self._permitted_kinds()
        results = [result for result in found if kind_of(result["host"]) in permitted]
        if found and not results:
            raise forbidden(host, found[0]["host"])
        return results

    async def check(self, host: str) -> None:
        """Check a host that is an address already, which no resolver is asked for.

        Raises:
            UpstreamMisbehaved: It may not be reached, or is one of the short forms (`127.1`) that hide what they mean.
        """
        bare = host.strip("[]")
        if bare.replace(".", "").isdigit() and not is_literal(bare):
            raise UpstreamMisbehaved(f"upstream redirects to {host}, which is neither a name nor an address; refused")
        if is_literal(bare) and kind_of(bare) not in await self._permitted_kinds():
            raise forbidden(host, bare)

    async def close(self) -> None:
        """Release the resolver underneath."""
        await self._inner.close()

    async def _permitted_kinds(self) -> frozenset[AddressKind]:
        return frozenset({AddressKind.PUBLIC}) | await self._upstream_kinds()

    async def _upstream_kinds(self) -> frozenset[AddressKind]:
        if is_literal(self._upstream_host):
            return frozenset({kind_of(self._upstream_host.strip("[]"))})
        try:
            found = await self._inner.resolve(self._upstream_host, 0, socket.AF_UNSPEC)
        except OSError:
            return frozenset()
        return frozenset(kind_of(result["host"]) for result in found)


def forbidden(host: str, address: str) -> UpstreamMisbehaved:
    """Make the error for a redirect that leads where it may not."""
    return UpstreamMisbehaved(f"upstream redirects to {host}, a {kind_of(address)} address; refused")
