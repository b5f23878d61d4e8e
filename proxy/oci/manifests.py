"""Documents of the manifests endpoint: parsed for what we must know, kept as the bytes they are.

A parsed document never replaces its bytes: what is served is what upstream sent. Descriptors keep the object they were
read from, so that a synthesised index can repeat upstream's entries untouched.

What is refused (CVE-2021-41190, distribution-spec "Content-Type", clients.md §4.3): a document that is both an index
and an image, a `mediaType` that contradicts the Content-Type, anything above 4 MiB, and JSON nested beyond reason.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidDigest, InvalidManifest
from proxy.oci.platforms import Platform, parse_platform_object

MAX_MANIFEST_BYTES = 4 * 1024 * 1024
"""distribution, podman and oras stop at 4 MiB; containerd a little above (platforms.md §2.3)."""
MAX_DESCRIPTORS = 4096
MAX_NESTING = 32
_MAX_TYPE = 255
MAX_SIZE = 2**63 - 1
"""A descriptor's size is an int64 (image-spec, descriptor.md)."""

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}")
"""RFC 6838 §4.2: what may safely stand in a header."""

REFERENCE_TYPE = "vnd.docker.reference.type"
REFERENCE_DIGEST = "vnd.docker.reference.digest"
"""BuildKit's attestation annotations (buildkit `docs/attestations/attestation-storage.md`)."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A pointer to content: media type, digest, size in bytes, and perhaps a platform (image-spec, descriptor.md)."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    attests: Digest | None = None
    """The digest that this entry's manifest is an attestation of, if it is one."""
    artifact: str = ""
    """What it says that it is, where it says that it is no image: a type of artifact, or of reference to an image."""
    source: Mapping[str, object] | None = field(default=None, compare=False, repr=False)
    """The JSON object that the descriptor was read from."""

    @property
    def is_index(self) -> bool:
        """Tell whether the content is again a list of manifests."""
        return self.media_type in media_types.INDEXES

    @property
    def is_runnable(self) -> bool:
        """Tell an image, or an index of images, from an attestation or another artifact."""
        is_image = self.media_type in media_types.MANIFESTS and not self.artifact and self.attests is None
        return is_image and (self.platform is None or self.platform.is_known)


@dataclass(frozen=True, slots=True)
class Index:
    """A list of manifests: an OCI image index or a Docker manifest list."""

    media_type: str
    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, object] | None = None
    artifact_type: str = ""

    @property
    def artifact(self) -> str:
        """What it is, where it is no index of images: its own word, or that all of its entries are something else."""
        entries = [entry for entry in self.manifests if entry.attests is None]
        others = [entry.artifact or entry.media_type for entry in entries if not _may_be_image(entry)]
        return self.artifact_type or (others[0] if others and len(others) == len(entries) else "")

    @property
    def children(self) -> tuple[Descriptor, ...]:
        """Every descriptor that a client may ask for next."""
        return self.manifests


