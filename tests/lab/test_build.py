"""The forum's example, built and published by polyarch, pulled through polyarch, and run on what it was built for."""

import json
import os
import shutil
import tarfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from tests.build.dockerfiles import FORUM
from tests.lab import tools
from tests.lab.buildkit import BuiltImage, buildkit, read_images
from tests.lab.engines import PC, PI_3, PI_4_32BIT, PI_ZERO, docker_engine
from tests.lab.engines.interpreters import register_interpreter
from tests.lab.engines.userland import Userland, provide_userland
from tests.lab.programs import Finished, run
from tests.lab.proxies import COMMAND, ENVIRONMENT, StartProxy, in_place_of_hub
from tests.lab.registry import DockerRegistry, docker_registry

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

BUSYBOX = Userland("busybox", ("busybox-static",))
ROOTS = {"rootfs-x64.tar.xz": "amd64", "rootfs-rpi.tar.xz": "armel"}
"""The root filesystems of the example, by Debian's word for what they run on. The Pi's has to run on all of them, a Pi
Zero, too, which Debian's armhf does not: so it is armel, whose programs are of ARMv5."""
# Nothing is fetched where a Dockerfile of Debian would run apt-get; else it is the example as it stands in the forum.
EXAMPLE = FORUM.replace(
    "     export DEBCONF_FRONTEND=noninteractive \\\n  && apt-get update \\\n  && apt-get clean\n",
    "     uname -m > /built-on \\\n  && cat /built-on\n",
).replace('CMD ["/bin/bash"]', 'CMD ["/bin/uname", "-m"]')
CHAINED = 'FROM debian:jessie\nRUN uname -m > /chained\nCMD ["/bin/cat", "/chained"]\n'


ONLY_DOCKER_S = """FROM scratch
IFARCH x86-64
ADD rootfs-x64.tar.xz /
ENDIFARCH
HEALTHCHECK CMD /bin/true
ONBUILD COPY app /app
SHELL ["/bin/sh", "-ec"]
"""


async def write_root(folder: Path, file: str, architecture: str) -> None:
    """Write a root filesystem with busybox and nothing else."""
    root = folder / architecture
    (root / "bin").mkdir(parents=True)
    (root / "tmp").mkdir()
    shutil.copy(await provide_userland(architecture, BUSYBOX) / "bin" / "busybox", root / "bin")
    for name in ("sh", "uname", "cat"):
        (root / "bin" / name).symlink_to("busybox")
    with tarfile.open(folder / "context" / file, "w:xz") as archive:
        archive.add(root, arcname=".")


@dataclass(frozen=True, slots=True)
class Workshop:
    """A builder with a store of its own, the example's context, and the registry that builds go to."""

    folder: Path
    registry: DockerRegistry
    environment: Mapping[str, str]

    async def polyarch(self, *arguments: str) -> Finished:
        environment = {**ENVIRONMENT, **self.environment}
        return await run(*COMMAND, *arguments, environment=environment, seconds=120)

    async def build(self, name: str, *options: str) -> str:
        """Build and publish; answer what was printed."""
        command = ("build", "-t", f"{self.registry.host}/library/{name}", "--push", *options)
        return (await self.polyarch(*command, str(self.folder / "context"))).check().stdout

    async def write(self, *command: str) -> Path:
        """Write to a file what a `dockerfile` command makes of the example's."""
        name, *options = command
        made = await self.polyarch("dockerfile", name, *options, str(self.folder / "context" / "Dockerfile"))
        (self.folder / name).write_text(made.check().stdout)
        return self.folder / name

    async def bud(self, file: Path, platform: str) -> BuiltImage:
        """Build a Dockerfile of the context by buildah alone."""
        buildah, archive = tools.require("buildah"), self.folder / f"{file.name}.tar"
        command = ("bud", "--platform", platform, "-f", str(file), "-t", file.name, str(self.folder / "context"))
        (await run(buildah, *command, environment=self.environment, seconds=120)).check()
        (await run(buildah, "push", file.name, f"oci-archive:{archive}", environment=self.environment)).check()
        (built,) = read_images(archive)
        archive.unlink()
        return built

    async def entries(self, name: str) -> dict[str, str]:
        """Answer the digests of a published index, by platform."""
        command = ("index", "show", "--json", f"{self.registry.host}/library/{name}")
        found = json.loads((await self.polyarch(*command)).check().stdout)
        return {one["platform"]: one["digest"] for one in found["entries"]}

    async def run_image(self, name: str, platform: str) -> str:
        """Pull an image for a platform, and run it; answer what it says."""
        command = (tools.require("podman"), "--events-backend", "none", "run", "--rm", "--network", "host")
        limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
        options = ("--pull", "always", "--tls-verify=false", f"--platform={platform}", *limits)
        return (await run(*command, *options, name, environment=self.environment, seconds=60)).check().stdout.strip()


