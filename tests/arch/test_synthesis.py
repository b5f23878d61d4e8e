import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.arch.synthesis import Addition, Synthesis, synthesise
from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.manifests import REFERENCE_DIGEST, REFERENCE_TYPE, Descriptor, Index, parse_manifest
from proxy.oci.platforms import Platform
from tests.arch.worlds import image, index, linux
from tests.strategies import KNOWN_PLATFORMS, json_values

AMD64 = image("amd64")
ARM7 = image("arm/v7")
OCI_ARM7 = image("arm/v7", is_oci=True)
PROOF = image(None, "proof", is_oci=True)


def _proof() -> Descriptor:
    """Describe the attestation of ARM7, as BuildKit lists it."""
    return replace(PROOF.descriptor, attests=ARM7.digest, platform=Platform("unknown", "unknown"))


def _objects(made: Synthesis) -> list[dict[str, object]]:
    manifests = json.loads(made.content)["manifests"]
    assert isinstance(manifests, list)
    return manifests


def _read(made: Synthesis) -> Index:
    document = parse_manifest(made.content, made.media_type)
    assert isinstance(document, Index)
    return document


def _index_of(*entries: object) -> Index:
    fields = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": entries}
    document = parse_manifest(json.dumps(fields).encode(), "")
    assert isinstance(document, Index)
    return document


WRITTEN = """\
{
  "schemaVersion": 2,
  "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
  "manifests": [
    {
      "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
      "digest": "sha256:1111111111111111111111111111111111111111111111111111111111111111",
      "size": 1,
      "platform": {
        "architecture": "amd64",
        "os": "linux"
      }
    },
    {
      "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
      "digest": "sha256:2222222222222222222222222222222222222222222222222222222222222222",
      "size": 2,
      "platform": {
        "architecture": "arm64",
        "os": "linux",
        "variant": "v8"
      }
    }
  ]
}"""


# --- Examples ---


def test_the_bytes_are_these() -> None:
    """Clients pin the digest and other proxies write the same: to change this is to change every synthesised tag."""
    one, two = Digest("sha256", "1" * 64), Digest("sha256", "2" * 64)
    base = Descriptor(media_types.DOCKER_MANIFEST, one, 1, linux("amd64"))
    made = synthesise(base, [Addition(linux("arm64"), Descriptor(media_types.DOCKER_MANIFEST, two, 2))])
    assert made.content.decode() == WRITTEN
    assert made.digest == Digest.of(WRITTEN.encode())


def test_an_image_of_upstream_comes_first_with_the_platform_of_its_config() -> None:
    base = replace(AMD64.descriptor, platform=linux("amd64"))
    made = synthesise(base, [Addition(linux("arm/v7"), ARM7.descriptor)])
    assert [entry["platform"] for entry in _objects(made)] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm", "os": "linux", "variant": "v7"},
    ]


def test_an_image_of_upstream_whose_config_tells_nothing_has_no_platform() -> None:
    made = synthesise(AMD64.descriptor, [Addition(linux("arm/v7"), ARM7.descriptor)])
    assert "platform" not in _objects(made)[0]


def test_what_upstream_has_not_is_made_of_the_additions_alone() -> None:
    made = synthesise(None, [Addition(linux("arm/v7"), ARM7.descriptor)])
    assert [entry["digest"] for entry in _objects(made)] == [str(ARM7.digest)]


def test_a_list_of_docker_images_is_a_docker_manifest_list() -> None:
    """A client before 18.06 knows no other index."""
    base = _read(synthesise(None, [Addition(linux("amd64"), AMD64.descriptor)]))
    made = synthesise(base, [Addition(linux("arm/v7"), ARM7.descriptor)])
    assert made.media_type == json.loads(made.content)["mediaType"] == media_types.DOCKER_LIST


def test_one_oci_image_makes_it_an_oci_index() -> None:
    made = synthesise(AMD64.descriptor, [Addition(linux("arm/v7"), OCI_ARM7.descriptor)])
    assert made.media_type == json.loads(made.content)["mediaType"] == media_types.OCI_INDEX


def test_annotations_stay_on_an_oci_index_and_have_no_place_on_a_docker_list() -> None:
    fields = index(("amd64", AMD64), annotations={"by": "upstream"})
    base = parse_manifest(fields.body, "")
    assert isinstance(base, Index)
    kept = synthesise(base, [Addition(linux("arm/v7"), OCI_ARM7.descriptor)])
    dropped = synthesise(base, [Addition(linux("arm/v7"), ARM7.descriptor)])
    assert json.loads(kept.content)["annotations"] == {"by": "upstream"}
    assert "annotations" not in json.loads(dropped.content)


