"""Wishes that the tests of all clients share."""

from proxy.arch.vocabulary import BUILT_IN
from proxy.cli.clients.addresses import ProxyAddress
from proxy.cli.clients.setups import Wish, parse_version


def wish(
    proxy: str = "http://polyarch.lan:5000",
    *,
    platform: str | None = None,
    version: str | None = None,
    registries: tuple[str, ...] = (),
) -> Wish:
    """Answer a wish, out of texts."""
    return Wish(
        ProxyAddress.parse(proxy),
        BUILT_IN.parse_platform(platform) if platform else None,
        parse_version(version) if version else None,
        registries,
    )


def address(text: str = "http://polyarch.lan:5000") -> ProxyAddress:
    """Answer an address, out of its text."""
    return ProxyAddress.parse(text)
