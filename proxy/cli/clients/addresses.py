"""Where clients reach the proxy."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from proxy.config.parsers import parse_url
from proxy.oci.errors import InvalidName, InvalidSetting
from proxy.oci.references import parse_repository

HTTP = "http"


@dataclass(frozen=True, slots=True)
class ProxyAddress:
    """The proxy's address, as a client writes it.

    >>> str(ProxyAddress.parse("http://Polyarch.lan:5000/linux-arm-v6/v2/"))
    'http://polyarch.lan:5000/linux-arm-v6'
    """

    scheme: str
    host: str
    """`host[:port]`, an IPv6 address in brackets."""
    word: str = ""
    """The one path component that it may have: a platform word."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL; a `/v2` at its end, which some clients want, is left out.

        Raises:
            InvalidSetting: No such URL, or a path that the proxy cannot know: it has platform words there, and no more.
        """
        scheme, separator, rest = text.strip().partition("://")
        host, _, path = rest.partition("/")
        address = urlsplit(parse_url(f"{scheme}{separator}{host}").lower())
        word = path.strip("/")
        word = "" if word == "v2" else word.removesuffix("/v2")
        try:
            is_word = not word or ("/" not in word and parse_repository(word) == word)
        except InvalidName:
            is_word = False
        if not is_word:
            raise InvalidSetting(
                f"has the path /{word[:80]}, which this proxy does not know: a platform word such as /linux-arm-v6 may "
                "stand there, and nothing else"
            )
        return cls(address.scheme, address.netloc, word)

    @property
    def is_encrypted(self) -> bool:
        """Tell HTTPS from HTTP."""
        return self.scheme != HTTP

    def is_same_place(self, other: "ProxyAddress") -> bool:
        """Tell whether both are one server's, whatever path and scheme they are asked with."""
        return _endpoint(self) == _endpoint(other)

    def __str__(self) -> str:
        return "/".join(part for part in (f"{self.scheme}://{self.host}", self.word) if part)


def _endpoint(address: ProxyAddress) -> tuple[str | None, int]:
    parts = urlsplit(f"//{address.host}")
    return parts.hostname, parts.port or (443 if address.is_encrypted else 80)


def find_address(text: str) -> ProxyAddress | None:
    """Read an address that stands in somebody's file, with or without a scheme; None where it is no proxy's."""
    try:
        return ProxyAddress.parse(text if "://" in text else f"{HTTP}://{text}")
    except InvalidSetting:
        return None
