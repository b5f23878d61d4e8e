import asyncio
from dataclasses import replace
from typing import TypeVar

import pytest

from proxy.arch.questions import (
    Absent,
    ConfigPlatform,
    ConfigQuestion,
    ManifestQuestion,
    Present,
    TagQuestion,
    Unreachable,
)
from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import UpstreamUnreachable
from proxy.oci.manifests import MAX_MANIFEST_BYTES, Descriptor, ImageManifest
from proxy.oci.platforms import Platform
from proxy.ports import TagState
from proxy.service.freshness import CacheState, Freshness
from proxy.service.lookups import Known
from tests.fakes.store import FailingBlobStore
from tests.fakes.upstream import FakeUpstream, Kind
from tests.lab.images import build_image
from tests.service.bench import AMD64, ARM_V7, DEBIAN, HUB, Bench, Kept, address, jessie, open_bench, put_blob

HEAD = TagQuestion(DEBIAN, "jessie", with_document=False)
GET = TagQuestion(DEBIAN, "jessie", with_document=True)
CANDIDATE = TagQuestion("arm32v7/debian", "jessie", with_document=False, is_candidate=True)
TIMES = Freshness()
BUSY = UpstreamUnreachable("it limits our requests (429)")

_A = TypeVar("_A")


def expect(known: Known, kind: type[_A], state: CacheState) -> _A:
    """Hold an answer's kind and state to what they must be; answer the answer."""
    assert isinstance(known.answer, kind)
    assert known.state is state
    return known.answer


# Fresh


async def test_a_document_that_nobody_knows_costs_one_get(bench: Bench) -> None:
    found = expect(await bench.lookups.ask(GET), Present, CacheState.MISS)
    assert found.descriptor.digest == address(jessie(AMD64).manifest)
    assert isinstance(found.document, ImageManifest)
    assert bench.upstream.counts == {"get-manifest": 1}


async def test_what_is_fresh_costs_nothing(bench: Bench) -> None:
    first = await bench.lookups.ask(GET)
    bench.clock.tick(TIMES.tag_seconds - 1)
    second = await bench.lookups.ask(GET)
    assert expect(second, Present, CacheState.HIT) == first.answer
    assert (first.seconds, second.seconds) == (TIMES.tag_seconds, 1)
    assert bench.upstream.counts == {"get-manifest": 1}


async def test_a_head_will_do_where_nobody_wants_the_document(bench: Bench) -> None:
    found = expect(await bench.lookups.ask(HEAD), Present, CacheState.MISS)
    assert (found.descriptor.digest, found.document) == (address(jessie(AMD64).manifest), None)
    assert bench.upstream.counts == {"head-manifest": 1}


async def test_the_document_of_a_known_tag_is_fetched_by_digest(bench: Bench) -> None:
    """It is the one that the tag was announced to be, whatever the tag is by now."""
    await bench.lookups.ask(HEAD)
    bench.upstream.push(f"{DEBIAN}:jessie", build_image(AMD64, label="newer"))
    found = expect(await bench.lookups.ask(GET), Present, CacheState.HIT)
    assert found.descriptor.digest == address(jessie(AMD64).manifest)
    assert str(bench.upstream.asked[-1]) == f"get-manifest {DEBIAN} {jessie(AMD64).manifest.digest}"


# Revalidated


async def test_what_has_expired_is_revalidated_by_head(bench: Bench) -> None:
    await bench.lookups.ask(GET)
    bench.clock.tick(TIMES.tag_seconds)
    known = await bench.lookups.ask(GET)
    assert expect(known, Present, CacheState.REVALIDATED).document is not None
    assert known.seconds == TIMES.tag_seconds
    assert bench.upstream.counts == {"get-manifest": 1, "head-manifest": 1}


async def test_a_tag_that_has_moved_is_fetched_by_its_new_digest(bench: Bench) -> None:
    await bench.lookups.ask(GET)
    newer = build_image(AMD64, label="newer")
    bench.upstream.push(f"{DEBIAN}:jessie", newer)
    bench.clock.tick(TIMES.tag_seconds)
    found = expect(await bench.lookups.ask(GET), Present, CacheState.MISS)
    assert found.descriptor.digest == address(newer.manifest)
    assert [str(one) for one in bench.upstream.asked[1:]] == [
        f"head-manifest {DEBIAN} jessie",
        f"get-manifest {DEBIAN} {newer.manifest.digest}",
    ]


@pytest.mark.parametrize("question", [CANDIDATE, replace(CANDIDATE, with_document=True)], ids=["head", "get"])
@pytest.mark.parametrize("vague", ["text/plain", "application/json", "application/octet-stream"])
async def test_a_type_that_upstream_does_not_tell_is_told_by_the_document(
    bench: Bench, question: TagQuestion, vague: str
) -> None:
    """One GET a digest, however often the tag is asked for; then a HEAD is enough, as for any other registry."""
    image = build_image(ARM_V7, label="vague")
    bench.upstream.put_manifest(question.repository, image.manifest.content, vague, tag="jessie")
    for state in (CacheState.MISS, CacheState.REVALIDATED, CacheState.REVALIDATED):
        found = expect(await bench.lookups.ask(question), Present, state)
        assert found.descriptor == Descriptor(
            image.manifest.media_type, address(image.manifest), len(image.manifest.content)
        )
        bench.clock.tick(TIMES.tag_seconds)
    assert bench.upstream.count(Kind.GET_MANIFEST) == 1


