"""What a builder's own commands wrote of an image, made an OCI image layout.

By `docker save`, engines before 25 write no layout, but a `manifest.json` with a config and layers as they are
unpacked; later ones write both, and are read the same way. Layers that are not compressed yet are compressed here, as
they would be for a push. To `dir:`, `buildah push` and `podman push` write every file by the hex digits of its digest
(containers-transports(5)).
"""

import gzip
import hashlib
import shutil
import tarfile
from pathlib import Path
from typing import IO

from proxy.oci import layouts
from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidManifest, InvalidSetting
from proxy.oci.manifests import Descriptor, parse_manifest
from proxy.oci.media_types import OCI_CONFIG, OCI_MANIFEST
from proxy.oci.references import Reference

PIECE_BYTES = 1024 * 1024
BEGIN_BYTES = 8
LEVEL = 6
NAME = Reference("localhost", "image", "latest")


def unpack_saved(archive: Path, folder: Path) -> None:
    """Write the one image of an archive into a folder.

    Raises:
        InvalidSetting: It is no archive of one image, or the folder cannot be written.
    """
    try:
        (folder / "blobs" / "sha256").mkdir(parents=True)
        with tarfile.open(archive) as tar:
            _unpack(tar, folder)
    except (OSError, KeyError, tarfile.TarError) as error:
        raise InvalidSetting(f"{archive.name} cannot be unpacked: {error}") from error


def adopt_directory(folder: Path) -> None:
    """Make a folder that was pushed to as `dir:` a layout of the image that it has: its files are moved.

    Raises:
        InvalidSetting: It has no image, or cannot be written.
    """
    try:
        content = (folder / "manifest.json").read_bytes()
        document = parse_manifest(content, "")
        (folder / "blobs" / "sha256").mkdir(parents=True)
        for digest in dict.fromkeys(child.digest for child in document.children):
            (folder / digest.encoded).rename(folder / layouts.blob_path(digest))
        _write_index(folder, _put(folder, content, document.media_type))
    except (OSError, InvalidManifest) as error:
        raise InvalidSetting(f"{folder} has no image that can be read: {error}") from error


def _unpack(tar: tarfile.TarFile, folder: Path) -> None:
    images = layouts.parse_docker(_open(tar, layouts.DOCKER_FILE).read())
    if len(images) != 1:
        raise InvalidSetting(f"it holds {len(images)} images instead of one")
    config = _put(folder, _open(tar, images[0].config).read(), OCI_CONFIG)
    layers = [_put_layer(folder, _open(tar, name)) for name in images[0].layers]
    _write_index(folder, _put(folder, layouts.image_content(config, layers), OCI_MANIFEST))


def _write_index(folder: Path, manifest: Descriptor) -> None:
    (folder / layouts.INDEX_FILE).write_bytes(layouts.index_content(manifest, None, NAME))
    (folder / layouts.LAYOUT_FILE).write_bytes(layouts.layout_content())


def _open(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    found = tar.extractfile(name)
    if found is None:
        raise InvalidSetting(f"its {name} is no file")
    return found


def _put(folder: Path, content: bytes, media_type: str) -> Descriptor:
    digest = Digest.of(content)
    (folder / layouts.blob_path(digest)).write_bytes(content)
    return Descriptor(media_type, digest, len(content))


def _put_layer(folder: Path, layer: IO[bytes]) -> Descriptor:
    media_type = layouts.layer_media_type(layer.read(BEGIN_BYTES))
    layer.seek(0)
    draft = folder / "draft"
    if media_type == layouts.LAYER:
        media_type = f"{layouts.LAYER}+gzip"
        # Without a time and a name in it: the same layer is the same blob, whenever it is built.
        with draft.open("wb") as file, gzip.GzipFile("", "wb", LEVEL, file, mtime=0) as packed:
            shutil.copyfileobj(layer, packed, PIECE_BYTES)
    else:
        with draft.open("wb") as file:
            shutil.copyfileobj(layer, file, PIECE_BYTES)
    with draft.open("rb") as written:
        digest = Digest("sha256", hashlib.file_digest(written, "sha256").hexdigest())
    size = draft.stat().st_size
    draft.rename(folder / layouts.blob_path(digest))
    return Descriptor(media_type, digest, size)
