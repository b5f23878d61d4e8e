"""The cache within its bounds: who leaves, who stays, and who is told."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from proxy.oci.digests import Digest
from proxy.oci.errors import Unavailable
from proxy.ports import StoredBlob, TagRecord, TagState
from proxy.service import housekeeping
from proxy.service.housekeeping import Housekeeper, Removed
from proxy.service.occupancy import Limits
from proxy.service.recency import Recency
from proxy.service.stock import HouseTools
from tests.service.bench import Kept
from tests.service.house import House, digest_of
from tests.service.stores import StubbornStore

MANY = 10**9


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture(params=["memory", "disk"])
def any_house(request: pytest.FixtureRequest) -> House:
    return House() if request.param == "memory" else House(request.getfixturevalue("disk"))


async def test_the_image_leaves_that_was_used_least_recently(any_house: House) -> None:
    house = any_house
    images = [await house.put_image(f"m{number}", f"c{number}", f"l{number}") for number in range(4)]
    await house.use_in_order([images[2], images[0], images[3], images[1]])
    keeper = house.keeper(max_bytes=1200 - 1)
    removed = await keeper.evict()
    assert removed == Removed(size=300, blobs=3, images=1)
    assert house.stored.isdisjoint({images[2], digest_of("c2"), digest_of("l2")})
    assert len(house.stored) == 9
    assert keeper.occupancy.stored_bytes == 900
    assert house.forgotten == [{images[2], digest_of("c2"), digest_of("l2")}]
    assert images[2] not in (await house.kept.catalog.take_inventory()).contents
    (told,) = house.events.named("cache.evicted")
    assert (told["images"], told["bytes"]) == (1, 300)


async def test_nothing_leaves_within_the_bounds(house: House) -> None:
    await house.put_image("m", "c")
    assert await house.keeper(max_bytes=200).evict() == Removed()
    assert house.events.told == []


async def test_a_cache_without_a_bound_keeps_everything(house: House) -> None:
    await house.put_image("m", "c")
    assert await house.keeper().evict() == Removed()


@pytest.mark.parametrize("used", ["m", "c", "l"], ids=["manifest", "config", "layer"])
async def test_the_use_of_any_part_is_a_use_of_the_image(house: House, used: str) -> None:
    for name in ("", "2"):
        await house.put_image(f"m{name}", f"c{name}", f"l{name}")
    await house.use(digest_of("m"), digest_of("m2"))
    await house.use(digest_of(used))
    await house.keeper(max_bytes=400).evict()
    assert house.stored == {digest_of(name) for name in ("m", "c", "l")}


async def test_uses_that_are_not_written_down_yet_count(house: House) -> None:
    one, two = await house.put_image("m1", "l1"), await house.put_image("m2", "l2")
    await house.use_in_order([one, two])
    house.fresh[one] = house.clock.now() + 1
    house.clock.tick(2)
    await house.keeper(max_bytes=300).evict()
    assert one in house.stored
    assert two not in house.stored


async def test_an_index_leaves_with_its_images_and_what_it_was_made_from(house: House) -> None:
    arm = await house.put_image("arm", "arm layer", repository="arm32v7/debian")
    amd = await house.put_image("amd", "amd layer")
    index = await house.put_image("index", arm, amd)
    await house.tag("jessie", index)
    await house.tag("jessie", arm, repository="arm32v7/debian")
    other = await house.put_image("other", "l")
    await house.use_in_order([index, other])
    await house.keeper(max_bytes=600).evict()
    assert house.stored == {other, digest_of("l")}
    assert house.kept.catalog.list_tags() == []


async def test_a_shared_layer_stays_while_an_image_needs_it(house: House) -> None:
    base = await house.put("base")
    first, second = await house.put_image("m1", base, "l1"), await house.put_image("m2", base, "l2")
    await house.use_in_order([first, second])
    keeper = house.keeper(max_bytes=499)
    await keeper.evict()
    assert house.stored == {second, base, digest_of("l2")}
    keeper = house.keeper(max_bytes=0)
    await keeper.evict()
    assert house.stored == set()


@pytest.mark.parametrize("target", ["jessie", "digest"])
async def test_what_is_pinned_stays_whole(house: House, target: str) -> None:
    pinned, other = await house.put_image("m1", "c1", "l1"), await house.put_image("m2", "c2")
    await house.tag("jessie", pinned)
    await house.pin(target if target == "jessie" else str(pinned))
    await house.use_in_order([pinned, other])
    keeper = house.keeper(max_bytes=0)
    await keeper.evict()
    assert house.stored == {pinned, digest_of("c1"), digest_of("l1")}
    assert not keeper.reserve(digest_of("new"), 1)
    assert house.events.warnings == ["cache.short"]


async def test_a_pinned_tag_keeps_its_synthesised_index_and_all_that_it_was_made_from(house: House) -> None:
    amd, arm = await house.put_image("amd", "l1"), await house.put_image("arm", "l2")
    index = await house.put_image("synthesised", amd, arm)
    await house.tag("jessie", amd, answer=index)
    await house.pin("jessie")
    await house.keeper(max_bytes=0).evict()
    assert len(house.stored) == 5


async def test_a_synthesised_index_stays_when_its_images_leave(house: House) -> None:
    """Nobody else has it: who knows it by digest can go on pulling it."""
    amd, arm = await house.put_image("amd", "l1"), await house.put_image("arm", "l2")
    index = await house.put_image("synthesised", amd, arm)
    await house.tag("jessie", amd, answer=index)
    keeper = house.keeper(max_bytes=0)
    await keeper.evict()
    assert house.stored == {index}
    assert await keeper.evict() == Removed()


async def test_an_image_that_is_read_stays_whole(any_house: House) -> None:
    house = any_house
    read, other = await house.put_image("m1", "l1"), await house.put_image("m2", "l2")
    await house.use_in_order([read, other])
    with house.kept.store.open_blob(digest_of("l1")):
        await house.keeper(max_bytes=0).evict()
        assert house.stored == {read, digest_of("l1")}
    await house.keeper(max_bytes=0).evict()
    assert house.stored == set()


async def test_an_image_that_is_being_filled_stays(house: House) -> None:
    coming = digest_of("on its way")
    filled, other = await house.put_image("m1", coming, "l1"), await house.put_image("m2", "l2")
    await house.use_in_order([filled, other])
    house.filling[coming] = 0
    await house.keeper(max_bytes=0).evict()
    assert house.stored == {filled, digest_of("l1")}


async def test_of_the_images_that_share_what_is_read_the_last_used_one_stays(house: House) -> None:
    base = await house.put("base")
    images = [await house.put_image(f"m{number}", base) for number in range(3)]
    await house.use_in_order([images[1], images[2], images[0]])
    with house.kept.store.open_blob(base):
        await house.keeper(max_bytes=0).evict()
    assert house.stored == {images[0], base}


async def test_what_comes_into_use_after_the_decision_stays(house: House) -> None:
    """Two images share a layer; the one that was to leave first is asked for: then the layer stays for both."""
    base = await house.put("base")
    first, second = await house.put_image("m1", base, "l1"), await house.put_image("m2", base, "l2")
    await house.use_in_order([first, second])
    keeper = house.keeper(max_bytes=0)
    listed = house.kept.catalog.take_inventory

    async def take_inventory() -> object:
        inventory = await listed()
        house.clock.tick(1)
        house.fresh = _LateUses({first: house.clock.now()})
        return inventory

    house.kept.catalog.take_inventory = take_inventory  # type: ignore[method-assign,assignment]
    await keeper.evict()
    assert house.stored == {first, base, digest_of("l1")}


async def test_what_comes_into_use_and_is_written_down_before_it_leaves_stays(house: House) -> None:
    old, young = await house.put_image("m1", "l1"), await house.put_image("m2", "l2")
    await house.use_in_order([old, young])
    recency = Recency(house.kept.catalog, house.clock)
    tools = HouseTools(house.kept.store, house.kept.catalog, house.clock, house.events, lambda: recency.recent)
    remove = house.kept.store.remove

    async def remove_slowly(digest: Digest) -> None:
        await remove(digest)
        house.clock.tick(1)
        recency.note(young)
        await recency.flush()

    house.kept.store.remove = remove_slowly  # type: ignore[method-assign]
    await Housekeeper(tools, Limits(0)).evict()
    assert house.stored == {young, digest_of("l2")}


class _LateUses(dict[Digest, float]):
    """Uses that are seen one by one, but not when all are asked for."""

    def keys(self) -> Iterator[Digest]:  # type: ignore[override]
        return iter(())


async def test_what_broke_off_leaves_first_and_the_oldest_before_the_others(disk: Kept) -> None:
    house = House(disk)
    image = await house.put_image("m", "l")
    for name in ("one", "two"):
        ingest = await disk.store.begin_ingest(digest_of(name))
        await ingest.write(b"x" * 100)
        await ingest.suspend()
        ingest.close()
    removed = await house.keeper(max_bytes=399).evict()
    assert removed == Removed(size=100, suspended=1)
    assert image in house.stored
    (left,) = await disk.store.list_suspended()
    assert left.size == 100


async def test_what_broke_off_a_day_ago_leaves_unasked(disk: Kept) -> None:
    house = House(disk)
    ingest = await disk.store.begin_ingest(digest_of("one"))
    await ingest.write(b"x" * 100)
    await ingest.suspend()
    ingest.close()
    (suspended,) = await disk.store.list_suspended()
    keeper = house.keeper()
    for age, is_there in ((housekeeping.SUSPENDED_SECONDS - 60, True), (housekeeping.SUSPENDED_SECONDS + 60, False)):
        house.clock.jump(suspended.stored_at + age - house.clock.now())
        await keeper.count()
        assert bool(await disk.store.list_suspended()) is is_there
    assert keeper.occupancy.stored_bytes == 0


async def test_what_was_asked_for_in_vain_is_forgotten_in_time(house: House) -> None:
    catalog, unknown = house.kept.catalog, digest_of("unknown")
    image = await house.put_image("m", "l", digest_of("not fetched"))
    await house.use(image, unknown, digest_of("not fetched"))
    await catalog.put_tag(TagRecord("docker.io", "library/debian", "unknown", TagState.ABSENT, house.clock.now()))
    keeper = house.keeper()
    await keeper.look_after()
    assert unknown in (await catalog.take_inventory()).uses
    house.clock.jump(housekeeping.GRACE_SECONDS + 1)
    await keeper.look_after()
    assert unknown in (await catalog.take_inventory()).uses
    house.clock.tick(housekeeping.COUNT_SECONDS)
    await keeper.look_after()
    assert set((await catalog.take_inventory()).uses) == {image, digest_of("not fetched")}
    assert catalog.find_tag("docker.io", "library/debian", "unknown")
    house.clock.tick(housekeeping.ABSENT_SECONDS)
    await keeper.look_after()
    assert not catalog.find_tag("docker.io", "library/debian", "unknown")


async def test_what_was_put_aside_long_ago_leaves_unasked(disk: Kept) -> None:
    house = House(disk)
    await disk.store.quarantine(await house.put("one"))
    (aside,) = await disk.store.list_quarantined()
    for age, is_there in ((housekeeping.QUARANTINE_SECONDS - 60, True), (housekeeping.QUARANTINE_SECONDS + 60, False)):
        house.clock.jump(aside.stored_at + age - house.clock.now())
        await house.keeper().tidy()
        assert bool(await disk.store.list_quarantined()) is is_there


async def test_what_cannot_be_removed_is_not_taken_for_removed() -> None:
    store = StubbornStore()
    house = House(Kept(store))
    image = await house.put_image("m", "l")
    keeper = house.keeper(max_bytes=0)
    with pytest.raises(Unavailable, match="cannot be removed"):
        await keeper.evict()
    assert keeper.occupancy.stored_bytes == 200
    assert image in (await house.kept.catalog.take_inventory()).contents


async def test_what_cannot_be_removed_keeps_nobody_else() -> None:
    stuck = digest_of("m1")
    house = House(Kept(StubbornStore(stuck)))
    images = [await house.put_image(f"m{number}", f"l{number}") for number in (1, 2, 3)]
    await house.use_in_order(images)
    keeper = house.keeper(max_bytes=399)
    assert (await keeper.evict()).size == 200
    assert house.stored == {stuck, digest_of("l1"), images[2], digest_of("l3")}
    assert house.events.warnings == ["cache.stuck"]
    keeper.occupancy.limits = Limits(299)
    assert (await keeper.evict()).size == 200
    assert house.stored == {stuck, digest_of("l1")}
    assert house.events.warnings == ["cache.stuck"]


async def test_what_could_not_be_removed_is_tried_again_once_nobody_else_can_leave() -> None:
    store = StubbornStore()
    house = House(Kept(store))
    await house.put_image("m", "l")
    keeper = house.keeper(max_bytes=100)
    with pytest.raises(Unavailable):
        await keeper.evict()
    store.is_stubborn = False
    assert (await keeper.evict()).size == 200


async def test_what_is_pulled_again_while_others_leave_stays_known(house: House) -> None:
    images = [await house.put_image(f"m{number}", f"l{number}") for number in range(3)]
    await house.use_in_order(images)
    await house.tag("jessie", images[0])
    remove = house.kept.store.remove

    async def remove_and_pull(digest: Digest) -> None:
        await remove(digest)
        if digest == images[1]:
            await house.put_image("m0", "l0")
            await house.tag("jessie", images[0])

    house.kept.store.remove = remove_and_pull  # type: ignore[method-assign]
    await house.keeper(max_bytes=220).evict()
    assert house.stored == {images[0], digest_of("l0"), images[2], digest_of("l2")}
    assert [record.tag for record in house.kept.catalog.list_tags()] == ["jessie"]
    assert house.kept.catalog.find_link("docker.io", "library/debian", images[0])
    assert set((await house.kept.catalog.take_inventory()).contents) == {images[0], images[2]}


async def test_what_has_left_is_forgotten_after_a_few_images(house: House) -> None:
    many = 2 * housekeeping.FEW_IMAGES + 1
    await house.use_in_order([await house.put_image(f"m{number}") for number in range(many)])
    assert (await house.keeper(max_bytes=0).evict()).images == many
    assert [len(gone or ()) for gone in house.forgotten] == [housekeeping.FEW_IMAGES, housekeeping.FEW_IMAGES, 1]


# What fills say, and hear.


async def test_a_fill_hears_whether_its_blob_can_ever_fit(house: House) -> None:
    keeper = house.keeper(max_bytes=1000)
    assert keeper.reserve(digest_of("small"), 1000)
    keeper.release(digest_of("small"), 1000)
    assert keeper.occupancy.stored_bytes == 1000
    assert keeper.reserve(digest_of("next"), 1000)
    assert not keeper.reserve(digest_of("large"), 1001)
    assert keeper.reserve(digest_of("unknown"), None)


async def test_a_reservation_that_ends_without_a_blob_leaves_no_trace(house: House) -> None:
    keeper = house.keeper(max_bytes=1000)
    for _ in range(3):
        assert keeper.reserve(digest_of("one"), 900)
        keeper.release(digest_of("one"), 0)
    assert (keeper.occupancy.stored_bytes, keeper.occupancy.coming_bytes) == (0, 0)


async def test_a_download_that_broke_off_takes_room_at_once(house: House) -> None:
    keeper = house.keeper(max_bytes=1000)
    assert keeper.reserve(digest_of("one"), 900)
    keeper.release(digest_of("one"), 0, suspended=500)
    assert (keeper.occupancy.stored_bytes, keeper.occupancy.coming_bytes) == (500, 0)
    assert keeper.reserve(digest_of("one"), 900)
    assert (keeper.occupancy.stored_bytes, keeper.occupancy.coming_bytes) == (0, 900)


@asynccontextmanager
async def at_work(keeper: Housekeeper) -> AsyncIterator[None]:
    """Let it run as the wiring does."""
    task = asyncio.get_running_loop().create_task(keeper.run())
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110 - what is waited for happens in a thread
            await asyncio.sleep(0)


async def test_a_fill_that_needs_room_lets_it_be_made(house: House) -> None:
    images = [await house.put_image(f"m{number}", f"l{number}") for number in range(5)]
    await house.use_in_order(images)
    keeper = house.keeper(max_bytes=1000)
    async with at_work(keeper):
        await asyncio.sleep(0)
        assert keeper.reserve(digest_of("new"), 150)
        await until(lambda: keeper.occupancy.stored_bytes <= 800)
        keeper.release(digest_of("new"), 150)
    assert images[0] not in house.stored
    assert images[1] in house.stored


async def test_a_fill_waits_until_there_is_room(house: House) -> None:
    images = [await house.put_image(f"m{number}", f"l{number}") for number in range(5)]
    await house.use_in_order(images)
    keeper = house.keeper(max_bytes=1000)
    await keeper.count()
    async with at_work(keeper), asyncio.timeout(3):
        await asyncio.sleep(0)
        assert keeper.reserve(digest_of("new"), 150)
        await keeper.wait()
        assert keeper.occupancy.excess() <= 0
        assert images[0] not in house.stored


async def test_a_fill_does_not_wait_for_what_cannot_leave(house: House) -> None:
    await house.tag("jessie", await house.put_image("m", "l"))
    async with at_work(keeper := house.keeper(max_bytes=220)), asyncio.timeout(3):
        await keeper.wait()
        await house.pin("jessie")
        keeper.reserve(digest_of("new"), 100)
        await keeper.wait()
        assert len(house.stored) == 2


async def test_a_fill_does_not_wait_where_nobody_keeps_house(house: House) -> None:
    await house.put_image("m", "l")
    keeper = house.keeper(max_bytes=250)
    await keeper.count()
    assert keeper.reserve(digest_of("new"), 100)
    async with asyncio.timeout(1):
        await keeper.wait()


async def test_a_cache_that_is_too_large_at_the_start_is_brought_within_its_bounds(house: House) -> None:
    for number in range(5):
        await house.use(await house.put_image(f"m{number}", f"l{number}"))
    keeper = house.keeper(max_bytes=500)
    async with at_work(keeper):
        await until(lambda: len(house.stored) == 4)
    assert keeper.occupancy.stored_bytes == 400


async def test_what_another_process_did_is_noticed(house: House) -> None:
    image = await house.put_image("m", "l")
    keeper, other = house.keeper(max_bytes=1000), house.keeper()
    await keeper.look_after()
    assert (keeper.occupancy.stored_bytes, house.forgotten) == (200, [])
    await house.tag("jessie", image)
    assert (await other.purge("docker.io", "library/debian", "jessie")).blobs == 2
    house.forgotten.clear()
    await keeper.look_after()
    assert (keeper.occupancy.stored_bytes, house.forgotten) == (0, [None])
    await keeper.look_after()
    assert house.forgotten == [None]


async def test_trouble_is_told_and_outlived(house: House) -> None:
    store = StubbornStore()
    house = House(Kept(store))
    await house.put_image("m", "l")
    keeper = house.keeper(max_bytes=100)
    async with at_work(keeper):
        await until(lambda: "cache.not_kept" in house.events.warnings)
        store.is_stubborn = False
        house.clock.tick(3600)
        keeper.note_stored(digest_of("new"), 0)
        await until(lambda: keeper.occupancy.stored_bytes == 0)


async def test_where_nothing_can_be_removed_it_is_not_tried_all_the_time() -> None:
    house = House(Kept(StubbornStore()))
    await house.put_image("m", "l")
    async with at_work(keeper := house.keeper(max_bytes=100)), asyncio.timeout(3):
        await until(lambda: bool(house.events.warnings))
        for _ in range(5):
            await keeper.wait()
            assert keeper.reserve(digest_of("new"), 10)
            await asyncio.sleep(0.01)
        assert house.events.warnings == ["cache.not_kept"]


async def test_a_count_that_failed_is_made_up_for(house: House) -> None:
    await house.put_image("m", "l")
    keeper, list_blobs = house.keeper(), house.kept.store.list_blobs

    async def fail() -> list[StoredBlob]:
        raise Unavailable("the disk is gone")

    house.kept.store.list_blobs = fail  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await keeper.look_after()
    house.kept.store.list_blobs = list_blobs  # type: ignore[method-assign]
    await keeper.look_after()
    assert keeper.occupancy.stored_bytes == 200


async def test_what_cannot_help_is_not_tried_all_the_time(house: House) -> None:
    """A pin that fills the cache: looking for something that may leave costs as much as finding it."""
    await house.put_image("m", "l")
    await house.pin(str(digest_of("m")))
    keeper = house.keeper(max_bytes=100)
    house.clock = keeper_clock = type(house.clock)(step=0.5)
    keeper = house.keeper(max_bytes=100)
    await keeper.look_after()
    looked = len(house.events.told)
    assert looked == 1
    inventories = _count_inventories(house)
    await keeper.look_after()
    assert inventories == []
    keeper_clock.tick(60)
    await keeper.look_after()
    assert inventories == [None]


async def test_an_unpinned_image_makes_room_again(house: House) -> None:
    image = await house.put_image("m", "l")
    await house.pin(str(image))
    keeper = house.keeper(max_bytes=250)
    keeper.reserve(digest_of("new"), 100)
    await keeper.look_after()
    keeper.release(digest_of("new"), 0)
    assert not keeper.reserve(digest_of("new"), 100)
    (pin,) = (await house.kept.catalog.take_inventory()).pins
    await house.kept.catalog.remove_pin(pin)
    house.clock.tick(60)
    assert not keeper.reserve(digest_of("new"), 100)
    await keeper.look_after()
    assert keeper.reserve(digest_of("new"), 100)


def _count_inventories(house: House) -> list[None]:
    taken: list[None] = []
    take = house.kept.catalog.take_inventory

    async def take_inventory() -> object:
        taken.append(None)
        return await take()

    house.kept.catalog.take_inventory = take_inventory  # type: ignore[method-assign,assignment]
    return taken


def test_it_tells_what_it_is(house: House) -> None:
    assert repr(house.keeper(max_bytes=5)).startswith("<Housekeeper: <Occupancy: 0 bytes")
