"""A containerd of the lab's own: Debian's 1.6, or a 2.x, which pulls by its transfer service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab import tools
from tests.lab.programs import CommandFailed, Program, run, wait_until

_CONFIG = """\
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{folder}/containerd.sock"
[ttrpc]
address = "{folder}/ttrpc.sock"
"""
# Images for every architecture can be unpacked; the platform stands only for its operating system.
_UNPACKING = """\
[plugins."io.containerd.transfer.v1.local"]
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
platform = "linux/amd64"
snapshotter = "native"
"""


@dataclass(frozen=True, slots=True)
class Release:
    """A containerd and the `ctr` that belongs to it."""

    daemon: str
    """Its program, as `tools` finds it."""
    ctr: str
    pull_options: tuple[str, ...] = ()
    """What makes its `ctr images pull` fetch the metadata of nothing but the one platform."""
    more_config: str = ""


CONTAINERD_1 = Release("containerd", "ctr")
CONTAINERD_2 = Release("containerd-2", "ctr-2", ("--skip-metadata",), _UNPACKING)


@asynccontextmanager
async def containerd(folder: Path, release: Release = CONTAINERD_1) -> AsyncIterator[Path]:
    """Run a containerd in a folder, and yield its socket."""
    tools.require_root()
    ctr = tools.require(release.ctr)
    socket = folder / "containerd.sock"
    program = _start(folder, release)

    async def is_up() -> bool:
        if program.code is not None:
            raise CommandFailed(f"{program!r} ended while starting\n{program.log()}")
        return socket.exists() and (await run(ctr, "-a", str(socket), "version")).code == 0

    try:
        await wait_until(is_up, seconds=30, purpose="containerd")
        yield socket
    finally:
        await program.stop()


def _start(folder: Path, release: Release) -> Program:
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(_CONFIG.format(folder=folder) + release.more_config)
    return Program(tools.require(release.daemon), "-c", str(folder / "config.toml"), log=folder / "log")
