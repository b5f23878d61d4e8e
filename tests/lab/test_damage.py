"""Files of the cache are damaged: it is found, nothing of it is served as if it were right, and the rest is of use."""

from pathlib import Path

import pytest

from tests.lab.conftest import RunCli
from tests.lab.content import Content
from tests.lab.downloads import Curl
from tests.lab.hub import HubStandIn, faults
from tests.lab.killing import broken, stored
from tests.lab.programs import wait_until
from tests.lab.proxies import Proxy, StartProxy, as_docker_hub
from tests.lab.pulling import pull_until_kept

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]


@pytest.fixture
async def proxy(hub: HubStandIn, start_proxy: StartProxy) -> Proxy:
    return await start_proxy(config=as_docker_hub(hub.url))


def flip(path: Path, offset: int) -> None:
    """Change one bit."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


async def test_a_flipped_bit_is_found_and_never_served_after(proxy: Proxy, content: Content, run_cli: RunCli) -> None:
    await pull_until_kept(proxy.url, content, proxy.cache)
    await proxy.stop()
    layer = content.image("library/debian:jessie").layers[0]
    path = proxy.cache / "blobs" / layer.digest.replace(":", "/")
    flip(path, len(layer.content) // 2)
    assert broken(proxy.cache) == [path]
    found = await run_cli("cache", "verify", "--cache", str(proxy.cache))
    assert found.code != 0
    assert layer.digest in found.stdout
    assert broken(proxy.cache) == []
    await proxy.start()
    await pull_until_kept(proxy.url, content, proxy.cache)
    again = await run_cli("cache", "verify", "--cache", str(proxy.cache))
    assert again.code == 0, again.stdout


async def test_a_flipped_bit_is_found_beside_a_running_proxy(
    proxy: Proxy, content: Content, run_cli: RunCli, client_folder: Path
) -> None:
    layer = content.image("library/big:1").layers[1]
    url = f"{proxy.url}/v2/library/big/blobs/{layer.digest}"
    path = proxy.cache / "blobs" / layer.digest.replace(":", "/")

    async def is_kept() -> bool:
        return path.exists()

    assert await Curl(url, client_folder / "first").finish() == layer.digest
    await wait_until(is_kept, seconds=20, purpose="the layer in the cache")
    flip(path, len(layer.content) // 2)
    found = await run_cli("cache", "verify", "--cache", str(proxy.cache))
    assert found.code != 0
    assert layer.digest in found.stdout
    for name in ("second", "third"):
        assert await Curl(url, client_folder / name).finish() == layer.digest


@pytest.mark.parametrize("part", ["first", "last"])
async def test_a_flipped_bit_in_what_a_killed_fill_has_left(
    hub: HubStandIn, proxy: Proxy, content: Content, client_folder: Path, part: str
) -> None:
    """The first client may be cut short; nobody gets it whole and wrong, and the next try is clean."""
    layer = content.image("library/big:1").layers[1]
    url = f"{proxy.url}/v2/library/big/blobs/{layer.digest}"
    hub.inject(faults.Stall(0.5), kind="cdn", times=1)
    client = Curl(url, client_folder / "killed")
    await client.wait_for_bytes(len(layer.content) // 4)
    await proxy.kill()
    await client.kill()
    (left,) = (proxy.cache / "ingest").iterdir()
    flip(left, 0 if part == "first" else left.stat().st_size - 1)
    await proxy.start()
    assert (await Curl(url, client_folder / "first").finish()).startswith("exit ")
    assert stored(proxy.cache) == set()
    assert await Curl(url, client_folder / "next").finish() == layer.digest
