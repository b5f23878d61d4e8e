import asyncio
import contextlib

import pytest

from proxy.oci.digests import Digest
from proxy.service import recency as module
from proxy.service.recency import FLUSH_SECONDS, KEEP_SECONDS, Recency
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
    assert recency.recent == {ONE: before + 5, TWO: before}
    await recency.flush()
    assert (await ledger.take_inventory()).uses == {ONE: before + 5, TWO: before}


async def test_what_was_written_down_is_remembered_for_some_minutes() -> None:
    clock = ManualClock()
    recency = Recency(MemoryCatalog(), clock)
    recency.note(ONE)
    used_at = clock.now()
    for _ in range(int(KEEP_SECONDS / FLUSH_SECONDS)):
        await recency.flush()
        assert recency.recent == {ONE: used_at}
        clock.tick(FLUSH_SECONDS)
    recency.note(ONE)
    assert recency.recent[ONE] == used_at + KEEP_SECONDS
    await recency.flush()
    assert recency.recent[ONE] == used_at + KEEP_SECONDS
    for _ in range(2):
        clock.tick(KEEP_SECONDS)
        await recency.flush()
    assert recency.recent == {}


async def test_however_much_is_used_only_so_much_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 1)
    recency = Recency(MemoryCatalog(), ManualClock())
    for digest in (ONE, TWO, Digest.of(b"three")):
        recency.note(digest)
        await recency.flush()
    assert set(recency.recent) == {TWO, Digest.of(b"three")}


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