async def test_a_clock_that_was_set_back_makes_it_ask(bench: Bench) -> None:
    """A Pi has no clock of its own: what seems to have been checked in the future was checked nobody knows when."""
    await bench.lookups.ask(GET)
    bench.clock.jump(-1000)
    expect(await bench.lookups.ask(GET), Present, CacheState.REVALIDATED)
    bench.clock.jump(-1_000_000_000)
    bench.upstream.go_offline()
    assert expect(await bench.lookups.ask(GET), Present, CacheState.STALE).is_stale


# Absent


@pytest.mark.parametrize("is_denied", [False, True], ids=["absent", "denied"])
async def test_an_absence_is_remembered_for_a_while(bench: Bench, *, is_denied: bool) -> None:
    bench.upstream.remove(DEBIAN)
    bench.upstream.hides_absent = is_denied
    found = expect(await bench.lookups.ask(GET), Absent, CacheState.MISS)
    assert found.is_denied is is_denied
    bench.clock.tick(TIMES.absent_seconds - 1)
    expect(await bench.lookups.ask(GET), Absent, CacheState.HIT)
    assert bench.upstream.count() == 1
    bench.clock.tick(1)
    expect(await bench.lookups.ask(GET), Absent, CacheState.MISS)
    assert bench.upstream.count() == 2


async def test_an_absent_candidate_is_remembered_for_longer(bench: Bench) -> None:
    bench.upstream.remove("arm32v7/debian")
    expect(await bench.lookups.ask(CANDIDATE), Absent, CacheState.MISS)
    bench.clock.tick(TIMES.candidate_absent_seconds - 1)
    expect(await bench.lookups.ask(CANDIDATE), Absent, CacheState.HIT)
    assert bench.upstream.counts == {"head-manifest": 1}
    named = TagQuestion("arm32v7/debian", "jessie", with_document=False)
    expect(
        await bench.lookups.ask(named), Absent, CacheState.MISS
    )  # somebody asks for it by name: now it is looked for


async def test_what_was_absent_may_appear(bench: Bench) -> None:
    bench.upstream.remove(DEBIAN)
    await bench.lookups.ask(GET)
    bench.upstream.push(f"{DEBIAN}:jessie", jessie(AMD64))
    bench.clock.tick(TIMES.absent_seconds)
    expect(await bench.lookups.ask(GET), Present, CacheState.MISS)
    assert bench.upstream.counts == {"get-manifest": 2}


@pytest.mark.parametrize("is_denied", [False, True], ids=["absent", "denied"])
async def test_an_absence_is_an_answer_never_a_reason_to_serve_stale(bench: Bench, *, is_denied: bool) -> None:
    await bench.lookups.ask(GET)
    bench.upstream.remove(DEBIAN)
    bench.upstream.hides_absent = is_denied
    bench.clock.tick(TIMES.tag_seconds)
    expect(await bench.lookups.ask(GET), Absent, CacheState.MISS)
    record = bench.catalog.find_tag(HUB, DEBIAN, "jessie")
    assert record is not None
    assert record.state is (TagState.DENIED if is_denied else TagState.ABSENT)


# At the same time


@pytest.mark.parametrize(
    ("question", "kind"),
    [pytest.param(HEAD, Kind.HEAD_MANIFEST, id="HEAD"), pytest.param(GET, Kind.GET_MANIFEST, id="GET")],
)
async def test_many_who_ask_at_once_share_one_question(bench: Bench, question: TagQuestion, kind: Kind) -> None:
    gate = bench.upstream.hold(kind)
    asked = [asyncio.ensure_future(bench.lookups.ask(question)) for _ in range(50)]
    await bench.upstream.wait_asked(kind)
    gate.set()
    assert len({id(known) for known in await asyncio.gather(*asked)}) == 1
    assert bench.upstream.count() == 1


async def test_who_is_quicker_answers_for_both(bench: Bench) -> None:
    gate = bench.upstream.hold(Kind.HEAD_MANIFEST)
    quick = asyncio.ensure_future(bench.lookups.ask(HEAD))
    await bench.upstream.wait_asked(Kind.HEAD_MANIFEST)
    slow = asyncio.ensure_future(bench.lookups.ask(GET))
    gate.set()
    expect(await quick, Present, CacheState.MISS)
    expect(await slow, Present, CacheState.HIT)
    assert [one.target for one in bench.upstream.asked] == ["jessie", jessie(AMD64).manifest.digest]


async def test_who_asks_by_name_is_not_told_for_how_long_a_candidate_is_absent(bench: Bench) -> None:
    bench.upstream.remove("arm32v7/debian")
    gate = bench.upstream.hold(Kind.HEAD_MANIFEST)
    named = replace(CANDIDATE, is_candidate=False)
    asked = [asyncio.ensure_future(bench.lookups.ask(question)) for question in (CANDIDATE, named)]
    await bench.upstream.wait_asked(Kind.HEAD_MANIFEST)
    gate.set()
    found = [known.seconds for known in await asyncio.gather(*asked)]
    assert found == [TIMES.candidate_absent_seconds, TIMES.absent_seconds]


