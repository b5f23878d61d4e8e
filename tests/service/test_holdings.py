"""What of a document is at hand."""

import json

import pytest

from proxy.oci import media_types
from proxy.oci.manifests import Descriptor
from proxy.service.holdings import MAX_INDEX_DEPTH, Holdings, is_foreign
from tests.fakes.store import FailingBlobStore
from tests.lab.images import Blob, Form, build_image, build_index
from tests.service.bench import AMD64, ARM64, ARM_V7, Kept, address, jessie, put_blob
from tests.service.stocking import blobs_of, describe, stock

IMAGES = tuple(jessie(platform) for platform in (AMD64, ARM64, ARM_V7))
INDEX = build_index(IMAGES, attested=True)


@pytest.fixture
def kept() -> Kept:
    return Kept()


async def test_an_index_that_is_all_there(kept: Kept) -> None:
    await stock(kept, INDEX, "jessie")
    holding = Holdings(kept.store).look(describe(INDEX.manifest))
    assert [str(image.platform) for image in holding.whole_images] == [AMD64, ARM64, ARM_V7]
    assert holding.lacking_images == ()
    blobs = [INDEX.manifest, *(blob for image in (*INDEX.images, *INDEX.attestations) for blob in blobs_of(image))]
    assert holding.sizes == {address(blob): len(blob.content) for blob in blobs}
    assert len(holding.images) == 6  # the attestations are images in form
    assert repr(Holdings(kept.store)) == "<Holdings of <MemoryBlobStore: 19 blobs>>"


async def test_platforms_that_nobody_pulled_are_lacking(kept: Kept) -> None:
    await stock(kept, INDEX, "jessie", images=IMAGES[2:])
    holding = Holdings(kept.store).look(describe(INDEX.manifest))
    assert [str(image.platform) for image in holding.whole_images] == [ARM_V7]
    assert [str(image.platform) for image in holding.lacking_images] == [AMD64, ARM64]


@pytest.mark.parametrize("part", [1, 2], ids=["config", "layer"])
async def test_an_image_without_all_its_parts_is_not_whole(kept: Kept, part: int) -> None:
    await stock(kept, IMAGES[0], "jessie")
    missing = address(blobs_of(IMAGES[0])[part])
    await kept.store.remove(missing)
    (image,) = Holdings(kept.store).look(describe(IMAGES[0].manifest)).images
    assert not image.is_whole
    assert image.lacking == (missing,)


async def test_an_image_by_itself_has_its_config_s_platform(kept: Kept) -> None:
    await stock(kept, IMAGES[2], "jessie")
    (image,) = Holdings(kept.store).look(describe(IMAGES[2].manifest)).images
    assert str(image.platform) == ARM_V7


async def test_a_config_that_is_none_tells_no_platform(kept: Kept) -> None:
    config = Blob.of(media_types.OCI_CONFIG, b"no config")
    content = json.dumps({"schemaVersion": 2, "config": config.descriptor(), "layers": []}).encode()
    root = Descriptor(media_types.OCI_MANIFEST, await put_blob(kept.store, content), len(content))
    assert Holdings(kept.store).look(root).images[0].platform is None
    await put_blob(kept.store, config.content)
    (image,) = Holdings(kept.store).look(root).images
    assert (image.platform, image.is_whole) == (None, True)


async def test_what_is_not_there_or_damaged_is_not_at_hand() -> None:
    store = FailingBlobStore()
    root = describe(IMAGES[0].manifest)
    assert Holdings(store).look(root).root is None
    store.put_broken(root.digest, b"something else")
    assert Holdings(store).look(root).root is None
    assert root.digest in store.blobs  # looking changes nothing


async def test_a_layer_that_is_asked_for_as_a_manifest_is_none(kept: Kept) -> None:
    await stock(kept, IMAGES[0], "jessie")
    assert Holdings(kept.store).look(describe(IMAGES[0].layers[0])).root is None


async def test_indexes_in_indexes_are_followed_so_far_and_no_further(kept: Kept) -> None:
    inner = build_index(IMAGES[:1])
    await stock(kept, inner, "0")
    depths = []
    blob = inner.manifest
    for _ in range(MAX_INDEX_DEPTH):
        content = json.dumps({"schemaVersion": 2, "manifests": [blob.descriptor()]}).encode()
        blob = Blob.of(media_types.OCI_INDEX, content)
        await put_blob(kept.store, content)
        depths.append(len(Holdings(kept.store).look(describe(blob)).whole_images))
    assert depths == [1, 1, 1, 0]


async def test_an_inner_index_that_is_missing_is_lacking(kept: Kept) -> None:
    content = json.dumps({"schemaVersion": 2, "manifests": [INDEX.manifest.descriptor()]}).encode()
    root = Descriptor(media_types.OCI_INDEX, await put_blob(kept.store, content), len(content))
    (image,) = Holdings(kept.store).look(root).lacking_images
    assert image.lacking == (address(INDEX.manifest),)


async def test_layers_that_no_registry_holds_are_not_missed(kept: Kept) -> None:
    image = build_image("windows/amd64", form=Form.OCI)
    fields = json.loads(image.manifest.content)
    foreign = Blob.of("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", b"elsewhere")
    fields["layers"].insert(0, foreign.descriptor())
    content = json.dumps(fields).encode()
    for blob in (image.config, *image.layers):
        await put_blob(kept.store, blob.content)
    root = Descriptor(media_types.OCI_MANIFEST, await put_blob(kept.store, content), len(content))
    assert Holdings(kept.store).look(root).images[0].is_whole
    assert is_foreign(describe(foreign))
    assert not is_foreign(describe(image.layers[0]))
