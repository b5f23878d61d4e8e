"""Who may use the API: reading is open as configured; changing needs the token, or where there is none, this machine.

Without a token, a page that somebody on this machine looks at must not be able to change anything: a request that comes
from a page says so by its `Origin`, which has to be the API's own; a name that was bent to lead here shows in `Host`. A
proxy on this machine that says nothing of itself cannot be told from somebody who is here: whoever puts one in front
sets a token (docs/operations.md).
"""

import hmac
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from proxy.oci.errors import NameUnknown, Unauthorized
from proxy.server.doors import normalise_host
from proxy.server.networks import Network, holds, parse_address

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="polyarch"'}
_LEFT_BY_PROXIES = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")
_LOCAL_NAMES = frozenset({"localhost", "ip6-localhost"})


class Reading(StrEnum):
    """Who may read by the API."""

    OPEN = "open"
    """Whoever reaches the server: it tells nothing that a pull would not, but for names."""
    TOKEN = "token"  # noqa: S105 - a word, no secret
    """Who may change, too."""
    OFF = "off"
    """Nobody: there is no API."""


@dataclass(frozen=True, slots=True)
class Access:
    """What is asked of callers."""

    reading: Reading = Reading.OPEN
    token: str | None = field(default=None, repr=False)
    trusted: tuple[Network, ...] = ()
    """Where proxies are whose word is taken for others: what comes from there is never this machine's own."""

    def check(self, request: web.BaseRequest, *, changes: bool) -> None:
        """Hold a caller to what is asked of him.

        Raises:
            NameUnknown: There is no API.
            Unauthorized: He does not show that he may.
        """
        if self.reading is Reading.OFF:
            raise NameUnknown("no such path: this server has no API")
        if not changes and self.reading is Reading.OPEN:
            return
        if self.token is not None:
            self._check_token(request, self.token)
        elif self._is_proxy(request) or not is_local(request):
            reason = "only this machine may do that while no token is set: set api.token, and send it as a Bearer"
            raise Unauthorized(reason, headers=_CHALLENGE)

    def _is_proxy(self, request: web.BaseRequest) -> bool:
        address = parse_address(request.remote or "")
        return address is not None and any(holds(network, address) for network in self.trusted)

    def _check_token(self, request: web.BaseRequest, token: str) -> None:
        scheme, _, shown = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        is_right = hmac.compare_digest(shown.strip().encode(errors="surrogatepass"), token.encode())
        if scheme.lower() != "bearer" or not is_right:
            raise Unauthorized("this needs the token of the settings: Authorization: Bearer …", headers=_CHALLENGE)


def is_local(request: web.BaseRequest) -> bool:
    """Tell whether a request comes from this machine, and not from a page that came from elsewhere."""
    host, origin = request.headers.get(hdrs.HOST, ""), request.headers.get(hdrs.ORIGIN)
    if any(name in request.headers for name in _LEFT_BY_PROXIES):
        return False  # a proxy on this machine is not who asks
    if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        return False
    if origin is not None and _authority_of(origin) != host:
        return False
    return _is_loopback(request.remote or "") and _is_loopback(normalise_host(host))


def _authority_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # a bracket that is not closed, and the like: it is nobody's
        return None


def _is_loopback(host: str) -> bool:
    address = parse_address(host)
    return host in _LOCAL_NAMES if address is None else address.is_loopback
