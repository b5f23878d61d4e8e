"""The composition root: what is asked of whom, and that everything which is opened is closed."""

import asyncio
import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.config.schema import Settings
from proxy.config.upstreams import UpstreamSettings
from proxy.config.warming import WarmSettings
from proxy.oci.errors import InvalidSetting, Unavailable
from proxy.telemetry.logs import SilentEvents
from proxy.wiring import SystemClock, open_proxy

HUB = UpstreamSettings()
OWN = UpstreamSettings(url="http://127.0.0.1:5001", public="false")
GHCR = UpstreamSettings(name="ghcr.io")


def own_threads() -> set[threading.Thread]:
    """Answer the threads that there are, but for those of the event loop's own executor, which end with the loop."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}


async def test_opening_needs_no_network_and_leaves_nothing_behind(tmp_path: Path) -> None:
    tasks, threads = asyncio.all_tasks(), own_threads()
    settings = Settings(upstream=(replace(HUB, url="http://127.0.0.1:9"), GHCR))
    async with open_proxy(settings, tmp_path / "cache", SilentEvents()) as running:
        assert set(running.fronts) == {"docker.io", "ghcr.io"}
        assert running.owns_cache
    assert asyncio.all_tasks() == tasks
    assert own_threads() == threads


async def test_a_failure_inside_leaves_nothing_behind_either(tmp_path: Path) -> None:
    tasks, threads = asyncio.all_tasks(), own_threads()
    with pytest.raises(ZeroDivisionError):
        async with open_proxy(Settings(), tmp_path / "cache", SilentEvents()):
            raise ZeroDivisionError
    assert asyncio.all_tasks() == tasks
    assert own_threads() == threads
    async with open_proxy(Settings(), tmp_path / "cache", SilentEvents()) as again:
        assert again.owns_cache


async def test_what_cannot_be_opened_leaves_nothing_behind(tmp_path: Path) -> None:
    tasks, threads = asyncio.all_tasks(), own_threads()
    (tmp_path / "catalog.sqlite").mkdir()
    with pytest.raises(Unavailable, match=r"the catalog .* cannot be opened"):
        async with open_proxy(Settings(), tmp_path, SilentEvents()):
            raise AssertionError
    assert asyncio.all_tasks() == tasks
    assert own_threads() == threads


async def test_the_cache_folder_is_an_image_layout_from_the_first_moment(tmp_path: Path) -> None:
    async with open_proxy(Settings(), tmp_path / "cache", SilentEvents()):
        pass
    assert json.loads((tmp_path / "cache" / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    assert json.loads((tmp_path / "cache" / "index.json").read_text())["manifests"] == []


def test_a_damaged_catalog_does_not_keep_it_from_starting(tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite").write_bytes(b"damaged " * 1000)

    async def start() -> None:
        async with open_proxy(Settings(), tmp_path, SilentEvents()) as running:
            assert running.catalog.list_tags() == []

    asyncio.run(start())
    assert (tmp_path / "catalog.sqlite.unreadable").read_bytes().startswith(b"damaged ")


async def test_a_ca_file_without_certificates_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.touch()
    settings = Settings(upstream=(UpstreamSettings(ca_file=file),))
    with pytest.raises(InvalidSetting, match=f"ca_file {file}: "):
        async with open_proxy(settings, tmp_path / "cache", SilentEvents()):
            raise AssertionError


async def test_short_names_are_docker_hub_s_and_words_are_for_registries_of_one_s_own(tmp_path: Path) -> None:
    own = UpstreamSettings(name="registry.lan", url="http://127.0.0.1:9")
    async with open_proxy(Settings(upstream=(HUB, own, GHCR)), tmp_path / "cache", SilentEvents()) as running:
        found = {name: (front.has_library, front.has_words) for name, front in running.fronts.items()}
    assert found == {"docker.io": (True, False), "registry.lan": (False, True), "ghcr.io": (False, False)}


async def test_a_second_one_beside_it_does_not_own_the_cache(tmp_path: Path) -> None:
    async with (
        open_proxy(Settings(), tmp_path, SilentEvents()),
        open_proxy(Settings(), tmp_path, SilentEvents()) as second,
    ):
        assert not second.owns_cache


@pytest.mark.parametrize("key", ["password_file", "ca_file"])
async def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, key: str) -> None:
    missing = tmp_path / "missing"
    upstream = UpstreamSettings(username="me", repositories=("me/*",))
    upstream = replace(upstream, **{key: missing})  # type: ignore[arg-type]  # the key is one of the two above
    with pytest.raises(InvalidSetting, match=f"{key} {missing}"):
        async with open_proxy(Settings(upstream=(upstream,)), tmp_path / "cache", SilentEvents()):
            raise AssertionError


async def test_a_password_comes_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    upstream = UpstreamSettings(username="me", repositories=("me/*",), password_file=tmp_path / "password")
    async with open_proxy(Settings(upstream=(upstream,)), tmp_path / "cache", SilentEvents()) as running:
        assert set(running.fronts) == {"docker.io"}


async def test_standing_orders_are_taken_from_the_settings_and_changed_with_them(tmp_path: Path) -> None:
    entry = WarmSettings(images=("debian",), every=3600.0)
    async with open_proxy(Settings(warm=(entry,)), tmp_path, SilentEvents()) as running:
        assert repr(running.standing_orders) == "<StandingOrders: 1, 0 postponed>"
        running.change(Settings(warm=(entry, replace(entry, images=("alpine",)))))
        assert repr(running.standing_orders) == "<StandingOrders: 2, 0 postponed>"
        assert running.warm_jobs.list() == ()
    assert not (tmp_path / "warming.json").exists()


def test_the_clock_is_the_system_s() -> None:
    clock = SystemClock()
    assert clock.monotonic() <= clock.monotonic()
    assert clock.now() > 0
