import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidManifest
from proxy.oci.manifests import (
    MAX_DESCRIPTORS,
    MAX_MANIFEST_BYTES,
    MAX_NESTING,
    MAX_SIZE,
    REFERENCE_DIGEST,
    REFERENCE_TYPE,
    Descriptor,
    ImageManifest,
    Index,
    OtherManifest,
    Schema1Manifest,
    parse_config_platform,
    parse_manifest,
)
from proxy.oci.media_types import (
    DOCKER_CONFIG,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA1,
    DOCKER_SCHEMA1_SIGNED,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
)
from proxy.oci.platforms import Platform
from tests.strategies import json_values

ONE, TWO, THREE = (Digest.of(content) for content in (b"one", b"two", b"three"))
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
ARM7 = {"architecture": "arm", "os": "linux", "variant": "v7"}


def _descriptor(media_type: str, digest: Digest, **more: object) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(digest), "size": 3, **more}


def _index(*manifests: object, **more: object) -> dict[str, object]:
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(manifests), **more}


def _image(**more: object) -> dict[str, object]:
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _descriptor(OCI_CONFIG, ONE),
        "layers": [_descriptor(LAYER, TWO), _descriptor(LAYER, THREE)],
        **more,
    }


def _without(fields: dict[str, object], *keys: str) -> dict[str, object]:
    return {key: value for key, value in fields.items() if key not in keys}


def _bytes(fields: object) -> bytes:
    return json.dumps(fields).encode()


def _parse_entry(**more: object) -> Descriptor:
    document = parse_manifest(_bytes(_index(_descriptor(OCI_MANIFEST, ONE, **more))), "")
    return document.children[0]


# --- What is read ---


def test_an_index_keeps_its_entries_in_order_each_with_the_object_it_was_read_from() -> None:
    first = _descriptor(OCI_MANIFEST, ONE, platform=ARM7, urls=["x"], annotations={"ä": "ö"})
    second = _descriptor(OCI_MANIFEST, TWO)
    document = parse_manifest(_bytes(_index(first, second, annotations={"by": "upstream"})), OCI_INDEX)
    assert isinstance(document, Index)
    assert document.media_type == OCI_INDEX
    assert document.annotations == {"by": "upstream"}
    assert [entry.digest for entry in document.children] == [ONE, TWO]
    assert [entry.source for entry in document.manifests] == [first, second]
    assert [entry.platform for entry in document.manifests] == [Platform("linux", "arm", "v7"), None]
    assert [entry.size for entry in document.manifests] == [3, 3]


def test_an_image_s_children_are_its_config_then_its_layers() -> None:
    document = parse_manifest(_bytes(_image()), OCI_MANIFEST)
    assert isinstance(document, ImageManifest)
    assert [child.digest for child in document.children] == [ONE, TWO, THREE]
    assert document.config.media_type == OCI_CONFIG
    assert document.subject is None


def test_an_attestation_s_subject_is_read() -> None:
    document = parse_manifest(_bytes(_image(subject=_descriptor(OCI_MANIFEST, THREE))), "")
    assert isinstance(document, ImageManifest)
    assert document.subject == Descriptor(OCI_MANIFEST, THREE, 3)


@pytest.mark.parametrize(
    ("fields", "media_type"),
    [
        pytest.param({"schemaVersion": 1, "fsLayers": []}, DOCKER_SCHEMA1, id="unsigned"),
        pytest.param({"schemaVersion": 1, "fsLayers": [], "signatures": []}, DOCKER_SCHEMA1_SIGNED, id="signed"),
    ],
)
@pytest.mark.parametrize("is_declared", [True, False], ids=["declared", "guessed"])
def test_schema_1_is_passed_through_without_children(fields: object, media_type: str, is_declared: bool) -> None:  # noqa: FBT001
    document = parse_manifest(_bytes(fields), media_type if is_declared else "application/json")
    assert document == Schema1Manifest(media_type)
    assert document.children == ()


def test_an_unknown_type_is_passed_through_without_children() -> None:
    """image-spec: an unknown mediaType must not be an error."""
    document = parse_manifest(b'{"mediaType": "application/vnd.example+json"}', "application/vnd.example+json")
    assert document == OtherManifest("application/vnd.example+json")
    assert document.children == ()


