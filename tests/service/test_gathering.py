"""Images found by reference, and held against what they are to be for."""

import pytest

from proxy.oci.errors import InvalidSetting, ManifestUnknown
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference
from proxy.service.gathering import Gathered, gather
from tests.fakes.registry import MemoryRegistry
from tests.lab.images import Document, build_image, build_index
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
