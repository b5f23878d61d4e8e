"""Media types of the documents behind the manifests endpoint, each exactly as the specs write it.

Sources: image-spec 1.1.1 `media-types.md`; Docker's "Image Manifest Version 2, Schema 2" and "Schema 1".
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"
OCTET_STREAM = "application/octet-stream"
JSON = "application/json"

INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
IMAGE_MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
SCHEMA1 = frozenset({DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED})
MANIFESTS = INDEXES | IMAGE_MANIFESTS
DOCKER = frozenset({DOCKER_LIST, DOCKER_MANIFEST})
IMAGE_CONFIGS = frozenset({OCI_CONFIG, DOCKER_CONFIG})
TAKEN_FOR_CONFIGS = IMAGE_CONFIGS | {OCTET_STREAM, JSON, "text/html", ""}
"""What engines take for an image's config: odd types were pushed for a while (distribution#1621; moby
`distribution/registry.go`). Any other config makes an artifact of a manifest."""

ACCEPT_MANIFESTS = f"{OCI_INDEX}, {DOCKER_LIST}, {OCI_MANIFEST}, {DOCKER_MANIFEST}"
"""What is sent upstream with every manifest request: all four, always. A registry that misses one answers 404 (GHCR),
or converts to amd64 (Docker Hub), instead of telling what it holds."""


def parse_media_type(header: str) -> str:
    """Take the bare, lower-case type from a `Content-Type` header; parameters are noise here."""
    return header.partition(";")[0].strip().lower()


def parse_accept(headers: Iterable[str]) -> frozenset[str]:
    """Read all `Accept` header lines as one set of media types.

    Order and quality are ignored on purpose: dockerd sends its lines in random order (clients.md §5). An entry
    refused with `q=0` is left out.
    """
    entries = (entry for header in headers for entry in header.split(","))
    return frozenset(parse_media_type(entry) for entry in entries if entry.strip() and not _is_refused(entry))


def accepts_any(accepted: frozenset[str], media_types: AbstractSet[str]) -> bool:
    """Tell whether a client that accepts these types takes one of those.

    A client that sent no `Accept` at all takes anything (RFC 9110 §12.5.1).
    """
    return not accepted or not accepted.isdisjoint({*media_types, "*/*", "application/*"})


def _is_refused(entry: str) -> bool:
    parameters = (parameter.strip().lower() for parameter in entry.split(";")[1:])
    return any(parameter.startswith("q=") and not parameter[2:].strip("0.") for parameter in parameters)
