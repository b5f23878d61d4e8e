"""Archives as engines have written them, made layouts."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidSetting
from proxy.storage.layout_source import LayoutSource
from proxy.storage.saved_images import adopt_directory, unpack_saved

LAYER = b"a layer" * 1000
CONFIG = json.dumps({"os": "linux", "architecture": "arm", "rootfs": {"type": "layers", "diff_ids": []}}).encode()


def write(file: Path, entries: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> Path:
    with tarfile.open(file, "w") as archive:
        for name, content in entries.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
    return file


def listed(*layers: str, count: int = 1) -> bytes:
    return json.dumps([{"Config": "c.json", "RepoTags": None, "Layers": list(layers)}] * count).encode()


async def read_image(folder: Path) -> dict[str, Any]:
    source = LayoutSource(folder)
    (manifest,) = source.list_manifests()
    return dict(json.loads((await source.fetch_manifest("", manifest.digest)).content))


def blob(folder: Path, digest: str) -> bytes:
    content = (folder / "blobs" / digest.replace(":", "/")).read_bytes()
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == digest
    return content


async def test_an_engine_of_before_25_has_its_layers_compressed(tmp_path: Path) -> None:
    """A layer that stands twice is a link the second time (moby `image/tarexport/save.go`)."""
    entries = {"c.json": CONFIG, "1/layer.tar": LAYER, "manifest.json": listed("1/layer.tar", "2/layer.tar")}
    unpack_saved(write(tmp_path / "x.tar", entries, {"2/layer.tar": "../1/layer.tar"}), tmp_path / "out")
    image = await read_image(tmp_path / "out")
    first, second = image["layers"]
    assert first == second
    assert first["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
    assert gzip.decompress(blob(tmp_path / "out", first["digest"])) == LAYER
    assert json.loads((tmp_path / "out" / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    assert Digest.of(CONFIG).encoded in {path.name for path in (tmp_path / "out" / "blobs" / "sha256").iterdir()}


async def test_the_same_image_is_the_same_bytes(tmp_path: Path) -> None:
    archive = write(tmp_path / "x.tar", {"c.json": CONFIG, "l": LAYER, "manifest.json": listed("l")})
    for name in ("one", "two"):
        unpack_saved(archive, tmp_path / name)
    assert (tmp_path / "one" / "index.json").read_bytes() == (tmp_path / "two" / "index.json").read_bytes()


@pytest.mark.parametrize(("begin", "suffix"), [(b"\x1f\x8b\x08", "+gzip"), (b"\x28\xb5\x2f\xfd", "+zstd")])
async def test_a_layer_that_is_compressed_stays_as_it_is(tmp_path: Path, begin: bytes, suffix: str) -> None:
    content = begin + LAYER
    unpack_saved(
        write(tmp_path / "x.tar", {"c.json": CONFIG, "l": content, "manifest.json": listed("l")}), tmp_path / "out"
    )
    (layer,) = (await read_image(tmp_path / "out"))["layers"]
    assert (layer["mediaType"], layer["digest"]) == (
        f"application/vnd.oci.image.layer.v1.tar{suffix}",
        str(Digest.of(content)),
    )


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({}, "cannot be unpacked: .*manifest.json"),
        ({"manifest.json": b"[]"}, "0 images instead of one"),
        ({"manifest.json": listed(count=2)}, "2 images instead of one"),
        ({"manifest.json": listed()}, "c.json"),
        ({"manifest.json": listed("l"), "c.json": CONFIG}, "'l'"),
        ({"manifest.json": b"{"}, "is not JSON"),
    ],
)
def test_what_is_no_archive_of_one_image(tmp_path: Path, entries: dict[str, bytes], reason: str) -> None:
    with pytest.raises(InvalidSetting, match=reason):
        unpack_saved(write(tmp_path / "x.tar", entries), tmp_path / "out")


def test_what_is_no_archive_at_all(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"x" * 1000)
    with pytest.raises(InvalidSetting, match=r"x.tar cannot be unpacked"):
        unpack_saved(tmp_path / "x.tar", tmp_path / "out")


def write_directory(folder: Path, *, without: Digest | None = None) -> Digest:
    """Write what `podman push --compress app dir:FOLDER` writes of an image with one layer; answer its digest."""
    layer, kinds = gzip.compress(LAYER, mtime=0), "application/vnd.docker"
    contents = {Digest.of(CONFIG): CONFIG, Digest.of(layer): layer}
    for digest, content in contents.items():
        if digest != without:
            (folder / digest.encoded).write_bytes(content)
    described = [{"digest": str(digest), "size": len(content)} for digest, content in contents.items()]
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kinds}.distribution.manifest.v2+json",
        "config": {"mediaType": f"{kinds}.container.image.v1+json", **described[0]},
        "layers": [{"mediaType": f"{kinds}.image.rootfs.diff.tar.gzip", **described[1]}],
    }
    content = json.dumps(manifest).encode()
    (folder / "manifest.json").write_bytes(content)
    (folder / "version").write_text("Directory Transport Version: 1.1\n")
    return Digest.of(content)


async def test_a_directory_is_a_layout_of_the_same_image(tmp_path: Path) -> None:
    digest = write_directory(tmp_path)
    adopt_directory(tmp_path)
    (listed,) = LayoutSource(tmp_path).list_manifests()
    assert (listed.digest, listed.media_type) == (digest, "application/vnd.docker.distribution.manifest.v2+json")
    image = await read_image(tmp_path)
    assert blob(tmp_path, image["config"]["digest"]) == CONFIG
    assert gzip.decompress(blob(tmp_path, image["layers"][0]["digest"])) == LAYER


def test_a_directory_that_lacks_something_is_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"has no image that can be read: .*manifest\.json"):
        adopt_directory(tmp_path)
    write_directory(tmp_path, without=Digest.of(CONFIG))
    with pytest.raises(InvalidSetting, match=rf"has no image that can be read: .*{Digest.of(CONFIG).encoded}"):
        adopt_directory(tmp_path)
