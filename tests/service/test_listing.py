import json

import pytest

from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import NameUnknown, UpstreamMisbehaved, UpstreamSilent, UpstreamUnreachable
from proxy.service.freshness import CacheState, Freshness
from proxy.service.listing import ListedReferrers
from tests.fakes.upstream import FakeUpstream, Kind
from tests.service.bench import AMD64, DEBIAN, HUB, Bench, Kept, address, asker, jessie, open_bench

TIMES = Freshness()
TAGS = ("bookworm", "buster", "jessie", "sid", "stretch")
SUBJECT = address(jessie(AMD64).manifest)


@pytest.fixture
def upstream() -> FakeUpstream:
    """A repository of five tags."""
    upstream = FakeUpstream()
    for tag in TAGS:
        upstream.push(f"{DEBIAN}:{tag}", jessie(AMD64))
    return upstream


async def pages(bench: Bench, limit: int | None) -> tuple[list[tuple[str, ...]], set[CacheState]]:
    """Follow a list to its end."""
    found: list[tuple[str, ...]] = []
    states: set[CacheState] = set()
    last: str | None = None
    while True:
        listed = await bench.listings.list_tags(DEBIAN, limit=limit, last=last)
        found.append(listed.page.tags)
        states.add(listed.state)
        last = listed.page.last
        if last is None:
            return found, states


# Tags


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        pytest.param(None, [TAGS], id="all"),
        pytest.param(2, [TAGS[:2], TAGS[2:4], TAGS[4:]], id="by two"),
        pytest.param(5, [TAGS], id="exactly all"),
        pytest.param(0, [()], id="none"),
    ],
)
async def test_pages_are_alike_with_and_without_upstream(
    bench: Bench, limit: int | None, expected: list[tuple[str, ...]]
) -> None:
    for tag in TAGS:
        await bench.puller.get_tag((DEBIAN,), tag, asker())
    assert (await pages(bench, limit))[0] == expected
    bench.upstream.go_offline()
    found, states = await pages(bench, limit)
    assert found == expected
    assert states == ({CacheState.HIT} if limit == 0 else {CacheState.STALE})


async def test_the_list_is_upstreams_as_long_as_it_can_be_asked(bench: Bench) -> None:
    found, states = await pages(bench, None)
    assert (found, states) == ([TAGS], {CacheState.MISS})


async def test_without_upstream_only_what_is_known_is_listed(bench: Bench) -> None:
    await bench.puller.get_tag((DEBIAN,), "sid", asker())
    await bench.listings.list_referrers(DEBIAN, DEBIAN, SUBJECT, artifact_type=None)
    bench.upstream.fail(UpstreamUnreachable("busy"))
    assert await pages(bench, None) == ([("sid",)], {CacheState.STALE})


async def test_a_list_of_which_nothing_is_known(bench: Bench) -> None:
    bench.upstream.go_offline()
    with pytest.raises(UpstreamSilent):
        await bench.listings.list_tags(DEBIAN, limit=None, last=None)


@pytest.mark.parametrize("is_denied", [False, True], ids=["absent", "denied"])
async def test_a_repository_that_is_not_there(bench: Bench, *, is_denied: bool) -> None:
    bench.upstream.hides_absent = is_denied
    with pytest.raises(NameUnknown):
        await bench.listings.list_tags("library/nothing", limit=None, last=None)


async def test_after_the_last_tag_there_is_nothing(bench: Bench) -> None:
    await bench.puller.get_tag((DEBIAN,), "sid", asker())
    for _ in range(2):
        listed = await bench.listings.list_tags(DEBIAN, limit=3, last="zzz")
        assert (listed.page.tags, listed.page.last) == ((), None)
        bench.upstream.go_offline()


# Referrers


def entry(name: str, artifact_type: str | None = None) -> dict[str, object]:
    content = name.encode()
    fields: dict[str, object] = {
        "mediaType": media_types.OCI_MANIFEST,
        "digest": str(Digest.of(content)),
        "size": len(content),
    }
    return fields if artifact_type is None else {**fields, "artifactType": artifact_type}


SIGNATURE, SBOM = entry("signature", "application/vnd.example.signature"), entry("sbom", "application/spdx+json")
PLAIN = entry("plain")
INDEX = json.dumps(
    {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [SIGNATURE, SBOM, PLAIN], "annotations": {}}
).encode()


async def refer(bench: Bench, artifact_type: str | None = None) -> ListedReferrers:
    return await bench.listings.list_referrers(DEBIAN, DEBIAN, SUBJECT, artifact_type=artifact_type)


def entries(listed: ListedReferrers) -> list[object]:
    fields = json.loads(listed.content)
    assert (fields["schemaVersion"], fields["mediaType"]) == (2, media_types.OCI_INDEX)
    found: list[object] = fields["manifests"]
    return found


async def test_referrers_are_upstreams_own_to_the_byte(bench: Bench) -> None:
    bench.upstream.put_referrers(DEBIAN, SUBJECT, INDEX, media_types.OCI_INDEX)
    for state in (CacheState.MISS, CacheState.HIT):
        listed = await refer(bench)
        assert (listed.content, listed.state) == (INDEX, state)
    assert bench.upstream.counts == {"referrers": 1}
    bench.clock.tick(TIMES.tag_seconds)
    assert (await refer(bench)).state is CacheState.MISS


