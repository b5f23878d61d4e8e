"""Images in Docker's form of before 2016, signed as engines signed them when they pushed."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass

from tests.lab.images import digest_of

SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """A manifest with a signature in it; registries address it by its payload."""

    content: bytes
    payload: bytes

    @property
    def digest(self) -> str:
        """The digest that a registry announces."""
        return digest_of(self.payload)


def build_schema1(repository: str = "library/old", tag: str = "1", *layers: str) -> SignedManifest:
    """Build a manifest of some layers, each by its digest, and sign it."""
    fields = {
        "schemaVersion": 1,
        "name": repository,
        "tag": tag,
        "architecture": "amd64",
        "fsLayers": [{"blobSum": layer} for layer in layers],
        "history": [{"v1Compatibility": json.dumps({"id": f"{number:064x}"})} for number, _ in enumerate(layers)],
    }
    return sign(fields)


def sign(fields: Mapping[str, object], *, signatures: int = 1) -> SignedManifest:
    """Sign fields: the signatures stand before the last brace, as the JWS header tells (libtrust)."""
    payload = json.dumps(fields, indent=3).encode()
    head, tail = payload[:-2], payload[-2:]
    header = {"formatLength": len(head), "formatTail": encode(tail), "time": "2015-04-25T00:00:00Z"}
    entry = {"header": {"alg": "ES256"}, "signature": encode(b"x"), "protected": encode(json.dumps(header).encode())}
    written = json.dumps([entry] * signatures).encode()
    return SignedManifest(head + b',\n   "signatures": ' + written + tail, payload)


def encode(content: bytes) -> str:
    """Write base64url without padding."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
