import asyncio
import json
from pathlib import Path

from proxy.arch.candidates import parse_template
from proxy.arch.questions import Absent, Present, Unreachable
from proxy.arch.resolution import Policy, find_digest
from proxy.oci.digests import Digest
from proxy.oci.errors import UpstreamUnreachable
from proxy.oci.platforms import Platform
from proxy.service.freshness import CacheState, Freshness
from proxy.service.resolver import INCOMPLETE_SECONDS, Resolved
from tests.fakes.clock import ManualClock
from tests.fakes.store import FailingBlobStore
from tests.fakes.upstream import FakeUpstream, Kind
from tests.lab.images import build_image, build_index
from tests.lab.programs import wait_until
from tests.service.bench import (
    AMD64,
    ARM64,
    ARM_V6,
    ARM_V7,
    DEBIAN,
    FLEET,
    HUB,
    PLAIN_POLICY,
    SOURCES,
    Bench,
    Kept,
    address,
    jessie,
    kept_on_disk,
    open_bench,
    publish_jessie,
)

TIMES = Freshness()


async def look(bench: Bench, *, is_head: bool = False) -> Resolved:
    return await bench.resolver.resolve(DEBIAN, "jessie", is_head=is_head)


def made_digest(resolved: Resolved) -> Digest:
    assert resolved.resolution.synthesis is not None
    return resolved.resolution.synthesis.digest


async def synthesise(upstream: FakeUpstream, kept: Kept | None = None) -> Digest:
    async with open_bench(upstream, kept) as bench:
        return made_digest(await look(bench))


# Synthesis


async def test_one_name_gets_all_its_builds(bench: Bench) -> None:
    resolved = await look(bench)
    offered = {str(entry.platform): entry.repository for entry in resolved.resolution.entries}
    assert offered == {AMD64: DEBIAN, "linux/arm64": SOURCES[ARM64], ARM_V7: SOURCES[ARM_V7], ARM_V6: SOURCES[ARM_V6]}
    assert resolved.state is CacheState.MISS
    (told,) = bench.events.named("tag.resolved")
    assert (told["reference"], told["outcome"]) == ("docker.io/library/debian:jessie", "synthesised")
    assert told["trail"] == resolved.resolution.trail.as_lines()


async def test_a_synthesised_index_is_stored_and_linked_before_anybody_hears_of_it(bench: Bench) -> None:
    digest = made_digest(await look(bench))
    with bench.store.open_blob(digest) as reader:
        content = reader.read_at(0, reader.size)
    assert Digest.of(content) == digest
    own = bench.catalog.find_link(HUB, DEBIAN, digest)
    assert own is not None
    assert (own.origin, own.is_proven) == ("", True)
    for entry in json.loads(content)["manifests"][1:]:
        link = bench.catalog.find_link(HUB, DEBIAN, Digest.parse(entry["digest"]))
        assert link is not None
        assert link.origin in SOURCES.values()


async def test_an_index_that_cannot_be_stored_is_answered_from_memory(upstream: FakeUpstream) -> None:
    store = FailingBlobStore()
    async with open_bench(upstream, Kept(store), policy=PLAIN_POLICY) as bench:
        await look(bench)  # upstream's own document is stored
    async with open_bench(upstream, Kept(store)) as bench:
        await bench.puller.get_blob((DEBIAN,), address(jessie(AMD64).config))
        store.is_writable = False
        made = (await look(bench)).resolution.synthesis
        assert made is not None
        assert (await bench.puller.get_manifest((DEBIAN,), made.digest)).content == made.content
        assert store.find_size(made.digest) is None


async def test_two_proxies_agree_on_the_digest(upstream: FakeUpstream) -> None:
    assert await synthesise(upstream) == await synthesise(upstream)


async def test_the_digest_survives_a_restart(upstream: FakeUpstream, tmp_path: Path) -> None:
    with kept_on_disk(tmp_path) as kept:
        first = await synthesise(upstream, kept)
    upstream.go_offline()
    with kept_on_disk(tmp_path) as kept:
        assert await synthesise(upstream, kept) == first


