"""What can be made to go wrong, each a value that changes an answer before it is sent."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol
from urllib.parse import urlsplit

from tests.lab.hub.answers import Answer, Incident, Mishap, plain
from tests.lab.hub.asked import Asked
from tests.lab.images import OCI_INDEX, OCI_MANIFEST, Blob, digest_of


class Fault(Protocol):
    """Anything that turns the right answer into a wrong one."""

    def apply(self, answer: Answer, asked: Asked) -> Answer:
        """Return the answer to be sent instead."""
        ...


@dataclass(frozen=True, slots=True)
class Status:
    """Answer with this status and nothing of the true answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def apply(self, answer: Answer, asked: Asked) -> Answer:
        return plain(self.body, "text/plain", status=self.status, headers=self.headers)


@dataclass(frozen=True, slots=True)
class Stall:
    """Send nothing, or only that fraction of the body, until `HubStandIn.release()`."""

    after: float | None = None

    def apply(self, answer: Answer, asked: Asked) -> Answer:
        return replace(answer, incident=Incident(Mishap.HOLD, self.after))


@dataclass(frozen=True, slots=True)
class Cut:
    """Close the connection after that fraction of the body; `None`: before the headers."""

    after: float | None = 0.5

    def apply(self, answer: Answer, asked: Asked) -> Answer:
        return replace(answer, incident=Incident(Mishap.CUT, self.after))


@dataclass(frozen=True, slots=True)
class Resumed:
    """Let another fault strike only where somebody takes up what was broken off: requests with a `Range`."""

    fault: Fault

    def apply(self, answer: Answer, asked: Asked) -> Answer:
        return self.fault.apply(answer, asked) if "Range" in asked.headers else answer


@dataclass(frozen=True, slots=True)
class WrongBytes:
    """Flip one bit in the body's first byte; everything else stays as announced."""

    def apply(self, answer: Answer, asked: Asked) -> Answer:
        async def body() -> AsyncIterator[bytes]:
            first = True
            async for chunk in answer.body():
                yield bytes([chunk[0] ^ 1]) + chunk[1:] if first and chunk else chunk
                first = first and not chunk

        return replace(answer, body=body)


@dataclass(frozen=True, slots=True)
class WrongSize:
    """Announce so many bytes more (and close early) or less (and send less)."""

    by: int

    def apply(self, answer: Answer, asked: Asked) -> Answer:
        return replace(answer, size=answer.size + self.by)


@dataclass(frozen=True, slots=True)
class Headers:
    """Change headers, or leave out those whose value is `None`."""

    changes: Mapping[str, str | None]

    def apply(self, answer: Answer, asked: Asked) -> Answer:
        merged = {**answer.headers, **self.changes}
        return replace(answer, headers={name: value for name, value in merged.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Replace:
    """Answer with another document altogether, under that document's own digest."""

    body: bytes
    content_type: str
    status: int = 200

    def apply(self, answer: Answer, asked: Asked) -> Answer:
        headers = {"Docker-Content-Digest": digest_of(self.body)}
        return plain(self.body, self.content_type, status=self.status, headers=headers)


@dataclass(frozen=True, slots=True)
class RedirectTo:
    """Answer 307 with this address."""

    location: str

    def apply(self, answer: Answer, asked: Asked) -> Answer:
        return plain(b"", "text/plain", status=307, headers={"Location": self.location})


@dataclass(frozen=True, slots=True)
class RedirectLoop:
    """Answer 307 with the very address that was asked."""

    def apply(self, answer: Answer, asked: Asked) -> Answer:
        return RedirectTo(asked.path).apply(answer, asked)


@dataclass(frozen=True, slots=True)
class RelativeLocation:
    """Shorten a redirect's address to its path and query, as some registries do: it then leads to the same host."""

    def apply(self, answer: Answer, asked: Asked) -> Answer:
        parts = urlsplit(answer.headers.get("Location", ""))
        return Headers({"Location": f"{parts.path}?{parts.query}"}).apply(answer, asked)


@dataclass(frozen=True, slots=True)
class ForeignRealm:
    """Send the client to somebody else's token service."""

    realm: str

    def apply(self, answer: Answer, asked: Asked) -> Answer:
        challenge = answer.headers.get("WWW-Authenticate", "")
        changed = re.sub(r'realm="[^"]*"', f'realm="{self.realm}"', challenge)
        return Headers({"WWW-Authenticate": changed or None}).apply(answer, asked)


HTML = Replace(b"<!DOCTYPE html><html><body>Please sign in to the hotel's network</body></html>", "text/html")
"""What a captive portal says, with status 200."""

METADATA_SERVICE = RedirectTo("http://169.254.169.254/latest/meta-data/")
"""A redirect to a cloud's link-local metadata service."""

DROP = Cut(after=None)
"""The connection is closed without a word."""


def oversize_manifest(size: int = 5 * 1024 * 1024) -> Replace:
    """Answer with an image manifest that is well-formed and too large."""
    config = Blob.of("application/vnd.oci.empty.v1+json", b"{}").descriptor()
    content = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config,
        "layers": [],
        "annotations": {"pad": ""},
    }
    empty = json.dumps(content)
    return Replace(empty.replace('"pad": ""', f'"pad": "{"x" * (size - len(empty))}"').encode(), OCI_MANIFEST)


def index_and_image(content_type: str = OCI_INDEX) -> Replace:
    """Answer with a document that may be read as an index and as an image manifest."""
    blob = Blob.of(OCI_MANIFEST, b"{}").descriptor()
    content = {"schemaVersion": 2, "mediaType": content_type, "config": blob, "layers": [blob], "manifests": [blob]}
    return Replace(json.dumps(content).encode(), content_type)


@dataclass(slots=True)
class Injection:
    """A fault, whom it strikes and how often it still will."""

    fault: Fault
    kind: str
    repository: str | None
    reference: str | None
    times: int | None

    def strikes(self, asked: Asked) -> bool:
        """Whether it is this request's turn; counts down."""
        matches = (
            asked.kind.startswith(self.kind)
            and self.repository in (None, asked.repository)
            and self.reference in (None, asked.reference)
        )
        if not matches or self.times == 0:
            return False
        if self.times is not None:
            self.times -= 1
        return True
