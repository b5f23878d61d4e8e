"""What the texts of a request mean. The same few come again and again, so their meanings are remembered.

Only pure functions of texts belong here, and only short texts are remembered: whatever clients send, the memory stays
small.
"""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Protocol, TypeVar
from urllib.parse import unquote

from aiohttp import hdrs
from multidict import MultiMapping
from yarl import URL

from proxy.arch.detection import MAX_PLATFORM_LENGTH, Assignment, ClientHints, Detection, detect
from proxy.arch.user_agents import MAX_USER_AGENT_LENGTH
from proxy.arch.vocabulary import BUILT_IN, Vocabulary
from proxy.oci import media_types
from proxy.oci.platforms import Platform
from proxy.oci.routes import parse_route, quote_path

MAX_REMEMBERED = 1024
MAX_TEXT_LENGTH = 1024
PLATFORM_HEADERS = ("X-Meta-Platform", "X-Platform")
"""What a Docker config.json can send (only names that begin with `X-Meta-` pass), and a containerd hosts.toml
(clients.md §2.1)."""

_T = TypeVar("_T")


class Readable(Protocol):
    """A request, as far as it is read: one that came (aiohttp's), or one that is imagined (`imagined`)."""

    @property
    def raw_path(self) -> str:
        """The target as it came over the wire."""

    @property
    def rel_url(self) -> URL:
        """The target as a URL."""

    @property
    def query(self) -> MultiMapping[str]:
        """The query's parameters."""

    @property
    def headers(self) -> MultiMapping[str]:
        """All header lines."""

    @property
    def remote(self) -> str | None:
        """The address of the other end of the connection."""


def _remembered(read: Callable[[str], _T]) -> Callable[[str], _T]:
    remembered = lru_cache(MAX_REMEMBERED)(read)

    @wraps(read)
    def reading(text: str) -> _T:
        return remembered(text) if len(text) <= MAX_TEXT_LENGTH else read(text)

    return reading


read_route = _remembered(parse_route)


@_remembered
def read_accept(lines: str) -> frozenset[str]:
    """Read all `Accept` lines, joined by commas."""
    return media_types.parse_accept([lines])


@lru_cache(MAX_REMEMBERED)
def read_client(hints: ClientHints, default: Platform | None) -> Detection:
    """Answer the platform of a client by what it shows of itself."""
    return detect(hints, default=default)


@_remembered
def _quote_raw_path(path: str) -> str:
    return quote_path(unquote(path, errors="surrogateescape"))


def raw_path_of(request: Readable) -> str:
    """Answer the path as it came over the wire, without its query.

    A target may be a whole URL (RFC 9112 §3.2.2: a server must accept that).
    """
    target = request.raw_path
    return target.partition("?")[0] if target.startswith("/") else request.rel_url.raw_path


def host_of(request: Readable) -> str:
    """Answer the host that is asked, perhaps with a port: that of a whole URL goes before `Host` (RFC 9112 §3.2.2)."""
    target = request.raw_path
    authority = "" if target.startswith("/") else target.partition("://")[2]
    host = authority.partition("/")[0].partition("?")[0].rpartition("@")[2]
    return host or request.headers.get(hdrs.HOST, "")


def quote_path_of(request: Readable) -> str:
    """Answer the path as it may stand in a log line or in a header."""
    return _quote_raw_path(raw_path_of(request))


def namespace_of(request: Readable) -> str:
    """Answer the `?ns=` of a request, by which containerd names the upstream; nothing if there is none."""
    return request.query.get("ns", "") if "?" in request.raw_path else ""


def accepted_by(request: Readable) -> frozenset[str]:
    """Answer the media types that a client accepts, in all its `Accept` lines."""
    return read_accept(",".join(request.headers.getall(hdrs.ACCEPT, ())))


def hints_of(
    request: Readable, path_word: str, listener: Assignment, rule: Assignment, vocabulary: Vocabulary = BUILT_IN
) -> ClientHints:
    """Answer what a request shows of its client."""
    user_agent = request.headers.get(hdrs.USER_AGENT, "")
    if len(user_agent) > MAX_USER_AGENT_LENGTH:
        user_agent = ""
    return ClientHints(path_word, _platform_header(request, vocabulary), listener, rule, user_agent, vocabulary)


def _platform_header(request: Readable, vocabulary: Vocabulary) -> str:
    """Answer the first platform header that means something, or else the first there is."""
    shown = [value for name in PLATFORM_HEADERS for value in request.headers.getall(name, ())]
    if not shown:
        return ""
    readable = (value for value in shown if len(value) <= MAX_PLATFORM_LENGTH and vocabulary.find_platform(value))
    return next(readable, shown[0])[: MAX_PLATFORM_LENGTH + 1]
