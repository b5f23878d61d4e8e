"""What an operator wants gone: a tag, a digest, a repository; and what nobody can ask for."""

import pytest

from proxy.oci.errors import Unavailable
from proxy.ports import Pin
from proxy.service import housekeeping
from proxy.service.housekeeping import Removed
from tests.service.bench import Kept, put_blob
from tests.service.house import HUB, REPOSITORY, House, digest_of

ARM = "arm32v7/debian"


@pytest.fixture
async def on_disk(disk: Kept) -> House:
    await disk.catalog.finish_rebuild()  # it was empty: all is known of it
    return House(disk)


@pytest.fixture(params=["memory", "disk"])
def house(request: pytest.FixtureRequest) -> House:
    return House() if request.param == "memory" else request.getfixturevalue("on_disk")


async def test_a_purged_tag_leaves_with_its_image(house: House) -> None:
    image, other = await house.put_image("m", "c", "l"), await house.put_image("m2", "c2")
    await house.tag("jessie", image)
    await house.tag("sid", other)
    assert await house.keeper().purge(HUB, REPOSITORY, "jessie") == Removed(size=300, blobs=3, tags=1)
    assert house.stored == {other, digest_of("c2")}
    assert [record.tag for record in house.kept.catalog.list_tags()] == ["sid"]
    assert house.kept.catalog.find_link(HUB, REPOSITORY, image) is None
    assert house.kept.catalog.read_revision() == 1


async def test_what_another_image_needs_stays(house: House) -> None:
    base = await house.put("base")
    image, other = await house.put_image("m", base, "l"), await house.put_image("m2", base)
    await house.tag("jessie", image)
    removed = await house.keeper().purge(HUB, REPOSITORY, "jessie")
    assert (removed.blobs, house.stored) == (2, {other, base})


async def test_what_another_tag_names_stays(house: House) -> None:
    image = await house.put_image("m", "c")
    await house.tag("jessie", image)
    await house.tag("8", image)
    assert await house.keeper().purge(HUB, REPOSITORY, "jessie") == Removed(tags=1)
    assert house.stored == {image, digest_of("c")}
    assert (await house.keeper().purge(HUB, REPOSITORY, "8")).blobs == 2


async def test_what_is_pinned_stays(house: House) -> None:
    image = await house.put_image("m", "c")
    await house.tag("jessie", image)
    await house.pin(str(image))
    assert await house.keeper().purge(HUB, REPOSITORY, "jessie") == Removed(tags=1)
    assert len(house.stored) == 2


async def splice(house: House) -> None:
    """Put a tag that is answered with an index of its own and one other build."""
    amd, arm = await house.put_image("amd", "l1"), await house.put_image("arm", "l2", repository=ARM)
    index = await house.put_image("synthesised", amd, arm)
    await house.tag("jessie", amd, answer=index)
    await house.tag("jessie", arm, repository=ARM)


async def test_a_synthesised_index_leaves_with_the_builds_it_was_made_from(house: House) -> None:
    await splice(house)
    assert await house.keeper().purge(HUB, REPOSITORY, "jessie") == Removed(size=500, blobs=5, tags=1)
    assert house.stored == set()
    assert house.kept.catalog.list_tags() == []


async def test_a_build_that_a_synthesised_index_needs_stays(house: House) -> None:
    await splice(house)
    assert await house.keeper().purge(HUB, ARM, "jessie") == Removed(tags=1)
    assert len(house.stored) == 5


async def test_a_digest_leaves_with_the_tags_that_lead_to_it(house: House) -> None:
    image = await house.put_image("m", "c")
    await house.tag("jessie", image)
    await house.tag("8", image)
    assert await house.keeper().purge(HUB, REPOSITORY, str(image)) == Removed(size=200, blobs=2, tags=2)
    assert house.stored == set()


async def test_a_digest_that_another_repository_s_tag_names_stays(house: House) -> None:
    image = await house.put_image("m", "c")
    await house.tag("jessie", image)
    await house.tag("jessie", image, repository="mirror/debian")
    assert (await house.keeper().purge(HUB, REPOSITORY, str(image))).blobs == 0
    assert len(house.stored) == 2


async def test_a_repository_leaves_with_all_its_tags_and_what_it_alone_knows(house: House) -> None:
    """Also what was under a tag that has moved since."""
    old, new = await house.put_image("old", "l1"), await house.put_image("new", "l2")
    shared = await house.put_image("shared", "l3")
    await house.link(shared, repository="mirror/debian")
    other = await house.put_image("other", "l4", repository="library/redis")
    await house.tag("jessie", new)
    await house.tag("sid", new)
    removed = await house.keeper().purge(HUB, REPOSITORY)
    assert removed == Removed(size=400, blobs=4, tags=2)
    assert house.stored == {shared, digest_of("l3"), other, digest_of("l4")}
    assert old not in (await house.kept.catalog.take_inventory()).contents


