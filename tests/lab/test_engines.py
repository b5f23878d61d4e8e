"""Real engines, straight at the stand-in: what a Raspberry Pi gets where there is no polyarch."""

import time
from collections.abc import AsyncIterator

import pytest

from tests.lab.content import AMD64, ARM64, ARM_V5, ARM_V7, Content
from tests.lab.engines import ARM64_SERVER, PC, PI_2, PI_4_32BIT, PI_ZERO, Board, docker_engine
from tests.lab.hub import OWN, HubStandIn
from tests.lab.registry import DockerRegistry

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


@pytest.fixture
async def mirror(hub_backend: DockerRegistry) -> AsyncIterator[HubStandIn]:
    async with HubStandIn(hub_backend.url, OWN) as stand_in:
        yield stand_in


@pytest.mark.parametrize(
    ("board", "user_agent", "own_platform"),
    [
        pytest.param(PC, "os/linux arch/amd64", AMD64, id="PC"),
        pytest.param(PI_ZERO, "kernel/6.1.21+ os/linux arch/arm ", ARM_V5, id="Pi Zero"),
        pytest.param(PI_2, "kernel/6.1.21-v7+ os/linux arch/arm ", ARM_V7, id="Pi 2"),
        pytest.param(PI_4_32BIT, "kernel/6.1.21-v8+ os/linux arch/arm ", ARM_V5, id="Pi 4, 32 bit"),
        pytest.param(ARM64_SERVER, "kernel/6.1.0-13-arm64 os/linux arch/arm64 ", ARM64, id="arm64"),
    ],
)
async def test_without_polyarch(
    mirror: HubStandIn, content: Content, board: Board, user_agent: str, own_platform: str
) -> None:
    """A bare amd64 tag is amd64 for everybody; from an index the engine picks its own.

    Where Docker 20.10 finds no entry for just its variant, it takes the first ARM one: v6 on a Pi Zero and v8 on a
    32-bit Pi 4 are not in redis' list, whose first ARM entry is v5.
    """
    before = time.monotonic()
    async with docker_engine(mirror.url, board) as engine:
        print(f"{board.debian_architecture} engine started in {time.monotonic() - before:.1f} s")
        image = await engine.pull("debian:jessie")
        assert image.platform == AMD64
        assert image.id == content.image("library/debian:jessie").config.digest
        assert image.repo_digests == (content.digest("library/debian:jessie"),)
        assert user_agent in mirror.requests("manifest")[0].headers["User-Agent"]

        picked = await engine.pull("redis:3-alpine")
        assert picked.id == content.image("library/redis:3-alpine", own_platform).config.digest
        assert picked.repo_digests == (content.digest("library/redis:3-alpine"),)
        other = await engine.pull("redis:3-alpine", platform=ARM_V5)
        assert other.id == content.image("library/redis:3-alpine", ARM_V5).config.digest
        await engine.remove("debian:jessie")
    assert engine.program.code is not None
    assert not engine.folder.exists()
