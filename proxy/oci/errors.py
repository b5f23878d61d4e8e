"""The error tree, and the registry's error codes.

```text
PolyarchError
├── RegistryError            has a code of the distribution-spec: what a client is told
│   ├── ClientError          the request is at fault
│   │   ├── InvalidName, InvalidTag, InvalidDigest, InvalidPlatform, InvalidReference, InvalidQuery,
│   │   │   RangeNotSatisfiable, Unsupported, Unauthorized, InvalidCall, Pinned
│   │   └── NotFound: NameUnknown, ManifestUnknown, BlobUnknown
│   ├── UpstreamError        the upstream is at fault
│   │   ├── UpstreamUnreachable   an answer that says "later"; stale content may be served instead
│   │   │   └── UpstreamSilent    no answer at all: whatever else is asked now will wait in vain too
│   │   ├── UpstreamRefused       401, 403: an answer, never a reason to serve stale
│   │   └── UpstreamMisbehaved    an answer that breaks the protocol or its own digest; never cached
│   └── Unavailable          we are at fault, or have no room: disk, shutdown
│       └── BlobDamaged           a stored blob that the disk cannot read: put aside, it can be fetched again
├── InvalidManifest          a document that may not be served; becomes UpstreamMisbehaved where it came from upstream
├── BuildFailed              a builder did not do what it was told
├── InvalidDockerfile        a conditional Dockerfile that cannot be read; says where
└── InvalidSetting           the configuration or a command line is at fault
```

`CODES` is the only place that joins a code to an HTTP status (distribution-spec 1.1.1, "Error Codes"; the last three
are not in the spec's table: UNKNOWN and UNAVAILABLE are what Docker's distribution uses for a registry's own trouble,
RANGE_INVALID names the 416 of RFC 9110 §15.5.17).
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import ClassVar

CODES: Mapping[str, HTTPStatus] = MappingProxyType(
    {
        "BLOB_UNKNOWN": HTTPStatus.NOT_FOUND,
        "BLOB_UPLOAD_INVALID": HTTPStatus.BAD_REQUEST,
        "BLOB_UPLOAD_UNKNOWN": HTTPStatus.NOT_FOUND,
        "DIGEST_INVALID": HTTPStatus.BAD_REQUEST,
        "MANIFEST_BLOB_UNKNOWN": HTTPStatus.NOT_FOUND,
        "MANIFEST_INVALID": HTTPStatus.BAD_REQUEST,
        "MANIFEST_UNKNOWN": HTTPStatus.NOT_FOUND,
        "NAME_INVALID": HTTPStatus.BAD_REQUEST,
        "NAME_UNKNOWN": HTTPStatus.NOT_FOUND,
        "SIZE_INVALID": HTTPStatus.BAD_REQUEST,
        "UNAUTHORIZED": HTTPStatus.UNAUTHORIZED,
        "DENIED": HTTPStatus.FORBIDDEN,
        "UNSUPPORTED": HTTPStatus.METHOD_NOT_ALLOWED,
        "TOOMANYREQUESTS": HTTPStatus.TOO_MANY_REQUESTS,
        "RANGE_INVALID": HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
        "UNKNOWN": HTTPStatus.INTERNAL_SERVER_ERROR,
        "UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE,
    }
)


class PolyarchError(Exception):
    """Anything that this project raises on purpose."""


class RegistryError(PolyarchError):
    """An error that a client is told in the registry's envelope."""

    code: ClassVar[str] = "UNKNOWN"
    status: ClassVar[HTTPStatus | None] = None
    """Overrides the status of the code's row, where the spec leaves the choice."""

    def __init__(self, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.headers = dict(headers or {})
        """Response headers that belong to the error: `Allow`, `Content-Range`, `Retry-After`."""

    @property
    def http_status(self) -> HTTPStatus:
        """The status that a client is answered."""
        return self.status or CODES[self.code]

    def envelope(self) -> bytes:
        """The JSON body of the distribution-spec, "Error Codes"."""
        return json.dumps({"errors": [{"code": self.code, "message": self.message}]}).encode()


class ClientError(RegistryError):
    """The request is at fault; asking again the same way will not help."""


class InvalidName(ClientError):
    """A repository name outside the grammar."""

    code = "NAME_INVALID"


class InvalidTag(ClientError):
    """A tag outside the grammar; the spec has no code of its own for it."""

    code = "MANIFEST_INVALID"


class InvalidDigest(ClientError):
    """A digest outside the grammar, or of an algorithm that cannot be verified."""

    code = "DIGEST_INVALID"


class InvalidReference(ClientError):
    """An image reference outside the grammar."""

    code = "NAME_INVALID"


class InvalidPlatform(ClientError):
    """A word or triple that names no platform."""

    code = "NAME_INVALID"


class InvalidQuery(ClientError):
    """A query parameter outside its grammar (`n`, `last`, `ns`)."""

    code = "NAME_INVALID"


class RangeNotSatisfiable(ClientError):
    """A `Range` that no byte of the blob fulfils (RFC 9110 §15.5.17)."""

    code = "RANGE_INVALID"


class Unsupported(ClientError):
    """A method that a read-only registry does not have."""

    code = "UNSUPPORTED"


class Unauthorized(ClientError):
    """Something that only the operator may ask for (RFC 9110 §15.5.2)."""

    code = "UNAUTHORIZED"


class InvalidCall(ClientError):
    """A call of the API with parameters that it does not take."""

    code = "UNSUPPORTED"
    status = HTTPStatus.BAD_REQUEST


class Pinned(ClientError):
    """Something that is to leave the cache, and is pinned (RFC 9110 §15.5.10)."""

    code = "DENIED"
    status = HTTPStatus.CONFLICT


class NotFound(ClientError):
    """What was asked for does not exist, as far as anyone knows."""


class NameUnknown(NotFound):
    """No such repository."""

    code = "NAME_UNKNOWN"


class ManifestUnknown(NotFound):
    """No such manifest in the repository."""

    code = "MANIFEST_UNKNOWN"


class BlobUnknown(NotFound):
    """No such blob in the repository."""

    code = "BLOB_UNKNOWN"


class UpstreamError(RegistryError):
    """The upstream is at fault."""

    code = "UNAVAILABLE"
    status = HTTPStatus.BAD_GATEWAY


class UpstreamUnreachable(UpstreamError):
    """No answer, a late one, 429 or 5xx: what was known before is better than nothing."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


class UpstreamSilent(UpstreamUnreachable):
    """No connection, or no answer in time: true of the whole upstream, not of what was asked for."""


class UpstreamRefused(UpstreamError):
    """The upstream will not show this to us (401, 403): for Docker Hub, as good as absent.

    A client is told 404: of a 403, containerd 1.4 and BuildKit 20.10 make a final error instead of asking the next host
    (clients.md §3.3).
    """

    code = "NAME_UNKNOWN"
    status = HTTPStatus.NOT_FOUND


class UpstreamMisbehaved(UpstreamError):
    """The upstream's answer breaks the protocol, or is not what its digest says."""


class Unavailable(RegistryError):
    """We cannot answer now: shutting down, or the store failed."""

    code = "UNAVAILABLE"


class BlobDamaged(Unavailable):
    """A stored blob that cannot be opened or read: a bad sector.

    Whoever reads puts it aside, and goes on as if it was not stored. Where that is too late, a client is told 503: it
    may ask again, and gets what was fetched anew.
    """


class InvalidManifest(PolyarchError):
    """A document that is no manifest, or one that may not be served."""


class BuildFailed(PolyarchError):
    """A builder did not do what it was told."""

    def __init__(self, reason: str, *, printed: tuple[str, ...] = ()) -> None:
        """Take its last words, and all that it printed."""
        super().__init__(reason)
        self.printed = printed


class InvalidDockerfile(PolyarchError):
    """A conditional Dockerfile that cannot be read."""

    def __init__(self, reason: str, *, name: str, line: int, column: int, text: str, width: int = 1) -> None:
        """Take what is wrong, and the file, line and column (both from 1) where; with the line itself, for a caret."""
        indent = "".join("\t" if letter == "\t" else " " for letter in text[: column - 1])
        super().__init__(f"{name}:{line}:{column}: {reason}\n  {text}\n  {indent}{'^' * max(width, 1)}")
        self.reason = reason
        self.line = line
        self.column = column


class InvalidSetting(PolyarchError):
    """A setting or an argument that cannot be used: one line that says which and why."""
