"""A Docker Engine of the lab's own: its own containerd, folders and mount namespace, nothing left behind."""

import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab import tools
from tests.lab.containerd import containerd
from tests.lab.engines.boards import PC, Board
from tests.lab.engines.interpreters import register_interpreter
from tests.lab.engines.userland import provide_userland
from tests.lab.programs import CommandFailed, Finished, Program, run, wait_until

_START_SECONDS = 60
# Mounts made here exist for the engine only, and vanish with it. The engine's layer unpacker pivots its root, so
# the root must be a mount of its own. Arguments: root, folder, /proc/cpuinfo or "", command ...
_ENTER_USERLAND = """
set -e; root=$1 folder=$2 cpu_info=$3; shift 3
mount --make-rprivate /
mount --bind "$root" "$root"
for name in proc sys dev; do mount --rbind "/$name" "$root/$name"; done
for name in etc host lab run tmp var; do mount --bind "$folder/$name" "$root/$name"; done
[ -z "$cpu_info" ] || mount --bind "$cpu_info" "$root/proc/cpuinfo"
cd "$root"; pivot_root . old; exec "$@"
"""
_ENTER_HOST = """
set -e; folder=$2; shift 3
mount --make-rprivate /
mkdir -p /etc/docker
mount --bind "$folder/etc" /etc/docker
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class EngineImage:
    """An image as `docker image inspect` tells of it."""

    id: str
    """The digest of its config."""
    os: str
    architecture: str
    variant: str
    repo_digests: tuple[str, ...]

    @property
    def platform(self) -> str:
        """`os/architecture[/variant]`, as its config says."""
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine, spoken to with the `docker` command."""

    socket: Path
    program: Program
    folder: Path

    async def docker(self, *arguments: str, seconds: float = 120, has_buildkit: bool = False) -> Finished:
        """Run `docker ARGUMENTS` against this engine; builds are by its BuildKit if that is wanted."""
        environment = {"DOCKER_CONFIG": str(self.folder / "client"), "DOCKER_BUILDKIT": str(int(has_buildkit))}
        command = (tools.require("docker"), "-H", f"unix://{self.socket}")
        return await run(*command, *arguments, environment=environment, seconds=seconds)

    async def pull(self, reference: str, platform: str | None = None) -> EngineImage:
        """Pull an image and return what was got."""
        options = ("--platform", platform) if platform else ()
        (await self.docker("pull", *options, reference)).check()
        return await self.inspect(reference)

    async def inspect(self, reference: str) -> EngineImage:
        """Tell of an image that the engine has."""
        (image,) = json.loads((await self.docker("image", "inspect", reference)).check().stdout)
        digests = tuple(text.partition("@")[2] for text in image["RepoDigests"])
        return EngineImage(image["Id"], image["Os"], image["Architecture"], image.get("Variant", ""), digests)

    async def remove(self, reference: str) -> None:
        """Remove an image with all its layers, so that the next pull starts from nothing."""
        (await self.docker("image", "rm", "--force", reference)).check()

    async def is_up(self) -> bool:
        """Whether the engine answers; raises if it has ended."""
        if self.program.code is not None:
            raise CommandFailed(f"{self.program!r} ended while starting\n{self.program.log()[-3000:]}")
        return self.socket.exists() and (await self.docker("version")).code == 0


@asynccontextmanager
async def docker_engine(mirror: str, board: Board = PC, *, daemon_file: str = "") -> AsyncIterator[Engine]:
    """Run an engine whose only setting of note is `registry-mirrors: [mirror]`, or with this `daemon.json` as it is."""
    tools.require_root()
    tools.require("docker")
    folder = Path(tempfile.mkdtemp(prefix="polyarch-engine-"))
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        await stack.enter_async_context(containerd(folder / "host"))
        program = await _start(folder, daemon_file or json.dumps({"registry-mirrors": [mirror]}), board)
        stack.push_async_callback(program.stop)
        engine = Engine(folder / "lab" / "docker.sock", program, folder)
        await wait_until(engine.is_up, seconds=_START_SECONDS, purpose=f"the engine of {board}")
        yield engine


async def _start(folder: Path, daemon_file: str, board: Board) -> Program:
    for name in ("client", "etc", "lab", "run", "tmp", "var"):
        (folder / name).mkdir()
    own = board == PC
    seen = folder if own else Path("/")  # the engine's folders, as it sees them itself
    (folder / "lab" / "daemon.json").write_text(daemon_file)
    (folder / "cpuinfo").write_text(board.cpu_info)
    if own:
        script, root, dockerd = _ENTER_HOST, Path("/"), tools.require("dockerd")
    else:
        await register_interpreter(board.debian_architecture)
        script, root, dockerd = _ENTER_USERLAND, await provide_userland(board.debian_architecture), "/usr/sbin/dockerd"
        for name in ("hosts", "resolv.conf"):
            shutil.copy(f"/etc/{name}", folder / "etc")
    cpu_info = str(folder / "cpuinfo") if board.cpu_info else ""
    return Program(
        tools.require("unshare"),
        "--mount",
        "sh",
        "-c",
        script,
        "sh",
        *(str(root), str(folder), cpu_info, dockerd, *_options(seen)),
        log=folder / "log",
        environment={"QEMU_UNAME": board.kernel_release} if board.kernel_release else {},
    )


def _options(seen: Path) -> list[str]:
    """Answer what makes an engine the lab's own; as flags, so that its file can be anybody's."""
    lab = seen / "lab"
    options = {
        "bridge": "none",
        "config-file": lab / "daemon.json",
        "containerd": seen / "host" / "containerd.sock",
        "data-root": lab / "data",
        "exec-root": lab / "exec",
        "host": f"unix://{lab / 'docker.sock'}",
        "iptables": "false",
        "pidfile": lab / "docker.pid",
        "storage-driver": "vfs",
    }
    return [f"--{name}={value}" for name, value in options.items()]