@pytest.mark.parametrize(
    ("artifact_type", "expected"),
    [
        pytest.param("application/spdx+json", [SBOM], id="one"),
        pytest.param("application/nothing", [], id="none"),
        pytest.param("", [], id="the empty type"),
        pytest.param(None, [SIGNATURE, SBOM, PLAIN], id="all"),
    ],
)
async def test_referrers_are_filtered_by_type(
    bench: Bench, artifact_type: str | None, expected: list[dict[str, object]]
) -> None:
    bench.upstream.put_referrers(DEBIAN, SUBJECT, INDEX, media_types.OCI_INDEX)
    for _ in range(2):  # from upstream, then from the cache
        assert entries(await refer(bench, artifact_type)) == expected


async def test_a_referrer_can_be_pulled(bench: Bench) -> None:
    """The list links what it names to the repository that it was listed for."""
    bench.upstream.put_referrers(DEBIAN, SUBJECT, INDEX, media_types.OCI_INDEX)
    await bench.listings.list_referrers("library/shown", DEBIAN, SUBJECT, artifact_type=None)
    link = bench.catalog.find_link(HUB, "library/shown", Digest.of(b"sbom"))
    assert link is not None
    assert link.origin == DEBIAN


async def test_without_the_api_a_tag_stands_in_for_it(bench: Bench) -> None:
    bench.upstream.has_referrers = False
    bench.upstream.put_manifest(DEBIAN, INDEX, media_types.OCI_INDEX, tag=f"sha256-{SUBJECT.encoded}")
    assert (await refer(bench)).content == INDEX
    assert bench.upstream.counts == {"referrers": 1, "get-manifest": 1}


async def test_an_api_that_answers_nonsense_is_as_good_as_none(bench: Bench) -> None:
    bench.upstream.fail(UpstreamMisbehaved("405"), kind=Kind.REFERRERS)
    bench.upstream.put_manifest(DEBIAN, INDEX, media_types.OCI_INDEX, tag=f"sha256-{SUBJECT.encoded}")
    assert (await refer(bench)).content == INDEX


@pytest.mark.parametrize("is_denied", [False, True], ids=["absent", "denied"])
async def test_where_nothing_refers_the_list_is_empty(bench: Bench, *, is_denied: bool) -> None:
    if is_denied:
        bench.upstream.denied.add(DEBIAN)
    for state in (CacheState.MISS, CacheState.HIT):
        listed = await refer(bench, "application/spdx+json")
        assert (entries(listed), listed.state) == ([], state)
    assert bench.upstream.count() == 2
    bench.clock.tick(TIMES.absent_seconds)
    assert (await refer(bench)).state is CacheState.MISS


@pytest.mark.parametrize("error", [UpstreamUnreachable("busy"), UpstreamSilent("gone")], ids=["busy", "silent"])
async def test_without_upstream_what_was_known_is_listed(bench: Bench, error: UpstreamUnreachable) -> None:
    bench.upstream.put_referrers(DEBIAN, SUBJECT, INDEX, media_types.OCI_INDEX)
    await refer(bench)
    bench.clock.tick(TIMES.tag_seconds)
    bench.upstream.fail(error)
    listed = await refer(bench)
    assert (listed.content, listed.state) == (INDEX, CacheState.STALE)


async def test_without_upstream_an_unknown_list_is_empty_and_not_remembered(bench: Bench) -> None:
    """Every client can go on with it; the next one may have more luck."""
    bench.upstream.put_referrers(DEBIAN, SUBJECT, INDEX, media_types.OCI_INDEX)
    bench.upstream.go_offline()
    listed = await refer(bench)
    assert (entries(listed), listed.state) == ([], CacheState.STALE)
    bench.upstream.recover()
    assert (await refer(bench)).content == INDEX


async def test_the_stand_in_tag_cannot_be_asked(bench: Bench) -> None:
    """The API said no, and then nobody answered: that is no empty list that may be remembered."""
    bench.upstream.has_referrers = False
    bench.upstream.fail(UpstreamUnreachable("busy"), kind=Kind.GET_MANIFEST)
    assert (await refer(bench)).state is CacheState.STALE
    bench.upstream.recover()
    assert (await refer(bench)).state is CacheState.MISS


async def test_a_list_that_the_store_has_lost_is_empty(upstream: FakeUpstream) -> None:
    kept = Kept()
    async with open_bench(upstream, kept, memory_bytes=0) as bench:
        upstream.put_referrers(DEBIAN, SUBJECT, INDEX, media_types.OCI_INDEX)
        await refer(bench)
        await kept.store.quarantine(Digest.of(INDEX))
        upstream.go_offline()
        bench.clock.tick(TIMES.tag_seconds)
        assert entries(await refer(bench)) == []


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        pytest.param(b"<html></html>", "text/html", id="HTML"),
        pytest.param(jessie(AMD64).manifest.content, jessie(AMD64).manifest.media_type, id="an image"),
    ],
)
async def test_a_list_that_is_none_is_refused(bench: Bench, content: bytes, media_type: str) -> None:
    bench.upstream.put_referrers(DEBIAN, SUBJECT, content, media_type)
    with pytest.raises(UpstreamMisbehaved):
        await refer(bench)
    assert bench.store.find_size(Digest.of(content)) is None
