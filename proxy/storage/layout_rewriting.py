"""An OCI image layout that says for which platform its image is.

buildah 1.28 writes another variant of arm than the one that it was told to build for (`v7` for `linux/arm/v6`, upon an
image that says nothing). Whoever reads the image by itself, as this proxy does, would take it for less than it is.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidManifest, InvalidSetting
from proxy.oci.manifests import Descriptor, load_object
from proxy.oci.platforms import Platform, parse_platform_object, platform_object
from proxy.storage.layout_source import LayoutSource


def state_platform(folder: Path, platform: Platform) -> Descriptor:
    """Let the only image of a layout say what it is for; answer where it is then.

    Raises:
        InvalidSetting: The folder is no layout of one image.
    """
    listed = LayoutSource(folder).list_manifests()
    if len(listed) != 1:
        raise InvalidSetting(f"{folder} has {len(listed)} images instead of one")
    try:
        manifest = _load(folder, listed[0].digest)
        config = _load(folder, Digest.parse(str(_part(manifest, "config").get("digest"))))
    except (OSError, InvalidManifest) as error:
        raise InvalidSetting(f"{folder} has no image that can be read: {error}") from error
    told = parse_platform_object(config)
    if told is not None and told.normalised() == platform.normalised():
        return listed[0]
    kept = {name: value for name, value in config.items() if name not in {"os", "architecture", "variant"}}
    content = json.dumps({**platform_object(platform.normalised()), **kept}).encode()
    digest = _write(folder, content)
    part = {**_part(manifest, "config"), "digest": str(digest), "size": len(content)}
    written = json.dumps({**manifest, "config": part}).encode()
    return Descriptor(listed[0].media_type, _write(folder, written), len(written))


def _load(folder: Path, digest: Digest) -> Mapping[str, Any]:
    return load_object((folder / "blobs" / digest.algorithm / digest.encoded).read_bytes())


def _part(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = fields.get(name)
    if not isinstance(found, dict):
        raise InvalidManifest(f"there is no {name}")
    return found


def _write(folder: Path, content: bytes) -> Digest:
    digest = Digest.of(content)
    (folder / "blobs" / digest.algorithm / digest.encoded).write_bytes(content)
    return digest