async def test_the_digest_changes_with_its_parts_only(upstream: FakeUpstream) -> None:
    kept = Kept()
    clock = ManualClock()
    async with open_bench(upstream, kept, clock=clock) as bench:
        first = made_digest(await look(bench))
        clock.tick(TIMES.tag_seconds)
        assert made_digest(await look(bench)) == first
        upstream.push("arm32v7/debian:jessie", build_image(ARM_V7, label="newer"))
        clock.tick(TIMES.tag_seconds)
        assert made_digest(await look(bench)) != first


async def test_a_complete_index_stays_as_it_is(bench: Bench) -> None:
    index = build_index([build_image(str(platform), label="full") for platform in FLEET])
    bench.upstream.push("library/full:1", index)
    resolved = await bench.resolver.resolve("library/full", "1", is_head=False)
    assert resolved.resolution.synthesis is None
    assert find_digest(resolved.resolution) == address(index.manifest)
    assert bench.upstream.counts == {"get-manifest": 1}


async def test_a_template_of_the_operators_counts(upstream: FakeUpstream) -> None:
    policy = Policy(FLEET, (parse_template("{repository}:{tag}-armhf", Platform.parse(ARM_V7)),))
    upstream.push("me/app:1", build_image(AMD64, label="app"))
    upstream.push("me/app:1-armhf", build_image(ARM_V7, label="app"))
    async with open_bench(upstream, policy=policy) as bench:
        resolved = await bench.resolver.resolve("me/app", "1", is_head=False)
    assert [entry.tag for entry in resolved.resolution.entries] == ["1", "1-armhf"]


# What it costs


async def test_a_resolution_holds_as_long_as_its_tags(bench: Bench) -> None:
    first = await look(bench)
    bench.upstream.forget()
    bench.clock.tick(TIMES.tag_seconds - 1)
    second = await look(bench)
    assert (second.state, second.resolution) == (CacheState.HIT, first.resolution)
    assert bench.upstream.count() == 0


async def test_an_expired_resolution_costs_heads_only(bench: Bench) -> None:
    await look(bench)
    bench.upstream.forget()
    bench.clock.tick(TIMES.tag_seconds)
    assert (await look(bench)).state is CacheState.REVALIDATED
    assert bench.upstream.counts == {"head-manifest": 4}


async def test_a_head_that_needs_no_document_costs_no_get(plain: Bench) -> None:
    resolved = await look(plain, is_head=True)
    assert isinstance(resolved.resolution.upstream, Present)
    assert not resolved.is_whole
    assert (await look(plain, is_head=True)).state is CacheState.HIT
    assert plain.upstream.counts == {"head-manifest": 1}


async def test_a_get_after_such_a_head_fetches_the_document(plain: Bench) -> None:
    await look(plain, is_head=True)
    assert (await look(plain)).is_whole
    assert plain.upstream.counts == {"head-manifest": 1, "get-manifest": 1}
    assert (await look(plain, is_head=True)).is_whole


async def test_everybody_at_once_costs_as_much_as_one(bench: Bench) -> None:
    gate = bench.upstream.hold(Kind.GET_MANIFEST)
    asked = [asyncio.ensure_future(look(bench)) for _ in range(50)]
    await bench.upstream.wait_asked(Kind.GET_MANIFEST)
    gate.set()
    assert len({made_digest(resolved) for resolved in await asyncio.gather(*asked)}) == 1
    assert len({str(one) for one in bench.upstream.asked}) == bench.upstream.count()


async def test_no_candidate_is_asked_twice_in_the_negative_time(upstream: FakeUpstream, tmp_path: Path) -> None:
    """Neither by another pull, nor after a restart."""
    upstream.push("library/lonely:1", build_image(AMD64, label="lonely"))
    clock = ManualClock()
    for _ in range(2):
        with kept_on_disk(tmp_path) as kept:
            async with open_bench(upstream, kept, clock=clock) as bench:
                for _ in range(3):
                    await bench.resolver.resolve("library/lonely", "1", is_head=False)
                    clock.tick(TIMES.tag_seconds)
    candidates = [str(one) for one in upstream.asked if one.repository != "library/lonely"]
    assert candidates
    assert sorted(set(candidates)) == sorted(candidates)
    clock.tick(TIMES.candidate_absent_seconds)
    upstream.forget()
    async with open_bench(upstream, clock=clock) as bench:
        await bench.resolver.resolve("library/lonely", "1", is_head=False)
    assert sorted(str(one) for one in upstream.asked if one.repository != "library/lonely") == sorted(candidates)


