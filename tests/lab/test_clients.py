"""Each client works against the stand-in as its mirror, and gets what the index lists for the platform."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.lab.clients import open_client
from tests.lab.content import AMD64, ARM64, ARM_V5, ARM_V7, Content
from tests.lab.hub import OWN, HubStandIn
from tests.lab.registry import DockerRegistry

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]


@pytest.fixture
async def mirror(hub_backend: DockerRegistry) -> AsyncIterator[HubStandIn]:
    async with HubStandIn(hub_backend.url, OWN) as stand_in:
        yield stand_in


@pytest.mark.parametrize("name", ["podman", "buildah", "skopeo", "ctr", "ctr-2", "crane", "oras"])
async def test_a_client_gets_the_platform_it_asks_for(
    mirror: HubStandIn, content: Content, client_folder: Path, name: str
) -> None:
    async with AsyncExitStack() as stack:
        client, prefix = await open_client(stack, name, client_folder, mirror.host)
        for platform in (ARM64, ARM_V7, ARM_V5, AMD64):
            got = await client.pull(f"{prefix}redis:3-alpine", platform)
            assert got == content.image("library/redis:3-alpine", platform).config.digest
    assert mirror.requests("manifest-get")