def test_what_is_to_be_said_makes_an_oci_index_of_docker_images() -> None:
    made = synthesise(None, [Addition(linux("arm/v7"), ARM7.descriptor)], {"by": "us"})
    assert (made.media_type, json.loads(made.content)["annotations"]) == (media_types.OCI_INDEX, {"by": "us"})
    fields = index(("amd64", AMD64), annotations={"by": "upstream", "for": "all"})
    base = parse_manifest(fields.body, "")
    assert isinstance(base, Index)
    both = synthesise(base, [], {"by": "us"})
    assert json.loads(both.content)["annotations"] == {"by": "us", "for": "all"}


def test_an_attestation_travels_behind_the_images_and_names_its_subject() -> None:
    addition = Addition(linux("arm/v7"), ARM7.descriptor, (_proof(),))
    made = synthesise(AMD64.descriptor, [addition, Addition(linux("arm64"), image("arm64").descriptor)])
    assert [entry.digest for entry in made.manifests] == [
        AMD64.digest,
        ARM7.digest,
        image("arm64").digest,
        PROOF.digest,
    ]
    assert _objects(made)[-1]["annotations"] == {
        REFERENCE_DIGEST: str(ARM7.digest),
        REFERENCE_TYPE: "attestation-manifest",
    }
    assert [entry.is_runnable for entry in _read(made).manifests] == [True, True, True, False]


def test_an_attestation_stays_away_where_its_image_is_not_added() -> None:
    base = _read(synthesise(None, [Addition(linux("arm/v7"), ARM7.descriptor)]))
    again = Addition(linux("arm/v7"), ARM7.descriptor, (_proof(),))
    assert [entry.digest for entry in synthesise(base, [again]).manifests] == [ARM7.digest]


def test_an_attestation_comes_only_once() -> None:
    for_v7 = Addition(linux("arm/v7"), ARM7.descriptor, (_proof(), _proof()))
    for_v6 = Addition(linux("arm/v6"), ARM7.descriptor, (_proof(),))
    once = synthesise(AMD64.descriptor, [for_v7])
    both = synthesise(_read(once), [for_v6])
    assert [entry.digest for entry in once.manifests] == [AMD64.digest, ARM7.digest, PROOF.digest]
    assert [entry.digest for entry in both.manifests] == [AMD64.digest, ARM7.digest, PROOF.digest, ARM7.digest]


def test_one_image_may_stand_under_several_platforms() -> None:
    """The proposal's TAGARCH: one digest, several descriptors, stored once."""
    made = synthesise(None, [Addition(linux(text), ARM7.descriptor) for text in ("arm/v7", "arm/v6", "arm64")])
    assert {entry["digest"] for entry in _objects(made)} == {str(ARM7.digest)}
    assert [str(entry.platform) for entry in made.manifests] == ["linux/arm/v7", "linux/arm/v6", "linux/arm64/v8"]


def test_an_image_that_stands_there_already_is_not_repeated_however_its_platform_is_spelled() -> None:
    base = _index_of(json.loads(index(("aarch64", OCI_ARM7)).body)["manifests"][0])
    made = synthesise(base, [Addition(linux("arm64/v8"), OCI_ARM7.descriptor)])
    assert len(made.manifests) == 1


def test_a_windows_entry_is_written_whole() -> None:
    platform = Platform("windows", "amd64", os_version="10.0.20348.1", os_features=("win32k",))
    (entry,) = _objects(synthesise(replace(AMD64.descriptor, platform=platform), []))
    assert entry["platform"] == {
        "architecture": "amd64",
        "os": "windows",
        "os.version": "10.0.20348.1",
        "os.features": ["win32k"],
    }


@pytest.mark.parametrize("text", ["é 漢", "\ud800", "\x7f\u2028", '"\\'], ids=ascii)
def test_any_annotation_of_upstream_s_survives(text: str) -> None:
    """JSON may hold half a character, which no encoding can."""
    source = json.loads(index(("amd64", AMD64)).body)["manifests"][0] | {"annotations": {"note": text}}
    made = synthesise(_index_of(source), [Addition(linux("arm/v7"), ARM7.descriptor)])
    assert _objects(made)[0] == source


