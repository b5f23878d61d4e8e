"""Orders carried out: what is in the cache then, what it has cost, and what stops nobody else."""

import pytest

from proxy.oci.errors import UpstreamUnreachable
from proxy.oci.manifests import ImageManifest, parse_manifest
from proxy.ports import Pin, Quota
from proxy.service.warm_plans import cost_of
from proxy.service.warming import Ended, Moved, Planned, count_registry_requests
from proxy.spending import Purpose, Spending
from tests.fakes.store import FailingBlobStore
from tests.fakes.upstream import FakeUpstream, Kind
from tests.lab.images import build_image, build_index
from tests.service.bench import (
    AMD64,
    ARM64,
    ARM_V6,
    ARM_V7,
    DEBIAN,
    SOURCES,
    Bench,
    Kept,
    address,
    asker,
    jessie,
    open_bench,
    publish_jessie,
)
from tests.service.warmth import Told, errors, order, warm, warming


@pytest.fixture
def upstream() -> FakeUpstream:
    upstream = FakeUpstream()
    publish_jessie(upstream)
    return upstream


async def pull_all(bench: Bench, name: str, tag: str, platform: str) -> None:
    """Pull as a client of a platform would: the tag, the image, its config and layers."""
    answer = await bench.puller.get_tag((name,), tag, asker(platform, wants_manifest=True))
    assert answer.content is not None
    document = parse_manifest(answer.content, answer.descriptor.media_type)
    assert isinstance(document, ImageManifest)
    for part in document.children:
        assert (await bench.puller.get_blob((name,), part.digest)).fill is None


async def test_what_was_ordered_is_pulled_without_upstream_then(upstream: FakeUpstream) -> None:
    async with open_bench(upstream) as bench:
        (result,) = await warm(bench, order("debian:jessie"))
        assert result.is_done
        upstream.go_offline()
        for platform in SOURCES:
            await pull_all(bench, DEBIAN, "jessie", platform)


async def test_only_what_the_platforms_need_comes(upstream: FakeUpstream) -> None:
    async with open_bench(upstream) as bench:
        await warm(bench, order("debian:jessie", ARM_V7, ARM64))
        stored = {platform: bench.store.find_size(address(jessie(platform).layers[0])) for platform in SOURCES}
    assert {platform for platform, size in stored.items() if size is not None} == {ARM_V7, ARM64}


async def test_nothing_is_fetched_twice_whoever_shares_it(upstream: FakeUpstream) -> None:
    for tag in ("8", "8.11", "oldest"):
        upstream.push(f"{DEBIAN}:{tag}", jessie(AMD64))
    async with open_bench(upstream) as bench:
        results = await warm(bench, *(order(f"debian:{tag}", AMD64) for tag in ("8", "8.11", "oldest", "jessie")))
        assert errors(results) == []
        parts = 1 + len(jessie(AMD64).layers)
        assert upstream.count(Kind.GET_BLOB, DEBIAN) == parts
        upstream.forget()
        (again,) = await warm(bench, order("debian:8", AMD64))
        assert upstream.counts == {}
        assert again.spending.blob_bytes == 0


async def test_what_failed_stops_no_other_and_says_why(upstream: FakeUpstream) -> None:
    async with open_bench(upstream) as bench:
        results = await warm(
            bench,
            order("debian:nowhere"),
            order("ghcr.io/owner/app:1"),
            order("debian:jessie", "linux/s390x"),
            order("debian:jessie", AMD64),
        )
        assert [result.is_done for result in results] == [False, False, False, True]
        absent, foreign, unfit = errors(results)
        assert "absent" in absent
        assert "none of this proxy's upstreams" in foreign
        assert "nothing of it runs on linux/s390x; there is linux/amd64, linux/arm64/v8, linux/arm/v7" in unfit


async def test_a_download_that_fails_is_the_order_s_failure_and_its_pin_is_not_set(upstream: FakeUpstream) -> None:
    async with open_bench(upstream) as bench:
        upstream.fail(UpstreamUnreachable("gone"), kind=Kind.GET_BLOB, repository="arm32v6/debian")
        failed, done = await warm(
            bench,
            order("debian:jessie", ARM_V6, is_pinned=True),
            order("arm32v7/debian:jessie", ARM_V7, is_pinned=True),
        )
        assert (failed.error, done.error) == ("gone", "")
        assert (await bench.catalog.take_inventory()).pins == {Pin("docker.io", "arm32v7/debian", "jessie")}


