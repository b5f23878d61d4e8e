"""Images found by reference, and held against what they are to be for."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidSetting, ManifestUnknown, UpstreamMisbehaved
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference
from proxy.ports import FetchedManifest
from proxy.service.gathering import Gathered, gather
from tests.fakes.registry import MemoryRegistry
from tests.lab.images import Blob, Document, Image, Index, build_image, build_index
from tests.lab.schema1 import SIGNED, build_schema1
from tests.service.bench import address

AMD64, RPI, ARM_V7, ARM64 = map(Platform.parse, ("linux/amd64", "linux/arm/v6", "linux/arm/v7", "linux/arm64"))
PC, PI, PI_2 = (build_image(name, label="app") for name in ("linux/amd64", "linux/arm/v6", "linux/arm/v7"))
NAME = Reference.parse("registry.lan/app:1")


async def gather_of(document: Document, *platforms: Platform, is_forced: bool = False) -> Gathered:
    registry = MemoryRegistry()
    registry.fill("app", document, tag="1")
    return await gather(registry, NAME, platforms, is_forced=is_forced)


async def test_an_image_may_be_for_all_that_run_it() -> None:
    found = await gather_of(PI, RPI, ARM_V7, ARM64)
    (part,) = found.parts
    assert (part.platforms, part.descriptor.digest) == ((RPI, ARM_V7, ARM64), address(PI.manifest))
    assert found.notes == (
        "registry.lan/app:1 is for linux/arm/v6, which linux/arm/v7 runs",
        "registry.lan/app:1 is for linux/arm/v6, which linux/arm64 runs",
    )


async def test_an_image_is_not_for_what_cannot_run_it_unless_somebody_insists() -> None:
    with pytest.raises(InvalidSetting, match="is for linux/amd64, which linux/arm/v6 does not run; --force"):
        await gather_of(PC, RPI)
    found = await gather_of(PC, RPI, is_forced=True)
    assert found.notes == ("registry.lan/app:1 is for linux/amd64, and is published for linux/arm/v6 all the same",)


async def test_of_an_index_each_platform_gets_its_own() -> None:
    found = await gather_of(build_index([PC, PI, PI_2], attested=True), ARM64, RPI, ARM_V7, AMD64)
    assert [(part.platforms, part.descriptor.digest) for part in found.parts] == [
        ((ARM64, ARM_V7), address(PI_2.manifest)),
        ((RPI,), address(PI.manifest)),
        ((AMD64,), address(PC.manifest)),
    ]
    assert found.notes == ("linux/arm64 gets linux/arm/v7 of registry.lan/app:1, which runs on it",)
    assert all(len(part.attestations) == 1 for part in found.parts)


async def test_an_index_without_it_names_what_there_is() -> None:
    with pytest.raises(
        InvalidSetting, match="nothing that runs on linux/arm/v6; its platforms are: linux/amd64, linux"
    ):
        await gather_of(build_index([PC, PI_2]), RPI)


async def test_what_is_nowhere_is_unknown() -> None:
    with pytest.raises(ManifestUnknown):
        await gather(MemoryRegistry(), NAME, [RPI])


OPEN = build_image("linux/arm/v6", label="app", config_platform="linux/arm")
LIAR = build_image("linux/arm/v6", label="app", config_platform="linux/amd64")
MUTE = build_image("linux/arm/v6", label="app", config_platform="unknown/unknown")


async def test_a_config_without_a_variant_is_open_as_docker_s_own_are() -> None:
    found = await gather_of(OPEN, RPI, ARM_V7)
    assert found.notes == (
        "registry.lan/app:1 is for linux/arm and tells no variant; it is taken for linux/arm/v6, as asked",
    )


async def test_a_config_that_tells_nothing_is_taken_as_asked_and_that_is_said() -> None:
    found = await gather_of(MUTE, RPI)
    assert found.notes == ("registry.lan/app:1 does not tell its platform; it is taken for linux/arm/v6, as asked",)


async def test_what_an_index_lists_is_held_against_its_config_too() -> None:
    listing = build_index([PC, LIAR])
    with pytest.raises(
        InvalidSetting,
        match=r"what registry\.lan/app:1 has for linux/arm/v6 is for linux/amd64, which linux/arm/v6 does",
    ):
        await gather_of(listing, RPI)
    (part,) = (await gather_of(listing, RPI, is_forced=True)).parts
    assert part.descriptor.digest == address(LIAR.manifest)


def rewritten(index: Index, change: Callable[[dict[str, Any]], None]) -> Index:
    """Answer an index with its fields changed."""
    fields = json.loads(index.manifest.content)
    change(fields)
    return Index(Blob.of(index.manifest.media_type, json.dumps(fields).encode()), index.images, index.attestations)


async def test_where_an_entry_tells_no_platform_its_config_does() -> None:
    def forget(fields: dict[str, Any]) -> None:
        for entry in fields["manifests"]:
            del entry["platform"]

    found = await gather_of(rewritten(build_index([PC, PI, MUTE]), forget), RPI, AMD64)
    assert [part.descriptor.digest for part in found.parts] == [address(PI.manifest), address(PC.manifest)]


async def test_an_entry_of_no_variant_is_the_last_resort() -> None:
    def forget(fields: dict[str, Any]) -> None:
        del fields["manifests"][0]["platform"]["variant"]

    found = await gather_of(rewritten(build_index([OPEN, PC]), forget), RPI)
    assert [part.descriptor.digest for part in found.parts] == [address(OPEN.manifest)]
    assert found.notes[0].startswith("what registry.lan/app:1 has for linux/arm is for linux/arm and tells no variant")


async def test_indexes_within_an_index_are_looked_into() -> None:
    inner = build_index([PI, PC], attested=True)
    registry = MemoryRegistry()
    registry.fill("app", inner)
    outer = build_index([Image(PI.platform, inner.manifest, PI.config, PI.layers)])
    registry.fill("app", outer, tag="1")
    inner_again = FetchedManifest(inner.manifest.content, inner.manifest.media_type, address(inner.manifest))
    registry.repositories["app"].manifests[inner_again.digest] = inner_again
    found = await gather(registry, NAME, [AMD64, RPI])
    assert [part.descriptor.digest for part in found.parts] == [address(PC.manifest), address(PI.manifest)]
    assert all(len(part.attestations) == 1 for part in found.parts)


async def test_an_index_whose_platforms_share_an_image_gives_one_part() -> None:
    shared = build_index([PI, PI])
    found = await gather_of(shared, RPI, ARM_V7, ARM64)
    assert [part.platforms for part in found.parts] == [(RPI, ARM_V7, ARM64)]


def held(content: bytes, media_type: str) -> MemoryRegistry:
    registry = MemoryRegistry()
    registry.fill("app", PI, tag="1")
    digest = Digest.of(content)
    registry.repositories["app"].manifests[digest] = FetchedManifest(content, media_type, digest)
    registry.repositories["app"].tags["1"] = digest
    return registry


ARTIFACT = json.dumps(
    {"schemaVersion": 2, "artifactType": "application/x-sbom", "config": PI.config.descriptor(), "layers": []}
).encode()


@pytest.mark.parametrize(
    ("content", "media_type", "reason"),
    [
        (ARTIFACT, media_types.OCI_MANIFEST, "is no image, but application/x-sbom"),
        (build_schema1("app", "1").content, SIGNED, "is no image that an index can hold, but .*v1.prettyjws"),
    ],
    ids=["artifact", "schema 1"],
)
async def test_what_is_no_image_is_not_taken_for_one(content: bytes, media_type: str, reason: str) -> None:
    with pytest.raises(InvalidSetting, match=reason):
        await gather(held(content, media_type), NAME, [RPI])


async def test_what_cannot_be_read_is_the_registry_s_fault() -> None:
    with pytest.raises(UpstreamMisbehaved, match="no manifest that can be used: not JSON"):
        await gather(held(b"x", media_types.OCI_MANIFEST), NAME, [RPI])


@pytest.mark.parametrize("content", [b"not JSON", b"x" * 5_000_000], ids=["no JSON", "too much"])
async def test_a_config_that_cannot_be_read_tells_nothing(content: bytes) -> None:
    config = Blob.of(media_types.OCI_CONFIG, content)
    pointer = {**config.descriptor(), "size": min(len(content), 1000)}
    manifest = json.dumps({"schemaVersion": 2, "config": pointer, "layers": []}).encode()
    registry = held(manifest, media_types.OCI_MANIFEST)
    registry.repositories["app"].blobs[address(config)] = content
    assert "does not tell its platform" in (await gather(registry, NAME, [RPI])).notes[0]