@pytest.mark.parametrize(
    "content_type",
    [
        pytest.param("", id="absent"),
        pytest.param("application/json", id="json"),
        pytest.param("application/octet-stream", id="octet-stream"),
        pytest.param("text/plain; charset=utf-8", id="text"),
        pytest.param(OCI_INDEX, id="the-same"),
        pytest.param(f"{OCI_INDEX.upper()} ; charset=utf-8", id="the-same-in-other-words"),
    ],
)
def test_a_content_type_that_says_nothing_new_is_accepted(content_type: str) -> None:
    assert isinstance(parse_manifest(_bytes(_index()), content_type), Index)


@pytest.mark.parametrize(
    ("fields", "content_type", "media_type"),
    [
        pytest.param(_without(_index(), "mediaType"), "", OCI_INDEX, id="index-by-shape"),
        pytest.param(_without(_image(), "mediaType"), "", OCI_MANIFEST, id="image-by-shape"),
        pytest.param(_without(_index(), "mediaType"), DOCKER_LIST, DOCKER_LIST, id="index-by-header"),
        pytest.param(_without(_image(), "mediaType"), DOCKER_MANIFEST, DOCKER_MANIFEST, id="image-by-header"),
        pytest.param(_index(mediaType=""), "", OCI_INDEX, id="empty-media-type"),
    ],
)
def test_a_document_without_media_type_is_told_by_its_header_or_its_shape(
    fields: object, content_type: str, media_type: str
) -> None:
    assert parse_manifest(_bytes(fields), content_type).media_type == media_type


@pytest.mark.parametrize("empty", [[], None], ids=["empty", "null"])
def test_an_index_may_be_empty_and_an_image_may_have_no_layers(empty: object) -> None:
    assert parse_manifest(_bytes(_index() | {"manifests": empty}), "").children == ()
    assert len(parse_manifest(_bytes(_image(layers=empty)), "").children) == 1


def test_annotations_that_are_no_object_are_dropped() -> None:
    document = parse_manifest(_bytes(_index(annotations=["x"])), "")
    assert isinstance(document, Index)
    assert document.annotations is None


# --- What is refused ---


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>", id="html"),
        pytest.param(b"{", id="cut-short"),
        pytest.param(b"\xff\xfe\xfa", id="no-unicode"),
        pytest.param(b"[]", id="a-list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"text"', id="a-string"),
        pytest.param(b"1" * 5000, id="an-integer-of-5000-digits"),
    ],
)
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidManifest, match=r"not JSON|not a JSON object"):
        parse_manifest(content, OCI_INDEX)
    with pytest.raises(InvalidManifest):
        parse_config_platform(content)


def test_a_document_above_4_mib_is_refused_unread() -> None:
    with pytest.raises(InvalidManifest, match="the limit is 4194304"):
        parse_manifest(b" " * (MAX_MANIFEST_BYTES + 1), OCI_INDEX)


def test_a_document_of_4_mib_is_read() -> None:
    content = _bytes(_index())
    assert isinstance(parse_manifest(content + b" " * (MAX_MANIFEST_BYTES - len(content)), ""), Index)


def _nested(opening: bytes, closing: bytes, depth: int) -> bytes:
    return b'{"manifests": [], "annotations": ' + opening * depth + b"1" + closing * depth + b"}"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(_nested(b"[", b"]", MAX_NESTING - 1), id="lists-just-too-deep"),
        pytest.param(_nested(b'{"a":', b"}", MAX_NESTING - 1), id="objects-just-too-deep"),
        pytest.param(_nested(b"[", b"]", 900), id="within-python-s-own-limit"),
        pytest.param(_nested(b"[", b"]", 2_000_000), id="four-million-brackets"),
        pytest.param(_nested(b'{"a":', b"}", 500_000), id="half-a-million-objects"),
        pytest.param(b"[" * 4_000_000, id="never-closed"),
    ],
)
def test_json_nested_beyond_reason_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidManifest):
        parse_manifest(content, OCI_INDEX)
    with pytest.raises(InvalidManifest):
        parse_config_platform(content)


def test_json_nested_within_reason_is_read() -> None:
    assert isinstance(parse_manifest(_nested(b"[", b"]", MAX_NESTING - 2), ""), Index)


def test_a_bomb_of_many_small_values_is_read_without_fuss() -> None:
    content = b'{"manifests": [], "annotations": {"a": [' + b"[]," * 1_000_000 + b"[]]}}"
    assert parse_manifest(content, "").children == ()


