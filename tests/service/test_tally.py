from proxy.service.freshness import CacheState
from proxy.service.tally import Kind, Tally
from tests.fakes.upstream import FakeUpstream
from tests.service.bench import DEBIAN, address, asker, jessie, open_bench, publish_jessie


def test_it_counts_by_kind_and_state() -> None:
    tally = Tally()
    assert tally.as_fields() == {}
    for state in (CacheState.HIT, CacheState.HIT, CacheState.STALE):
        tally.count(Kind.TAG, state)
    tally.count(Kind.BLOB, CacheState.MISS)
    assert tally.as_fields() == {"blob_miss": 1, "tag_hit": 2, "tag_stale": 1}
    assert tally.counts[Kind.TAG, CacheState.STALE] == 1
    assert repr(tally) == "<Tally of 4 answers>"


async def test_every_answer_of_a_pull_is_counted_and_the_stale_ones_apart() -> None:
    upstream = FakeUpstream()
    publish_jessie(upstream, "linux/amd64")
    image = jessie("linux/amd64")
    async with open_bench(upstream) as bench:
        for _ in range(2):
            await bench.puller.get_tag((DEBIAN,), "jessie", asker())
        await bench.puller.get_manifest((DEBIAN,), address(image.manifest))
        await bench.puller.head_blob((DEBIAN,), address(image.layers[0]))
        upstream.go_offline()
        bench.clock.tick(10**6)
        await bench.puller.get_tag((DEBIAN,), "jessie", asker())
        assert bench.tally.as_fields() == {
            "blob_miss": 1,
            "manifest_hit": 1,
            "tag_hit": 1,
            "tag_miss": 1,
            "tag_stale": 1,
        }
