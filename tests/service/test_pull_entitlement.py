"""Whose content is whose: what a repository may be shown from the cache, while upstream can be asked and while not."""

import asyncio

import pytest

from proxy.arch.questions import ConfigQuestion
from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import BlobUnknown, RegistryError
from proxy.oci.manifests import Descriptor
from proxy.service.freshness import CacheState
from proxy.service.pull import BlobAnswer
from tests.fakes.upstream import FakeUpstream, Kind
from tests.lab.images import build_index
from tests.lab.programs import wait_until
from tests.service.bench import (
    AMD64,
    ARM_V7,
    DEBIAN,
    HUB,
    PLAIN_POLICY,
    Bench,
    address,
    asker,
    jessie,
    open_bench,
    publish_jessie,
)
from tests.service.test_pull_blobs import content_of, publish_naming

OTHER = ("other/app",)
IMAGE = jessie(ARM_V7)
LAYER, MANIFEST = address(IMAGE.layers[0]), address(IMAGE.manifest)


@pytest.fixture
def upstream() -> FakeUpstream:
    """`debian:jessie`, whose ARM build stands under another name too."""
    upstream = FakeUpstream()
    publish_jessie(upstream)
    upstream.push(f"{OTHER[0]}:1", IMAGE)
    return upstream


async def _settle(bench: Bench) -> None:
    async def is_over() -> bool:
        return repr(bench.owner) == "<TaskOwner of []>"

    await wait_until(is_over, seconds=10, purpose="the end of what runs in the background")


async def _bring_layer(bench: Bench) -> None:
    """Let one repository bring the layer into the cache."""
    await bench.puller.get_tag(("arm32v7/debian",), "jessie", asker())
    await content_of(bench, await bench.puller.get_blob(("arm32v7/debian",), LAYER))


async def test_a_layer_that_a_client_has_already_is_there_for_the_next_one_offline(bench: Bench) -> None:
    """It was pulled under another name: this client does not ask for it, and the next one does, with upstream gone."""
    await _bring_layer(bench)
    await bench.puller.get_manifest(OTHER, MANIFEST)
    await _settle(bench)
    assert bench.upstream.count(Kind.HEAD_BLOB, OTHER[0]) == 1
    bench.upstream.go_offline()
    assert (await bench.puller.get_blob(OTHER, LAYER)).state is CacheState.HIT


async def test_what_nobody_has_brought_is_not_asked_about(bench: Bench) -> None:
    await bench.puller.get_manifest(OTHER, MANIFEST)
    await _settle(bench)
    assert bench.upstream.count(Kind.HEAD_BLOB) == 0


async def test_a_layer_that_upstream_does_not_show_there_stays_closed(bench: Bench) -> None:
    await _bring_layer(bench)
    del bench.upstream.repositories[OTHER[0]].blobs[LAYER]
    await bench.puller.get_manifest(OTHER, MANIFEST)
    await _settle(bench)
    bench.upstream.go_offline()
    with pytest.raises(RegistryError):
        await bench.puller.get_blob(OTHER, LAYER)


async def test_what_a_build_s_own_repository_is_shown_the_spliced_name_is_too(upstream: FakeUpstream) -> None:
    """Our own index was made of both; so it stays while upstream is gone, whoever of the two brought it."""
    async with open_bench(upstream) as bench:
        await bench.puller.get_tag((DEBIAN,), "jessie", asker())
        await bench.puller.get_manifest(("arm32v7/debian",), MANIFEST)
        await content_of(bench, await bench.puller.get_blob(("arm32v7/debian",), LAYER))
        link = bench.catalog.find_link(HUB, DEBIAN, MANIFEST)
        assert link is not None
        upstream.go_offline()
        assert (await bench.puller.get_manifest((DEBIAN,), MANIFEST)).state is CacheState.HIT
        found = bench.catalog.find_link(HUB, DEBIAN, MANIFEST)
        assert found is not None
        assert found.is_proven
        assert (await bench.puller.get_blob((DEBIAN,), LAYER)).state is CacheState.HIT


