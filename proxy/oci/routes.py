"""Request paths of the pull API, as values that can give their path back.

distribution-spec 1.1.1, "Endpoints". Clients put a mirror's path prefix in four different places (clients.md §2.1):
`/v2/R/…`, `/P/v2/R/…`, `/v2/P/R/…` and `/P/R/…`. A part before or instead of `v2` is kept as `Route.prefix`; one
inside the repository can only be told by who knows the platform words (`arch/detection.py`).

A path is percent-decoded exactly once and then held against the grammars, so that no encoding of `..` or `/` means
anything else than the same path written plainly.
"""

from dataclasses import dataclass
from urllib.parse import quote, unquote

from proxy.oci.digests import Digest
from proxy.oci.errors import NameUnknown
from proxy.oci.references import parse_repository, parse_tag_or_digest

MAX_PATH_LENGTH = 1024


@dataclass(frozen=True, slots=True)
class Ping:
    """`/v2/`: is this a registry?"""

    def __str__(self) -> str:
        return "/v2/"


@dataclass(frozen=True, slots=True)
class ManifestRoute:
    """`/v2/<name>/manifests/<tag or digest>`."""

    repository: str
    target: str | Digest

    def __str__(self) -> str:
        return f"/v2/{self.repository}/manifests/{self.target}"


@dataclass(frozen=True, slots=True)
class BlobRoute:
    """`/v2/<name>/blobs/<digest>`."""

    repository: str
    digest: Digest

    def __str__(self) -> str:
        return f"/v2/{self.repository}/blobs/{self.digest}"


@dataclass(frozen=True, slots=True)
class TagListRoute:
    """`/v2/<name>/tags/list`."""

    repository: str

    def __str__(self) -> str:
        return f"/v2/{self.repository}/tags/list"


@dataclass(frozen=True, slots=True)
class ReferrersRoute:
    """`/v2/<name>/referrers/<digest>`."""

    repository: str
    digest: Digest

    def __str__(self) -> str:
        return f"/v2/{self.repository}/referrers/{self.digest}"


Resource = Ping | ManifestRoute | BlobRoute | TagListRoute | ReferrersRoute


@dataclass(frozen=True, slots=True)
class Route:
    """A parsed request path: what is asked for, and the part that stood before it."""

    resource: Resource
    prefix: str = ""

    def __str__(self) -> str:
        return f"/{self.prefix}{self.resource}" if self.prefix else str(self.resource)


def parse_route(raw_path: str) -> Route:
    """Read a request path as it came over the wire, without its query.

    Raises:
        NameUnknown: The path is none of the pull API's.
        InvalidName, InvalidTag, InvalidDigest: It is, but a part of it is malformed.
    """
    path = unquote(raw_path, errors="surrogateescape")
    if len(path) > MAX_PATH_LENGTH or not path.startswith("/"):
        raise NameUnknown("no such path")
    first, _, rest = path[1:].partition("/")
    if not first:
        raise NameUnknown("no such path")
    if first == "v2":
        return Route(_parse_resource(rest))
    second, _, inner = rest.partition("/")
    return Route(_parse_resource(inner if second == "v2" else rest), first)


def quote_path(path: str) -> str:
    """Percent-encode a path for a log line or a `Link` header."""
    return quote(path, safe="/:@", errors="surrogateescape")


def _parse_resource(path: str) -> Resource:
    if not path:
        return Ping()
    head, _, last = path.rpartition("/")
    repository, _, kind = head.rpartition("/")
    match kind:
        case "manifests":
            return ManifestRoute(parse_repository(repository), parse_tag_or_digest(last))
        case "blobs":
            return BlobRoute(parse_repository(repository), Digest.parse(last))
        case "tags" if last == "list":
            return TagListRoute(parse_repository(repository))
        case "referrers":
            return ReferrersRoute(parse_repository(repository), Digest.parse(last))
        case _:
            raise NameUnknown("no such path in the registry's pull API")