@pytest.mark.parametrize("content_type", [OCI_INDEX, OCI_MANIFEST, ""])
@pytest.mark.parametrize("key", ["config", "layers", "fsLayers"])
@pytest.mark.parametrize("media_type", [OCI_INDEX, OCI_MANIFEST, ""], ids=["says-index", "says-image", "says-nothing"])
def test_a_document_that_is_both_an_index_and_an_image_is_refused(content_type: str, key: str, media_type: str) -> None:
    """CVE-2021-41190: two clients would read two different images out of one digest."""
    fields = _index(mediaType=media_type, **{key: _image().get(key, [])})
    with pytest.raises(InvalidManifest, match="both an index and an image"):
        parse_manifest(_bytes(fields), content_type)


@pytest.mark.parametrize(
    ("fields", "content_type"),
    [
        pytest.param(_index(), OCI_MANIFEST, id="index-served-as-image"),
        pytest.param(_image(), OCI_INDEX, id="image-served-as-index"),
        pytest.param(_index(), DOCKER_LIST, id="oci-served-as-docker"),
        pytest.param(_image(mediaType=DOCKER_MANIFEST), OCI_MANIFEST, id="docker-served-as-oci"),
        pytest.param(_image(), "application/vnd.example+json", id="known-served-as-unknown"),
    ],
)
def test_a_media_type_that_contradicts_the_content_type_is_refused(fields: object, content_type: str) -> None:
    with pytest.raises(InvalidManifest, match="contradicts the Content-Type"):
        parse_manifest(_bytes(fields), content_type)


@pytest.mark.parametrize(
    ("fields", "content_type", "reason"),
    [
        pytest.param({"schemaVersion": 2}, "", "neither a mediaType nor a shape", id="no-type-no-shape"),
        pytest.param(_without(_image(), "mediaType", "layers"), "", "neither", id="half-an-image"),
        pytest.param({"mediaType": 7}, "", "mediaType is not a string", id="media-type-is-a-number"),
        pytest.param({"mediaType": None}, "", "mediaType is not a string", id="media-type-is-null"),
        pytest.param({}, OCI_INDEX, "an index without manifests", id="index-without-manifests"),
        pytest.param(_without(_image(), "config"), "", "without config or layers", id="image-without-config"),
        pytest.param(_without(_image(), "layers"), "", "without config or layers", id="image-without-layers"),
        pytest.param(_image(config=None), "", "descriptor that is no object", id="config-is-null"),
        pytest.param(_image(subject="x"), "", "descriptor that is no object", id="subject-is-a-string"),
        pytest.param(_index() | {"manifests": {}}, "", "list of descriptors that is no list", id="manifests-no-list"),
        pytest.param(_image(layers="x"), "", "list of descriptors that is no list", id="layers-no-list"),
        pytest.param(_index(7), "", "descriptor that is no object", id="descriptor-is-a-number"),
    ],
)
def test_a_document_of_the_wrong_shape_is_refused(fields: object, content_type: str, reason: str) -> None:
    with pytest.raises(InvalidManifest, match=reason):
        parse_manifest(_bytes(fields), content_type)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        pytest.param({"mediaType": 7}, "no string", id="media-type-is-a-number"),
        pytest.param({"mediaType": "application/\ud800"}, "with the mediaType", id="media-type-is-no-text"),
        pytest.param({"mediaType": "a/b\r\nX: y"}, "with the mediaType", id="media-type-of-two-lines"),
        pytest.param({"digest": None}, "no string", id="digest-is-null"),
        pytest.param({"digest": ""}, "not a sha256 or sha512 digest", id="empty-digest"),
        pytest.param({"digest": "sha256:../../etc/passwd"}, "not a sha256 or sha512 digest", id="digest-is-a-path"),
        pytest.param({"size": None}, "without a size", id="size-is-null"),
        pytest.param({"size": "3"}, "without a size", id="size-is-a-string"),
        pytest.param({"size": 3.0}, "without a size", id="size-is-a-float"),
        pytest.param({"size": True}, "without a size", id="size-is-a-boolean"),
        pytest.param({"size": -1}, "without a size", id="size-is-negative"),
        pytest.param({"size": MAX_SIZE + 1}, "without a size", id="size-is-no-int64"),
    ],
)
def test_a_malformed_descriptor_is_refused(more: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidManifest, match=reason):
        parse_manifest(_bytes(_index(_descriptor(OCI_MANIFEST, ONE) | more)), "")


