"""The cache folder, opened without a server and beside one."""

import asyncio
import threading
from pathlib import Path

import pytest

from proxy.cache_folder import open_cache
from proxy.config.schema import Settings
from proxy.config.upstreams import UpstreamSettings
from proxy.oci.errors import InvalidSetting
from proxy.oci.references import Reference
from proxy.ports import Pin
from proxy.telemetry.logs import SilentEvents
from proxy.wiring import open_proxy

SETTINGS = Settings(upstream=(UpstreamSettings(url="http://127.0.0.1:9"),))
PIN = Pin("docker.io", "library/debian", "jessie")


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """An empty cache."""
    async with open_proxy(SETTINGS, tmp_path / "cache", SilentEvents()):
        return tmp_path / "cache"


@pytest.mark.parametrize("options", [{}, {"changes": True}, {"repairs": True}], ids=str)
async def test_it_leaves_nothing_behind(folder: Path, options: dict[str, bool]) -> None:
    await asyncio.to_thread(int)  # the loop's own threads stay as long as it does
    tasks, threads = asyncio.all_tasks(), threading.active_count()
    async with open_cache(SETTINGS, folder, SilentEvents(), **options) as opened:
        assert await opened.inspection.list_images() == []
        assert (await opened.verification.run(None, lambda *_: None)).is_sound
        assert opened.measure().partial_size == 0
    assert asyncio.all_tasks() == tasks
    assert threading.active_count() == threads


@pytest.mark.parametrize("options", [{}, {"changes": True}, {"repairs": True}], ids=str)
async def test_where_there_is_no_cache_none_is_made(tmp_path: Path, options: dict[str, bool]) -> None:
    with pytest.raises(InvalidSetting, match="there is no cache in"):
        async with open_cache(SETTINGS, tmp_path / "cache", SilentEvents(), **options):
            pass
    assert not (tmp_path / "cache").exists()


async def test_a_pin_that_is_made_beside_a_server_is_seen_by_it(folder: Path) -> None:
    async with open_proxy(SETTINGS, folder, SilentEvents()) as running:
        assert running.owns_cache
        async with open_cache(SETTINGS, folder, SilentEvents()) as opened:
            await opened.ledger.put_pin(PIN)
        async with open_cache(SETTINGS, folder, SilentEvents()) as opened:
            assert PIN in (await opened.ledger.take_inventory()).pins
            assert not await opened.inspection.is_cached(Reference.parse("debian:jessie"))


async def test_a_server_can_start_while_somebody_looks(folder: Path) -> None:
    async with open_cache(SETTINGS, folder, SilentEvents()), open_proxy(SETTINGS, folder, SilentEvents()) as running:
        assert running.owns_cache


async def test_what_a_server_is_taking_in_is_not_touched(folder: Path) -> None:
    async with open_proxy(SETTINGS, folder, SilentEvents()):
        under_way = folder / "ingest" / f"{'0' * 64}.1.0"
        under_way.write_bytes(b"x")
        async with open_cache(SETTINGS, folder, SilentEvents(), changes=True) as opened:
            assert await opened.store.list_suspended() == []
            assert opened.measure().partial_size == 1
        assert under_way.exists()
