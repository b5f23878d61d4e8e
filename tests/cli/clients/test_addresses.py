"""Addresses of the proxy, as people and files write them."""

import pytest

from proxy.cli.clients.addresses import ProxyAddress, find_address
from proxy.oci.errors import InvalidSetting


@pytest.mark.parametrize(
    ("text", "scheme", "host", "word"),
    [
        ("http://127.0.0.1:5000", "http", "127.0.0.1:5000", ""),
        ("HTTP://Polyarch.LAN:5000/", "http", "polyarch.lan:5000", ""),
        ("https://registry.lan", "https", "registry.lan", ""),
        ("http://m:5000/v2", "http", "m:5000", ""),
        ("http://m:5000/linux-arm-v6/v2/", "http", "m:5000", "linux-arm-v6"),
        ("http://[::1]:5000/rpi", "http", "[::1]:5000", "rpi"),
    ],
)
def test_an_address_is_read(text: str, scheme: str, host: str, word: str) -> None:
    assert ProxyAddress.parse(text) == ProxyAddress(scheme, host, word)


@pytest.mark.parametrize("text", ["m:5000", "", "ftp://m", "http://", "http://me:secret@m:5000", "http://m:99999"])
def test_what_is_no_url_is_refused(text: str) -> None:
    with pytest.raises(InvalidSetting, match="must"):
        ProxyAddress.parse(text)


@pytest.mark.parametrize("path", ["mirror/hub", "Mirror", "linux-arm-v6/library", "a?b", "a b"])
def test_a_path_that_the_proxy_cannot_know_is_refused(path: str) -> None:
    with pytest.raises(InvalidSetting, match="has the path /"):
        ProxyAddress.parse(f"http://m:5000/{path}")


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("http://m:5000", "http://m:5000/rpi", True),
        ("http://m:5000", "https://m:5000", True),
        ("http://m", "http://m:80", True),
        ("https://m", "https://m:443", True),
        ("http://m", "https://m", False),
        ("http://m:5000", "http://m:5001", False),
        ("http://m:5000", "http://n:5000", False),
    ],
)
def test_a_place_is_a_host_and_a_port(one: str, other: str, *, is_same: bool) -> None:
    assert ProxyAddress.parse(one).is_same_place(ProxyAddress.parse(other)) is is_same


def test_what_stands_in_a_file_may_have_no_scheme_or_be_nobodys() -> None:
    assert find_address("m:5000/linux-arm-v6") == ProxyAddress("http", "m:5000", "linux-arm-v6")
    assert find_address("https://m") == ProxyAddress("https", "m")
    assert find_address("") is None
    assert find_address("https://mirror.example/some/path") is None


def test_only_https_is_encrypted() -> None:
    assert ProxyAddress.parse("https://m").is_encrypted
    assert not ProxyAddress.parse("http://m").is_encrypted
