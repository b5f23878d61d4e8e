"""What a request asks for: its kind, repository and reference, read from the path once."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from aiohttp import web
from multidict import CIMultiDictProxy, MultiMapping


class Kind(StrEnum):
    """The kinds of request that are told apart, counted and broken."""

    PING = "ping"
    TOKEN = "token"
    MANIFEST_HEAD = "manifest-head"
    MANIFEST_GET = "manifest-get"
    BLOB = "blob"
    CDN = "cdn"
    TAGS = "tags"
    REFERRERS = "referrers"
    OTHER = "other"


_NAME = r"(?P<repository>[^?]+?)"
_ROUTES: Sequence[tuple[re.Pattern[str], Kind]] = (
    (re.compile(r"/v2/?"), Kind.PING),
    (re.compile(r"/token"), Kind.TOKEN),
    (re.compile(rf"/v2/{_NAME}/manifests/(?P<reference>[^/]+)"), Kind.MANIFEST_GET),
    (re.compile(rf"/v2/{_NAME}/blobs/(?P<reference>[^/]+)"), Kind.BLOB),
    (re.compile(rf"/v2/{_NAME}/tags/list"), Kind.TAGS),
    (re.compile(rf"/v2/{_NAME}/referrers/(?P<reference>[^/]+)"), Kind.REFERRERS),
    (re.compile(rf"/cdn/{_NAME}/blobs/(?P<reference>[^/]+)/data"), Kind.CDN),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as the stand-in understands it."""

    kind: Kind
    method: str
    path: str
    repository: str
    """Empty where the request names none; for a token it is the first scope's repository."""
    reference: str
    """A tag or a digest, or empty."""
    query: MultiMapping[str]
    headers: CIMultiDictProxy[str]
    on_cdn: bool
    """Whether it came to the CDN's host."""

    @property
    def by_digest(self) -> bool:
        """Whether the reference is a digest."""
        return ":" in self.reference

    @property
    def accepts(self) -> frozenset[str]:
        """All media types of all Accept lines, without parameters."""
        values = ",".join(self.headers.getall("Accept", [])).split(",")
        return frozenset(value.partition(";")[0].strip() for value in values) - {""}


def read_request(request: web.Request, *, on_cdn: bool) -> Asked:
    """Read a request's meaning from its method and path."""
    kind, repository, reference = _read_path(request.path)
    if kind is Kind.MANIFEST_GET and request.method == "HEAD":
        kind = Kind.MANIFEST_HEAD
    if kind is Kind.TOKEN:
        repository = read_scope(request.query.get("scope", ""))[0]
    return Asked(kind, request.method, request.path, repository, reference, request.query, request.headers, on_cdn)


def read_scope(scope: str) -> tuple[str, frozenset[str]]:
    """Split `repository:NAME:ACTION[,ACTION]`; the name may hold a colon of its own."""
    name, _, actions = scope.removeprefix("repository:").rpartition(":")
    return name, frozenset(actions.split(",")) - {""}


def _read_path(path: str) -> tuple[Kind, str, str]:
    for pattern, kind in _ROUTES:
        if match := pattern.fullmatch(path):
            parts = match.groupdict(default="")
            return kind, parts.get("repository", ""), parts.get("reference", "")
    return Kind.OTHER, "", ""
