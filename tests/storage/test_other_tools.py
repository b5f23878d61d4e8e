"""The cache folder is what the OCI says it is: other people's tools read it."""

import json
from concurrent.futures import Executor
from pathlib import Path

import pytest

from proxy.oci.digests import Digest
from proxy.oci.manifests import Descriptor
from proxy.ports import TagRecord, TagState
from proxy.storage.disk import DiskBlobStore
from proxy.storage.layout_index import LayoutIndex
from proxy.storage.memory import MemoryCatalog
from tests.contracts.blob_store import put
from tests.lab import tools
from tests.lab.images import Form, Image, build_image, build_index
from tests.lab.programs import run

pytestmark = pytest.mark.lab
ARM64, ARM_V7 = build_image("linux/arm64", form=Form.OCI), build_image("linux/arm/v7", form=Form.OCI)


async def _store_image(store: DiskBlobStore, image: Image) -> None:
    for blob in (image.manifest, image.config, *image.layers):
        await put(store, blob.content)


@pytest.fixture
async def folder(tmp_path: Path, writers: Executor) -> Path:
    """A cache folder with an index of two images, and one image by itself."""
    store = DiskBlobStore(tmp_path / "cache", writers)
    store.prepare()
    index = build_index([ARM64, ARM_V7])
    for image in index.images:
        await _store_image(store, image)
    await put(store, index.manifest.content)
    catalog = MemoryCatalog()
    async with LayoutIndex(store.root, catalog, store, writers):
        for tag, document in (("multi", index), ("single", ARM_V7)):
            blob = document.manifest
            found = Descriptor(blob.media_type, Digest.parse(blob.digest), len(blob.content))
            await catalog.put_tag(TagRecord("docker.io", "library/app", tag, TagState.PRESENT, 1.0, found))
    store.close()
    return store.root


async def test_skopeo_reads_an_image_from_the_folder(folder: Path) -> None:
    skopeo = tools.require("skopeo")
    inspected = (await run(skopeo, "inspect", f"oci:{folder}:docker.io/library/app:single")).check()
    found = json.loads(inspected.stdout)
    assert (found["Architecture"], found["Layers"]) == ("arm", [layer.digest for layer in ARM_V7.layers])


@pytest.mark.parametrize(("architecture", "image"), [("arm64", ARM64), ("arm", ARM_V7)], ids=["arm64", "arm"])
async def test_skopeo_copies_each_platform_out_of_the_folder(
    folder: Path, tmp_path: Path, architecture: str, image: Image
) -> None:
    skopeo = tools.require("skopeo")
    source, target = f"oci:{folder}:docker.io/library/app:multi", f"dir:{tmp_path / 'copy'}"
    command = (skopeo, "--insecure-policy", f"--override-arch={architecture}", "copy", "--preserve-digests")
    (await run(*command, source, target)).check()
    assert (tmp_path / "copy" / "manifest.json").read_bytes() == image.manifest.content


async def test_skopeo_copies_all_of_an_index(folder: Path, tmp_path: Path) -> None:
    skopeo = tools.require("skopeo")
    source, target = f"oci:{folder}:docker.io/library/app:multi", f"dir:{tmp_path / 'copy'}"
    (await run(skopeo, "--insecure-policy", "copy", "--all", "--preserve-digests", source, target)).check()
    copied = {path.name for path in (tmp_path / "copy").iterdir()}
    for image in (ARM64, ARM_V7):
        assert {layer.digest.removeprefix("sha256:") for layer in image.layers} <= copied
