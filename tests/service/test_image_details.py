"""One image, and where its builds are from."""

import json
from contextlib import aclosing
from dataclasses import replace

import pytest

from proxy.arch.image_rules import ImageRule, SharedImage
from proxy.oci.digests import Digest
from proxy.oci.errors import ManifestUnknown
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference
from proxy.service.freshness import Freshness
from proxy.service.image_details import ImageDetails, Source
from proxy.service.inspection import Inspection
from tests.fakes.clock import ManualClock
from tests.fakes.upstream import FakeUpstream
from tests.lab.images import build_index
from tests.service.bench import (
    AMD64,
    ARM64,
    ARM_V6,
    ARM_V7,
    DEBIAN,
    HUB,
    HUB_POLICY,
    SOURCES,
    Bench,
    Kept,
    address,
    asker,
    jessie,
    open_bench,
    publish_jessie,
)
from tests.service.stocking import blobs_of, stock

JESSIE = Reference.parse("debian:jessie")


def details_of(kept: Kept) -> ImageDetails:
    inspection = Inspection(kept.store, kept.catalog, Freshness(), ManualClock())
    return ImageDetails(kept.store, kept.catalog, kept.catalog, inspection)


async def pull(bench: Bench, platform: str) -> None:
    """Pull the image for a platform, as a client that chooses it out of the index."""
    await bench.puller.get_tag((DEBIAN,), "jessie", asker(platform))
    answer = await bench.puller.get_tag((DEBIAN,), "jessie", asker(platform, wants_manifest=True))
    assert answer.content is not None
    fields = json.loads(answer.content)
    for part in (fields["config"], *fields["layers"]):
        blob = await bench.puller.get_blob((DEBIAN,), Digest.parse(part["digest"]))
        if blob.fill is not None:
            async with aclosing(blob.fill.keep()) as steps:
                async for _ in steps:
                    pass


async def show(kept: Kept) -> list[tuple[str, Source, str | None, bool]]:
    """Answer the builds of `debian:jessie`: platform, source, origin, and whether they are whole."""
    found = await details_of(kept).show(JESSIE)
    return [(str(one.platform), one.source, one.origin, one.is_whole) for one in found.builds]


async def test_upstream_s_own_and_what_was_added_are_told_apart(upstream: FakeUpstream) -> None:
    kept = Kept()
    async with open_bench(upstream, kept) as bench:
        await pull(bench, ARM_V7)
    assert await show(kept) == [
        (AMD64, Source.UPSTREAM, None, False),
        (f"{ARM64}/v8", Source.ADDED, "docker.io/arm64v8/debian:jessie", False),
        (ARM_V7, Source.ADDED, "docker.io/arm32v7/debian:jessie", True),
        (ARM_V6, Source.ADDED, "docker.io/arm32v6/debian:jessie", False),
    ]
    found = await details_of(kept).show(JESSIE)
    whole, lacking = found.builds[2], found.builds[0]
    assert whole.size == sum(len(blob.content) for blob in blobs_of(jessie(ARM_V7)))
    assert lacking.digest == address(jessie(AMD64).manifest)
    assert [one.shared_with for one in found.builds] == [()] * 4


async def test_an_image_that_stands_for_several_is_one_image(upstream: FakeUpstream) -> None:
    kept, rpi = Kept(), Platform.parse(ARM_V6)
    shared = SharedImage(rpi, (Platform.parse(ARM_V7), Platform.parse(ARM64)))
    rule = ImageRule("library/debian", shared=(shared,))
    only_rpi = FakeUpstream()
    publish_jessie(only_rpi, AMD64, ARM_V6)
    async with open_bench(only_rpi, kept, policy=replace(HUB_POLICY, rules=(rule,))) as bench:
        await pull(bench, ARM_V7)
    origin = "docker.io/arm32v6/debian:jessie"
    found = {platform: (source, origin) for platform, source, origin, _ in await show(kept)}
    assert found[ARM_V6] == (Source.ADDED, origin)
    assert {found[ARM_V7], found[f"{ARM64}/v8"]} == {(Source.ALIAS, origin)}
    builds = (await details_of(kept).show(JESSIE)).builds
    assert len({one.digest for one in builds if str(one.platform) != AMD64}) == 1
    shared_with = {str(one) for one in builds[1].shared_with}
    assert shared_with | {str(builds[1].platform)} == {str(one.platform) for one in builds} - {AMD64}


async def test_an_index_of_upstream_s_own_is_its_own() -> None:
    kept = Kept()
    await stock(kept, build_index([jessie(AMD64), jessie(ARM_V7)]), "jessie", images=[jessie(AMD64)])
    assert await show(kept) == [(AMD64, Source.UPSTREAM, None, True), (ARM_V7, Source.UPSTREAM, None, False)]


async def test_an_added_build_is_known_by_its_repository_when_its_tag_has_left(upstream: FakeUpstream) -> None:
    kept = Kept()
    async with open_bench(upstream, kept) as bench:
        await pull(bench, ARM_V7)
    await kept.catalog.forget_tag(HUB, SOURCES[ARM_V7], "jessie")
    assert (ARM_V7, Source.ADDED, "docker.io/arm32v7/debian", True) in await show(kept)


async def test_what_is_not_cached_is_unknown() -> None:
    kept = Kept()
    with pytest.raises(ManifestUnknown, match="debian:jessie is not cached"):
        await details_of(kept).show(JESSIE)
