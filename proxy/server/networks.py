"""Where a client is, and what the operator says of whoever comes from there.

`X-Forwarded-For` is anybody's to write, so it is believed only from proxies that were named, and read from its right
end: each trusted proxy vouches for the address on its left, and the first that is not trusted is the client.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from proxy.arch.detection import NOTHING_ASSIGNED, Assignment

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
MAX_REMEMBERED = 4096
MAX_FORWARDED_LENGTH = 1024


@dataclass(frozen=True, slots=True)
class ClientRule:
    """What is said of the clients of a network."""

    network: Network
    assignment: Assignment


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request comes from."""

    address: str
    """The client's address; the peer's own text where that is no address."""
    rule: Assignment = NOTHING_ASSIGNED
    network: str = ""
    """The network whose rule that is."""


class Neighbourhood:
    """The networks that something is said of."""

    def __init__(self, rules: Iterable[ClientRule] = (), trusted: Sequence[Network] = ()) -> None:
        """Take the rules, and the networks of the proxies that are believed."""
        # The smallest network that holds an address speaks for it; sorting is stable, so the first of equals.
        self._rules = sorted(rules, key=lambda rule: -rule.network.prefixlen)
        self._trusted = tuple(trusted)
        self._locate = lru_cache(MAX_REMEMBERED)(self._find)

    @property
    def has_proxies(self) -> bool:
        """Whether somebody is believed who asks for others."""
        return bool(self._trusted)

    def locate(self, peer: str | None, forwarded: Sequence[str] = ()) -> Origin:
        """Answer where a request comes from.

        Args:
            peer: The address of the other end of the connection.
            forwarded: All `X-Forwarded-For` lines.
        """
        if not self._trusted and not self._rules:
            return Origin(peer or "")
        text = ",".join(forwarded) if self._trusted else ""
        if len(text) > MAX_FORWARDED_LENGTH:  # the right end is what proxies wrote, whatever came in from the left
            text = text[-MAX_FORWARDED_LENGTH:].partition(",")[2]
        return self._locate(peer or "", text)

    def _find(self, peer: str, forwarded: str) -> Origin:
        address = parse_address(peer)
        if address is None:
            return Origin(peer)
        for hop in filter(None, (part.strip() for part in reversed(forwarded.split(",")))):
            told = _parse_hop(hop)
            if not self._is_trusted(address) or told is None:
                break
            address = told
        rule = next((rule for rule in self._rules if holds(rule.network, address)), None)
        if rule is None:
            return Origin(str(address))
        return Origin(str(address), rule.assignment, str(rule.network))

    def _is_trusted(self, address: Address) -> bool:
        return any(holds(network, address) for network in self._trusted)

    def __repr__(self) -> str:
        return f"<Neighbourhood: {len(self._rules)} rules, {len(self._trusted)} trusted networks>"


def parse_address(text: str) -> Address | None:
    """Read an address; an IPv4 one in the dress of IPv6 is the IPv4 one."""
    try:
        address = ip_address(text.partition("%")[0].strip("[]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _parse_hop(text: str) -> Address | None:
    """Read an address as a proxy writes it: some add the port (`192.0.2.1:5678`, `[2001:db8::1]:5678`)."""
    name, _, port = text.rpartition(":")
    has_port = port.isdigit() and (name.endswith("]") or ":" not in name)
    return parse_address(name if has_port else text)


def holds(network: Network, address: Address) -> bool:
    """Tell whether an address is in a network."""
    return network.version == address.version and address in network