@pytest.mark.parametrize("target", ["never", str(digest_of("never")), None])
async def test_what_is_not_there_cannot_be_purged(house: House, target: str | None) -> None:
    await house.put_image("m", "c", repository="library/redis")
    removed = await house.keeper().purge(HUB, REPOSITORY, target)
    assert (removed.blobs, removed.tags) == (0, 0)
    assert len(house.stored) == 2


async def age(house: House, seconds: float) -> None:
    """Let so much time pass since the latest blob was stored."""
    latest = max((blob.stored_at for blob in await house.kept.store.list_blobs()), default=0.0)
    house.clock.jump(latest + seconds - house.clock.now())


async def test_garbage_is_what_nothing_leads_to(house: House) -> None:
    image = await house.put_image("m", "c")
    await house.tag("jessie", image)
    linked = await house.put("linked")
    await house.link(linked)
    await house.put("lost")
    lost = await house.put("lost manifest")
    await house.kept.catalog.put_contents(lost, [await house.put("lost layer"), digest_of("c")])
    await age(house, 2 * housekeeping.GRACE_SECONDS)
    dry = await house.keeper().collect_garbage(dry_run=True)
    assert (dry.blobs, dry.size, len(house.stored)) == (3, 300, 6)
    assert await house.keeper().collect_garbage() == dry
    assert house.stored == {image, digest_of("c"), linked}
    assert (await house.keeper().collect_garbage()).blobs == 0


async def test_what_came_in_a_moment_ago_is_no_garbage(on_disk: House) -> None:
    house = on_disk
    await house.put("on its way to be linked")
    await age(house, housekeeping.GRACE_SECONDS / 2)
    assert (await house.keeper().collect_garbage()).blobs == 0
    await age(house, 2 * housekeeping.GRACE_SECONDS)
    assert (await house.keeper().collect_garbage()).blobs == 1


async def test_what_is_known_of_content_that_is_gone_is_forgotten(house: House) -> None:
    image = await house.put_image("m", digest_of("never pulled"), "c")
    await house.tag("jessie", image)
    gone = await house.put_image("gone", digest_of("its layer"))
    await house.use(gone)
    await house.kept.store.remove(gone)
    removed = await house.keeper().collect_garbage()
    assert (removed.blobs, removed.forgotten) == (0, 2)
    inventory = await house.kept.catalog.take_inventory()
    assert set(inventory.contents) == {image}
    assert inventory.uses == {}
    assert house.kept.catalog.find_link(HUB, REPOSITORY, gone) is None
    assert house.kept.catalog.find_link(HUB, REPOSITORY, digest_of("its layer")) is None
    assert house.kept.catalog.find_link(HUB, REPOSITORY, digest_of("never pulled")) is not None


async def test_a_tag_that_was_only_looked_at_is_no_garbage(house: House) -> None:
    await house.tag("jessie", digest_of("its document"))
    await house.use(digest_of("its document"))
    await house.keeper().collect_garbage()
    assert len(house.kept.catalog.list_tags()) == 1


async def test_what_was_put_aside_long_ago_is_garbage(on_disk: House) -> None:
    house, disk = on_disk, on_disk.kept
    digest = await put_blob(disk.store, b"broken")
    await disk.store.quarantine(digest)
    (aside,) = await disk.store.list_quarantined()
    for seconds, count in ((housekeeping.QUARANTINE_SECONDS - 60, 0), (housekeeping.QUARANTINE_SECONDS + 60, 1)):
        house.clock.jump(aside.stored_at + seconds - house.clock.now())
        removed = await house.keeper().collect_garbage()
        assert (removed.quarantined, removed.size) == (count, count * 6)
    assert await disk.store.list_quarantined() == []


async def test_what_broke_off_long_ago_is_garbage(on_disk: House) -> None:
    house, disk = on_disk, on_disk.kept
    ingest = await disk.store.begin_ingest(digest_of("one"))
    await ingest.write(b"x" * 100)
    await ingest.suspend()
    ingest.close()
    for is_dry in (True, False):
        removed = await house.keeper().collect_garbage(dry_run=is_dry)
        assert removed == Removed(size=100, suspended=1)
    assert await disk.store.list_suspended() == []


async def test_nothing_is_garbage_before_it_is_known_what_belongs_together() -> None:
    house = House()
    assert house.kept.catalog.needs_rebuild is False
    house.kept.catalog.needs_rebuild = True
    await house.put("m")
    keeper = house.keeper(max_bytes=1)
    for call in (keeper.collect_garbage(), keeper.purge(HUB, REPOSITORY)):
        with pytest.raises(Unavailable, match="the catalog was lost"):
            await call
    await keeper.look_after()
    assert len(house.stored) == 1
    house.kept.catalog.needs_rebuild = False
    house.clock.tick(60)
    await keeper.look_after()
    assert house.stored == set()


async def test_a_pin_is_a_name_too(house: House) -> None:
    image = await house.put("pinned by its digest, and linked to nothing")
    await house.kept.catalog.put_pin(Pin(HUB, REPOSITORY, str(image)))
    await age(house, 2 * housekeeping.GRACE_SECONDS)
    assert (await house.keeper().collect_garbage()).blobs == 0
