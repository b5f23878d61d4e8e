"""`polyarch index create` on a real registry, and what real clients read there."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
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
from tests.lab import tools
from tests.lab.clients import open_client
from tests.lab.conftest import RunCli
from tests.lab.content import AMD64, ARM64, ARM_V6, ARM_V7
from tests.lab.engines import PC, PI_ZERO, docker_engine
from tests.lab.hub import HubStandIn
from tests.lab.hub.asked import Kind
from tests.lab.hub.faults import Stall
from tests.lab.images import build_image
from tests.lab.programs import Finished, Program, run, wait_until
from tests.lab.proxies import COMMAND, ENVIRONMENT
from tests.lab.registry import LOGIN, DockerRegistry, docker_registry
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


async def has_no_tag(registry: DockerRegistry, repository: str) -> bool:
    """Tell whether a registry has no tag in a repository, started anew if it was killed."""
    program = Program(*registry.program.command, log=registry.folder / "log")
    try:
        await program.wait_for_http(f"{registry.url}/")
        async with httpx.AsyncClient(base_url=registry.url, trust_env=False) as client:
            answer = await client.get(f"/v2/{repository}/tags/list")
            return answer.status_code == httpx.codes.NOT_FOUND or not answer.json()["tags"]
    finally:
        await program.stop()


@pytest.mark.parametrize("victim", ["registry", "command"])
async def test_a_registry_or_a_command_that_is_gone_half_way_leaves_no_tag(
    registry: DockerRegistry, tmp_path: Path, victim: str
) -> None:
    """A large layer is on its way from another registry, which sends half of it."""
    async with docker_registry() as destination, HubStandIn(registry.url) as source:
        source.inject(Stall(0.5), kind=Kind.CDN, reference=PI_IMAGE.layers[-1].digest)
        arguments = (f"{destination.host}/app:1", f"rpi={source.host}/builds/app:pi")
        command = Program(*COMMAND, "index", "create", *arguments, log=tmp_path / "log", environment=ENVIRONMENT)
        try:
            await wait_until(partial(is_uploading, destination), seconds=60, purpose="an upload half-way")
            await (destination.program if victim == "registry" else command).kill()
            if victim == "registry":
                await wait_until(partial(has_ended, command), seconds=60, purpose="the end of the command")
                assert command.code == 1
                assert command.log().splitlines() == [
                    f"polyarch: {destination.host} cannot be asked now: connection refused"
                ]
        finally:
            await command.kill()
        await destination.program.kill()
        assert await has_no_tag(destination, "app")


async def is_uploading(registry: DockerRegistry) -> bool:
    return any(path.stat().st_size for path in registry.folder.rglob("_uploads/*/data"))


async def has_ended(program: Program) -> bool:
    return program.code is not None


@pytest.mark.parametrize("tool", ["podman", "skopeo", "crane"])
async def test_who_is_logged_in_may_publish_and_see(registry: DockerRegistry, client_folder: Path, tool: str) -> None:
    """Logins are read where podman, skopeo and crane (which writes docker's file) leave them."""
    async with docker_registry(is_guarded=True) as guarded:
        environment = {"HOME": str(client_folder), "DOCKER_CONFIG": str(client_folder), "XDG_RUNTIME_DIR": ""}
        arguments = (f"{guarded.host}/library/app:1", f"rpi={registry.host}/builds/app:pi")

        async def polyarch(*words: str) -> Finished:
            return await run(*COMMAND, "index", *words, environment={**ENVIRONMENT, **environment})

        refused = await polyarch("create", *arguments)
        assert (refused.code, f"log in there by `docker login {guarded.host}`" in refused.stderr) == (1, True)
        user, password = LOGIN
        options = ("-u", user, "-p", password)
        if tool == "crane":
            login = (tools.require("crane"), "auth", "login", *options, guarded.host)
        else:
            file = client_folder / "containers" / "auth.json"
            file.parent.mkdir()
            environment["XDG_RUNTIME_DIR"] = str(client_folder)
            login = (tools.require(tool), "login", "--tls-verify=false", *options, guarded.host)
        (await run(*login, environment=environment)).check()
        (await polyarch("create", *arguments)).check()
        shown = (await polyarch("show", f"{guarded.host}/library/app:1")).check()
        assert PI_IMAGE.manifest.digest in shown.stdout


async def test_who_is_logged_in_by_a_wrong_password_is_told_so(registry: DockerRegistry, client_folder: Path) -> None:
    async with docker_registry(is_guarded=True) as guarded:
        auths = {guarded.host: {"username": "me", "password": "wrong"}}
        (client_folder / "config.json").write_text(json.dumps({"auths": auths}))
        environment = {**ENVIRONMENT, "DOCKER_CONFIG": str(client_folder), "XDG_RUNTIME_DIR": str(client_folder)}
        create = (*COMMAND, "index", "create", f"{registry.host}/app:1", f"rpi={guarded.host}/app:1")
        refused = await run(*create, environment=environment)
        assert refused.code == 1
        assert f"{guarded.host} cannot be asked now: it does not take the credentials" in refused.stderr
