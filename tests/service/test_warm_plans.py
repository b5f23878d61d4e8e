"""What an order comes to. That it costs what is foreseen is shown in `test_warming`."""

import pytest

from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import ManifestUnknown
from proxy.oci.platforms import Platform
from proxy.service.freshness import CacheState
from proxy.service.warm_plans import WarmPlan, cost_of, make_plan
from tests.fakes.upstream import FakeUpstream
from tests.lab.images import build_image, build_index
from tests.lab.schema1 import build_schema1
from tests.service.bench import AMD64, ARM64, ARM_V6, ARM_V7, DEBIAN, SOURCES, Bench, address, jessie, open_bench
from tests.service.bench import publish_jessie as publish
from tests.service.warmth import order, warm

V7 = Platform.parse(ARM_V7)


async def plan(bench: Bench, name: str, *platforms: str) -> WarmPlan:
    return await make_plan(bench.puller, bench.store, order(name, *platforms))


async def test_each_platform_gets_what_its_client_would_take() -> None:
    upstream = FakeUpstream()
    publish(upstream)
    async with open_bench(upstream) as bench:
        found = await plan(bench, "debian:jessie")
        assert {str(platform): image.digest for platform, image in found.images.items()} == {
            platform: address(jessie(platform).manifest) for platform in SOURCES
        }
        assert found.root.is_index
        assert found.size == sum(part.descriptor.size for part in found.parts) > 0


async def test_what_runs_on_a_platform_will_do_for_it() -> None:
    upstream = FakeUpstream()
    upstream.push("library/app:1", build_index([jessie(AMD64), jessie(ARM_V6)]))
    async with open_bench(upstream) as bench:
        found = await plan(bench, "app:1", ARM_V7, ARM_V6)
        assert set(map(str, found.images)) == {ARM_V7, ARM_V6}
        assert {image.digest for image in found.images.values()} == {address(jessie(ARM_V6).manifest)}
        assert found.missing == ()


async def test_a_bare_image_is_held_to_its_config() -> None:
    upstream = FakeUpstream()
    upstream.push("owner/app:1", jessie(AMD64))
    async with open_bench(upstream) as bench:
        found = await plan(bench, "owner/app:1", AMD64, ARM64)
        assert (set(map(str, found.images)), list(map(str, found.missing))) == ({AMD64}, [ARM64])
        with pytest.raises(ManifestUnknown, match="nothing of it runs on linux/arm64; there is linux/amd64"):
            await plan(bench, "owner/app:1", ARM64)


async def test_a_digest_is_taken_as_it_is() -> None:
    upstream = FakeUpstream()
    upstream.push("library/debian:jessie", jessie(ARM_V7))
    digest = address(jessie(ARM_V7).manifest)
    async with open_bench(upstream) as bench:
        found = await plan(bench, f"debian@{digest}", ARM_V7)
        assert found.images[V7].digest == found.root.digest == digest


async def test_parts_that_are_there_are_told_from_those_that_upstream_has_to_show() -> None:
    upstream = FakeUpstream()
    publish(upstream, AMD64)
    upstream.push("owner/copy:1", jessie(AMD64))
    async with open_bench(upstream) as bench:
        await warm(bench, order("debian:jessie", AMD64))
        own, foreign = await plan(bench, "debian:jessie", AMD64), await plan(bench, "owner/copy:1", AMD64)
        assert {part.state for part in own.parts} == {CacheState.HIT}
        layers = [part.state for part in foreign.parts if part.descriptor.digest != own.parts[0].descriptor.digest]
        assert set(layers) == {CacheState.REVALIDATED}
        assert (cost_of([own]).requests, cost_of([foreign]).size) == (0, 0)
        assert cost_of([foreign]).requests == sum(part.state is not CacheState.HIT for part in foreign.parts)


async def test_what_broke_off_is_not_counted_again() -> None:
    upstream = FakeUpstream()
    image = build_image(AMD64, padding_bytes=5000)
    upstream.push(f"{DEBIAN}:big", image)
    async with open_bench(upstream) as bench:
        whole = cost_of([await plan(bench, "debian:big", AMD64)])
        begun = await bench.store.begin_ingest(address(image.layers[-1]))
        await begun.write(image.layers[-1].content[:1000])
        await begun.suspend()
        begun.close()
        rest = cost_of([await plan(bench, "debian:big", AMD64)])
        assert (whole.size - rest.size, whole.requests) == (1000, rest.requests)


async def test_what_is_neither_image_nor_index_cannot_be_warmed() -> None:
    upstream, old = FakeUpstream(), build_schema1("owner/old", "1", str(Digest.of(b"layer")))
    upstream.put_manifest("owner/old", old.content, media_types.DOCKER_SCHEMA1_SIGNED, tag="1")
    async with open_bench(upstream) as bench:
        with pytest.raises(ManifestUnknown, match="schema 1, which no index can list: what belongs to it is not known"):
            await plan(bench, "owner/old:1", AMD64)


async def test_what_only_says_that_it_is_an_image_fits_whoever_wants_it() -> None:
    upstream, image = FakeUpstream(), jessie(AMD64)
    nonsense = b"{" + b" " * (len(image.config.content) - 1)
    config = upstream.put_blob("owner/odd", nonsense)
    manifest = image.manifest.content.replace(image.config.digest.encode(), str(config).encode())
    upstream.put_manifest("owner/odd", manifest, media_types.DOCKER_MANIFEST, tag="1")
    async with open_bench(upstream) as bench:
        assert set(map(str, (await plan(bench, "owner/odd:1", ARM64)).images)) == {ARM64}
