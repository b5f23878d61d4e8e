import gzip
import io
import json
import tarfile

import pytest

from tests.lab.images import Form, build_image, build_index, digest_of


@pytest.mark.parametrize("form", list(Form))
def test_the_same_arguments_give_the_same_bytes(form: Form) -> None:
    assert build_image("linux/arm/v7", form=form, padding_bytes=999) == build_image(
        "linux/arm/v7", form=form, padding_bytes=999
    )


def test_everything_points_to_what_it_says() -> None:
    image = build_image("linux/arm/v7", padding_bytes=70_000)
    manifest, config = json.loads(image.manifest.content), json.loads(image.config.content)
    assert manifest["config"] == image.config.descriptor()
    assert manifest["layers"] == [layer.descriptor() for layer in image.layers]
    tars = [gzip.decompress(layer.content) for layer in image.layers]
    assert config["rootfs"]["diff_ids"] == [digest_of(tar) for tar in tars]
    assert (config["os"], config["architecture"], config["variant"]) == ("linux", "arm", "v7")
    with tarfile.open(fileobj=io.BytesIO(tars[0])) as archive:
        file = archive.extractfile("etc/arch")
        assert file is not None
        assert file.read() == b"linux/arm/v7"


def test_a_config_may_lie() -> None:
    image = build_image("linux/arm/v6", config_platform="linux/arm")
    assert "variant" not in json.loads(image.config.content)
    assert str(image.platform) == "linux/arm/v6"


def test_an_index_lists_each_image_and_then_each_attestation() -> None:
    image = build_image("linux/arm64", form=Form.OCI)
    index = build_index([image], attested=True)
    first, second = json.loads(index.manifest.content)["manifests"]
    assert first["digest"] == image.manifest.digest
    assert first["platform"] == {"os": "linux", "architecture": "arm64"}
    assert second["digest"] == index.attestations[0].manifest.digest
    assert second["platform"] == {"os": "unknown", "architecture": "unknown"}
    assert second["annotations"]["vnd.docker.reference.digest"] == image.manifest.digest