# What cannot be asked


async def test_an_upstream_that_hangs_holds_up_nothing_that_is_known(upstream: FakeUpstream) -> None:
    """However many wait for what nobody knows; also by a proxy that has just started."""
    kept = Kept()
    async with open_bench(upstream, kept) as bench:
        digest = made_digest(await look(bench))
    async with open_bench(upstream, kept) as bench:
        upstream.hold(Kind.GET_MANIFEST)
        upstream.forget()
        waiting = [
            asyncio.ensure_future(bench.resolver.resolve("library/unknown", str(number), is_head=False))
            for number in range(50)
        ]
        await upstream.wait_asked(Kind.GET_MANIFEST, count=50)
        assert made_digest(await look(bench)) == digest
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_what_cannot_be_completed_holds_for_a_moment_only(bench: Bench) -> None:
    bench.upstream.fail(UpstreamUnreachable("busy"), repository="arm32v7/debian")
    partial = await look(bench)
    assert not partial.resolution.is_complete
    assert ARM_V7 not in {str(entry.platform) for entry in partial.resolution.entries}
    bench.upstream.recover()
    bench.clock.tick(INCOMPLETE_SECONDS)
    whole = await look(bench)
    assert whole.resolution.is_complete
    assert ARM_V7 in {str(entry.platform) for entry in whole.resolution.entries}
    assert made_digest(whole) != made_digest(partial)


async def test_a_stale_part_makes_the_whole_stale(bench: Bench) -> None:
    digest = made_digest(await look(bench))
    bench.clock.tick(TIMES.tag_seconds)
    bench.upstream.fail(UpstreamUnreachable("busy"), repository="arm32v7/debian")
    for _ in range(2):  # and a stale answer stays one for as long as it is given
        resolved = await look(bench)
        assert resolved.state is CacheState.STALE
        assert made_digest(resolved) == digest
    bench.upstream.recover()
    bench.clock.tick(TIMES.retry_seconds)
    assert (await look(bench)).state is CacheState.HIT  # the tag itself was asked a moment ago


async def test_without_upstream_everything_is_as_it_was(bench: Bench) -> None:
    digest = made_digest(await look(bench))
    bench.clock.tick(10 * TIMES.candidate_absent_seconds)
    bench.upstream.go_offline()
    resolved = await look(bench)
    assert (made_digest(resolved), resolved.state) == (digest, CacheState.STALE)


async def test_without_upstream_the_unknown_stays_unknown(bench: Bench) -> None:
    bench.upstream.go_offline()
    resolved = await look(bench)
    assert isinstance(resolved.resolution.upstream, Unreachable)
    assert bench.upstream.count() == 1


async def test_what_is_nowhere_is_absent(bench: Bench) -> None:
    resolved = await bench.resolver.resolve("library/nothing", "1", is_head=False)
    assert isinstance(resolved.resolution.upstream, Absent)
    assert resolved.resolution.entries == ()


async def test_a_name_that_only_a_candidate_has_is_there(upstream: FakeUpstream) -> None:
    upstream = FakeUpstream()
    publish_jessie(upstream, ARM_V7, ARM_V6)
    async with open_bench(upstream) as bench:
        resolved = await look(bench)
    assert [str(entry.platform) for entry in resolved.resolution.entries] == [ARM_V7, ARM_V6]


async def test_it_tells_what_it_knows(bench: Bench) -> None:
    await look(bench)
    assert repr(bench.resolver) == "<Resolver of docker.io: 1 tags>"


# Ahead of its end

AHEAD = Freshness(ahead_seconds=100)


async def settle(bench: Bench) -> None:
    """Let what runs in the background come to its end."""

    async def is_over() -> bool:
        return repr(bench.owner) == "<TaskOwner of []>"

    await wait_until(is_over, seconds=10, purpose="the end of what runs in the background")