@pytest.mark.parametrize("key", ["digest", "size"])
def test_a_descriptor_that_lacks_a_field_is_refused(key: str) -> None:
    with pytest.raises(InvalidManifest):
        parse_manifest(_bytes(_index(_without(_descriptor(OCI_MANIFEST, ONE), key))), "")


def test_more_descriptors_than_any_image_has_are_refused() -> None:
    entries = [_descriptor(OCI_MANIFEST, ONE)] * MAX_DESCRIPTORS
    assert len(parse_manifest(_bytes(_index(*entries)), "").children) == MAX_DESCRIPTORS
    with pytest.raises(InvalidManifest, match="more than 4096 descriptors"):
        parse_manifest(_bytes(_index(*entries, entries[0])), "")


# --- Descriptors ---


@pytest.mark.parametrize(
    ("media_type", "is_index"),
    [(OCI_INDEX, True), (DOCKER_LIST, True), (OCI_MANIFEST, False), (DOCKER_MANIFEST, False), ("", False)],
)
def test_a_descriptor_tells_an_index_by_its_type(media_type: str, is_index: bool) -> None:  # noqa: FBT001
    assert Descriptor(media_type, ONE, 3).is_index is is_index


@pytest.mark.parametrize(
    ("more", "is_runnable"),
    [
        pytest.param({"platform": ARM7}, True, id="an-image"),
        pytest.param({}, True, id="an-image-without-platform"),
        pytest.param({"platform": {"os": "linux"}}, True, id="an-image-with-an-unusable-platform"),
        pytest.param({"mediaType": OCI_INDEX}, True, id="an-index-of-images"),
        pytest.param({"platform": {"architecture": "unknown", "os": "unknown"}}, False, id="unknown-platform"),
        pytest.param(
            {"annotations": {REFERENCE_TYPE: "attestation-manifest", REFERENCE_DIGEST: str(TWO)}, "platform": ARM7},
            False,
            id="an-attestation",
        ),
        pytest.param({"mediaType": "application/vnd.example+json"}, False, id="another-artifact"),
        pytest.param({"artifactType": "application/spdx+json"}, False, id="an-artifact-by-its-own-word"),
        pytest.param({"artifactType": OCI_CONFIG, "platform": ARM7}, True, id="an-image-by-its-own-word"),
        pytest.param({"artifactType": ""}, True, id="an-empty-word"),
        pytest.param({"artifactType": 7}, True, id="a-word-that-is-none"),
        pytest.param({"annotations": {REFERENCE_TYPE: "x"}, "platform": ARM7}, False, id="about-an-image"),
        pytest.param({"mediaType": DOCKER_SCHEMA1_SIGNED}, False, id="schema-1"),
    ],
)
def test_an_image_is_told_from_what_no_machine_runs(more: dict[str, object], is_runnable: bool) -> None:  # noqa: FBT001
    assert _parse_entry(**more).is_runnable is is_runnable


@pytest.mark.parametrize(
    ("annotations", "attests"),
    [
        pytest.param({REFERENCE_TYPE: "attestation-manifest", REFERENCE_DIGEST: str(TWO)}, TWO, id="buildkit"),
        pytest.param({REFERENCE_TYPE: "attestation-manifest"}, None, id="no-digest"),
        pytest.param({REFERENCE_TYPE: "attestation-manifest", REFERENCE_DIGEST: "x"}, None, id="malformed-digest"),
        pytest.param({REFERENCE_TYPE: "attestation-manifest", REFERENCE_DIGEST: [1]}, None, id="digest-is-a-list"),
        pytest.param({REFERENCE_DIGEST: str(TWO)}, None, id="no-type"),
        pytest.param([REFERENCE_TYPE], None, id="annotations-are-a-list"),
        pytest.param(None, None, id="no-annotations"),
    ],
)
def test_an_attestation_names_the_image_that_it_is_of(annotations: object, attests: Digest | None) -> None:
    assert _parse_entry(annotations=annotations).attests == attests


@pytest.mark.parametrize(
    ("more", "artifact"),
    [
        pytest.param({}, "", id="an-image"),
        pytest.param({"config": _descriptor("application/vnd.helm+json", ONE)}, "application/vnd.helm+json", id="helm"),
        pytest.param({"artifactType": "application/x"}, "application/x", id="by-its-own-word"),
        pytest.param({"artifactType": OCI_CONFIG}, "", id="an-image-by-its-own-word"),
        pytest.param({"artifactType": "a\n\ud800"}, "'a\\n\\ud800'", id="what-may-not-be-logged"),
        pytest.param({"artifactType": "x" * 1000}, "x" * 255, id="a-long-word"),
        pytest.param({"config": _descriptor("application/octet-stream", ONE)}, "", id="a-type-of-old-engines"),
        pytest.param({"config": _descriptor("", ONE)}, "", id="no-type"),
    ],
)
def test_an_image_is_told_from_an_artifact_in_its_shape(more: dict[str, object], artifact: str) -> None:
    document = parse_manifest(_bytes(_image(**more)), "")
    assert isinstance(document, ImageManifest)
    assert document.artifact == artifact


