import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci.errors import UpstreamMisbehaved
from proxy.upstream.addresses import AddressKind, GuardedResolver, is_literal, kind_of
from tests.upstream.wires import PUBLIC, TableResolver

KINDS = {
    "8.8.8.8": AddressKind.PUBLIC,
    "93.184.216.34": AddressKind.PUBLIC,
    "2606:2800:220:1::1": AddressKind.PUBLIC,
    # RFC 1918, RFC 4193 and their like
    "10.0.0.1": AddressKind.PRIVATE,
    "172.16.0.1": AddressKind.PRIVATE,
    "172.31.255.255": AddressKind.PRIVATE,
    "192.168.1.1": AddressKind.PRIVATE,
    "fc00::1": AddressKind.PRIVATE,
    "fd00:ec2::254": AddressKind.PRIVATE,  # the metadata service of AWS, over IPv6
    "fec0::1": AddressKind.PRIVATE,
    "192.0.2.1": AddressKind.PRIVATE,
    "2001:db8::1": AddressKind.PRIVATE,
    "255.255.255.255": AddressKind.PRIVATE,
    # this machine
    "127.0.0.1": AddressKind.LOOPBACK,
    "127.255.255.254": AddressKind.LOOPBACK,
    "::1": AddressKind.LOOPBACK,
    "0.0.0.0": AddressKind.LOOPBACK,  # noqa: S104 - Linux connects it to itself
    "::": AddressKind.LOOPBACK,
    # this cable; the metadata services of the clouds
    "169.254.169.254": AddressKind.LINK_LOCAL,
    "169.254.1.1": AddressKind.LINK_LOCAL,
    "fe80::1": AddressKind.LINK_LOCAL,
    "fe80::1%eth0": AddressKind.LINK_LOCAL,
    # everything else
    "100.64.0.1": AddressKind.OTHER,
    "224.0.0.1": AddressKind.OTHER,
    "ff02::1": AddressKind.OTHER,
}
WRAPPERS = {
    "mapped": "::ffff:{}",
    "compatible": "::{}",
    "nat64": "64:ff9b::{}",
}


@pytest.mark.parametrize(("address", "kind"), KINDS.items())
def test_an_address_is_of_this_kind(address: str, kind: AddressKind) -> None:
    assert kind_of(address) is kind


@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS)
@given(address=st.ip_addresses(v=4))
def test_an_ipv6_address_that_wraps_an_ipv4_one_is_of_that_one_s_kind(
    wrapper: str, address: ipaddress.IPv4Address
) -> None:
    if wrapper == "::{}" and int(address) == 1:
        return  # ::1 is loopback, not 0.0.0.1
    assert kind_of(wrapper.format(address)) is kind_of(str(address))


@given(address=st.ip_addresses(v=4), low=st.integers(0, 2**80 - 1))
def test_a_6to4_address_is_of_the_kind_of_its_router(address: ipaddress.IPv4Address, low: int) -> None:
    assert kind_of(str(ipaddress.IPv6Address((0x2002 << 112) | (int(address) << 80) | low))) is kind_of(str(address))


@given(address=st.ip_addresses())
def test_every_address_has_a_kind(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert kind_of(str(address)) in AddressKind


@given(address=st.ip_addresses())
def test_no_address_of_a_private_network_is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert not (kind_of(str(address)) is AddressKind.PUBLIC and address.is_private and address.version == 4)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("[::1]", True),
        ("fe80::1%eth0", True),
        ("[fe80::1%eth0]", True),
        ("registry.example", False),
        ("127.1", False),
        ("", False),
        ("a" * 300, False),
    ],
)
def test_a_literal_is_told_from_a_name(host: str, *, expected: bool) -> None:
    assert is_literal(host) is expected


def _guard(upstream: str = "registry.example", **table: tuple[str, ...] | str) -> GuardedResolver:
    names = {name.replace("_", "."): found for name, found in table.items()}
    return GuardedResolver(TableResolver({"registry.example": PUBLIC, **names}), upstream)


async def _addresses(guard: GuardedResolver, host: str) -> list[str]:
    return [found["host"] for found in await guard.resolve(host, 443, socket.AF_UNSPEC)]