@dataclass(frozen=True, slots=True)
class ImageManifest:
    """One image, or one artifact in the shape of an image."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    artifact_type: str = ""

    @property
    def artifact(self) -> str:
        """What it is, where it is no image (image-spec, manifest.md, "Guidelines for Artifact Usage")."""
        config = self.config.media_type
        return self.artifact_type or ("" if config in media_types.TAKEN_FOR_CONFIGS else config)

    @property
    def children(self) -> tuple[Descriptor, ...]:
        """Every descriptor that a client may ask for next: the config, then the layers."""
        return (self.config, *self.layers)


@dataclass(frozen=True, slots=True)
class Schema1Manifest:
    """A pre-2016 signed manifest: passed through, never spliced (no current client can read it)."""

    media_type: str
    children: tuple[Descriptor, ...] = ()


@dataclass(frozen=True, slots=True)
class OtherManifest:
    """A document of a media type that we do not know: passed through as it is."""

    media_type: str
    children: tuple[Descriptor, ...] = ()


Document = Index | ImageManifest | Schema1Manifest | OtherManifest


def parse_manifest(content: bytes, content_type: str) -> Document:
    """Read a document of the manifests endpoint.

    Args:
        content: The bytes as upstream sent them.
        content_type: The `Content-Type` header, or the media type of the descriptor that led here; may be empty.

    Raises:
        InvalidManifest: The document may not be served, with the reason.
    """
    if len(content) > MAX_MANIFEST_BYTES:
        raise InvalidManifest(f"a manifest of {len(content)} bytes; the limit is {MAX_MANIFEST_BYTES}")
    fields = load_object(content)
    media_type = _agreed_media_type(fields, media_types.parse_media_type(content_type))
    if media_type in media_types.INDEXES:
        return _parse_index(fields, media_type)
    if media_type in media_types.IMAGE_MANIFESTS:
        return _parse_image(fields, media_type)
    if media_type in media_types.SCHEMA1:
        return Schema1Manifest(media_type)
    return OtherManifest(media_type)


def parse_config_platform(content: bytes) -> Platform | None:
    """Read the platform that an image config claims; None if it claims none.

    Raises:
        InvalidManifest: The config is no JSON object.
    """
    fields = load_object(content)
    return parse_platform_object(fields)


def load_object(content: bytes) -> Mapping[str, object]:
    """Read a stranger's JSON object, nested no deeper than a document may be.

    Raises:
        InvalidManifest: It is none.
    """
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidManifest("not JSON") from error
    if not isinstance(fields, dict):
        raise InvalidManifest("not a JSON object")
    if _depth(fields) > MAX_NESTING:
        raise InvalidManifest(f"JSON nested deeper than {MAX_NESTING} levels")
    return fields


def _depth(value: object) -> int:
    # Level by level instead of by recursion: the document is a stranger's.
    depth, level = 0, [value]
    while level and depth <= MAX_NESTING:
        depth += 1
        level = [inner for outer in level for inner in _inner(outer)]
    return depth


def _inner(value: object) -> Sequence[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else ()


def _agreed_media_type(fields: Mapping[str, object], declared: str) -> str:
    written = fields.get("mediaType", "")
    if not isinstance(written, str):
        raise InvalidManifest("mediaType is not a string")
    if "manifests" in fields and ("layers" in fields or "config" in fields or "fsLayers" in fields):
        raise InvalidManifest("a document that is both an index and an image")
    if declared in {"", media_types.JSON, media_types.OCTET_STREAM, "text/plain"}:
        declared = ""
    if written and declared and written != declared:
        raise InvalidManifest(f"mediaType {written[:100]!r} contradicts the Content-Type {declared[:100]!r}")
    media_type = written or declared or _guessed_media_type(fields)
    if media_type and not _MEDIA_TYPE.fullmatch(media_type):
        raise InvalidManifest(f"not a media type: {media_type[:100]!r}")
    if not media_type:
        raise InvalidManifest("neither a mediaType nor a shape that is known")
    return media_type


def _guessed_media_type(fields: Mapping[str, object]) -> str:
    # Only OCI documents may leave mediaType out (image-spec manifest.md, image-index.md).
    if fields.get("schemaVersion") == 1:
        return media_types.DOCKER_SCHEMA1_SIGNED if "signatures" in fields else media_types.DOCKER_SCHEMA1
    if "manifests" in fields:
        return media_types.OCI_INDEX
    return media_types.OCI_MANIFEST if "config" in fields and "layers" in fields else ""


def _parse_index(fields: Mapping[str, object], media_type: str) -> Index:
    if "manifests" not in fields:
        raise InvalidManifest("an index without manifests")
    annotations = fields.get("annotations")
    kept = annotations if isinstance(annotations, dict) else None
    return Index(media_type, _parse_descriptors(fields["manifests"]), kept, _parse_artifact_type(fields))


def _parse_image(fields: Mapping[str, object], media_type: str) -> ImageManifest:
    if "config" not in fields or "layers" not in fields:
        raise InvalidManifest("an image manifest without config or layers")
    subject = fields.get("subject")
    return ImageManifest(
        media_type=media_type,
        config=_parse_descriptor(fields["config"]),
        layers=_parse_descriptors(fields["layers"]),
        subject=None if subject is None else _parse_descriptor(subject),
        artifact_type=_parse_artifact_type(fields),
    )


def _parse_descriptors(items: object) -> tuple[Descriptor, ...]:
    if items is None:
        return ()
    if not isinstance(items, list):
        raise InvalidManifest("a list of descriptors that is no list")
    if len(items) > MAX_DESCRIPTORS:
        raise InvalidManifest(f"more than {MAX_DESCRIPTORS} descriptors")
    return tuple(_parse_descriptor(item) for item in items)


def _parse_descriptor(fields: object) -> Descriptor:
    if not isinstance(fields, dict):
        raise InvalidManifest("a descriptor that is no object")
    media_type, digest, size = fields.get("mediaType", ""), fields.get("digest", ""), fields.get("size", -1)
    if not isinstance(media_type, str) or not isinstance(digest, str):
        raise InvalidManifest("a descriptor whose mediaType or digest is no string")
    if not (media_type.isascii() and media_type.isprintable()):
        raise InvalidManifest(f"a descriptor with the mediaType {media_type[:100]!a}")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_SIZE:
        raise InvalidManifest("a descriptor without a size")
    try:
        parsed = Digest.parse(digest)
    except InvalidDigest as error:
        raise InvalidManifest(f"a descriptor with {error.message}") from error
    attests = _parse_attested(fields.get("annotations"))
    return Descriptor(
        media_type=media_type,
        digest=parsed,
        size=size,
        platform=parse_platform_object(fields.get("platform")),
        attests=attests,
        artifact=_parse_artifact_type(fields) or ("" if attests else _parse_reference_type(fields.get("annotations"))),
        source=fields,
    )


def _may_be_image(entry: Descriptor) -> bool:
    return entry.media_type in media_types.MANIFESTS and not entry.artifact


def _parse_artifact_type(fields: Mapping[str, object]) -> str:
    """Read what a document or descriptor says that it is; an image may say that it is one, too."""
    written = fields.get("artifactType")
    is_artifact = isinstance(written, str) and written not in media_types.IMAGE_CONFIGS
    return _safe(written) if is_artifact else ""


def _parse_reference_type(annotations: object) -> str:
    """Read BuildKit's word for what is about an image: whatever it is, it is none itself (platforms.md §2.5)."""
    known = annotations if isinstance(annotations, dict) else {}
    return _safe(known[REFERENCE_TYPE]) if REFERENCE_TYPE in known else ""


def _safe(word: object) -> str:
    """Cut a stranger's word to what may be logged."""
    text = str(word)[:_MAX_TYPE]
    return text if text.isascii() and text.isprintable() else ascii(text)


def _parse_attested(annotations: object) -> Digest | None:
    if not isinstance(annotations, dict) or REFERENCE_TYPE not in annotations:
        return None
    try:
        return Digest.parse(str(annotations.get(REFERENCE_DIGEST, "")))
    except InvalidDigest:
        return None
