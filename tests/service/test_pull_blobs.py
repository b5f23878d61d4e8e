import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import BlobUnknown, UpstreamMisbehaved, UpstreamUnreachable
from proxy.ports import BlobStore, Link
from proxy.service.freshness import CacheState
from proxy.service.pull import BlobAnswer
from tests.fakes.store import FailingBlobStore
from tests.fakes.upstream import FakeUpstream, Kind
from tests.lab.programs import wait_until
from tests.service.bench import ARM_V7, DEBIAN, HUB, Bench, Kept, address, asker, jessie, open_bench
from tests.service.filling import noise, read

LAYER = jessie(ARM_V7).layers[0]
LAYER_DIGEST = address(LAYER)
HOME = ("arm32v7/debian",)
SECRET = noise(5000, "secret")
VICTIM, EVIL = ("victim/private",), ("evil/app",)


async def content_of(bench: Bench, answer: BlobAnswer) -> bytes:
    """Read an answer as a client does, and wait until its fill has ended."""
    if answer.fill is not None:
        content = await read(answer.fill, stop=answer.size)
        await settled(bench)
        return content
    return stored(bench.store, answer.digest)


def stored(store: BlobStore, digest: Digest) -> bytes:
    with store.open_blob(digest) as reader:
        return reader.read_at(0, reader.size)


async def settled(bench: Bench) -> None:
    async def no_fill() -> bool:
        return repr(bench.fills) == "<Fills: []>"

    await wait_until(no_fill, seconds=10, purpose="the end of all fills")


@pytest.fixture
def upstream() -> FakeUpstream:
    """`debian:jessie` for ARM only; a victim with a secret blob; a stranger whose manifest names it."""
    upstream = FakeUpstream()
    upstream.push("arm32v7/debian:jessie", jessie(ARM_V7))
    upstream.put_blob(VICTIM[0], SECRET)
    publish_naming(upstream, EVIL[0], Digest.of(SECRET), len(SECRET))
    return upstream


def publish_naming(upstream: FakeUpstream, repository: str, layer: Digest, size: int) -> None:
    """Publish an image whose manifest names a layer that the repository need not hold."""
    config = upstream.put_blob(repository, b"{}")
    fields = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "config": {"mediaType": media_types.OCI_CONFIG, "digest": str(config), "size": 2},
        "layers": [{"mediaType": media_types.OCTET_STREAM, "digest": str(layer), "size": size}],
    }
    upstream.put_manifest(repository, json.dumps(fields).encode(), media_types.OCI_MANIFEST, tag="1")


@pytest.fixture
async def on_disk(upstream: FakeUpstream, disk: Kept) -> AsyncIterator[Bench]:
    async with open_bench(upstream, disk) as bench:
        yield bench


# What it costs


async def test_a_cold_blob_costs_one_request_and_a_warm_one_none(on_disk: Bench) -> None:
    first = await on_disk.puller.get_blob(HOME, LAYER_DIGEST)
    assert (first.state, first.size) == (CacheState.MISS, len(LAYER.content))
    assert await content_of(on_disk, first) == LAYER.content
    second = await on_disk.puller.get_blob(HOME, LAYER_DIGEST)
    assert (second.state, second.size, second.fill) == (CacheState.HIT, len(LAYER.content), None)
    assert on_disk.upstream.counts == {"get-blob": 1}


async def test_a_head_never_fetches(bench: Bench) -> None:
    answer = await bench.puller.head_blob(HOME, LAYER_DIGEST)
    assert (answer.size, answer.state, answer.fill) == (len(LAYER.content), CacheState.MISS, None)
    assert bench.upstream.counts == {"head-blob": 1}


async def test_a_head_of_a_stored_blob_costs_nothing(bench: Bench) -> None:
    await content_of(bench, await bench.puller.get_blob(HOME, LAYER_DIGEST))
    bench.upstream.forget()
    answer = await bench.puller.head_blob(HOME, LAYER_DIGEST)
    assert (answer.size, answer.state) == (len(LAYER.content), CacheState.HIT)
    assert bench.upstream.count() == 0


