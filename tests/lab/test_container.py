"""The Containerfile, built as it is upon a base pulled through polyarch, runs without rights and serves a pull."""

import json
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab import tools
from tests.lab.bases import ARM_SERVER, PC, PI, PI_ZERO, Machine, build_python_base, provide_wheels
from tests.lab.clients import Crane, put_in_place_of_hub
from tests.lab.content import AMD64, ARM_V7, Content
from tests.lab.engines.interpreters import register_interpreter
from tests.lab.engines.userland import PYTHON, provide_userland
from tests.lab.hub import HubStandIn
from tests.lab.images import Platform
from tests.lab.programs import Program, pick_free_port, run
from tests.lab.proxies import StartProxy, as_docker_hub
from tests.lab.registry import DockerRegistry

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
IMAGE = "localhost/polyarch"
BASES = {PC: "library/python", ARM_SERVER: "arm64v8/python", PI: "arm32v7/python", PI_ZERO: "arm32v6/python"}
"""Where the base is for each processor: polyarch is what makes one image of them."""
BASE_TAG = "3.13-alpine"
PROCESSORS = {PC: "x86_64", ARM_SERVER: "aarch64", PI: "armv7l", PI_ZERO: "armv6l"}
"""What Python says there that it runs on, by which pip chooses wheels."""
# podman would raise these, which it may not where the lab runs in a container itself.
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
MIB = 1024 * 1024
SIZE_LIMIT = 60_000_000
"""What polyarch and all that it needs may add to its base, unpacked."""
MEASURE = """
for name in cc gcc c99 clang tcc; do ! command -v $name || exit 1; done
python3 -c 'import platform; print(platform.machine())'
busybox du -sk /opt/polyarch
"""
"""Says that nothing here compiles, what machine this is, and what the installed polyarch takes."""
PIP_CONFIG = "[global]\nno-index = true\nfind-links = /wheels\n"


@dataclass(frozen=True, slots=True)
class Builder:
    """A buildah and a podman with one storage."""

    folder: Path
    environment: Mapping[str, str]

    def command(self, program: str, *arguments: str) -> tuple[str, ...]:
        """Return a command line of either of them."""
        storage = ("--root", f"{self.folder}/storage", "--runroot", f"{self.folder}/run", "--storage-driver", "vfs")
        return (tools.require(program), *storage, *arguments)

    async def run(self, program: str, *arguments: str, seconds: float = 60) -> str:
        """Run either of them to its end, and return what it printed."""
        finished = await run(*self.command(program, *arguments), environment=self.environment, seconds=seconds)
        return finished.check().stdout

    async def inspect(self, image: str) -> dict[str, Any]:
        """Return what podman knows of an image."""
        (found,) = json.loads(await self.run("podman", "image", "inspect", image))
        return dict(found)

    async def build(self, machine: Machine) -> None:
        """Build the image for a processor."""
        platform = Platform.parse(machine.platform)
        variant = ("--variant", platform.variant) if platform.variant else ()
        (self.folder / "pip.conf").write_text(PIP_CONFIG)
        await self.run(
            "buildah",
            *("bud", "--isolation", "chroot", "--format", "docker", "--arch", platform.architecture, *variant),
            *("--volume", f"{await provide_wheels(machine)}:/wheels:ro"),
            *("--volume", f"{self.folder}/pip.conf:/etc/pip.conf:ro"),
            *("--tag", IMAGE, str(ROOT)),
            seconds=800,
        )

    @asynccontextmanager
    async def serving(self, upstream: str) -> AsyncIterator[str]:
        """Run the image as the compose file does, in front of an upstream; yield its address."""
        host = f"127.0.0.1:{pick_free_port()}"
        options = ("--network", "host", "--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges")
        more = ("--env", f"POLYARCH_SERVER_LISTEN={host}", "--name", "polyarch")
        command = self.command("podman", "run", *options, *LIMITS, *more, IMAGE, "serve", "--upstream", upstream)
        program = Program(*command, log=self.folder / "log", environment=self.environment)
        try:
            await program.wait_for_http(f"http://{host}/v2/", seconds=60)
            yield host
            await self.run("podman", "stop", "--time", "30", "polyarch")
        finally:
            await self.run("podman", "rm", "--force", "--ignore", "polyarch")
            await program.stop()


@pytest.fixture
def builder(client_folder: Path) -> Builder:
    tools.require_root()
    environment = {
        "CONTAINERS_REGISTRIES_CONF": f"{client_folder}/registries.conf",
        "DISABLE_HC_SYSTEMD": "true",  # else a timer of systemd would ask whether it is well
        "HOME": str(client_folder),
    }
    return Builder(client_folder, environment)


async def test_the_lab_s_pi_zero_refuses_what_is_of_armv7() -> None:
    root, qemu = await provide_userland(PI.debian, PYTHON), tools.require("qemu-arm-static")
    command = (qemu, "-L", str(root), f"{root}/usr/bin/python3.11", "-S", "-c", "print('runs')")
    assert (await run(*command)).check().stdout == "runs\n"
    refused = await run(*command, environment={"QEMU_CPU": PI_ZERO.processor})
    assert (refused.code, refused.stdout) == (-signal.SIGILL, "")


@pytest.mark.parametrize("machine", BASES, ids=lambda machine: machine.platform)
async def test_the_container_is_built_through_polyarch_and_serves(
    builder: Builder,
    own_registry: DockerRegistry,
    writable_hub: HubStandIn,
    hub: HubStandIn,
    start_proxy: StartProxy,
    content: Content,
    machine: Machine,
) -> None:
    if machine is not PC:
        await register_interpreter(machine.debian)
    base = Content({f"{BASES[machine]}:{BASE_TAG}": await build_python_base(machine)})
    await base.push(own_registry.url)
    proxy = await start_proxy(config=as_docker_hub(writable_hub.url))
    put_in_place_of_hub(builder.folder, proxy.host)
    await builder.build(machine)
    assert f"/v2/library/python/manifests/{BASE_TAG}" in proxy.log()
    image, below = [await builder.inspect(name) for name in (IMAGE, f"docker.io/library/python:{BASE_TAG}")]
    shell = ("--rm", "--network", "host", "--entrypoint", "/bin/sh", *LIMITS, IMAGE, "-c", MEASURE)
    processor, installed = (await builder.run("podman", "run", *shell)).splitlines()
    added = image["Size"] - below["Size"]
    print(
        f"{machine.platform} ({processor}): {added / MIB:.1f} MiB upon its base, {installed.split()[0]} KiB installed"
    )
    assert processor == PROCESSORS[machine]
    assert image["Size"] - below["Size"] < SIZE_LIMIT
    # podman 4 does not tell the variant.
    assert (image["Os"], image["Architecture"]) == Platform.parse(machine.platform)[:2]
    async with builder.serving(hub.url) as host:
        await builder.run("podman", "healthcheck", "run", "polyarch")
        crane = Crane(builder.folder, registry=host)
        for platform, name in ((AMD64, "library/debian:jessie"), (ARM_V7, "arm32v7/debian:jessie")):
            assert await crane.pull("library/debian:jessie", platform) == content.image(name).config.digest
