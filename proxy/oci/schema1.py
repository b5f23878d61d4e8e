"""Docker's manifests of before 2016, "Image Manifest Version 2, Schema 1": what the signed ones are addressed by.

A signed one (`application/vnd.docker.distribution.manifest.v1+prettyjws`) carries its signatures inside itself. Its
digest is not that of its bytes but that of its payload, the bytes before it was signed: so a signature more changes no
digest. Each signature's `protected` header tells how to get back to them (distribution `manifest-v2-1.md`, "Signed
Manifests"; JSON and base64url as in RFC 7515):

    payload = body[:formatLength] + base64url(formatTail)

The signatures themselves are nobody's here: anyone may sign with a key of his own, and no client checks whose it is.
"""

import base64
import binascii
import json

from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidManifest
from proxy.oci.manifests import MAX_MANIFEST_BYTES, load_object

_SIGNATURES = "signatures"
MAX_SIGNATURES = 64


def read_payload(body: bytes) -> bytes:
    """Answer what was signed: a signed manifest without its signatures.

    What it says has to be what the whole says. Otherwise a body could go by the digest of any other document, whose
    bytes it has for its payload.

    Raises:
        InvalidManifest: It is no signed manifest of schema 1, or its signatures do not tell one and the same payload.
    """
    if len(body) > MAX_MANIFEST_BYTES:
        raise InvalidManifest(f"a manifest of {len(body)} bytes; the limit is {MAX_MANIFEST_BYTES}")
    fields = load_object(body)
    signatures = fields.get(_SIGNATURES)
    if fields.get("schemaVersion") != 1 or not isinstance(signatures, list) or not signatures:
        raise InvalidManifest("no signed manifest of schema 1")
    if len(signatures) > MAX_SIGNATURES:
        raise InvalidManifest(f"more than {MAX_SIGNATURES} signatures")
    formats = {_read_format(signature) for signature in signatures}
    if len(formats) > 1:
        raise InvalidManifest("signatures of different payloads")
    length, tail = formats.pop()
    payload = body[:length] + tail
    load_object(payload)
    if length > len(body) or [*_pairs(payload), _SIGNATURES] != _unsigned(body):
        raise InvalidManifest("signatures of something else than the manifest")
    return payload


def is_payload_digest(digest: Digest, body: bytes) -> bool:
    """Tell whether a body is a signed manifest that goes by this digest."""
    try:
        return digest.matches(read_payload(body))
    except InvalidManifest:
        return False


def _read_format(signature: object) -> tuple[int, bytes]:
    header = load_object(_decode(signature.get("protected") if isinstance(signature, dict) else None))
    length = header.get("formatLength")
    if not isinstance(length, int) or isinstance(length, bool) or length < 0:
        raise InvalidManifest("a signature that does not tell its payload")
    return length, _decode(header.get("formatTail"))


def _decode(text: object) -> bytes:
    """Read base64url without its padding (RFC 7515 §2)."""
    if not isinstance(text, str) or not text.isascii():
        raise InvalidManifest("a signature that does not tell its payload")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidManifest("a signature that is not base64url") from error


def _unsigned(body: bytes) -> list[object]:
    """Answer what a signed manifest says, but for its signatures: of those, how often they stand there."""
    pairs = _pairs(body)
    rest: list[object] = [pair for pair in pairs if pair[0] != _SIGNATURES]
    return [*rest, *(key for key, _ in pairs if key == _SIGNATURES)]


def _pairs(content: bytes) -> tuple[tuple[str, object], ...]:
    """Read an object as it is written: of a key that stands there twice, not everybody takes the same one."""
    pairs: tuple[tuple[str, object], ...] = json.loads(content, object_pairs_hook=tuple)
    return pairs
