"""`polyarch index create` on a real registry, and what real clients read there."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.oci.digests import Digest
from proxy.ports import Destination
from proxy.upstream.pushing import RegistryPusher, _Source
from tests.contracts.destination import DestinationContract
from tests.fakes.clock import ManualClock
from tests.fakes.pushable import Manners, pushable
from tests.fakes.registry import MemoryRegistry
from tests.lab.clients import open_client
from tests.lab.conftest import RunCli
from tests.lab.content import AMD64, ARM64, ARM_V6, ARM_V7
from tests.lab.engines import PC, PI_ZERO, docker_engine
from tests.lab.images import build_image
from tests.lab.programs import Program
from tests.lab.proxies import COMMAND, ENVIRONMENT
from tests.lab.registry import DockerRegistry, docker_registry
from tests.upstream.wires import TableResolver, open_exchange

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

PC_IMAGE, PI_IMAGE = build_image(AMD64, label="indexed"), build_image(ARM_V6, label="indexed", padding_bytes=20_000_000)


class TestDockerRegistryAsDestination(DestinationContract):
    @pytest.fixture
    async def destination(self) -> AsyncIterator[Destination]:
        async with docker_registry() as registry:
            resolver = TableResolver({})
            async with open_exchange(registry.url, ManualClock(), resolver=resolver, actions="pull,push") as exchange:
                yield RegistryPusher(exchange, lambda: 0.0)

    async def test_a_blob_goes_in_pieces_too(self, destination: RegistryPusher) -> None:
        layer = PI_IMAGE.layers[-1]
        digest = Digest.parse(layer.digest)

        async def read() -> AsyncGenerator[bytes, None]:
            yield layer.content

        source = _Source(digest, len(layer.content), read)
        await destination._upload("team/app", digest, source, in_pieces=True)
        assert await destination.has_blob("team/app", digest)


@pytest.fixture
async def registry() -> AsyncIterator[DockerRegistry]:
    """A registry that has a build for PCs and one for Pis, each by itself."""
    async with docker_registry() as registry:
        await registry.push(PC_IMAGE, "builds/app", "pc")
        await registry.push(PI_IMAGE, "builds/app", "pi")
        yield registry


def wish(registry: DockerRegistry, source: str | None = None) -> tuple[str, ...]:
    builds = f"{source or registry.host}/builds/app"
    return (f"{registry.host}/library/app:1", f"x86-64={builds}:pc", f"rpi,arm7,arm8={builds}:pi")


async def create(run_cli: RunCli, registry: DockerRegistry, *arguments: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((await run_cli("index", "create", *arguments, "--json")).check().stdout)
    return told


@pytest.mark.parametrize("name", ["podman", "skopeo", "ctr", "ctr-2", "crane"])
async def test_real_clients_get_each_platform_s_own(
    run_cli: RunCli, registry: DockerRegistry, client_folder: Path, name: str
) -> None:
    await create(run_cli, registry, *wish(registry))
    async with AsyncExitStack() as stack:
        client, prefix = await open_client(stack, name, client_folder, registry.host)
        for platform, image in ((AMD64, PC_IMAGE), (ARM_V6, PI_IMAGE), (ARM_V7, PI_IMAGE), (ARM64, PI_IMAGE)):
            assert await client.pull(f"{prefix}app:1", platform) == image.config.digest, platform


@pytest.mark.parametrize(("board", "image"), [(PC, PC_IMAGE), (PI_ZERO, PI_IMAGE)], ids=["PC", "Pi Zero"])
async def test_real_engines_get_their_own(run_cli: RunCli, registry: DockerRegistry, board: Any, image: Any) -> None:
    told = await create(run_cli, registry, *wish(registry))
    async with docker_engine(registry.url, board) as engine:
        pulled = await engine.pull("app:1")
        assert (pulled.id, pulled.repo_digests) == (image.config.digest, (told["digest"],))


async def test_nothing_is_stored_twice_and_dry_nothing_at_all(run_cli: RunCli, registry: DockerRegistry) -> None:
    def stored() -> set[str]:
        return {path.parent.name for path in registry.folder.rglob("blobs/sha256/*/*/data")}

    before = stored()
    dry = await create(run_cli, registry, *wish(registry), "--dry-run")
    assert stored() == before
    told = await create(run_cli, registry, *wish(registry))
    assert stored() == before | {told["digest"].removeprefix("sha256:")}
    assert dry["digest"] == told["digest"]
    assert {one["action"] for one in told["steps"]} == {"mount", "push", "tag"}
    again = await create(run_cli, registry, *wish(registry))
    assert {one["action"] for one in again["steps"]} == {"skip"}


async def test_from_another_registry_it_is_copied(run_cli: RunCli, registry: DockerRegistry) -> None:
    async with docker_registry() as other:
        arguments = wish(other, source=registry.host)
        told = await create(run_cli, other, *arguments)
        async with httpx.AsyncClient(base_url=other.url, trust_env=False) as client:
            found = await client.get("/v2/library/app/manifests/1", headers={"Accept": told["media_type"]})
        assert found.headers["Docker-Content-Digest"] == told["digest"]
    shown = await run_cli("index", "show", f"{registry.host}/builds/app:pi")
    assert PI_IMAGE.config.digest[7:19] in shown.check().stdout


async def test_a_kill_in_the_middle_leaves_no_tag(registry: DockerRegistry, tmp_path: Path) -> None:
    """The destination does not answer the first upload; then the command is gone."""
    destination, manners = MemoryRegistry(), Manners(holding=asyncio.Event())
    async with pushable(destination, manners) as server:
        arguments = (f"{server.url.removeprefix('http://')}/app:1", f"rpi={registry.host}/builds/app:pi")
        command = Program(*COMMAND, "index", "create", *arguments, log=tmp_path / "log", environment=ENVIRONMENT)
        assert manners.holding is not None
        await asyncio.wait_for(manners.holding.wait(), 60)
        await command.kill()
        assert destination.tags() == {}
