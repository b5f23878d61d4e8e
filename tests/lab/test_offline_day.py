"""A day without upstream: a fleet of real clients pulls all it ever pulled, and is told at once what cannot be had."""

import json
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.lab.clients import open_client, put_in_place_of_hub
from tests.lab.content import AMD64, ARM64, ARM_V7, Content
from tests.lab.engines import ARM64_SERVER, PC, PI_2, Board, docker_engine
from tests.lab.engines.userland import provide_userland
from tests.lab.hub import HubStandIn
from tests.lab.programs import CommandFailed
from tests.lab.proxies import Proxy, StartProxy, as_docker_hub

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

SOON_SECONDS = 2.0
NAMES = ("debian:jessie", "debian:bookworm", "redis:3-alpine", "multi:latest")
BOARDS = {AMD64: PC, ARM_V7: PI_2, ARM64: ARM64_SERVER}
REASON = "docker.io cannot be asked now"


@pytest.fixture
async def internet_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever turns from a mirror to the real Docker Hub is refused at once, wherever these tests run."""
    for architecture in ("armhf", "arm64"):
        await provide_userland(architecture)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")


@pytest.fixture
async def proxy(hub: HubStandIn, start_proxy: StartProxy) -> Proxy:
    return await start_proxy(config=as_docker_hub(hub.url))


@pytest.fixture
async def offline_proxy(hub: HubStandIn, proxy: Proxy, internet_is_off: None) -> Proxy:
    """A proxy that was started after upstream had gone."""
    await hub.go_offline()
    await proxy.restart()
    return proxy


class Fleet:
    """Docker Engines of three architectures, podman and containerd, who all pull the same names."""

    def __init__(self, proxy: Proxy, folder: Path, stack: AsyncExitStack) -> None:
        self._proxy, self._folder, self._stack = proxy, folder, stack
        self._shifts = 0

    async def pull_all(self, names: Sequence[str]) -> dict[tuple[str, str, str], str]:
        """Let everybody start without a memory and pull; answer the configs' digests by client, platform and name."""
        self._shifts += 1
        pulled: dict[tuple[str, str, str], str] = {}
        for platform, board in BOARDS.items():
            async with docker_engine(self._proxy.url, board) as engine:
                for name in names:
                    pulled["docker", platform, name] = (await engine.pull(name)).id
        for kind in ("podman", "ctr"):
            folder = self._folder / f"{kind}-{self._shifts}"
            client, prefix = await open_client(self._stack, kind, folder, self._proxy.host)
            for platform in BOARDS:
                for name in names:
                    pulled[kind, platform, name] = await client.pull(f"{prefix}{name}", platform)
        return pulled


async def test_everybody_pulls_again_what_was_once_pulled(
    hub: HubStandIn, proxy: Proxy, content: Content, client_folder: Path, internet_is_off: None
) -> None:
    """By a proxy that was started anew while upstream was off."""
    async with AsyncExitStack() as stack:
        fleet = Fleet(proxy, client_folder, stack)
        first = await fleet.pull_all(NAMES)
        assert first["docker", ARM_V7, "debian:jessie"] == content.image("arm32v7/debian:jessie").config.digest
        assert first["podman", ARM64, "multi:latest"] == content.image("library/multi:latest", ARM64).config.digest
        assert len(first) == 3 * len(BOARDS) * len(NAMES)
        await hub.go_offline()
        await proxy.restart()
        assert await fleet.pull_all(NAMES) == first


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("podman", SOON_SECONDS),
        ("buildah", SOON_SECONDS),
        ("skopeo", SOON_SECONDS),
        ("ctr", SOON_SECONDS),
        ("ctr-2", SOON_SECONDS),
        # These two ask again three and four times, and wait in between, before they tell.
        ("crane", 10 * SOON_SECONDS),
        ("oras", 10 * SOON_SECONDS),
    ],
)
async def test_what_is_unknown_fails_soon(offline_proxy: Proxy, client_folder: Path, name: str, seconds: float) -> None:
    async with AsyncExitStack() as stack:
        client, prefix = await open_client(stack, name, client_folder, offline_proxy.host)
        put_in_place_of_hub(client_folder, offline_proxy.host)
        began = time.monotonic()
        with pytest.raises(CommandFailed, match=REASON):
            await client.pull(f"{prefix}never:1", AMD64)
        assert time.monotonic() - began < seconds
    assert max(answer_milliseconds(offline_proxy)) < SOON_SECONDS * 1000


@pytest.mark.parametrize("board", [pytest.param(PC, id="PC"), pytest.param(PI_2, id="Pi 2")])
async def test_what_is_unknown_fails_soon_for_an_engine(offline_proxy: Proxy, board: Board) -> None:
    """By the proxy's own name it says what it was answered; by a mirror's, what the real Docker Hub had to say."""
    async with docker_engine(offline_proxy.url, board) as engine:
        for name, says in ((f"{offline_proxy.host}/library/never:1", REASON), ("never:1", "registry-1.docker.io")):
            began = time.monotonic()
            answer = await engine.docker("pull", name)
            assert time.monotonic() - began < SOON_SECONDS
            assert answer.code != 0
            assert says in answer.stderr
    assert max(answer_milliseconds(offline_proxy)) < SOON_SECONDS * 1000


def answer_milliseconds(proxy: Proxy) -> list[float]:
    """Answer how long each request for what is unknown took, by the proxy's own log."""
    lines = [json.loads(line) for line in proxy.log().splitlines() if line.startswith("{")]
    return [line["ms"] for line in lines if line["event"] == "request" and "/never/" in line["path"]]