@pytest.mark.parametrize(
    "address", [address for address, kind in KINDS.items() if kind is not AddressKind.PUBLIC and "%" not in address]
)
async def test_a_public_upstream_leads_to_public_addresses_only(address: str) -> None:
    guard = _guard(cdn_example=address)
    with pytest.raises(UpstreamMisbehaved, match=r"redirects to cdn\.example, a .* address; refused"):
        await guard.resolve("cdn.example", 443)
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(UpstreamMisbehaved, match="refused"):
        await guard.check(host)


async def test_the_metadata_name_of_a_cloud_is_seen_through() -> None:
    guard = _guard(metadata_google_internal="169.254.169.254")
    with pytest.raises(UpstreamMisbehaved, match=r"metadata\.google\.internal, a link-local address"):
        await guard.resolve("metadata.google.internal", 80)


async def test_public_addresses_are_passed_on_as_they_are() -> None:
    guard = _guard(cdn_example=("8.8.8.8", "2606:2800:220:1::1"))
    assert await _addresses(guard, "cdn.example") == ["8.8.8.8", "2606:2800:220:1::1"]
    found = (await guard.resolve("cdn.example", 8443))[0]
    assert (found["hostname"], found["port"]) == ("cdn.example", 8443)
    await guard.check("8.8.8.8")
    await guard.check("[2606:2800:220:1::1]")
    await guard.check("cdn.example")


async def test_of_mixed_addresses_only_the_permitted_ones_are_passed_on() -> None:
    """A name that answers with a public and a private address is the way of DNS rebinding."""
    assert await _addresses(_guard(cdn_example=("127.0.0.1", "8.8.8.8", "10.0.0.1")), "cdn.example") == ["8.8.8.8"]


@pytest.mark.parametrize(
    ("upstream", "own", "permitted", "refused"),
    [
        ("registry.lan", "10.1.1.1", ["10.2.2.2", "8.8.8.8", "fd00::1"], ["127.0.0.1", "169.254.169.254"]),
        ("localhost", "127.0.0.1", ["127.0.0.3", "::1", "8.8.8.8"], ["10.0.0.1", "169.254.169.254"]),
        ("127.0.0.1", None, ["127.0.0.3", "8.8.8.8"], ["10.0.0.1", "169.254.169.254"]),
        ("::1", None, ["127.0.0.1", "8.8.8.8"], ["10.0.0.1"]),
        ("192.168.1.1", None, ["10.0.0.1", "8.8.8.8"], ["127.0.0.1", "169.254.169.254"]),
        ("unknown.lan", None, ["8.8.8.8"], ["127.0.0.1", "10.0.0.1", "169.254.169.254"]),
    ],
    ids=["private-name", "loopback-name", "loopback", "loopback-ipv6", "private", "name-without-an-address"],
)
async def test_an_upstream_of_one_s_own_leads_to_its_own_kind_too(
    upstream: str, own: str | None, permitted: list[str], refused: list[str]
) -> None:
    table: dict[str, tuple[str, ...] | str] = {} if own is None else {upstream: own}
    table |= {f"{number}.cdn.lan": address for number, address in enumerate([*permitted, *refused])}
    guard = GuardedResolver(TableResolver(table), upstream)
    for number, address in enumerate(permitted):
        assert await _addresses(guard, f"{number}.cdn.lan") == [address]
        await guard.check(address)
    for number, address in enumerate(refused, start=len(permitted)):
        with pytest.raises(UpstreamMisbehaved):
            await guard.resolve(f"{number}.cdn.lan", 443)
        with pytest.raises(UpstreamMisbehaved):
            await guard.check(address)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0", "127.0.0.1.", "1.2.3.4.5", "999.1.1.1"])
async def test_short_forms_of_addresses_are_refused(host: str) -> None:
    """`127.1` and `2130706433` are 127.0.0.1 to inet_aton(3)."""
    with pytest.raises(UpstreamMisbehaved, match="neither a name nor an address"):
        await _guard().check(host)


async def test_a_name_that_does_not_exist_is_the_resolver_s_error() -> None:
    with pytest.raises(OSError, match="no such name"):
        await _guard().resolve("nowhere.example", 443)


async def test_a_name_without_addresses_is_passed_on() -> None:
    assert await _guard(empty_example=()).resolve("empty.example", 443) == []


async def test_closing_it_closes_the_resolver_underneath() -> None:
    inner = TableResolver({})
    await GuardedResolver(inner, "registry.example").close()
    assert inner.is_closed
