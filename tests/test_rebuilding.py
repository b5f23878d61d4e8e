"""A catalog that is lost, with the cache full: what was pulled by tag can be pulled again, with nobody to ask."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.cache_folder import open_cache
from proxy.config.schema import Settings
from proxy.telemetry.logs import SilentEvents
from proxy.wiring import CATALOG_FILE
from tests.lab.content import ARM_V7
from tests.lab.hub import HubStandIn
from tests.lab.programs import wait_until
from tests.live import AGENTS, Live, Pulled, pull, run_proxy, settings_for

pytestmark = pytest.mark.lab

NAMES = ("library/debian:jessie", "library/debian:bookworm", "library/redis:3-alpine", "library/multi:latest")
WITHOUT = {("library/debian:bookworm", "linux/arm/v6"), ("library/redis:3-alpine", "linux/arm/v6")}
"""Nobody has built these."""
PULLS = [(name, platform) for name in NAMES for platform in AGENTS if (name, platform) not in WITHOUT]


def remove(file: Path) -> None:
    file.unlink()


def halve(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def garble(file: Path) -> None:
    file.write_bytes(b"no database at all" * 1000)


DAMAGES: tuple[Callable[[Path], None], ...] = (remove, halve, garble)


async def pull_all(live: Live) -> dict[tuple[str, str], Pulled]:
    return {(name, platform): await pull(live.client, name, platform) for name, platform in PULLS}


async def until_rebuilt(live: Live) -> None:
    async def is_rebuilt() -> bool:
        return bool(live.events.named("catalog.rebuilt"))

    await wait_until(is_rebuilt, seconds=10, purpose="a new catalog")


def lose(cache: Path, damage: Callable[[Path], None]) -> None:
    for suffix in ("-wal", "-shm"):
        cache.joinpath(CATALOG_FILE + suffix).unlink(missing_ok=True)
    damage(cache / CATALOG_FILE)


@pytest.mark.parametrize("damage", DAMAGES)
async def test_everything_can_be_pulled_again_without_upstream(
    live_hub: HubStandIn, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        first = await pull_all(live)
    lose(tmp_path, damage)
    await live_hub.go_offline()
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        await until_rebuilt(live)
        again = await pull_all(live)
        assert again == first
        assert {pulled.state for pulled in again.values()} == {"stale"}
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        assert await pull_all(live) == first
        assert live.events.named("catalog.rebuilt") == []


async def test_images_are_found_by_digest_too(live_hub: HubStandIn, tmp_path: Path) -> None:
    """Before anybody has asked for the tag again: also in an index that was made here."""
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        first = await pull_all(live)
    lose(tmp_path, remove)
    await live_hub.go_offline()
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        await until_rebuilt(live)
        for (name, _), pulled in first.items():
            base = f"/v2/{name.partition(':')[0]}"
            for path in (
                *(f"{base}/blobs/{digest}" for digest in pulled.blobs),
                f"{base}/manifests/{pulled.image}",
                f"{base}/manifests/{pulled.digest}",
            ):
                assert (await live.client.get(path)).status_code == 200, path


async def test_one_platform_of_a_spliced_image_is_enough(live_hub: HubStandIn, tmp_path: Path) -> None:
    """What was known of the other platforms' builds is lost; what was pulled is not."""
    name = "library/debian:jessie"
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        first = await pull(live.client, name, ARM_V7)
    lose(tmp_path, remove)
    await live_hub.go_offline()
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        await until_rebuilt(live)
        again = await pull(live.client, name, ARM_V7)
        assert (again.image, again.blobs) == (first.image, first.blobs)
        assert (await live.client.get(f"/v2/library/debian/manifests/{first.digest}")).status_code == 200


async def test_upstream_is_asked_whether_tags_have_moved(live_hub: HubStandIn, tmp_path: Path) -> None:
    name = "library/debian:jessie"
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        first = await pull(live.client, name, ARM_V7)
    lose(tmp_path, remove)
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        await until_rebuilt(live)
        again = await pull(live.client, name, ARM_V7)
        assert (again, again.state) == (first, "revalidated")


async def test_a_bounded_cache_is_not_torn_apart_meanwhile(live_hub: HubStandIn, tmp_path: Path) -> None:
    """Nobody knows what belongs together before the catalog is whole again."""
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        await pull_all(live)
    lose(tmp_path, remove)
    async with run_proxy(bounded(live_hub, 1), tmp_path) as live:
        await until_rebuilt(live)

        async def is_empty() -> bool:
            return bool(live.events.named("cache.evicted"))

        await wait_until(is_empty, seconds=10, purpose="an eviction")
        names = [one.name for one in live.events.told]
        assert names.index("catalog.rebuilt") < names.index("cache.evicted")


def bounded(hub: HubStandIn, max_bytes: int) -> Settings:
    settings = settings_for(hub)
    return replace(settings, cache=replace(settings.cache, max_bytes=max_bytes))


@pytest.mark.parametrize("changes", [False, True], ids=["looking", "changing"])
async def test_a_command_that_comes_first_loses_nothing_either(
    live_hub: HubStandIn, tmp_path: Path, *, changes: bool
) -> None:
    name = "library/debian:jessie"
    settings = settings_for(live_hub)
    async with run_proxy(settings, tmp_path) as live:
        first = await pull(live.client, name, ARM_V7)
    lose(tmp_path, remove)
    await live_hub.go_offline()
    async with open_cache(settings, tmp_path, SilentEvents(), changes=changes) as opened:
        assert (await opened.housekeeper.collect_garbage()).blobs == 0
    async with run_proxy(settings, tmp_path) as live:
        again = await pull(live.client, name, ARM_V7)
        assert (again.image, again.blobs) == (first.image, first.blobs)