async def test_where_there_is_no_room_it_says_so_and_fetches_nothing_for_nothing(upstream: FakeUpstream) -> None:
    store = FailingBlobStore()
    async with open_bench(upstream, Kept(store)) as bench:
        await warm(bench, order("debian:jessie", AMD64), is_dry=True)
        store.room_bytes = 0
        (result,) = await warm(bench, order("debian:jessie", AMD64))
        assert "cannot be kept" in result.error


async def test_dry_it_only_finds_out_and_what_it_foresees_is_what_it_costs(upstream: FakeUpstream) -> None:
    upstream.push("library/app:1", jessie(AMD64))
    orders = [order("debian:jessie"), order("app:1", AMD64)]
    async with open_bench(upstream) as bench:
        foreseen = await warm(bench, *orders, is_dry=True)
        assert all(result.is_done for result in foreseen)
        assert upstream.count(Kind.GET_BLOB) <= len(SOURCES)  # configs that resolution had to look at
        cost = cost_of([result.plan for result in foreseen if result.plan])
        upstream.forget()
        sizes = sum(blob.size for blob in await bench.store.list_blobs())
        assert errors(await warm(bench, *orders)) == []
        assert upstream.count() == cost.requests
        assert sum(blob.size for blob in await bench.store.list_blobs()) - sizes == cost.size


async def test_attestations_come_only_if_asked_for() -> None:
    upstream = FakeUpstream()
    image = build_image(AMD64, label="signed")
    upstream.push("library/signed:1", build_index([image], attested=True))
    async with open_bench(upstream) as bench:
        (without,) = await warm(bench, order("signed:1", AMD64))
        (attested,) = await warm(bench, order("signed:1", AMD64, with_attestations=True))
        assert without.plan is not None
        assert attested.plan is not None
        assert len(attested.plan.parts) > len(without.plan.parts) == 1 + len(image.layers)


async def test_platforms_without_an_image_are_named(upstream: FakeUpstream) -> None:
    async with open_bench(upstream) as bench:
        (result,) = await warm(bench, order("debian:jessie", AMD64, "linux/s390x"))
        assert result.is_done
        assert result.plan is not None
        assert list(map(str, result.plan.missing)) == ["linux/s390x"]


async def test_little_left_of_the_allowance_is_left_to_clients(upstream: FakeUpstream) -> None:
    async with open_bench(upstream) as bench:
        upstream.quota = Quota(limit=100, remaining=10, window_seconds=21600)
        (postponed,) = await warm(bench, order("debian:jessie", AMD64), reserve=10)
        assert postponed.is_postponed
        assert postponed.error.startswith("postponed: docker.io has ")
        assert postponed.error.endswith(" pulls left, and 10 are kept back")
        assert upstream.counts == {"head-manifest": 1}  # it asks what is left by now, in a way that costs nothing
        (done,) = await warm(bench, order("debian:jessie", AMD64), reserve=9)
        assert done.is_done


async def test_what_is_left_is_asked_once_a_run_and_only_where_it_matters(upstream: FakeUpstream) -> None:
    async with open_bench(upstream) as bench:
        upstream.quota = Quota(limit=100, remaining=10, window_seconds=21600)
        results = await warm(bench, order("debian:jessie", AMD64), order("debian:buster", AMD64), reserve=10)
        assert [result.is_postponed for result in results] == [True, True]
        assert upstream.counts == {"head-manifest": 1}


async def test_who_watches_hears_of_every_step(upstream: FakeUpstream) -> None:
    told: list[Told] = []
    async with open_bench(upstream) as bench:
        (result,) = await warming(bench, told=told).run([order("debian:jessie", AMD64)])
        assert isinstance(told[0], Planned)
        assert isinstance(told[-1], Ended)
        assert told[-1].result is result
        ends = {step.part.descriptor.digest: step.written for step in told if isinstance(step, Moved)}
        assert result.plan is not None
        assert ends == {part.descriptor.digest: part.descriptor.size for part in result.plan.parts if part.lacking}


async def test_one_at_a_time_if_it_has_to_be(upstream: FakeUpstream) -> None:
    told: list[Told] = []
    async with open_bench(upstream) as bench:
        results = await warming(bench, parallel=1, told=told).run([order("debian:jessie"), order("debian:jessie")])
        assert errors(results) == []
    turns = [one.part.descriptor.digest for one in told if isinstance(one, Moved)]
    runs = [digest for digest, before in zip(turns, [None, *turns], strict=False) if digest != before]
    assert len(runs) == len(set(runs)) > 1


def test_requests_for_tokens_and_to_other_hosts_are_not_the_registry_s() -> None:
    spending = Spending()
    spending.requests.update({Purpose.TOKEN: 3, Purpose.REDIRECT: 2, Purpose.BLOB: 2, Purpose.MANIFEST_HEAD: 1})
    assert count_registry_requests(spending) == 3