async def test_the_rest_of_such_an_image_is_found_where_it_is(upstream: FakeUpstream) -> None:
    """Only its manifest is cached, under its own repository's name: its blobs are asked for there."""
    async with open_bench(upstream) as bench:
        await bench.puller.get_tag((DEBIAN,), "jessie", asker())
        await bench.puller.get_manifest(("arm32v7/debian",), MANIFEST)
        assert (await bench.puller.get_manifest((DEBIAN,), MANIFEST)).state is CacheState.HIT
        await content_of(bench, await bench.puller.get_blob((DEBIAN,), LAYER))
        assert bench.upstream.count(Kind.GET_BLOB, "arm32v7/debian") == 1


async def test_an_image_that_is_no_part_of_the_index_gains_nothing(bench: Bench) -> None:
    await bench.puller.get_tag((DEBIAN,), "jessie", asker())
    await bench.puller.get_manifest(OTHER, MANIFEST)
    bench.upstream.go_offline()
    with pytest.raises(RegistryError):
        await bench.puller.get_manifest(("library/else",), MANIFEST)
    with pytest.raises(RegistryError):
        await bench.puller.get_blob(("library/else",), Digest.of(b"never"))


# What an index names is not yet shown


@pytest.mark.parametrize("is_offline", [False, True], ids=["online", "offline"])
async def test_an_index_opens_nobody_else_s_image_to_who_is_answered_one(
    upstream: FakeUpstream, *, is_offline: bool
) -> None:
    """The one image manifest for a platform is held to the same proof as one that is asked for by digest."""
    upstream.push("evil/app:1", build_index([jessie(AMD64), IMAGE]))
    del upstream.repositories["evil/app"].manifests[MANIFEST]  # evil has no such image: it only names it
    asking = asker(ARM_V7, wants_manifest=True)
    async with open_bench(upstream, policy=PLAIN_POLICY) as bench:
        await bench.puller.get_manifest(OTHER, MANIFEST)
        await bench.puller.get_tag(("evil/app",), "1", asker())
        if is_offline:
            upstream.go_offline()
        with pytest.raises(RegistryError):
            await bench.puller.get_tag(("evil/app",), "1", asking)
        link = bench.catalog.find_link(HUB, "evil/app", MANIFEST)
        assert link is not None
        assert not link.is_proven


async def test_a_config_on_its_way_to_somebody_else_is_not_shown(upstream: FakeUpstream) -> None:
    """A manifest may call somebody else's blob its config: that somebody fetches it just now proves nothing."""
    secret = b'{"os": "linux", "architecture": "arm64"}'
    digest = upstream.put_blob("victim/private", secret)
    publish_naming(upstream, "evil/app", digest, len(secret))
    question = ConfigQuestion("evil/app", Descriptor(media_types.OCI_CONFIG, digest, len(secret)))
    async with open_bench(upstream) as bench:
        upstream.manners.pauses_at = 10
        owner = await bench.puller.get_blob(("victim/private",), digest)
        asked = asyncio.ensure_future(bench.lookups.ask(question))
        await asyncio.sleep(0)
        upstream.manners.resume.set()
        await content_of(bench, owner)
        await asked
        link = bench.catalog.find_link(HUB, "evil/app", digest)
        assert link is None or not link.is_proven
        with pytest.raises(RegistryError):
            await bench.puller.get_blob(("evil/app",), digest)


async def test_who_failed_with_a_download_is_not_let_into_the_next_one(upstream: FakeUpstream) -> None:
    """The owner joined the stranger's vain download, and begins one of its own as that ends."""
    secret = b"nobody else's" * 100
    digest = upstream.put_blob("victim/private", secret)
    publish_naming(upstream, "evil/app", digest, len(secret))
    async with open_bench(upstream) as bench:
        await bench.puller.head_blob(("victim/private",), digest)
        gate = upstream.hold(Kind.GET_BLOB)
        asked = [asyncio.ensure_future(bench.puller.get_blob(("evil/app",), digest))]
        await upstream.wait_asked(Kind.GET_BLOB)
        for repository in ("victim/private", "evil/app"):
            asked.append(asyncio.ensure_future(bench.puller.get_blob((repository,), digest)))
            await asyncio.sleep(0)
        gate.set()
        vain, owner, late = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(owner, BlobAnswer)
        assert await content_of(bench, owner) == secret
        assert isinstance(vain, BlobUnknown)
        assert isinstance(late, BlobUnknown)
        link = bench.catalog.find_link(HUB, "evil/app", digest)
        assert link is None or not link.is_proven
