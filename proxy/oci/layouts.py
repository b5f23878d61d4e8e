"""Image archives: the OCI image layout, and the `manifest.json` of `docker save`, parsed and written.

Belongs here: the documents, and the names of files. Does not belong here: tar files and folders
(`storage/archive_files.py`), and what is done with the images (`service/exporting.py`, `service/importing.py`).

Sources: image-spec 1.1.1 `image-layout.md`; moby `image/tarexport/save.go`, `load.go`; containerd
`core/images/archive/exporter.go`. Docker Engine ≥ 25 and containerd write one archive that is both: blobs under their
digests, `index.json` for who knows OCI layouts, `manifest.json` beside it for who does not.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import ClientError, InvalidManifest, InvalidSetting
from proxy.oci.manifests import MAX_DESCRIPTORS, Descriptor, Index, parse_manifest
from proxy.oci.platforms import Platform, platform_object
from proxy.oci.references import DOCKER_HUB, Reference, short_name

LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"
DOCKER_FILE = "manifest.json"
REPOSITORIES_FILE = "repositories"
LAYOUT_VERSION = "1.0.0"
REF_NAME = "org.opencontainers.image.ref.name"
IMAGE_NAME = "io.containerd.image.name"
"""The whole name; `ref.name` is the tag only, where Docker Engine or containerd wrote it."""

LAYER = "application/vnd.oci.image.layer.v1.tar"
_COMPRESSIONS: Mapping[bytes, str] = {b"\x1f\x8b": "+gzip", b"\x28\xb5\x2f\xfd": "+zstd"}
"""How a compressed layer begins, and what its media type ends with (image-spec, layer.md)."""
MAX_NAMES = 1024
"""How many names one image of an archive may have."""


class InvalidArchive(InvalidSetting):
    """An archive that is none, or one that may not be taken in."""


class EntryKind(Enum):
    """What a name in an archive stands for."""

    FILE = auto()
    FOLDER = auto()
    LINK = auto()
    """Another name of the archive, in `Entry.target`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One name of an archive."""

    name: str
    """Relative to the archive, without `.` or `..` in it."""
    kind: EntryKind
    size: int = 0
    """In bytes."""
    target: str = ""
    """Of a link: the name that is meant."""


@dataclass(frozen=True, slots=True)
class SavedImage:
    """One image of `manifest.json`."""

    config: str
    """The name of its config in the archive."""
    layers: tuple[str, ...]
    names: tuple[str, ...]
    """What it is called: `debian:jessie`."""


def blob_path(digest: Digest) -> str:
    """Answer the name of a blob in a layout."""
    return f"blobs/{digest.algorithm}/{digest.encoded}"


def parse_blob_path(name: str) -> Digest | None:
    """Read the digest out of the name of a blob; None where it is none."""
    folder, _, rest = name.partition("/")
    algorithm, _, encoded = rest.partition("/")
    try:
        return Digest.parse(f"{algorithm}:{encoded}") if folder == "blobs" else None
    except ClientError:
        return None


def familiar_name(reference: Reference) -> str:
    """Answer a repository as Docker writes it: `debian`, `me/app`, `ghcr.io/me/app`."""
    if reference.registry == DOCKER_HUB:
        return short_name(reference.repository)
    return f"{reference.registry}/{reference.repository}"


def layout_content() -> bytes:
    """Write `oci-layout`."""
    return _write({"imageLayoutVersion": LAYOUT_VERSION})


def index_content(root: Descriptor, platform: Platform | None, reference: Reference) -> bytes:
    """Write the `index.json` of a layout with one image, or one index, under one name."""
    entry: dict[str, object] = {"mediaType": root.media_type, "digest": str(root.digest), "size": root.size}
    if platform is not None:
        entry["platform"] = platform_object(platform)
    entry["annotations"] = {IMAGE_NAME: str(reference), REF_NAME: str(reference.target)}
    return _write({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [entry]})


def docker_content(config: Digest, layers: Sequence[Digest], reference: Reference) -> bytes:
    """Write the `manifest.json` of an archive with one image."""
    names = [] if isinstance(reference.target, Digest) else [f"{familiar_name(reference)}:{reference.target}"]
    paths = [blob_path(layer) for layer in layers]
    return _write([{"Config": blob_path(config), "RepoTags": names or None, "Layers": paths}])


def repositories_content(layers: Sequence[Digest], reference: Reference) -> bytes | None:
    """Write `repositories`, by which engines before 1.10 find an image; None for one that has no tag."""
    if isinstance(reference.target, Digest) or not layers:
        return None
    return _write({familiar_name(reference): {reference.target: layers[-1].encoded}})


def image_content(config: Descriptor, layers: Iterable[Descriptor]) -> bytes:
    """Write the image manifest of an image that came without one."""
    return _write(
        {
            "schemaVersion": 2,
            "mediaType": media_types.OCI_MANIFEST,
            "config": _pointer(config),
            "layers": [_pointer(layer) for layer in layers],
        }
    )


def check_layout(content: bytes) -> None:
    """Read `oci-layout`. Raises InvalidArchive if it is not of the one version that there is."""
    fields = _load(content, LAYOUT_FILE)
    version = fields.get("imageLayoutVersion") if isinstance(fields, dict) else None
    if version != LAYOUT_VERSION:
        raise InvalidArchive(
            f"an OCI layout of version {str(version)[:20]!r}; {LAYOUT_VERSION} is the one that is known"
        )


def parse_index(content: bytes) -> Index:
    """Read `index.json`. Raises InvalidArchive if it is no index."""
    try:
        document = parse_manifest(content, media_types.OCI_INDEX)
    except InvalidManifest as error:
        raise InvalidArchive(f"{INDEX_FILE} cannot be used: {error}") from error
    assert isinstance(document, Index)
    return document


def parse_docker(content: bytes) -> tuple[SavedImage, ...]:
    """Read `manifest.json`. Raises InvalidArchive if it is not what `docker save` writes."""
    items = _load(content, DOCKER_FILE)
    if not isinstance(items, list) or len(items) > MAX_DESCRIPTORS:
        raise InvalidArchive(f"{DOCKER_FILE} is no list of images")
    return tuple(_parse_saved(item) for item in items)


def parse_diff_ids(config: bytes) -> tuple[Digest, ...] | None:
    """Read the digests of an image's uncompressed layers out of its config; None where it tells none.

    Raises:
        InvalidArchive: The config is no JSON object, or tells something else than digests.
    """
    fields = _load(config, "an image config")
    rootfs = fields.get("rootfs") if isinstance(fields, dict) else None
    if not isinstance(fields, dict):
        raise InvalidArchive("an image config that is no JSON object")
    if not isinstance(rootfs, dict):
        return None
    try:
        return tuple(Digest.parse(text) for text in _texts(rootfs.get("diff_ids"), "diff_ids"))
    except ClientError as error:
        raise InvalidArchive(f"an image config with {error}") from error


def parse_name(descriptor: Descriptor) -> Reference | None:
    """Answer what an entry of `index.json` is called, or None: a `ref.name` alone may be a tag of anything.

    Raises:
        InvalidArchive: It has a whole name, which is none.
    """
    source = descriptor.source or {}
    annotations = source.get("annotations")
    if not isinstance(annotations, dict):
        return None
    name, reference = annotations.get(IMAGE_NAME), annotations.get(REF_NAME)
    if isinstance(name, str) and name:
        return parse_archive_reference(name)
    if isinstance(reference, str) and ("/" in reference or ":" in reference):
        return parse_archive_reference(reference)
    return None


def parse_archive_reference(text: str) -> Reference:
    """Read a name out of an archive. Raises InvalidArchive if it is none."""
    try:
        return Reference.parse(text)
    except ClientError as error:
        raise InvalidArchive(f"it holds an image with a name that cannot be used: {error}") from error


def layer_media_type(begin: bytes) -> str:
    """Answer the media type of a layer, by its first bytes."""
    return LAYER + next((suffix for magic, suffix in _COMPRESSIONS.items() if begin.startswith(magic)), "")


def _parse_saved(item: object) -> SavedImage:
    if not isinstance(item, dict) or not isinstance(item.get("Config"), str):
        raise InvalidArchive(f"{DOCKER_FILE} holds an image without a config")
    layers, names = _texts(item.get("Layers"), "Layers"), _texts(item.get("RepoTags"), "RepoTags")
    if len(names) > MAX_NAMES:
        raise InvalidArchive(f"{DOCKER_FILE} holds an image with {len(names)} names")
    return SavedImage(item["Config"], layers, names)


def _texts(items: object, name: str) -> tuple[str, ...]:
    if items is None:
        return ()
    if not isinstance(items, list) or len(items) > MAX_DESCRIPTORS or not all(isinstance(one, str) for one in items):
        raise InvalidArchive(f"{name} is no list of names")
    return tuple(items)


def _pointer(descriptor: Descriptor) -> dict[str, object]:
    return {"mediaType": descriptor.media_type, "digest": str(descriptor.digest), "size": descriptor.size}


def _load(content: bytes, name: str) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidArchive(f"{name} is not JSON") from error


def _write(fields: object) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()
