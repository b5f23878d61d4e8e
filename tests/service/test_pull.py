"""Manifests, by tag and by digest. Blobs are in `test_pull_blobs`."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.arch.candidates import proposal_templates
from proxy.arch.resolution import Policy
from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import (
    ManifestUnknown,
    NotFound,
    RegistryError,
    UpstreamMisbehaved,
    UpstreamRefused,
    UpstreamUnreachable,
)
from proxy.ports import Quota
from proxy.service.freshness import CacheState, Freshness
from proxy.service.pull import ManifestAnswer
from tests.fakes.upstream import FakeUpstream
from tests.lab.images import build_image, build_index
from tests.service.bench import (
    AMD64,
    ARM64,
    ARM_V6,
    ARM_V7,
    DEBIAN,
    FLEET,
    HUB,
    HUB_POLICY,
    PLAIN_POLICY,
    SOURCES,
    Bench,
    Kept,
    address,
    asker,
    jessie,
    kept_on_disk,
    open_bench,
    publish_jessie,
)

NAMES = (DEBIAN,)
NO_INDEX = media_types.DOCKER_MANIFEST
CHILD = address(jessie(ARM_V7).manifest)


async def pull(bench: Bench, platform: str | None = None, *accepted: str, is_head: bool = False) -> ManifestAnswer:
    return await bench.puller.get_tag(NAMES, "jessie", asker(platform, *accepted), is_head=is_head)


# By tag


async def test_everybody_is_answered_the_same_index(bench: Bench) -> None:
    answers = [await pull(bench, platform) for platform in (None, AMD64, ARM_V6, "linux/s390x", "windows/amd64")]
    assert len({(answer.descriptor, answer.content) for answer in answers}) == 1
    assert answers[0].content is not None
    assert answers[0].descriptor.digest.matches(answers[0].content)
    assert [answer.choice and answer.choice.entry and answer.choice.entry.repository for answer in answers] == [
        None,
        DEBIAN,
        SOURCES[ARM_V6],
        None,
        None,
    ]


@pytest.mark.parametrize("platform", SOURCES)
async def test_who_accepts_no_index_is_answered_its_image(bench: Bench, platform: str) -> None:
    answer = await pull(bench, platform, NO_INDEX)
    assert answer.content == jessie(platform).manifest.content
    assert answer.descriptor.media_type == jessie(platform).manifest.media_type


async def test_who_accepts_no_index_and_shows_nothing_is_answered_amd64(bench: Bench) -> None:
    """As Docker Hub does."""
    assert (await pull(bench, None, NO_INDEX)).content == jessie(AMD64).manifest.content


async def test_a_platform_in_the_path_is_answered_its_image(bench: Bench) -> None:
    answer = await bench.puller.get_tag(NAMES, "jessie", asker(ARM_V6, wants_manifest=True))
    assert answer.content == jessie(ARM_V6).manifest.content


async def test_a_document_that_needs_no_addition_is_upstreams_own(plain: Bench) -> None:
    answer = await pull(plain, ARM_V7)
    assert answer.content == jessie(AMD64).manifest.content
    assert answer.descriptor.digest == address(jessie(AMD64).manifest)


async def test_head_and_get_agree(bench: Bench) -> None:
    head, get = await pull(bench, is_head=True), await pull(bench)
    assert head.descriptor == get.descriptor
    assert get.content is not None
    assert head.descriptor.size == len(get.content)


async def test_a_head_of_upstreams_own_document_costs_no_get(plain: Bench) -> None:
    answer = await pull(plain, is_head=True)
    assert (answer.content, answer.descriptor.size) == (None, len(jessie(AMD64).manifest.content))
    assert plain.upstream.counts == {"head-manifest": 1}


async def test_a_head_of_an_index_that_the_client_does_not_take_looks_into_it(plain: Bench) -> None:
    index = build_index([jessie(AMD64), jessie(ARM_V7)])
    plain.upstream.push("library/debian:jessie", index)
    answer = await pull(plain, ARM_V7, NO_INDEX, is_head=True)
    assert answer.descriptor.digest == CHILD


async def test_the_stale_is_said_to_be_stale(bench: Bench) -> None:
    fresh = await pull(bench)
    bench.clock.tick(Freshness().tag_seconds)
    bench.upstream.go_offline()
    stale = await pull(bench)
    assert (stale.state, stale.descriptor) == (CacheState.STALE, fresh.descriptor)


@pytest.mark.parametrize("is_denied", [False, True], ids=["absent", "denied"])
async def test_what_is_nowhere_is_unknown(bench: Bench, *, is_denied: bool) -> None:
    bench.upstream.hides_absent = is_denied
    with pytest.raises(ManifestUnknown, match=r"library/nothing:1 is absent"):
        await bench.puller.get_tag(("library/nothing",), "1", asker())


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        pytest.param(UpstreamUnreachable("busy"), UpstreamUnreachable, id="unreachable"),
        pytest.param(UpstreamMisbehaved("nonsense"), UpstreamMisbehaved, id="misbehaved"),
    ],
)
async def test_what_nobody_knows_fails_as_upstream_does(
    bench: Bench, error: RegistryError, kind: type[RegistryError]
) -> None:
    bench.upstream.fail(error)
    with pytest.raises(kind, match=error.message):
        await pull(bench)


async def test_a_client_may_be_refused_what_it_cannot_run(upstream: FakeUpstream) -> None:
    async with open_bench(upstream, policy=replace(HUB_POLICY, refuse_missing=True)) as bench:
        with pytest.raises(ManifestUnknown, match=r"nothing runs on linux/s390x; there is linux/amd64, .*linux/arm/v6"):
            await pull(bench, "linux/s390x")
        assert (await pull(bench, ARM_V6)).state is CacheState.HIT
        assert (await pull(bench)).state is CacheState.HIT  # who shows no platform is not refused


async def test_who_takes_one_image_only_is_told_what_there_is(bench: Bench) -> None:
    with pytest.raises(ManifestUnknown, match=r"nothing runs on linux/s390x; there is linux/amd64"):
        await pull(bench, "linux/s390x", NO_INDEX)


# A platform word that may be a namespace


OWN_POLICY = Policy(FLEET, proposal_templates())
LITERAL_FIRST = ("arm6/app", "library/app")


async def test_a_word_that_is_a_namespace_too_means_the_namespace_first() -> None:
    upstream = FakeUpstream()
    upstream.push("arm6/app:1", build_image(ARM_V6, label="literal"))
    upstream.push("library/app:1", build_index([build_image(AMD64), build_image(ARM_V6)]))
    async with open_bench(upstream, policy=OWN_POLICY) as bench:
        answer = await bench.puller.get_tag(LITERAL_FIRST, "1", asker(ARM_V6, wants_manifest=True))
        assert answer.content == build_image(ARM_V6, label="literal").manifest.content
        config = build_image(ARM_V6, label="literal").config
        blob = await bench.puller.get_blob(LITERAL_FIRST, address(config))
        assert blob.size == len(config.content)
        assert {one.repository for one in upstream.asked} == {"arm6/app"}


async def test_a_word_that_is_no_namespace_means_the_platform() -> None:
    upstream = FakeUpstream()
    upstream.push("library/app:1", build_index([build_image(AMD64), build_image(ARM_V6)]))
    async with open_bench(upstream, policy=OWN_POLICY) as bench:
        answer = await bench.puller.get_tag(LITERAL_FIRST, "1", asker(ARM_V6, wants_manifest=True))
        assert answer.content == build_image(ARM_V6).manifest.content
        again = await bench.puller.get_manifest(LITERAL_FIRST, answer.descriptor.digest)
        assert (again.content, again.state) == (answer.content, CacheState.HIT)


# By digest


async def test_a_digest_is_answered_byte_for_byte(bench: Bench) -> None:
    for state in (CacheState.MISS, CacheState.HIT):
        answer = await bench.puller.get_manifest(("arm32v7/debian",), CHILD)
        assert (answer.content, answer.state, answer.resolution) == (jessie(ARM_V7).manifest.content, state, None)
    assert bench.upstream.counts == {"get-manifest": 1}


async def test_an_image_of_the_index_is_had_under_the_name_of_the_index(bench: Bench) -> None:
    """It is fetched from where it is, once; upstream never saw it under the name that the client knows."""
    await pull(bench)
    bench.upstream.forget()
    for _ in range(2):
        answer = await bench.puller.get_manifest(NAMES, CHILD)
        assert answer.content == jessie(ARM_V7).manifest.content
    assert [str(one) for one in bench.upstream.asked] == [f"get-manifest arm32v7/debian {CHILD}"]


async def test_attestations_of_a_candidate_come_under_the_name_of_the_index(upstream: FakeUpstream) -> None:
    candidate = build_index([jessie(ARM_V7)], attested=True)
    upstream.push("arm32v7/debian:jessie", candidate)
    async with open_bench(upstream) as bench:
        answer = await pull(bench)
        assert answer.content is not None
        listed = {entry["digest"] for entry in json.loads(answer.content)["manifests"]}
        attestation = candidate.attestations[0].manifest
        assert attestation.digest in listed
        found = await bench.puller.get_manifest(NAMES, address(attestation))
        assert found.content == attestation.content


async def test_a_synthesised_index_is_had_by_its_digest_after_a_restart(upstream: FakeUpstream, tmp_path: Path) -> None:
    with kept_on_disk(tmp_path) as kept:
        async with open_bench(upstream, kept) as bench:
            first = await pull(bench)
    upstream.go_offline()
    with kept_on_disk(tmp_path) as kept:
        async with open_bench(upstream, kept) as bench:
            again = await bench.puller.get_manifest(NAMES, first.descriptor.digest)
    assert (again.content, again.descriptor) == (first.content, first.descriptor)


async def test_a_digest_that_nobody_has_is_unknown(bench: Bench) -> None:
    with pytest.raises(NotFound):
        await bench.puller.get_manifest(NAMES, Digest.of(b"nobody"))
    bench.upstream.denied.add("library/private")
    with pytest.raises(UpstreamRefused):
        await bench.puller.get_manifest(("library/private",), Digest.of(b"nobody"))


async def test_a_manifest_that_the_store_lost_is_fetched_again(upstream: FakeUpstream) -> None:
    async with open_bench(upstream, memory_bytes=0) as bench:
        await bench.puller.get_manifest(("arm32v7/debian",), CHILD)
        await bench.store.quarantine(CHILD)
        answer = await bench.puller.get_manifest(("arm32v7/debian",), CHILD)
        assert (answer.content, answer.state) == (jessie(ARM_V7).manifest.content, CacheState.MISS)


# What is in the cache belongs to whom it was shown to


async def test_a_cached_manifest_is_shown_under_another_name_once_upstream_shows_it_there(bench: Bench) -> None:
    await bench.puller.get_manifest(("arm32v7/debian",), CHILD)
    bench.upstream.push("me/copy:1", jessie(ARM_V7))
    bench.upstream.forget()
    for state in (CacheState.MISS, CacheState.HIT):
        answer = await bench.puller.get_manifest(("me/copy",), CHILD)
        assert (answer.content, answer.state) == (jessie(ARM_V7).manifest.content, state)
    assert bench.upstream.counts == {"head-manifest": 1}


async def test_a_cached_manifest_is_not_shown_to_strangers(bench: Bench) -> None:
    """Neither to a name that upstream does not show it under, nor to any while upstream cannot be asked."""
    await bench.puller.get_manifest(("arm32v7/debian",), CHILD)
    bench.upstream.push("me/other:1", jessie(AMD64))
    with pytest.raises(ManifestUnknown):
        await bench.puller.get_manifest(("me/other",), CHILD)
    bench.upstream.go_offline()
    with pytest.raises(UpstreamUnreachable):
        await bench.puller.get_manifest(("me/other",), CHILD)


async def test_an_index_that_names_somebody_elses_image_opens_nothing(upstream: FakeUpstream) -> None:
    upstream.push("victim/private:1", jessie(ARM_V7))
    index = build_index([jessie(AMD64), jessie(ARM_V7)])
    upstream.push("evil/app:1", index)
    del upstream.repositories["evil/app"].manifests[CHILD]  # evil has no such image: it only names it
    async with open_bench(upstream, policy=PLAIN_POLICY) as bench:
        await bench.puller.get_manifest(("victim/private",), CHILD)
        await bench.puller.get_tag(("evil/app",), "1", asker())
        with pytest.raises(ManifestUnknown):
            await bench.puller.get_manifest(("evil/app",), CHILD)


async def test_other_upstreams_are_other_worlds(upstream: FakeUpstream) -> None:
    """The same name on another registry is another repository."""
    kept, other = Kept(), FakeUpstream()
    publish_jessie(other, ARM64)
    async with open_bench(upstream, kept) as bench, open_bench(other, kept, name="registry.lan") as elsewhere:
        await bench.puller.get_manifest((SOURCES[ARM64],), address(jessie(ARM64).manifest))
        other.remove(SOURCES[ARM64])
        with pytest.raises(NotFound):
            await elsewhere.puller.get_manifest((SOURCES[ARM64],), address(jessie(ARM64).manifest))


# About itself


async def test_it_tells_where_content_comes_from(bench: Bench) -> None:
    assert bench.puller.find_origin(DEBIAN, CHILD) == DEBIAN
    made = await pull(bench)
    assert bench.puller.find_origin(DEBIAN, CHILD) == "arm32v7/debian"
    assert bench.puller.find_origin(DEBIAN, made.descriptor.digest) == DEBIAN


async def test_it_tells_its_name_and_upstreams_quota(bench: Bench) -> None:
    bench.upstream.quota = Quota(100, 76, 21600)
    assert bench.puller.quota == bench.upstream.quota
    assert repr(bench.puller) == f"<Puller from {HUB}>"