async def test_a_blob_of_a_spliced_image_comes_under_the_name_of_the_index(on_disk: Bench) -> None:
    await on_disk.puller.get_tag((DEBIAN,), "jessie", asker())
    await on_disk.puller.get_manifest((DEBIAN,), address(jessie(ARM_V7).manifest))
    on_disk.upstream.forget()
    for blob in (jessie(ARM_V7).config, LAYER):
        answer = await on_disk.puller.get_blob((DEBIAN,), address(blob))
        assert await content_of(on_disk, answer) == blob.content
    assert {one.repository for one in on_disk.upstream.asked} == set(HOME)
    assert on_disk.upstream.counts == {"get-blob": 2}
    on_disk.upstream.go_offline()
    for names in ((DEBIAN,), HOME):  # under both names, from now on
        assert (await on_disk.puller.get_blob(names, LAYER_DIGEST)).state is CacheState.HIT


async def test_many_clients_cost_one_download(on_disk: Bench) -> None:
    gate = on_disk.upstream.hold(Kind.GET_BLOB)
    await on_disk.puller.get_manifest(HOME, address(jessie(ARM_V7).manifest))

    async def client() -> bytes:
        return await content_of(on_disk, await on_disk.puller.get_blob(HOME, LAYER_DIGEST))

    clients = [asyncio.ensure_future(client()) for _ in range(8)]
    await on_disk.upstream.wait_asked(Kind.GET_BLOB)
    gate.set()
    assert set(await asyncio.gather(*clients)) == {LAYER.content}
    assert on_disk.upstream.counts == {"get-manifest": 1, "get-blob": 1}


async def test_a_blob_that_came_in_meanwhile_is_not_fetched_again(bench: Bench) -> None:
    """Whoever asks while it is on its way has to be shown it by upstream; by then it may be here."""
    bench.upstream.put_blob("me/copy", LAYER.content)
    gate, proof = bench.upstream.hold(Kind.GET_BLOB), bench.upstream.hold(Kind.HEAD_BLOB)
    first = asyncio.ensure_future(bench.puller.get_blob(HOME, LAYER_DIGEST))
    await bench.upstream.wait_asked(Kind.GET_BLOB)
    second = asyncio.ensure_future(bench.puller.get_blob(("me/copy",), LAYER_DIGEST))
    await bench.upstream.wait_asked(Kind.HEAD_BLOB)
    gate.set()
    await content_of(bench, await first)
    proof.set()
    assert (await second).state is CacheState.HIT
    assert bench.upstream.counts == {"get-blob": 1, "head-blob": 1}


# What is not there


async def test_a_blob_that_nobody_has_is_unknown(bench: Bench) -> None:
    with pytest.raises(BlobUnknown):
        await bench.puller.get_blob(HOME, Digest.of(b"nobody"))
    with pytest.raises(BlobUnknown):
        await bench.puller.head_blob(HOME, Digest.of(b"nobody"))
    with pytest.raises(BlobUnknown):
        await bench.puller.get_blob(("nobody/nothing",), LAYER_DIGEST)


async def test_without_upstream_the_unknown_stays_unknown(bench: Bench) -> None:
    bench.upstream.go_offline()
    with pytest.raises(UpstreamUnreachable):
        await bench.puller.get_blob(HOME, LAYER_DIGEST)
    with pytest.raises(UpstreamUnreachable):
        await bench.puller.head_blob(HOME, LAYER_DIGEST)
    assert bench.upstream.count() == 2


# What is in the cache belongs to whom it was shown to


async def test_a_cached_blob_is_shown_under_another_name_once_upstream_shows_it_there(bench: Bench) -> None:
    bench.upstream.put_blob("me/copy", LAYER.content)
    await content_of(bench, await bench.puller.get_blob(HOME, LAYER_DIGEST))
    bench.upstream.forget()
    for _ in range(2):
        answer = await bench.puller.get_blob(("me/copy",), LAYER_DIGEST)
        assert (answer.state, await content_of(bench, answer)) == (CacheState.HIT, LAYER.content)
    assert bench.upstream.counts == {"head-blob": 1}


