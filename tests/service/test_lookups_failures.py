"""Look-ups when upstream fails, or what was known is lost."""

from dataclasses import replace

import pytest

from proxy.arch.questions import Absent, Present, TagQuestion, Unreachable
from proxy.oci.errors import RegistryError, UpstreamMisbehaved, UpstreamSilent, UpstreamUnreachable
from proxy.service.freshness import CacheState
from tests.fakes.upstream import FakeUpstream, Kind
from tests.lab.images import build_image
from tests.service.bench import AMD64, DEBIAN, HUB, Bench, address, jessie, open_bench
from tests.service.test_lookups import CANDIDATE, GET, HEAD, TIMES, expect

BUSY = UpstreamUnreachable("it limits our requests (429)")


# Stale

FAILURES = [
    pytest.param(BUSY, id="429 or 5xx"),
    pytest.param(UpstreamSilent("no answer within 10 s"), id="no answer"),
    pytest.param(UpstreamMisbehaved("a hotel's sign-in page"), id="nonsense"),
]


@pytest.mark.parametrize("error", FAILURES)
async def test_what_is_known_is_served_while_upstream_fails(bench: Bench, error: RegistryError) -> None:
    first = expect(await bench.lookups.ask(GET), Present, CacheState.MISS)
    bench.clock.tick(TIMES.tag_seconds)
    bench.upstream.fail(error)
    known = await bench.lookups.ask(GET)
    found = expect(known, Present, CacheState.STALE)
    assert (found.descriptor, found.is_stale) == (first.descriptor, True)
    assert known.seconds == TIMES.retry_seconds
    assert bench.events.named("upstream.failed")[0]["tag"] == f"{DEBIAN}:jessie"
    bench.upstream.recover()
    bench.clock.tick(TIMES.retry_seconds)
    expect(await bench.lookups.ask(GET), Present, CacheState.REVALIDATED)


@pytest.mark.parametrize("error", FAILURES)
async def test_a_failure_is_never_remembered_as_an_absence(bench: Bench, error: RegistryError) -> None:
    bench.upstream.fail(error)
    for question in (GET, HEAD, CANDIDATE):
        found = expect(await bench.lookups.ask(question), Unreachable, CacheState.MISS)
        assert found.reason == error.message
        assert found.is_misbehaviour is isinstance(error, UpstreamMisbehaved)
        assert bench.catalog.find_tag(HUB, question.repository, question.tag) is None
    bench.upstream.recover()
    expect(await bench.lookups.ask(GET), Present, CacheState.MISS)
    expect(await bench.lookups.ask(CANDIDATE), Present, CacheState.MISS)


@pytest.mark.parametrize("error", FAILURES)
async def test_the_old_is_served_until_the_new_can_be_had(bench: Bench, error: RegistryError) -> None:
    """Docker Hub tells by HEAD that a tag has moved, also to those whose GETs it refuses."""
    await bench.lookups.ask(GET)
    newer = build_image(AMD64, label="newer")
    bench.upstream.push(f"{DEBIAN}:jessie", newer)
    bench.upstream.fail(error, kind=Kind.GET_MANIFEST)
    bench.clock.tick(TIMES.tag_seconds)
    for _ in range(2):
        found = expect(await bench.lookups.ask(GET), Present, CacheState.STALE)
        assert found.descriptor.digest == address(jessie(AMD64).manifest)
    bench.upstream.recover()
    bench.clock.tick(TIMES.retry_seconds)
    found = expect(await bench.lookups.ask(GET), Present, CacheState.MISS)
    assert found.descriptor.digest == address(newer.manifest)


@pytest.mark.parametrize("question", [GET, HEAD, CANDIDATE], ids=["GET", "HEAD", "candidate"])
async def test_the_old_is_served_where_the_new_is_nonsense(bench: Bench, question: TagQuestion) -> None:
    """A hotel's sign-in page answers everything, also a HEAD: it makes nobody forget what a tag was."""
    first = expect(await bench.lookups.ask(question), Present, CacheState.MISS)
    page = bench.upstream.put_manifest(question.repository, b"<html>Please sign in</html>", "text/html", tag="jessie")
    bench.clock.tick(TIMES.tag_seconds)
    found = expect(await bench.lookups.ask(question), Present, CacheState.STALE)
    assert found.descriptor == first.descriptor
    assert bench.store.find_size(page) is None


async def test_a_candidate_that_is_nonsense_from_the_first_is_not_believed(bench: Bench) -> None:
    bench.upstream.put_manifest("arm32v7/debian", b"<html>Please sign in</html>", "text/html", tag="jessie")
    assert expect(await bench.lookups.ask(CANDIDATE), Unreachable, CacheState.MISS).is_misbehaviour
    assert bench.catalog.find_tag(HUB, "arm32v7/debian", "jessie") is None


async def test_a_tag_whose_document_is_gone_is_absent(bench: Bench) -> None:
    """It moved on between two questions: that is an answer."""
    await bench.lookups.ask(GET)
    bench.upstream.push(f"{DEBIAN}:jessie", build_image(AMD64, label="newer"))
    bench.upstream.repositories[DEBIAN].manifests.pop(address(build_image(AMD64, label="newer").manifest))
    bench.upstream.repositories[DEBIAN].tags.pop("jessie")
    bench.clock.tick(TIMES.tag_seconds)
    expect(await bench.lookups.ask(GET), Absent, CacheState.MISS)


