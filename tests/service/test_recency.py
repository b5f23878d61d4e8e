import asyncio
import contextlib

from proxy.oci.digests import Digest
from proxy.service.recency import Recency
from proxy.storage.memory import MemoryCatalog
from tests.fakes.clock import ManualClock

ONE, TWO = Digest.of(b"one"), Digest.of(b"two")


async def test_the_last_use_is_written_down() -> None:
    ledger, clock = MemoryCatalog(), ManualClock()
    recency = Recency(ledger, clock)
    recency.note(ONE)
    recency.note(TWO)
    before = clock.now()
    clock.tick(5)
    recency.note(ONE)
    assert recency.unwritten == {ONE: before + 5, TWO: before}
    await recency.flush()
    assert recency.unwritten == {}
    assert (await ledger.take_inventory()).uses == {ONE: before + 5, TWO: before}


async def test_nothing_used_writes_nothing() -> None:
    ledger = MemoryCatalog()
    await Recency(ledger, ManualClock()).flush()
    assert (await ledger.take_inventory()).uses == {}


async def test_whoever_ends_it_loses_nothing() -> None:
    ledger, clock = MemoryCatalog(), ManualClock()
    recency = Recency(ledger, clock)
    running = asyncio.ensure_future(recency.run())
    await asyncio.sleep(0)
    recency.note(ONE)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert (await ledger.take_inventory()).uses == {ONE: clock.now()}
    assert repr(recency) == "<Recency: 0 uses to be written>"