# --- Properties ---

_images = st.builds(
    image, st.sampled_from(("amd64", "arm/v7", "arm64", None)), st.sampled_from("ab"), is_oci=st.booleans()
)


@st.composite
def _entries(draw: st.DrawFn) -> dict[str, object]:
    """An entry of upstream's, with whatever else upstream writes into it."""
    found = draw(_images)
    entry: dict[str, object] = draw(st.dictionaries(st.text(max_size=6), json_values, max_size=2))
    entry |= {"mediaType": found.media_type, "digest": str(found.digest), "size": len(found.body)}
    if draw(st.booleans()):
        platform = draw(st.sampled_from(KNOWN_PLATFORMS))
        entry["platform"] = {"os": platform.os, "architecture": platform.architecture, "variant": platform.variant}
    return entry


@st.composite
def _additions(draw: st.DrawFn) -> Addition:
    found = draw(_images)
    proofs = draw(st.lists(st.builds(image, st.none(), st.sampled_from("pq"), is_oci=st.booleans()), max_size=2))
    attestations = tuple(
        replace(proof.descriptor, attests=found.digest, platform=Platform("unknown", "unknown")) for proof in proofs
    )
    return Addition(draw(st.sampled_from(KNOWN_PLATFORMS)), found.descriptor, attestations)


upstreams = st.one_of(
    st.none(),
    st.builds(lambda found: found.descriptor, _images),
    st.lists(_entries(), max_size=4).map(lambda entries: _index_of(*entries)),
)
several_additions = st.lists(_additions(), max_size=4)
Base = Index | Descriptor | None


@given(upstreams, several_additions)
def test_the_same_parts_give_the_same_bytes(base: Base, additions: Sequence[Addition]) -> None:
    one, other = synthesise(base, additions), synthesise(base, list(additions))
    assert one == other
    assert one.digest == Digest.of(one.content)


@given(upstreams, several_additions)
def test_what_is_written_reads_back_as_an_index_of_the_same_entries(base: Base, additions: Sequence[Addition]) -> None:
    made = synthesise(base, additions)
    assert _read(made).manifests == made.manifests
    assert _read(made).media_type == made.media_type


@given(upstreams, several_additions)
def test_upstream_s_entries_stay_first_in_order_and_untouched(base: Base, additions: Sequence[Addition]) -> None:
    made = synthesise(base, additions)
    upstream = base.manifests if isinstance(base, Index) else (base,) if base else ()
    assert made.manifests[: len(upstream)] == upstream
    for entry, written in zip(upstream, _objects(made), strict=False):
        if entry.source is not None:
            assert json.dumps(written) == json.dumps(entry.source)


@given(upstreams, several_additions)
def test_every_added_image_has_its_platform_with_an_explicit_variant(base: Base, additions: Sequence[Addition]) -> None:
    made = synthesise(base, additions)
    upstream = base.manifests if isinstance(base, Index) else (base,) if base else ()
    offered = {(item.descriptor.digest, item.platform.explicit()) for item in additions}
    for entry in made.manifests[len(upstream) :]:
        assert entry.platform is not None
        if entry.attests is None:
            assert entry.platform == entry.platform.explicit()
            assert entry.platform.variant or entry.platform.architecture not in {"arm", "arm64"}
            assert (entry.digest, entry.platform) in offered
        else:
            assert entry.attests in {other.digest for other in made.manifests}


@given(upstreams, several_additions)
def test_every_addition_stands_there_afterwards(base: Base, additions: Sequence[Addition]) -> None:
    made = synthesise(base, additions)
    for addition in additions:
        assert any(
            entry.digest == addition.descriptor.digest and entry.platform and entry.platform.is_same(addition.platform)
            for entry in made.manifests
        )


@given(upstreams, several_additions)
def test_adding_the_same_again_changes_nothing(base: Base, additions: Sequence[Addition]) -> None:
    made = synthesise(base, additions)
    assert synthesise(_read(made), additions).content == made.content


@given(upstreams, several_additions)
def test_it_is_a_docker_list_exactly_if_every_entry_is_docker_s(base: Base, additions: Sequence[Addition]) -> None:
    made = synthesise(base, additions)
    is_docker = all(entry.media_type in media_types.DOCKER for entry in made.manifests)
    assert (made.media_type == media_types.DOCKER_LIST) is is_docker