async def test_many_who_want_a_manifest_share_one_fetch(bench: Bench) -> None:
    digest = address(jessie(AMD64).manifest)
    gate = bench.upstream.hold(Kind.GET_MANIFEST)
    asked = [asyncio.ensure_future(bench.lookups.fetch(DEBIAN, digest)) for _ in range(8)]
    await bench.upstream.wait_asked(Kind.GET_MANIFEST)
    gate.set()
    assert {found.digest for found in await asyncio.gather(*asked)} == {digest}
    assert bench.upstream.count() == 1


# Manifests and configs


async def test_a_manifest_question_is_answered_once_and_for_all(bench: Bench) -> None:
    image = jessie(ARM_V7).manifest
    question = ManifestQuestion("arm32v7/debian", Descriptor(image.media_type, address(image), len(image.content)))
    for _ in range(2):
        known = await bench.lookups.ask(question)
        assert expect(known, Present, CacheState.MISS).document is not None
        assert known.seconds == float("inf")
    assert bench.upstream.counts == {"get-manifest": 1}


def config_question(platform: str) -> ConfigQuestion:
    config = jessie(platform).config
    return ConfigQuestion(DEBIAN, Descriptor(config.media_type, address(config), len(config.content)))


async def test_a_config_tells_its_platform(bench: Bench) -> None:
    for _ in range(2):
        known = await bench.lookups.ask(config_question(AMD64))
        assert expect(known, ConfigPlatform, CacheState.MISS).platform == Platform.parse(AMD64)
    assert bench.upstream.counts == {"get-blob": 1}
    link = bench.catalog.find_link(HUB, DEBIAN, address(jessie(AMD64).config))
    assert link is not None
    assert link.is_proven


async def test_a_config_that_cannot_be_had_is_told(bench: Bench) -> None:
    expect(await bench.lookups.ask(config_question(ARM_V7)), Absent, CacheState.MISS)
    bench.upstream.go_offline()
    expect(await bench.lookups.ask(config_question(AMD64)), Unreachable, CacheState.MISS)


@pytest.mark.parametrize("content", [b"\x1f\x8b no JSON", b"[]"])
async def test_a_config_that_is_none_claims_nothing(bench: Bench, content: bytes) -> None:
    digest = bench.upstream.put_blob(DEBIAN, content)
    question = ConfigQuestion(DEBIAN, Descriptor(media_types.DOCKER_CONFIG, digest, len(content)))
    assert expect(await bench.lookups.ask(question), ConfigPlatform, CacheState.MISS).platform is None


async def test_a_config_of_many_megabytes_is_not_read(bench: Bench) -> None:
    question = ConfigQuestion(DEBIAN, Descriptor(media_types.OCI_CONFIG, Digest.of(b"huge"), MAX_MANIFEST_BYTES + 1))
    assert expect(await bench.lookups.ask(question), ConfigPlatform, CacheState.MISS).platform is None
    assert bench.upstream.count() == 0


@pytest.mark.parametrize("is_stored", [False, True], ids=["on its way", "stored"])
async def test_a_layer_that_is_called_a_config_is_not_read_whole(bench: Bench, *, is_stored: bool) -> None:
    """A stranger's manifest may name any blob as its config, and any size."""
    content = bytes(MAX_MANIFEST_BYTES + 1)
    digest = bench.upstream.put_blob(DEBIAN, content)
    if is_stored:
        await put_blob(bench.store, content)
    else:
        await bench.puller.get_blob((DEBIAN,), digest)
    question = ConfigQuestion(DEBIAN, Descriptor(media_types.OCI_CONFIG, digest, 100))
    assert expect(await bench.lookups.ask(question), Unreachable, CacheState.MISS).is_misbehaviour


async def test_a_config_that_cannot_be_read_is_fetched_again(upstream: FakeUpstream) -> None:
    store, question = FailingBlobStore(), config_question(AMD64)
    async with open_bench(upstream, Kept(store)) as bench:
        await put_blob(store, jessie(AMD64).config.content)
        store.unreadable.add(question.config.digest)
        known = await bench.lookups.ask(question)
        assert expect(known, ConfigPlatform, CacheState.MISS).platform == Platform.parse(AMD64)
        assert [told["digest"] for told in bench.events.named("blob.quarantined")] == [str(question.config.digest)]
        assert bench.upstream.counts == {"get-blob": 1}


async def test_a_store_that_cannot_be_written_costs_nobody_the_answer(upstream: FakeUpstream) -> None:
    store = FailingBlobStore()
    store.is_writable = False
    async with open_bench(upstream, Kept(store)) as bench:
        expect(await bench.lookups.ask(GET), Present, CacheState.MISS)
        expect(await bench.lookups.ask(GET), Present, CacheState.HIT)
        assert bench.events.warnings == ["cache.unwritable"]
        assert repr(bench.lookups) == "<Lookups of docker.io>"
