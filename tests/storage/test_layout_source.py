"""A layout as a builder writes it, read as a source of images."""

import json
from contextlib import aclosing
from pathlib import Path

import pytest

from proxy.oci.digests import Digest
from proxy.oci.errors import BlobDamaged, BlobUnknown, InvalidSetting, ManifestUnknown
from proxy.storage.layout_source import LayoutSource
from tests.lab.images import Blob, build_image

IMAGE = build_image("linux/arm/v6", label="built", padding_bytes=2_500_000)


def address(blob: Blob) -> Digest:
    return Digest.parse(blob.digest)


@pytest.fixture
def layout(tmp_path: Path) -> LayoutSource:
    folder = tmp_path / "blobs" / "sha256"
    folder.mkdir(parents=True)
    for blob in (IMAGE.manifest, IMAGE.config, *IMAGE.layers):
        (folder / address(blob).encoded).write_bytes(blob.content)
    manifest = IMAGE.manifest
    entry = {"mediaType": manifest.media_type, "digest": manifest.digest, "size": len(manifest.content)}
    (tmp_path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return LayoutSource(tmp_path)


async def test_what_is_listed_can_be_read(layout: LayoutSource) -> None:
    (listed,) = layout.list_manifests()
    found = await layout.fetch_manifest("", listed.digest)
    assert (found.content, found.media_type) == (IMAGE.manifest.content, IMAGE.manifest.media_type)
    assert await layout.head_manifest("", listed.digest) == listed


@pytest.mark.parametrize("offset", [0, 1_500_000])
async def test_a_blob_is_read_from_anywhere(layout: LayoutSource, offset: int) -> None:
    blob = max(IMAGE.layers, key=lambda layer: len(layer.content))
    assert await layout.head_blob("", address(blob)) == len(blob.content)
    async with layout.open_blob("", address(blob), offset=offset) as stream, aclosing(stream.chunks()) as chunks:
        assert (stream.size, stream.offset) == (len(blob.content), offset)
        assert b"".join([chunk async for chunk in chunks]) == blob.content[offset:]


async def test_what_is_not_there_or_not_what_it_should_be_is_unknown(layout: LayoutSource, tmp_path: Path) -> None:
    absent = Digest.of(b"absent")
    with pytest.raises(ManifestUnknown):
        await layout.fetch_manifest("", absent)
    with pytest.raises(ManifestUnknown):
        await layout.fetch_manifest("", "latest")
    with pytest.raises(BlobUnknown):
        await layout.head_blob("", absent)
    (tmp_path / "blobs" / "sha256" / address(IMAGE.manifest).encoded).write_bytes(b"{}")
    with pytest.raises(ManifestUnknown):
        await layout.fetch_manifest("", address(IMAGE.manifest))
    (tmp_path / "blobs" / "sha256" / Digest.of(b"[]").encoded).write_bytes(b"[]")
    with pytest.raises(ManifestUnknown, match="no manifest: "):
        await layout.fetch_manifest("", Digest.of(b"[]"))


async def test_what_cannot_be_read_is_told(layout: LayoutSource, tmp_path: Path) -> None:
    blob = address(IMAGE.layers[0])
    async with layout.open_blob("", blob) as stream, aclosing(stream.chunks()) as chunks:
        (tmp_path / "blobs" / "sha256" / blob.encoded).unlink()
        with pytest.raises(BlobDamaged, match="No such file"):
            await anext(chunks)


@pytest.mark.parametrize("content", [None, b"", b"{}"])
def test_a_folder_that_is_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "index.json").write_bytes(content)
    with pytest.raises(InvalidSetting, match="is no OCI image layout"):
        LayoutSource(tmp_path).list_manifests()