async def test_a_tag_in_use_is_asked_for_before_its_end(upstream: FakeUpstream) -> None:
    async with open_bench(upstream, freshness=AHEAD) as bench:
        first = await look(bench)
        upstream.forget()
        bench.clock.tick(AHEAD.tag_seconds - 101)
        await look(bench)
        assert upstream.count() == 0
        bench.clock.tick(1)
        found = await asyncio.gather(*(look(bench) for _ in range(5)))
        assert {one.state for one in found} == {CacheState.HIT}
        await settle(bench)
        assert upstream.counts == {"head-manifest": 4}
        bench.clock.tick(100)
        assert (await look(bench)).state is CacheState.HIT
        assert (await look(bench)).resolution == first.resolution
        await settle(bench)
        assert upstream.counts == {"head-manifest": 4}


async def test_a_tag_that_nobody_uses_is_not(upstream: FakeUpstream) -> None:
    async with open_bench(upstream, freshness=AHEAD) as bench:
        await look(bench)
        upstream.forget()
        bench.clock.tick(AHEAD.tag_seconds)
        await settle(bench)
        assert upstream.count() == 0
        assert (await look(bench)).state is CacheState.REVALIDATED


async def test_what_has_moved_is_there_for_the_next(upstream: FakeUpstream) -> None:
    async with open_bench(upstream, freshness=AHEAD) as bench:
        first = await look(bench)
        upstream.push(f"{DEBIAN}:jessie", build_image(AMD64, label="newer"))
        bench.clock.tick(AHEAD.tag_seconds - 50)
        assert (await look(bench)).resolution == first.resolution
        await settle(bench)
        found = await look(bench)
        assert made_digest(found) != made_digest(first)


async def test_an_upstream_that_fails_ahead_of_the_end_takes_nothing_away(upstream: FakeUpstream) -> None:
    async with open_bench(upstream, freshness=AHEAD) as bench:
        await look(bench)
        upstream.go_offline()
        upstream.forget()
        bench.clock.tick(AHEAD.tag_seconds - 50)
        for _ in range(3):
            assert (await look(bench)).state is CacheState.HIT
            await settle(bench)
        assert upstream.count() <= 4
        bench.clock.tick(50)
        assert (await look(bench)).state is CacheState.STALE


# What has left the store


async def test_a_resolution_whose_index_has_left_is_made_again(bench: Bench) -> None:
    digest = made_digest(await look(bench))
    await bench.store.remove(digest)
    bench.manifests.forget([digest])
    bench.resolver.forget([Digest.of(b"another")])
    await look(bench)
    assert bench.store.find_size(digest) is None
    bench.resolver.forget([digest])
    assert made_digest(await look(bench)) == digest
    assert bench.store.find_size(digest) is not None
    bench.resolver.forget()
    assert bench.resolver.find(DEBIAN, "jessie", is_head=True) is None


async def test_whatever_an_answer_was_made_from_belongs_to_it(bench: Bench) -> None:
    made = made_digest(await look(bench))
    inventory = await bench.catalog.take_inventory()
    assert inventory.answers == {(HUB, DEBIAN, "jessie"): made}
    tags = {record.descriptor.digest for record in inventory.tags if record.descriptor}
    assert len(tags) == 4
    assert tags <= set(inventory.contents[made])


async def test_a_tag_that_needs_no_additions_any_more_is_listed_as_it_is(upstream: FakeUpstream) -> None:
    kept = Kept()
    await synthesise(upstream, kept)
    async with open_bench(upstream, kept, policy=PLAIN_POLICY) as bench:
        assert (await look(bench)).resolution.synthesis is None
    assert (await kept.catalog.take_inventory()).answers == {}


async def test_what_a_tag_was_answered_with_is_kept_while_builds_cannot_be_asked_for(upstream: FakeUpstream) -> None:
    kept, clock = Kept(), ManualClock()
    async with open_bench(upstream, kept, clock=clock) as bench:
        made = made_digest(await look(bench))
        await kept.catalog.forget_tag(HUB, SOURCES[ARM_V6], "jessie")
        await kept.catalog.forget_tag(HUB, SOURCES[ARM_V7], "jessie")
        await kept.catalog.forget_tag(HUB, SOURCES[ARM64], "jessie")
        upstream.go_offline()
        clock.tick(TIMES.tag_seconds)
        found = (await look(bench)).resolution
    assert found.synthesis is None
    assert not found.is_complete
    assert (await kept.catalog.take_inventory()).answers == {(HUB, DEBIAN, "jessie"): made}
