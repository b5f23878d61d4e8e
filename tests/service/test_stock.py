"""What is in the cache, looked at and removed."""

from proxy.ports import Inventory, StoredBlob
from proxy.service.occupancy import Limits, Occupancy
from proxy.service.stock import HouseTools, Stock
from proxy.storage.memory import MemoryBlobStore, MemoryCatalog
from tests.fakes.clock import ManualClock
from tests.fakes.events import RecordingEvents
from tests.service.bench import put_blob
from tests.service.house import digest_of

ONE = digest_of("one")


def open_stock() -> tuple[Stock, HouseTools, Occupancy]:
    tools = HouseTools(MemoryBlobStore(), MemoryCatalog(), ManualClock(), RecordingEvents())
    occupancy = Occupancy(Limits(), tools.store.free_bytes, tools.find_written)
    return Stock(tools, occupancy), tools, occupancy


async def test_what_is_listed_is_counted() -> None:
    stock, tools, occupancy = open_stock()
    digest = await put_blob(tools.store, b"12345")
    blobs, suspended = await stock.list_blobs()
    assert (blobs, suspended) == ([StoredBlob(digest, 5, 0.0)], [])
    assert occupancy.stored_bytes == 5
    assert await stock.remove(digest) == 5
    assert await stock.remove(digest) == 0
    assert occupancy.stored_bytes == 0


async def test_by_default_nobody_else_has_anything_to_do_with_it() -> None:
    stock, tools, _ = open_stock()
    assert not stock.is_in_use(ONE, 0.0)
    await tools.ledger.put_uses({ONE: 5.0})
    assert (await stock.take_inventory()).uses == {ONE: 5.0}
    await stock.forget([])
    await stock.forget([ONE])
    assert (await stock.take_inventory()).uses == {}


async def test_uses_that_are_not_written_down_win() -> None:
    tools = HouseTools(
        MemoryBlobStore(), MemoryCatalog(), ManualClock(), RecordingEvents(), find_recent_uses=lambda: {ONE: 7.0}
    )
    stock = Stock(tools, Occupancy(Limits(), tools.store.free_bytes, tools.find_written))
    await tools.ledger.put_uses({ONE: 5.0})
    assert (await stock.take_inventory()).uses == {ONE: 7.0}
    assert stock.is_in_use(ONE, 6.0)
    assert not stock.is_in_use(ONE, 7.0)
    assert repr(stock) == "<Stock: 0 bytes>"


async def test_uses_that_are_written_down_while_the_inventory_is_taken_are_not_lost() -> None:
    recent = {ONE: 7.0}

    class LateCatalog(MemoryCatalog):
        async def take_inventory(self) -> Inventory:
            inventory = await super().take_inventory()
            await self.put_uses(recent)
            recent.clear()
            return inventory

    tools = HouseTools(
        MemoryBlobStore(), LateCatalog(), ManualClock(), RecordingEvents(), find_recent_uses=lambda: recent
    )
    stock = Stock(tools, Occupancy(Limits(), tools.store.free_bytes, tools.find_written))
    assert (await stock.take_inventory()).uses == {ONE: 7.0}
