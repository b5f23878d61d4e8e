"""What is in the cache, for people."""

import pytest

from proxy.oci.digests import Digest
from proxy.oci.references import Reference
from proxy.ports import Pin, TagRecord, TagState
from proxy.service.freshness import Freshness
from proxy.service.inspection import Inspection, RepositoryUsage, compile_pattern, fits
from tests.fakes.clock import ManualClock
from tests.fakes.upstream import FakeUpstream
from tests.lab.images import build_image, build_index
from tests.service.bench import (
    AMD64,
    ARM_V7,
    DEBIAN,
    HUB,
    SOURCES,
    Kept,
    address,
    asker,
    jessie,
    open_bench,
    publish_jessie,
    put_blob,
)
from tests.service.stocking import blobs_of, stock

INDEX = build_index([jessie(AMD64), jessie(ARM_V7)])


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def inspection(kept: Kept, clock: ManualClock) -> Inspection:
    return Inspection(kept.store, kept.catalog, Freshness(tag_seconds=60), clock)


async def test_an_empty_cache_is_empty(inspection: Inspection) -> None:
    assert await inspection.list_images() == []
    usage = await inspection.measure()
    assert (usage.size, usage.blobs, usage.repositories) == (0, 0, ())


async def test_a_tag_expires_with_time(kept: Kept, inspection: Inspection, clock: ManualClock) -> None:
    await stock(kept, INDEX, "jessie", checked_at=clock.now())
    assert [image.is_fresh for image in await inspection.list_images()] == [True]
    clock.tick(61)
    assert [image.is_fresh for image in await inspection.list_images()] == [False]


async def test_the_last_use_of_any_part_is_the_image_s(kept: Kept, inspection: Inspection) -> None:
    await stock(kept, INDEX, "jessie")
    assert [image.used_at for image in await inspection.list_images()] == [None]
    await kept.catalog.put_uses({address(INDEX.manifest): 5.0, address(jessie(ARM_V7).layers[0]): 7.0})
    assert [image.used_at for image in await inspection.list_images()] == [7.0]


async def test_our_own_book_keeping_is_not_listed(kept: Kept, inspection: Inspection) -> None:
    record = TagRecord(HUB, DEBIAN, f"@referrers/{address(INDEX.manifest)}", TagState.PRESENT, 1.0)
    await stock(kept, INDEX, "jessie")
    await stock(kept, jessie(AMD64), record.tag)
    assert [str(image.reference) for image in await inspection.list_images()] == ["docker.io/library/debian:jessie"]
    (repository,) = (await inspection.measure()).repositories
    assert repository.tags == 1


async def test_a_synthesised_index_is_what_a_client_gets(kept: Kept, inspection: Inspection) -> None:
    await stock(kept, jessie(AMD64), "jessie")
    await stock(kept, jessie(ARM_V7), "jessie", repository="arm32v7/debian")
    made = await put_blob(kept.store, INDEX.manifest.content)
    await kept.catalog.put_contents(made, [address(jessie(AMD64).manifest), address(jessie(ARM_V7).manifest)])
    await kept.catalog.put_answer(HUB, DEBIAN, "jessie", made)
    (image,) = await inspection.list_images("debian")
    assert (image.digest, image.answer) == (address(jessie(AMD64).manifest), made)
    assert [str(platform) for platform in image.platforms] == [AMD64, ARM_V7]
    found = await inspection.find(Reference.parse("debian:jessie"))
    assert found is not None
    assert found.digest == made


async def test_what_repositories_share_is_told(kept: Kept, inspection: Inspection) -> None:
    shared = jessie(AMD64)
    await stock(kept, INDEX, "jessie")
    await stock(kept, INDEX, "8")
    await stock(kept, shared, "jessie", repository="me/debian")
    stray = await put_blob(kept.store, b"nobody's")
    usage = await inspection.measure()
    size = sum(len(blob.content) for blob in blobs_of(shared))
    assert (usage.shared_size, usage.unreferenced_size) == (size, 8)
    assert kept.store.find_size(stray) == 8
    assert usage.repositories == (
        RepositoryUsage("docker.io/library/debian", 2, usage.size - 8, usage.size - 8 - size),
        RepositoryUsage("docker.io/me/debian", 1, size, 0),
    )


@pytest.mark.parametrize("target", ["jessie", str(address(INDEX.manifest))])
async def test_a_pin_of_the_tag_or_of_its_digest_counts(kept: Kept, inspection: Inspection, target: str) -> None:
    await stock(kept, INDEX, "jessie")
    await kept.catalog.put_pin(Pin(HUB, DEBIAN, target))
    assert [image.is_pinned for image in await inspection.list_images()] == [True]


async def test_what_is_found_by_tag_and_by_digest(kept: Kept, inspection: Inspection) -> None:
    await stock(kept, INDEX, "jessie")
    for text in ("debian:jessie", f"debian@{INDEX.manifest.digest}"):
        assert await inspection.is_cached(Reference.parse(text))
    for text in ("debian:wheezy", f"debian@{Digest.of(b'other')}", "ghcr.io/library/debian:jessie"):
        assert not await inspection.is_cached(Reference.parse(text))
    await kept.store.remove(address(INDEX.manifest))
    assert not await inspection.is_cached(Reference.parse("debian:jessie"))


@pytest.mark.parametrize(
    ("reference", "pattern", "does"),
    [
        ("debian:jessie", "debian", True),
        ("debian:jessie", "debian:j*", True),
        ("debian:jessie", "deb", False),
        ("me/app:1", "me/*", True),
        ("ghcr.io/me/app:1", "me/*", False),
        ("ghcr.io/me/app:1", "ghcr.io/me/app", True),
        ("debian:jessie", "Debian", False),
    ],
)
def test_patterns(reference: str, pattern: str, *, does: bool) -> None:
    assert fits(Reference.parse(reference), compile_pattern(pattern)) is does


def test_it_tells_what_it_looks_at(inspection: Inspection) -> None:
    assert repr(inspection) == "<Inspection of <MemoryBlobStore: 0 blobs>>"


async def test_an_image_that_shares_nothing_has_its_own_size(kept: Kept, inspection: Inspection) -> None:
    image = build_image(AMD64, label="other")
    await stock(kept, image, "1", repository="me/app")
    (listed,) = await inspection.list_images()
    assert listed.size == sum(len(blob.content) for blob in blobs_of(image))


async def test_what_was_made_of_a_tag_before_it_moved_is_not_what_a_client_gets() -> None:
    """Upstream's image had nothing for ARM, so an index was made; its next one has all, and is the answer itself."""
    upstream, kept, full = FakeUpstream(), Kept(), build_index([build_image(one) for one in SOURCES])
    publish_jessie(upstream)
    async with open_bench(upstream, kept) as bench:
        looking = Inspection(kept.store, kept.catalog, Freshness(), bench.clock)
        made = await bench.puller.get_tag((DEBIAN,), "jessie", asker())
        (image,) = await looking.list_images("debian")
        assert image.answer == made.descriptor.digest
        upstream.push(f"{DEBIAN}:jessie", full)
        bench.clock.tick(Freshness().tag_seconds)
        answer = await bench.puller.get_tag((DEBIAN,), "jessie", asker())
        assert answer.content == full.manifest.content
        (image,) = await looking.list_images("debian")
        assert image.answer is None
        found = await looking.find(Reference.parse("debian:jessie"))
    assert found is not None
    assert found.digest == answer.descriptor.digest