@pytest.mark.parametrize("is_head", [False, True], ids=["GET", "HEAD"])
async def test_a_manifest_that_names_somebody_elses_blob_opens_nothing(bench: Bench, *, is_head: bool) -> None:
    await content_of(bench, await bench.puller.get_blob(VICTIM, Digest.of(SECRET)))
    await bench.puller.get_tag(EVIL, "1", asker())
    link = bench.catalog.find_link(HUB, EVIL[0], Digest.of(SECRET))
    assert link is not None  # the manifest names it
    ask = bench.puller.head_blob if is_head else bench.puller.get_blob
    with pytest.raises(BlobUnknown):
        await ask(EVIL, Digest.of(SECRET))
    bench.upstream.go_offline()
    with pytest.raises(UpstreamUnreachable):
        await ask(EVIL, Digest.of(SECRET))


async def test_a_blob_on_its_way_is_not_shown_to_strangers(bench: Bench) -> None:
    bench.upstream.manners.pauses_at = 1000
    first = await bench.puller.get_blob(VICTIM, Digest.of(SECRET))
    with pytest.raises(BlobUnknown):
        await bench.puller.get_blob(EVIL, Digest.of(SECRET))
    bench.upstream.manners.resume.set()
    assert await content_of(bench, first) == SECRET


async def test_a_strangers_vain_request_takes_nothing_from_the_owner(bench: Bench) -> None:
    """The owner's client may join the download that a stranger's request began, and that is bound to fail."""
    await bench.puller.head_blob(VICTIM, Digest.of(SECRET))
    gate = bench.upstream.hold(Kind.GET_BLOB)
    vain = asyncio.ensure_future(bench.puller.get_blob(EVIL, Digest.of(SECRET)))
    await bench.upstream.wait_asked(Kind.GET_BLOB)
    owner = asyncio.ensure_future(bench.puller.get_blob(VICTIM, Digest.of(SECRET)))
    await asyncio.sleep(0)
    gate.set()
    with pytest.raises(BlobUnknown):
        await vain
    assert await content_of(bench, await owner) == SECRET


async def test_a_strangers_wrong_size_takes_nothing_from_the_owner(bench: Bench) -> None:
    bench.upstream.put_blob("evil/false", SECRET)
    publish_naming(bench.upstream, "evil/false", Digest.of(SECRET), 17)
    await bench.puller.get_tag(("evil/false",), "1", asker())
    await bench.puller.head_blob(VICTIM, Digest.of(SECRET))
    gate = bench.upstream.hold(Kind.GET_BLOB)
    false = asyncio.ensure_future(bench.puller.get_blob(("evil/false",), Digest.of(SECRET)))
    await bench.upstream.wait_asked(Kind.GET_BLOB)
    owner = asyncio.ensure_future(bench.puller.get_blob(VICTIM, Digest.of(SECRET)))
    await asyncio.sleep(0)
    gate.set()
    with pytest.raises(UpstreamMisbehaved):
        await false
    assert await content_of(bench, await owner) == SECRET


async def test_a_manifest_that_tells_a_wrong_size_takes_nothing_out_of_the_cache(bench: Bench) -> None:
    """The stored blob is what its digest says; the size is a stranger's word."""
    bench.upstream.put_blob("evil/false", SECRET)
    publish_naming(bench.upstream, "evil/false", Digest.of(SECRET), 17)
    await content_of(bench, await bench.puller.get_blob(VICTIM, Digest.of(SECRET)))
    await bench.puller.get_tag(("evil/false",), "1", asker())
    for ask in (bench.puller.get_blob, bench.puller.head_blob):
        answer = await ask(("evil/false",), Digest.of(SECRET))
        assert (answer.state, answer.size) == (CacheState.HIT, len(SECRET))
    bench.upstream.go_offline()
    assert (await bench.puller.get_blob(VICTIM, Digest.of(SECRET))).state is CacheState.HIT
    assert "blob.quarantined" not in bench.events.warnings


# What is wrong once is not wrong for good


@pytest.mark.parametrize("is_head", [False, True], ids=["GET", "HEAD"])
async def test_a_wrong_size_that_upstream_told_once_is_not_remembered(bench: Bench, *, is_head: bool) -> None:
    bench.upstream.manners.announces = 4321
    if is_head:
        assert (await bench.puller.head_blob(HOME, LAYER_DIGEST)).size == 4321
    else:
        answer = await bench.puller.get_blob(HOME, LAYER_DIGEST)
        assert answer.fill is not None
        with pytest.raises(UpstreamMisbehaved):
            await read(answer.fill, stop=answer.size)
        await settled(bench)
    bench.upstream.manners.announces = None
    assert await content_of(bench, await bench.puller.get_blob(HOME, LAYER_DIGEST)) == LAYER.content


