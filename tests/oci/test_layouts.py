"""Image archives: their documents, and the names in them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci import layouts, media_types
from proxy.oci.digests import Digest
from proxy.oci.layouts import InvalidArchive, SavedImage
from proxy.oci.manifests import Descriptor, ImageManifest, parse_manifest
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference

DIGEST = Digest.of(b"1")
OTHER = Digest.of(b"2")
ROOT = Descriptor(media_types.OCI_MANIFEST, DIGEST, 7)
JESSIE = Reference.parse("debian:jessie")
PINNED = Reference.parse(f"debian@{DIGEST}")


@pytest.mark.parametrize("digest", [DIGEST, Digest("sha512", "ab" * 64)], ids=str)
def test_a_blob_s_name_is_read_as_it_is_written(digest: Digest) -> None:
    assert layouts.parse_blob_path(layouts.blob_path(digest)) == digest


@given(st.text(max_size=80))
def test_any_other_name_is_no_blob_s(name: str) -> None:
    found = layouts.parse_blob_path(name)
    assert found is None or layouts.blob_path(found) == name


@pytest.mark.parametrize(
    "name", ["blobs/sha256/ab", "blobs/md5/" + "0" * 32, f"other/sha256/{'0' * 64}", f"blobs/sha256/{'0' * 64}/x", ""]
)
def test_a_name_that_is_no_blob_s(name: str) -> None:
    assert layouts.parse_blob_path(name) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("debian", "debian"),
        ("docker.io/library/debian:8", "debian"),
        ("me/app", "me/app"),
        ("ghcr.io/me/app", "ghcr.io/me/app"),
        ("localhost:5000/app", "localhost:5000/app"),
    ],
)
def test_a_familiar_name_is_docker_s_and_means_the_same(text: str, name: str) -> None:
    reference = Reference.parse(text)
    assert layouts.familiar_name(reference) == name
    assert Reference.parse(f"{name}:{reference.target}") == reference


def test_an_index_has_the_names_that_docker_and_containerd_write() -> None:
    content = layouts.index_content(ROOT, Platform.parse("linux/arm/v7"), JESSIE)
    (entry,) = json.loads(content)["manifests"]
    assert entry["annotations"] == {
        "io.containerd.image.name": "docker.io/library/debian:jessie",
        "org.opencontainers.image.ref.name": "jessie",
    }
    assert entry["platform"] == {"architecture": "arm", "os": "linux", "variant": "v7"}
    (descriptor,) = layouts.parse_index(content).manifests
    assert (descriptor.digest, descriptor.size) == (DIGEST, 7)
    assert layouts.parse_name(descriptor) == JESSIE


def test_an_index_of_a_digest_says_so() -> None:
    (descriptor,) = layouts.parse_index(layouts.index_content(ROOT, None, PINNED)).manifests
    assert descriptor.platform is None
    assert layouts.parse_name(descriptor) == PINNED


def test_docker_s_list_is_read_as_it_is_written() -> None:
    (image,) = layouts.parse_docker(layouts.docker_content(DIGEST, [OTHER], JESSIE))
    assert image == SavedImage(layouts.blob_path(DIGEST), (layouts.blob_path(OTHER),), ("debian:jessie",))
    (image,) = layouts.parse_docker(layouts.docker_content(DIGEST, [], PINNED))
    assert image.names == ()


def test_repositories_name_the_topmost_layer() -> None:
    content = layouts.repositories_content([DIGEST, OTHER], JESSIE)
    assert json.loads(content or b"") == {"debian": {"jessie": OTHER.encoded}}
    assert layouts.repositories_content([DIGEST], PINNED) is None
    assert layouts.repositories_content([], JESSIE) is None


def test_an_image_manifest_that_was_made_is_one() -> None:
    config, layer = Descriptor(media_types.OCI_CONFIG, DIGEST, 1), Descriptor(layouts.LAYER, OTHER, 2)
    document = parse_manifest(layouts.image_content(config, [layer]), media_types.OCI_MANIFEST)
    assert isinstance(document, ImageManifest)
    assert document.children == (config, layer)


@pytest.mark.parametrize(
    ("annotations", "name"),
    [
        ({layouts.IMAGE_NAME: "docker.io/library/debian:8", layouts.REF_NAME: "8"}, "debian:8"),
        ({layouts.REF_NAME: "ghcr.io/me/app:1"}, "ghcr.io/me/app:1"),
        ({layouts.REF_NAME: "debian:8"}, "debian:8"),
        ({layouts.REF_NAME: "8"}, None),
        ({layouts.REF_NAME: 8}, None),
        ({}, None),
        (None, None),
        ([], None),
    ],
    ids=str,
)
def test_what_an_entry_is_called(annotations: object, name: str | None) -> None:
    source = {"annotations": annotations}
    descriptor = Descriptor(media_types.OCI_MANIFEST, DIGEST, 1, source=source)
    assert layouts.parse_name(descriptor) == (None if name is None else Reference.parse(name))


@pytest.mark.parametrize("text", ["De bian:1", "a/b@sha256:00", "../../etc:1", ""])
def test_a_name_that_is_none_is_told(text: str) -> None:
    with pytest.raises(InvalidArchive, match="a name that cannot be used"):
        layouts.parse_archive_reference(text)


@pytest.mark.parametrize(
    ("begin", "suffix"),
    [(b"\x1f\x8b\x08", "+gzip"), (b"\x28\xb5\x2f\xfd", "+zstd"), (b"etc/", ""), (b"", "")],
)
def test_a_layer_s_media_type_is_told_by_its_first_bytes(begin: bytes, suffix: str) -> None:
    assert layouts.layer_media_type(begin) == f"application/vnd.oci.image.layer.v1.tar{suffix}"


def test_the_layout_version_is_checked() -> None:
    layouts.check_layout(layouts.layout_content())


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"imageLayoutVersion": "2.0.0"}', b'{"imageLayoutVersion": 1}']
)
def test_another_layout_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidArchive):
        layouts.check_layout(content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"{}",
        b"[1]",
        b"[{}]",
        b'[{"Config": 1}]',
        b'[{"Config": "a", "Layers": "b"}]',
        b'[{"Config": "a", "Layers": [1]}]',
        b'[{"Config": "a", "RepoTags": {}}]',
        json.dumps([{"Config": "a", "RepoTags": ["a"] * 1025}]).encode(),
        json.dumps([{"Config": "a"}] * 4097).encode(),
        b"[" * 100_000,
    ],
    ids=lambda content: content[:40].decode(),
)
def test_a_list_that_docker_never_wrote_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidArchive):
        layouts.parse_docker(content)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"layers": []}', b'{"schemaVersion": 2, "manifests": 3}', b"{}"])
def test_an_index_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidArchive):
        layouts.parse_index(content)


def test_diff_ids_are_digests() -> None:
    config = json.dumps({"rootfs": {"diff_ids": [str(DIGEST), str(OTHER)]}}).encode()
    assert layouts.parse_diff_ids(config) == (DIGEST, OTHER)
    assert layouts.parse_diff_ids(b"{}") is None
    assert layouts.parse_diff_ids(b'{"rootfs": {}}') == ()


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"rootfs": {"diff_ids": ["md5:1"]}}', b'{"rootfs": {"diff_ids": 1}}']
)
def test_a_config_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidArchive):
        layouts.parse_diff_ids(content)
