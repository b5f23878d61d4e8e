"""A layout whose image says something else than what it was built for."""

import json
from pathlib import Path

import pytest

from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidSetting
from proxy.oci.manifests import parse_config_platform, parse_manifest
from proxy.oci.platforms import Platform
from proxy.storage.layout_rewriting import state_platform
from tests.lab.images import build_image

IMAGE = build_image("linux/arm/v7", label="built")
RPI = Platform.parse("linux/arm/v6")


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    (tmp_path / "blobs" / "sha256").mkdir(parents=True)
    for blob in (IMAGE.manifest, IMAGE.config, *IMAGE.layers):
        (tmp_path / "blobs" / blob.digest.replace(":", "/")).write_bytes(blob.content)
    manifest = IMAGE.manifest
    entry = {"mediaType": manifest.media_type, "digest": manifest.digest, "size": len(manifest.content)}
    (tmp_path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return tmp_path


def read(layout: Path, digest: Digest) -> bytes:
    content = (layout / "blobs" / digest.algorithm / digest.encoded).read_bytes()
    assert digest.matches(content)
    return content


def test_the_image_says_what_it_was_built_for_and_is_the_same_otherwise(layout: Path) -> None:
    found = state_platform(layout, RPI)
    content = read(layout, found.digest)
    document = parse_manifest(content, found.media_type)
    config, *layers = document.children
    assert len(content) == found.size
    assert parse_config_platform(read(layout, config.digest)) == RPI
    assert len(read(layout, config.digest)) == config.size
    assert [str(layer.digest) for layer in layers] == [layer.digest for layer in IMAGE.layers]
    told, was = json.loads(read(layout, config.digest)), json.loads(IMAGE.config.content)
    assert {**told, "variant": "v7"} == was


def test_one_that_says_it_already_stays_as_it_is(layout: Path) -> None:
    assert str(state_platform(layout, Platform.parse("linux/arm/v7")).digest) == IMAGE.manifest.digest


def test_a_layout_of_another_kind_is_refused(layout: Path) -> None:
    (layout / "blobs" / IMAGE.config.digest.replace(":", "/")).unlink()
    with pytest.raises(InvalidSetting, match="no image that can be read"):
        state_platform(layout, RPI)
    (layout / "index.json").write_text('{"schemaVersion": 2, "manifests": []}')
    with pytest.raises(InvalidSetting, match="has 0 images instead of one"):
        state_platform(layout, RPI)
