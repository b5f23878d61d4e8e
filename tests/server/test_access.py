from ipaddress import ip_network

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from proxy.oci.errors import NameUnknown, Unauthorized
from proxy.server.access import Access, Reading, is_local

HERE = {"Host": "127.0.0.1:5000"}


class Transport:
    """The other end of a connection, as far as aiohttp asks for it."""

    def __init__(self, address: str) -> None:
        self._address = address

    def get_extra_info(self, name: str, default: object = None) -> object:
        return (self._address, 40000) if name == "peername" else default


def request(peer: str, headers: dict[str, str]) -> web.BaseRequest:
    return make_mocked_request("POST", "/api/v1/pins", headers=headers, transport=Transport(peer))


@pytest.mark.parametrize(
    ("peer", "headers", "local"),
    [
        ("127.0.0.1", HERE, True),
        ("::1", {"Host": "[::1]:5000"}, True),
        ("::ffff:127.0.0.1", {"Host": "localhost"}, True),
        ("127.0.0.1", {**HERE, "Origin": "http://127.0.0.1:5000"}, True),
        ("127.0.0.1", {**HERE, "Origin": "http://127.0.0.1:8080"}, False),
        ("127.0.0.1", {**HERE, "Origin": "https://evil.example"}, False),
        ("127.0.0.1", {**HERE, "Origin": "null"}, False),
        ("127.0.0.1", {**HERE, "Origin": "http://[::1"}, False),
        ("127.0.0.1", {"Host": "evil.example:5000"}, False),
        ("127.0.0.1", {**HERE, "X-Forwarded-For": "192.0.2.1"}, False),
        ("127.0.0.1", {**HERE, "Forwarded": "for=192.0.2.1"}, False),
        ("127.0.0.1", {**HERE, "Via": "1.1 front"}, False),
        ("127.0.0.1", {**HERE, "X-Real-IP": "192.0.2.1"}, False),
        ("127.0.0.1", {**HERE, "X-Forwarded-Host": "proxy.lan"}, False),
        ("127.0.0.1", {**HERE, "X-Forwarded-Proto": "https"}, False),
        ("127.0.0.1", {**HERE, "Sec-Fetch-Site": "cross-site"}, False),
        ("127.0.0.1", {**HERE, "Sec-Fetch-Site": "same-site"}, False),
        ("127.0.0.1", {**HERE, "Sec-Fetch-Site": "same-origin"}, True),
        ("127.0.0.1", {**HERE, "Sec-Fetch-Site": "none"}, True),
        ("192.0.2.1", HERE, False),
        ("192.0.2.1", {**HERE, "X-Forwarded-For": "127.0.0.1"}, False),
        ("", HERE, False),
    ],
)
def test_who_is_on_this_machine(peer: str, headers: dict[str, str], *, local: bool) -> None:
    assert is_local(request(peer, headers)) is local


@pytest.mark.parametrize(("peer", "may"), [("127.0.0.1", False), ("127.0.0.2", True)])
def test_a_proxy_that_is_believed_is_never_this_machine_itself(peer: str, *, may: bool) -> None:
    """Whatever it leaves out of what it says."""
    access = Access(trusted=(ip_network("127.0.0.1/32"),))
    if may:
        access.check(request(peer, HERE), changes=True)
    else:
        with pytest.raises(Unauthorized):
            access.check(request(peer, HERE), changes=True)


OWN, STRANGER = ("127.0.0.1", HERE), ("192.0.2.1", {"Host": "proxy.lan:5000"})
RIGHT, WRONG = {"Authorization": "Bearer secret"}, {"Authorization": "Bearer secrets"}


@pytest.mark.parametrize(
    ("access", "caller", "shown", "may_read", "may_change"),
    [
        (Access(), OWN, {}, True, True),
        (Access(), STRANGER, {}, True, False),
        (Access(Reading.TOKEN), STRANGER, {}, False, False),
        (Access(Reading.TOKEN), OWN, {}, True, True),
        (Access(token="secret"), OWN, {}, True, False),
        (Access(token="secret"), STRANGER, RIGHT, True, True),
        (Access(token="secret"), STRANGER, {"Authorization": "bearer  secret "}, True, True),
        (Access(token="secret"), STRANGER, WRONG, True, False),
        (Access(token="secret"), STRANGER, {"Authorization": "Basic secret"}, True, False),
        (Access(Reading.TOKEN, "secret"), STRANGER, RIGHT, True, True),
        (Access(Reading.TOKEN, "secret"), OWN, {}, False, False),
    ],
)
def test_who_may_do_what(
    access: Access, caller: tuple[str, dict[str, str]], shown: dict[str, str], *, may_read: bool, may_change: bool
) -> None:
    asked = request(caller[0], {**caller[1], **shown})
    for changes, may in ((False, may_read), (True, may_change)):
        if may:
            access.check(asked, changes=changes)
        else:
            with pytest.raises(Unauthorized) as caught:
                access.check(asked, changes=changes)
            assert "WWW-Authenticate" in caught.value.headers
            assert "secret" not in caught.value.message


def test_where_it_is_off_there_is_nothing() -> None:
    for changes in (False, True):
        with pytest.raises(NameUnknown):
            Access(Reading.OFF, "secret").check(request("127.0.0.1", {**HERE, **RIGHT}), changes=changes)


def test_a_token_shows_in_no_repr() -> None:
    assert "secret" not in repr(Access(token="secret"))
