"""Container images built in memory: real gzip layers, true digests, the same bytes for the same arguments."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Self

DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
IN_TOTO = "application/vnd.in-toto+json"
MANIFEST_TYPES = (DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX)

_CREATED = "2015-04-25T00:00:00Z"  # the day jessie was released


class Form(StrEnum):
    """Whose media types a document uses."""

    DOCKER = "docker"
    OCI = "oci"


class Platform(NamedTuple):
    """An operating system, an architecture and perhaps a variant; text form `os/architecture[/variant]`."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form."""
        return cls(*text.split("/"))

    def __str__(self) -> str:
        return "/".join(part for part in self if part)

    def as_json(self) -> dict[str, str]:
        """The form that stands in image configs and index entries: no empty variant."""
        return {key: value for key, value in self._asdict().items() if value}


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes with their media type and digest: a layer, a config or a manifest."""

    media_type: str
    content: bytes
    digest: str

    @classmethod
    def of(cls, media_type: str, content: bytes) -> Self:
        """Digest the content."""
        return cls(media_type, content, digest_of(content))

    def descriptor(self) -> dict[str, str | int]:
        """The three fields by which other documents point here."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.content)}


@dataclass(frozen=True, slots=True)
class Image:
    """One platform's image. `platform` is the truth; the config may have been told to say something else."""

    platform: Platform
    manifest: Blob
    config: Blob
    layers: tuple[Blob, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """An image index or Docker manifest list with the images that it lists, attestations apart."""

    manifest: Blob
    images: tuple[Image, ...]
    attestations: tuple[Image, ...] = ()


Document = Image | Index


def digest_of(content: bytes) -> str:
    """Return the sha256 digest in its text form."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def build_image(
    platform: str,
    *,
    label: str = "",
    form: Form = Form.DOCKER,
    config_platform: str | None = None,
    padding_bytes: int = 0,
) -> Image:
    """Build an image whose `/etc/arch` holds the platform.

    Args:
        platform: What the image truly is, e.g. `linux/arm/v7`.
        label: Any text; it sets images of the same platform apart.
        form: Docker schema 2 or OCI media types.
        config_platform: What the config claims instead: a lie, or `linux/arm` for a config without a variant.
        padding_bytes: Adds a second layer of that many incompressible bytes.
    """
    trees = [{"etc/arch": platform.encode(), "etc/label": label.encode()}]
    if padding_bytes:
        trees.append({"padding": hashlib.shake_256(f"{label} {platform}".encode()).digest(padding_bytes)})
    tars = [_build_tar(tree) for tree in trees]
    config = {
        **Platform.parse(config_platform or platform).as_json(),
        "created": _CREATED,
        "config": {"Cmd": ["/bin/sh"], "Labels": {"lab.label": label}},
        "history": [{"created": _CREATED, "created_by": f"lab {number}"} for number, _ in enumerate(tars)],
        "rootfs": {"type": "layers", "diff_ids": [digest_of(tar) for tar in tars]},
    }
    docker = form is Form.DOCKER
    layers = [Blob.of(DOCKER_LAYER if docker else OCI_LAYER, _compress(tar)) for tar in tars]
    return _assemble(
        Platform.parse(platform),
        Blob.of(DOCKER_CONFIG if docker else OCI_CONFIG, _to_json(config)),
        [(layer, {}) for layer in layers],
        DOCKER_MANIFEST if docker else OCI_MANIFEST,
    )


def build_index(images: Sequence[Image], *, form: Form = Form.OCI, attested: bool = False) -> Index:
    """Build an index of images; `attested` adds BuildKit's attestation manifest for each of them."""
    attestations = tuple(_build_attestation(image) for image in images) if attested else ()
    entries: list[dict[str, object]] = [
        {**image.manifest.descriptor(), "platform": image.platform.as_json()} for image in images
    ]
    for image, attestation in zip(images, attestations, strict=False):
        notes = {
            "vnd.docker.reference.digest": image.manifest.digest,
            "vnd.docker.reference.type": "attestation-manifest",
        }
        platform = attestation.platform.as_json()
        entries.append({**attestation.manifest.descriptor(), "annotations": notes, "platform": platform})
    media_type = OCI_INDEX if form is Form.OCI else DOCKER_LIST
    content = _to_json({"schemaVersion": 2, "mediaType": media_type, "manifests": entries})
    return Index(Blob.of(media_type, content), tuple(images), attestations)


def _build_attestation(subject: Image) -> Image:
    statement = {
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": "https://slsa.dev/provenance/v0.2",
        "subject": [{"name": "lab", "digest": {"sha256": subject.manifest.digest.removeprefix("sha256:")}}],
        "predicate": {},
    }
    layer = Blob.of(IN_TOTO, _to_json(statement))
    platform = Platform("unknown", "unknown")
    config = {**platform.as_json(), "rootfs": {"type": "layers", "diff_ids": [layer.digest]}}
    notes = {"in-toto.io/predicate-type": str(statement["predicateType"])}
    return _assemble(platform, Blob.of(OCI_CONFIG, _to_json(config)), [(layer, notes)], OCI_MANIFEST)


def _assemble(
    platform: Platform, config: Blob, layers: Sequence[tuple[Blob, Mapping[str, str]]], media_type: str
) -> Image:
    pointers = [
        {**layer.descriptor(), **({"annotations": dict(annotations)} if annotations else {})}
        for layer, annotations in layers
    ]
    content = {"schemaVersion": 2, "mediaType": media_type, "config": config.descriptor(), "layers": pointers}
    manifest = Blob.of(media_type, _to_json(content))
    return Image(platform, manifest, config, tuple(layer for layer, _ in layers))


def _build_tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for folder in sorted({name.rpartition("/")[0] for name in files} - {""}):
            entry = tarfile.TarInfo(f"{folder}/")
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _compress(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=buffer, mtime=0) as stream:
        stream.write(content)
    return buffer.getvalue()


def _to_json(content: object) -> bytes:
    return json.dumps(content, indent=2).encode()