_SBOM = {"artifactType": "application/spdx+json"}
_ATTESTATION = {"annotations": {REFERENCE_TYPE: "attestation-manifest", REFERENCE_DIGEST: str(TWO)}}


@pytest.mark.parametrize(
    ("entries", "more", "artifact"),
    [
        pytest.param([], {}, "", id="empty"),
        pytest.param([{}, _SBOM], {}, "", id="an-image-among-others"),
        pytest.param([_SBOM, _SBOM], {}, "application/spdx+json", id="nothing-but-artifacts"),
        pytest.param([_ATTESTATION], {}, "", id="attestations-alone"),
        pytest.param([_ATTESTATION, _SBOM], {}, "application/spdx+json", id="attestations-and-artifacts"),
        pytest.param([{"mediaType": "application/x"}], {}, "application/x", id="what-nobody-knows"),
        pytest.param([{}], {"artifactType": "application/y"}, "application/y", id="by-its-own-word"),
    ],
)
def test_an_index_of_images_is_told_from_one_of_artifacts(
    entries: list[dict[str, object]], more: dict[str, object], artifact: str
) -> None:
    written = [_descriptor(OCI_MANIFEST, ONE) | entry for entry in entries]
    document = parse_manifest(_bytes(_index(*written, **more)), "")
    assert isinstance(document, Index)
    assert document.artifact == artifact


def test_descriptors_are_compared_by_what_they_say_not_by_where_it_stood() -> None:
    assert _parse_entry(urls=["x"]) == _parse_entry()
    assert hash(_parse_entry(urls=["x"])) == hash(_parse_entry())
    assert "urls" not in repr(_parse_entry(urls=["x"]))


# --- Image configs ---


@pytest.mark.parametrize(
    ("fields", "platform"),
    [
        pytest.param({"architecture": "amd64", "os": "linux", "rootfs": {}}, Platform("linux", "amd64"), id="amd64"),
        pytest.param(ARM7, Platform("linux", "arm", "v7"), id="arm-v7"),
        pytest.param({"architecture": "arm", "os": "linux"}, Platform("linux", "arm"), id="arm-without-variant"),
        pytest.param({}, None, id="an-artifact-s-empty-config"),
    ],
)
def test_a_config_claims_a_platform_or_none(fields: object, platform: Platform | None) -> None:
    assert parse_config_platform(_bytes(fields)) == platform


# --- Whatever comes ---

_content_types = st.sampled_from((*sorted(media_types.MANIFESTS | media_types.SCHEMA1), "", "application/json", "x/y"))
_keys = st.sampled_from(
    (
        *("schemaVersion", "mediaType", "manifests", "config", "layers", "fsLayers", "subject", "annotations"),
        *("digest", "size", "platform", "architecture", "os", "variant"),
    )
)
_values = json_values | st.sampled_from((str(ONE), OCI_INDEX, OCI_MANIFEST, DOCKER_CONFIG, 2, 3))
_objects = st.recursive(
    st.dictionaries(_keys, _values, max_size=6),
    lambda inner: st.dictionaries(_keys, inner | st.lists(inner, max_size=3) | _values, max_size=6),
    max_leaves=6,
)


@given(st.binary(max_size=200), _content_types)
def test_arbitrary_bytes_are_a_manifest_or_an_invalid_one(content: bytes, content_type: str) -> None:
    with suppress(InvalidManifest):
        parse_manifest(content, content_type)
    with suppress(InvalidManifest):
        parse_config_platform(content)


@given(_objects | json_values, _content_types)
def test_an_arbitrary_document_is_a_manifest_or_an_invalid_one(fields: object, content_type: str) -> None:
    content = _bytes(fields)
    with suppress(InvalidManifest):
        document = parse_manifest(content, content_type)
        assert all(0 <= child.size <= MAX_SIZE for child in document.children)
    with suppress(InvalidManifest):
        parse_config_platform(content)
