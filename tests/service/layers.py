"""Layers with programs in them, and images made of such layers."""

import gzip
import io
import json
import tarfile

from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.manifests import Descriptor
from tests.fakes.upstream import FakeUpstream


def build_tar(*files: tuple[str, bytes]) -> bytes:
    """Build an archive of files that may be executed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def build_layer(*files: tuple[str, bytes]) -> bytes:
    """Build a layer as registries hold it."""
    return gzip.compress(build_tar(*files), mtime=0)


def publish(upstream: FakeUpstream, name: str, claim: dict[str, str], *layers: bytes) -> list[Descriptor]:
    """Put an image of these layers under `repository:tag`, with what its config claims; answer its layers."""
    repository, _, tag = name.rpartition(":")
    config = json.dumps({"os": "linux", **claim}).encode()
    types = (media_types.DOCKER_CONFIG, *["application/vnd.docker.image.rootfs.diff.tar.gzip"] * len(layers))
    parts = [
        Descriptor(media_type, upstream.put_blob(repository, content), len(content))
        for media_type, content in zip(types, (config, *layers), strict=True)
    ]
    listed = [{"mediaType": part.media_type, "digest": str(part.digest), "size": part.size} for part in parts]
    fields = {"schemaVersion": 2, "mediaType": media_types.DOCKER_MANIFEST, "config": listed[0], "layers": listed[1:]}
    upstream.put_manifest(repository, json.dumps(fields).encode(), media_types.DOCKER_MANIFEST, tag=tag)
    return parts[1:]


def describe(content: bytes) -> Descriptor:
    """Answer the descriptor of a layer."""
    return Descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", Digest.of(content), len(content))