async def test_an_absence_may_be_stale_too(bench: Bench) -> None:
    bench.upstream.remove(DEBIAN)
    await bench.lookups.ask(GET)
    bench.clock.tick(TIMES.absent_seconds)
    bench.upstream.go_offline()
    expect(await bench.lookups.ask(GET), Absent, CacheState.STALE)


async def test_a_silent_upstream_is_left_alone_for_a_moment(bench: Bench) -> None:
    """Each question would wait for its time limit: what is known is served at once."""
    await bench.lookups.ask(HEAD)
    await bench.lookups.ask(CANDIDATE)
    bench.clock.tick(TIMES.tag_seconds)
    bench.upstream.forget()
    bench.upstream.go_offline()
    expect(await bench.lookups.ask(HEAD), Present, CacheState.STALE)
    expect(await bench.lookups.ask(CANDIDATE), Present, CacheState.STALE)
    assert bench.upstream.count() == 1
    bench.clock.tick(TIMES.retry_seconds)
    expect(await bench.lookups.ask(CANDIDATE), Present, CacheState.STALE)
    assert bench.upstream.count() == 2


async def test_a_busy_upstream_is_asked_for_other_tags(bench: Bench) -> None:
    """A 429 or a 503 comes quickly, and may be meant for one repository only."""
    await bench.lookups.ask(HEAD)
    await bench.lookups.ask(CANDIDATE)
    bench.clock.tick(TIMES.tag_seconds)
    bench.upstream.fail(BUSY, repository=DEBIAN)
    expect(await bench.lookups.ask(HEAD), Present, CacheState.STALE)
    expect(await bench.lookups.ask(CANDIDATE), Present, CacheState.REVALIDATED)


async def test_a_silent_upstream_is_asked_for_what_nobody_knows(bench: Bench) -> None:
    bench.upstream.go_offline()
    await bench.lookups.ask(GET)
    bench.upstream.recover()
    expect(await bench.lookups.ask(GET), Present, CacheState.MISS)


async def test_an_answer_that_is_too_old_is_none(upstream: FakeUpstream) -> None:
    async with open_bench(upstream, freshness=replace(TIMES, stale_seconds=100)) as bench:
        await bench.lookups.ask(GET)
        bench.upstream.go_offline()
        bench.clock.tick(TIMES.tag_seconds + 100)
        expect(await bench.lookups.ask(GET), Present, CacheState.STALE)
        bench.clock.tick(1)
        expect(await bench.lookups.ask(GET), Unreachable, CacheState.MISS)
        bench.clock.tick(TIMES.retry_seconds)
        expect(await bench.lookups.ask(GET), Unreachable, CacheState.MISS)


async def test_a_candidate_that_somebody_has_pulled_is_not_given_up_for_one_that_cannot_be_had(bench: Bench) -> None:
    """Docker Hub goes on answering HEADs while it refuses GETs: whoever needs that build would get nothing."""
    former = expect(await bench.lookups.ask(CANDIDATE), Present, CacheState.MISS)
    await bench.lookups.fetch(CANDIDATE.repository, former.descriptor.digest)
    bench.upstream.push(f"{CANDIDATE.repository}:jessie", build_image("linux/arm/v7", label="newer"))
    bench.upstream.fail(BUSY, kind=Kind.GET_MANIFEST)
    bench.clock.tick(TIMES.tag_seconds)
    found = expect(await bench.lookups.ask(CANDIDATE), Present, CacheState.STALE)
    assert found.descriptor == former.descriptor
    bench.upstream.recover()
    bench.clock.tick(TIMES.retry_seconds)
    assert expect(await bench.lookups.ask(CANDIDATE), Present, CacheState.MISS).descriptor != former.descriptor


# Documents that are gone


async def lose(bench: Bench) -> None:
    """Let the store lose the document of `debian:jessie`, and a proxy without a memory of it go on."""
    await bench.store.quarantine(address(jessie(AMD64).manifest))


async def test_a_lost_document_is_fetched_again(upstream: FakeUpstream) -> None:
    async with open_bench(upstream, memory_bytes=0) as bench:
        await bench.lookups.ask(GET)
        await lose(bench)
        expect(await bench.lookups.ask(GET), Present, CacheState.HIT)
        assert upstream.counts == {"get-manifest": 2}


async def test_a_lost_document_that_cannot_be_fetched_is_no_absence(upstream: FakeUpstream) -> None:
    async with open_bench(upstream, memory_bytes=0) as bench:
        await bench.lookups.ask(GET)
        await lose(bench)
        upstream.go_offline()
        known = await bench.lookups.ask(GET)
        expect(known, Unreachable, CacheState.HIT)
        assert known.seconds == TIMES.retry_seconds


async def test_a_lost_document_that_upstream_has_lost_too_is_absent(upstream: FakeUpstream) -> None:
    async with open_bench(upstream, memory_bytes=0) as bench:
        await bench.lookups.ask(GET)
        await lose(bench)
        upstream.repositories[DEBIAN].manifests.clear()
        known = await bench.lookups.ask(GET)
        expect(known, Absent, CacheState.HIT)
        assert known.seconds == TIMES.absent_seconds
