"""The catalog's file is damaged or lost: it is made again from the layout, and everything can be had as before."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.content import Content
from tests.lab.hub import HubStandIn
from tests.lab.killing import broken
from tests.lab.proxies import Proxy, StartProxy, as_docker_hub
from tests.lab.pulling import pull_until_kept

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]


@pytest.fixture
async def proxy(hub: HubStandIn, start_proxy: StartProxy) -> Proxy:
    return await start_proxy(config=as_docker_hub(hub.url))


def cut_to_half(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_garbage(path: Path) -> None:
    path.write_bytes(bytes(range(100, 200)))


@pytest.mark.parametrize("damage", [cut_to_half, empty, replace_by_garbage, Path.unlink])
async def test_a_damaged_catalog_is_made_again_from_the_layout(
    hub: HubStandIn, proxy: Proxy, content: Content, damage: Callable[[Path], None]
) -> None:
    """By a proxy that starts without upstream, and then serves everything that was ever pulled."""
    await pull_until_kept(proxy.url, content, proxy.cache)
    await proxy.stop()
    damage(proxy.cache / "catalog.sqlite")
    await hub.go_offline()
    await proxy.start()
    await pull_until_kept(proxy.url, content, proxy.cache)
    assert broken(proxy.cache) == []