@pytest.fixture(params=["buildah", "podman"])
def program(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def workshop(client_folder: Path) -> AsyncIterator[Workshop]:
    tools.require_root()
    for name in ("buildah", "podman"):
        tools.require(name)
    await register_interpreter("armhf")
    (client_folder / "context").mkdir()
    (client_folder / "context" / "Dockerfile").write_text(EXAMPLE)
    for file, architecture in ROOTS.items():
        await write_root(client_folder, file, architecture)
    storage = f'[storage]\ndriver = "vfs"\ngraphroot = "{client_folder}/store"\nrunroot = "{client_folder}/run"\n'
    (client_folder / "storage.conf").write_text(storage)
    environment = {
        "BUILDAH_ISOLATION": "chroot",
        "CONTAINERS_STORAGE_CONF": str(client_folder / "storage.conf"),
        "HOME": str(client_folder),
        "PATH": os.environ["PATH"],
        "XDG_RUNTIME_DIR": str(client_folder),
    }
    async with docker_registry() as registry:
        yield Workshop(client_folder, registry, environment)


async def test_the_forum_s_example_is_built_once_for_all_pis_and_each_engine_gets_its_own(
    workshop: Workshop, start_proxy: StartProxy, program: str
) -> None:
    printed = await workshop.build("debian:jessie", "--builder", program)
    assert printed.startswith("published ")
    found = await workshop.entries("debian:jessie")
    assert set(found) == {"linux/amd64", "linux/arm/v6", "linux/arm/v7", "linux/arm64/v8", "linux/arm64/v8.1"}
    assert len(set(found.values())) == 2
    proxy = await start_proxy(config=in_place_of_hub(workshop.registry.url))
    images = {}
    for board in (PC, PI_ZERO, PI_3, PI_4_32BIT):
        async with docker_engine(proxy.url, board) as engine:
            image = await engine.pull("debian:jessie")
            images[board] = image.id
            assert image.platform == ("linux/amd64" if board is PC else "linux/arm/v6")
    assert images[PI_ZERO] == images[PI_3] == images[PI_4_32BIT] != images[PC]
    if program == "podman":
        name = f"{proxy.host}/library/debian:jessie"
        assert await workshop.run_image(name, "linux/amd64") == "x86_64"
        assert (await workshop.run_image(name, "linux/arm/v6")).startswith("armv")


@pytest.mark.parametrize("has_buildx", [False, True], ids=["its own builder", "buildx"])
async def test_docker_builds_it_too_and_runs_it_for_both(
    workshop: Workshop, start_proxy: StartProxy, *, has_buildx: bool
) -> None:
    proxy = await start_proxy(config=in_place_of_hub(workshop.registry.url))
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(docker_engine(proxy.url))
        environment = {"DOCKER_CONFIG": str(engine.folder / "client"), "DOCKER_HOST": f"unix://{engine.socket}"}
        if has_buildx:
            # The BuildKit within the engine wants a network of its own for each step, which engines here have not.
            running = await stack.enter_async_context(buildkit(workshop.folder / "buildkit", ""))
            environment |= await running.add_to(engine.folder / "client")
        at_engine = replace(workshop, environment={**workshop.environment, **environment, "DOCKER_BUILDKIT": "0"})
        told = await at_engine.build("debian:jessie", "--builder", "docker", "--dry-run")
        assert ("docker buildx build --load" in told) is has_buildx
        await at_engine.build("debian:jessie", "--builder", "docker")
        found = await workshop.entries("debian:jessie")
        assert len(found) == 5
        assert len(set(found.values())) == 2
        for platform, machine in (("linux/amd64", "x86_64"), ("linux/arm/v6", "armv")):
            ran = await engine.docker("run", "--rm", "--pull", "always", "--platform", platform, "debian:jessie")
            assert ran.check().stdout.startswith(machine)
            assert (await engine.inspect("debian:jessie")).platform == platform


async def test_what_is_built_upon_it_is_built_for_both_from_one_file(
    workshop: Workshop, start_proxy: StartProxy
) -> None:
    await workshop.build("debian:jessie")
    proxy = await start_proxy(config=in_place_of_hub(workshop.registry.url))
    (workshop.folder / "context" / "Dockerfile").write_text(CHAINED)
    await workshop.build("app:1", "--platform", "x86-64,rpi", "--proxy", proxy.url)
    assert set(await workshop.entries("app:1")) == {"linux/amd64", "linux/arm/v6"}
    name = f"{proxy.host}/library/app:1"
    assert await workshop.run_image(name, "linux/amd64") == "x86_64"
    assert (await workshop.run_image(name, "linux/arm/v6")).startswith("armv")


STAGED = {"linux/amd64": "linux/amd64", "linux/arm/v6": "linux/arm/v6", "linux/arm64": "linux/arm/v6"}
"""For whom the example is built by its stages, and whose build serves him: all that is ARM gets the Pi's."""


async def test_what_only_docker_s_form_has_a_place_for_is_published_too(workshop: Workshop, program: str) -> None:
    (workshop.folder / "context" / "Dockerfile").write_text(ONLY_DOCKER_S)
    await workshop.build("debian:jessie", "--builder", program)
    skopeo, name = tools.require("skopeo"), f"docker://{workshop.registry.host}/library/debian:jessie"
    inspect = (skopeo, "inspect", "--config", "--raw", "--tls-verify=false", "--override-arch", "amd64", name)
    config = json.loads((await run(*inspect)).check().stdout)["config"]
    assert config["Healthcheck"]["Test"] == ["CMD-SHELL", "/bin/true"]
    assert config["OnBuild"] == ["COPY app /app"]
    assert config["Shell"] == ["/bin/sh", "-ec"]


async def test_buildah_makes_of_stages_what_it_makes_of_renderings(workshop: Workshop) -> None:
    for platform, built_for in STAGED.items():
        staged = await workshop.bud(await workshop.write("stages"), platform)
        rendered = await workshop.bud(await workshop.write("render", "--platform", platform), built_for)
        assert staged.files == rendered.files
        assert staged.config["config"]["Cmd"] == rendered.config["config"]["Cmd"] == ["/bin/uname", "-m"]


async def test_buildkit_makes_of_stages_what_it_makes_of_renderings(workshop: Workshop) -> None:
    """For all platforms at once."""
    async with buildkit(workshop.folder / "buildkit", "") as running:
        build = partial(running.buildx, workshop.folder / "context")
        staged = {one.platform: one for one in await build(*STAGED, file=await workshop.write("stages"))}
        assert set(staged) == set(STAGED)
        for platform, built_for in STAGED.items():
            (rendered,) = await build(built_for, file=await workshop.write("render", "--platform", platform))
            assert staged[platform].files == rendered.files
            assert staged[platform].config["config"] == rendered.config["config"]
    assert staged["linux/arm/v6"].layers == staged["linux/arm64"].layers
    assert staged["linux/amd64"].files["built-on"] != staged["linux/arm/v6"].files["built-on"]


async def test_a_step_that_fails_on_the_pi_only_publishes_nothing(workshop: Workshop) -> None:
    file = workshop.folder / "context" / "Dockerfile"
    file.write_text(EXAMPLE.replace("TAGARCH", "RUN cat /nowhere\nTAGARCH"))
    line = EXAMPLE.split("\n").index("TAGARCH arm7 arm8 arm8.1 rpi") + 1
    failed = await workshop.polyarch(
        "build", "-t", f"{workshop.registry.host}/library/debian:jessie", "--push", str(file.parent)
    )
    assert failed.code == 1
    assert f"{file}:{line}: the build for linux/arm/v6 failed: " in failed.stderr
    assert "  RUN cat /nowhere\n" in failed.stderr
    assert list(workshop.registry.folder.rglob("_manifests")) == []
