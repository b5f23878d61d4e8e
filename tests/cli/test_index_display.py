"""What stands under a reference, entry by entry. How it gets there is shown by `test_index`, over a registry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cli.index_display import Shown, as_fields, as_table, list_entries, parse_shown, read_old_platform
from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import UpstreamMisbehaved
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference
from proxy.ports import FetchedManifest
from tests.lab.images import Document, Form, build_image, build_index
from tests.lab.schema1 import SIGNED, build_schema1
from tests.service.bench import address

NAME = Reference.parse("registry.lan/app:1")
PC, PI = (build_image(name, label="app", form=Form.OCI) for name in ("linux/amd64", "linux/arm/v6"))


def show(content: bytes, media_type: str, platform: Platform | None = None) -> Shown:
    found = FetchedManifest(content, media_type, Digest.of(content))
    return Shown(NAME, found, list_entries(parse_shown(found), content), platform)


def show_document(document: Document) -> Shown:
    return show(document.manifest.content, document.manifest.media_type)


def test_an_index_is_shown_entry_by_entry_and_what_is_shared_is_marked() -> None:
    shown = show_document(build_index([PC, PI, PI], attested=True))
    lines = [line.split(maxsplit=4) for line in as_table(shown).splitlines()[4:]]
    assert lines[0] == ["PLATFORM", "DIGEST", "SIZE", "TYPE"]
    assert [(line[0], line[1], line[4]) for line in lines[1:5]] == [
        ("linux/amd64", PC.manifest.digest, "OCI image"),
        ("linux/arm/v6", PI.manifest.digest, "OCI image, shared by 2"),
        ("linux/arm/v6", PI.manifest.digest, "OCI image, shared by 2"),
        ("unknown/unknown", lines[4][1], f"attestation of {address(PC.manifest).encoded[:12]}"),
    ]
    fields = as_fields(shown)
    assert [(one["kind"], one["attests"], one["shared_by"]) for one in fields["entries"][:4]] == [
        ("image", None, 1),
        ("image", None, 2),
        ("image", None, 2),
        ("attestation", PC.manifest.digest, 1),
    ]


def test_whose_type_an_image_is_of_is_told() -> None:
    docker = build_image("linux/amd64", label="app")
    assert [str(one) for one in show_document(build_index([docker, PC])).entries] == ["Docker image", "OCI image"]


def test_an_image_is_shown_with_what_it_is_for() -> None:
    shown = show(PI.manifest.content, PI.manifest.media_type, Platform.parse("linux/arm/v6"))
    assert as_table(shown).splitlines()[3] == "linux/arm/v6"
    assert [(one.kind, str(one.digest)) for one in shown.entries] == [
        ("config", PI.config.digest),
        *(("layer", layer.digest) for layer in PI.layers),
    ]


def test_schema_1_has_its_layers_the_other_way_round() -> None:
    lower, upper = (layer.digest for layer in (PC.layers[0], PI.layers[0]))
    content = build_schema1(NAME.repository, "1", upper, "no digest", lower).content
    shown = show(content, SIGNED, read_old_platform(content))
    assert [(one.kind, str(one.digest), one.size) for one in shown.entries] == [
        ("layer", lower, None),
        ("layer", upper, None),
    ]
    assert as_table(shown).splitlines()[-1].split() == ["-", upper, "-", "layer"]
    assert (as_fields(shown)["platform"], as_fields(shown)["entries"][0]["media_type"]) == ("linux/amd64", None)


@pytest.mark.parametrize("layers", ["3", "[3]", "{}", "null"])
def test_schema_1_that_lists_no_layers(layers: str) -> None:
    content = f'{{"schemaVersion": 1, "fsLayers": {layers}}}'.encode()
    assert show(content, media_types.DOCKER_SCHEMA1).entries == ()
    assert read_old_platform(content) is None


@pytest.mark.parametrize("media_type", ["application/vnd.example+json", SIGNED])
def test_what_leads_to_nothing_is_shown_by_itself(media_type: str) -> None:
    shown = show(b"{}", media_type)
    assert as_table(shown).splitlines() == [str(NAME), str(Digest.of(b"{}")), f"{media_type}, 2 bytes"]
    assert as_fields(shown)["entries"] == []


def test_what_is_no_image_is_not_called_one() -> None:
    content = (
        b'{"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1,'
        b' "digest": "sha256:%s", "artifactType": "application/x-sbom"}]}' % (b"a" * 64)
    )
    assert [one.kind for one in show(content, media_types.OCI_INDEX).entries] == ["artifact"]
    nested = content.replace(b', "artifactType": "application/x-sbom"', b"").replace(b"manifest.v1", b"index.v1")
    assert [str(one) for one in show(nested, media_types.OCI_INDEX).entries] == ["OCI index"]


@given(st.binary(max_size=200))
def test_what_cannot_be_read_is_said(content: bytes) -> None:
    with pytest.raises(UpstreamMisbehaved, match="cannot be read: "):
        show(b"\0" + content, "")
