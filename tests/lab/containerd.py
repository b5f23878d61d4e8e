"""A containerd of the lab's own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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


@asynccontextmanager
async def containerd(folder: Path) -> AsyncIterator[Path]:
    """Run a containerd in a folder, and yield its socket."""
    tools.require_root()
    ctr = tools.require("ctr")
    socket = folder / "containerd.sock"
    program = _start(folder)

    async def is_up() -> bool:
        if program.code is not None:
            raise CommandFailed(f"{program!r} ended while starting\n{program.log()}")
        return socket.exists() and (await run(ctr, "-a", str(socket), "version")).code == 0

    try:
        await wait_until(is_up, seconds=30, purpose="containerd")
        yield socket
    finally:
        await program.stop()


def _start(folder: Path) -> Program:
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(_CONFIG.format(folder=folder))
    return Program(tools.require("containerd"), "-c", str(folder / "config.toml"), log=folder / "log")
