from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.arch.detection import Assignment
from proxy.oci.platforms import Platform
from proxy.server.networks import ClientRule, Neighbourhood, Origin, parse_address
from tests.strategies import any_text

V6, V7, ARM64 = (Assignment(Platform.parse(f"linux/{text}")) for text in ("arm/v6", "arm/v7", "arm64"))
RULES = [
    ClientRule(ip_network("192.168.0.0/16"), V7),
    ClientRule(ip_network("192.168.7.0/24"), V6),
    ClientRule(ip_network("192.168.7.9"), ARM64),
    ClientRule(ip_network("2001:db8::/32"), V6),
]
PLACE = Neighbourhood(RULES, [ip_network("10.0.0.0/8"), ip_network("::1")])


@pytest.mark.parametrize(
    ("peer", "assignment", "network"),
    [
        ("192.168.1.1", V7, "192.168.0.0/16"),
        ("192.168.7.1", V6, "192.168.7.0/24"),
        ("192.168.7.9", ARM64, "192.168.7.9/32"),
        ("::ffff:192.168.7.1", V6, "192.168.7.0/24"),
        ("2001:db8::1%eth0", V6, "2001:db8::/32"),
        ("172.16.0.1", Assignment(), ""),
        ("unix:", Assignment(), ""),
    ],
)
def test_the_smallest_network_that_holds_an_address_speaks(peer: str, assignment: Assignment, network: str) -> None:
    found = PLACE.locate(peer)
    assert (found.rule, found.network) == (assignment, network)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        pytest.param("10.0.0.1", ["192.168.7.1"], "192.168.7.1", id="a trusted proxy"),
        pytest.param("172.16.0.1", ["192.168.7.1"], "172.16.0.1", id="anybody may write that"),
        pytest.param("10.0.0.1", ["1.2.3.4, 192.168.7.1"], "192.168.7.1", id="the first that is not trusted"),
        pytest.param("10.0.0.1", ["192.168.7.1, 10.2.2.2"], "192.168.7.1", id="two trusted proxies"),
        pytest.param("10.0.0.1", ["1.2.3.4", "192.168.7.1"], "192.168.7.1", id="several lines"),
        pytest.param("::1", ["192.168.7.1"], "192.168.7.1", id="by IPv6"),
        pytest.param("10.0.0.1", ["nonsense"], "10.0.0.1", id="no address"),
        pytest.param("10.0.0.1", ["192.168.7.1, nonsense"], "10.0.0.1", id="no address last"),
        pytest.param("10.0.0.1", [], "10.0.0.1", id="nothing"),
        pytest.param("10.0.0.1", ["10.0.0.2"], "10.0.0.2", id="a trusted proxy's own request"),
        pytest.param("10.0.0.1", ["1.2.3.4," * 500 + "192.168.7.1"], "192.168.7.1", id="overlong"),
        pytest.param("10.0.0.1", ["1" * 2000 + ", 192.168.7.1"], "192.168.7.1", id="overlong, cut within an address"),
        pytest.param("10.0.0.1", ["1.2.3.4" * 500], "10.0.0.1", id="overlong, and no address"),
        pytest.param("10.0.0.1", ["192.168.7.1, , ,"], "192.168.7.1", id="empty elements"),
        pytest.param("10.0.0.1", ["192.168.7.1:50123"], "192.168.7.1", id="with a port"),
        pytest.param("10.0.0.1", ["[2001:db8::1]:50123"], "2001:db8::1", id="by IPv6, with a port"),
        pytest.param("10.0.0.1", ["[2001:db8::1]"], "2001:db8::1", id="by IPv6, in brackets"),
        pytest.param("10.0.0.1", ["2001:db8::1:5000"], "2001:db8::1:5000", id="by IPv6, without a port"),
        pytest.param("::ffff:10.0.0.1", ["::ffff:192.168.7.1"], "192.168.7.1", id="IPv4 in the dress of IPv6"),
    ],
)
def test_what_is_forwarded_is_believed_of_trusted_proxies_only(peer: str, forwarded: list[str], address: str) -> None:
    assert PLACE.locate(peer, forwarded).address == address


def test_without_rules_nobody_is_looked_up() -> None:
    assert Neighbourhood().locate("1.2.3.4", ["5.6.7.8"]) == Origin("1.2.3.4")
    assert Neighbourhood().locate(None) == Origin("")


@given(any_text, st.lists(any_text, max_size=3))
def test_whatever_is_written_an_origin_is_found(peer: str, forwarded: list[str]) -> None:
    found = PLACE.locate(peer, forwarded)
    assert found.address == peer or parse_address(found.address) is not None