async def test_wrong_bytes_are_not_kept(bench: Bench) -> None:
    bench.upstream.manners.sends, bench.upstream.manners.pauses_at = noise(len(LAYER.content)), 100
    answer = await bench.puller.get_blob(HOME, LAYER_DIGEST)
    assert answer.fill is not None
    bench.upstream.manners.resume.set()
    with pytest.raises(UpstreamMisbehaved):
        await read(answer.fill, stop=answer.size)
    await settled(bench)
    assert bench.store.find_size(LAYER_DIGEST) is None
    bench.upstream.manners.sends = None
    assert await content_of(bench, await bench.puller.get_blob(HOME, LAYER_DIGEST)) == LAYER.content


async def test_a_file_that_was_cut_off_is_put_aside_and_fetched_again(on_disk: Bench, tmp_path: Path) -> None:
    await on_disk.puller.get_manifest(HOME, address(jessie(ARM_V7).manifest))
    await content_of(on_disk, await on_disk.puller.get_blob(HOME, LAYER_DIGEST))
    path = tmp_path / "cache" / "blobs" / LAYER_DIGEST.algorithm / LAYER_DIGEST.encoded
    path.chmod(0o644)
    path.write_bytes(LAYER.content[:-10])
    answers = await asyncio.gather(*(on_disk.puller.get_blob(HOME, LAYER_DIGEST) for _ in range(3)))
    assert CacheState.MISS in {answer.state for answer in answers}  # the last one may find it mended
    assert {await content_of(on_disk, answer) for answer in answers} == {LAYER.content}
    assert "blob.quarantined" in on_disk.events.warnings
    assert path.read_bytes() == LAYER.content


async def test_what_somebody_else_put_aside_meanwhile_is_fetched_again(upstream: FakeUpstream) -> None:
    """Two may find the same broken file at the same time."""
    store = FailingBlobStore()
    async with open_bench(upstream, Kept(store)) as bench:
        await bench.puller.get_manifest(HOME, address(jessie(ARM_V7).manifest))
        store.put_broken(LAYER_DIGEST, LAYER.content[:-10])
        store.vanishing.add(LAYER_DIGEST)
        assert await content_of(bench, await bench.puller.get_blob(HOME, LAYER_DIGEST)) == LAYER.content


async def test_what_somebody_else_mended_meanwhile_is_left_alone(upstream: FakeUpstream) -> None:
    store = FailingBlobStore()
    async with open_bench(upstream, Kept(store)) as bench:
        await content_of(bench, await bench.puller.get_blob(HOME, LAYER_DIGEST))
        await bench.puller.get_manifest(HOME, address(jessie(ARM_V7).manifest))
        await bench.catalog.put_links(
            [Link(HUB, HOME[0], LAYER_DIGEST, HOME[0], size=len(LAYER.content), is_proven=True)]
        )
        store.put_broken(LAYER_DIGEST, LAYER.content[:-10])
        store.mended[LAYER_DIGEST] = LAYER.content
        answer = await bench.puller.get_blob(HOME, LAYER_DIGEST)
        assert (answer.state, await content_of(bench, answer)) == (CacheState.HIT, LAYER.content)
        assert bench.upstream.count(Kind.GET_BLOB) == 1


async def test_what_cannot_be_read_while_its_size_is_in_doubt_is_fetched_again(upstream: FakeUpstream) -> None:
    store = FailingBlobStore()
    async with open_bench(upstream, Kept(store)) as bench:
        await bench.puller.get_manifest(HOME, address(jessie(ARM_V7).manifest))
        store.put_broken(LAYER_DIGEST, LAYER.content[:-10])
        store.unreadable.add(LAYER_DIGEST)
        assert await content_of(bench, await bench.puller.get_blob(HOME, LAYER_DIGEST)) == LAYER.content
        assert len(bench.events.named("blob.quarantined")) == 1
