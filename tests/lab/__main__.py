"""The lab by hand: `python -m tests.lab --help`."""

import argparse
import asyncio
import signal
import sys
from contextlib import AsyncExitStack, suppress
from dataclasses import replace

import pytest

from tests.lab.content import Content, hub_content, own_content
from tests.lab.engines import ARM64_SERVER, PC, PI_2, PI_3, PI_4_32BIT, PI_ZERO, Board, docker_engine
from tests.lab.engines.userland import provide_userland
from tests.lab.hub import HUB, OWN, Behaviour, HubStandIn
from tests.lab.registry import docker_registry

_BOARDS = {"pi-zero": PI_ZERO, "pi-2": PI_2, "pi-3": PI_3, "pi-4-32bit": PI_4_32BIT, "arm64": ARM64_SERVER, "pc": PC}


async def serve_hub(behaviour: Behaviour, content: Content, port: int) -> None:
    """Serve content behind a stand-in, until interrupted, and show what is asked."""
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(docker_registry())
        await content.push(registry.url)
        hub = await stack.enter_async_context(HubStandIn(registry.url, behaviour, port=port))
        print(f"serving at {hub.url} (blobs from {hub.cdn_url if behaviour.redirect else 'there too'}):")
        for name in content.documents:
            print(f"  {name:28} {content.digest(name)}")
        print(f"polyarch:  python -m proxy serve --listen 127.0.0.1:5000 --cache /tmp/polyarch --upstream {hub.url}")
        print("a client:  crane manifest --platform linux/arm/v7 127.0.0.1:5000/library/debian:jessie")
        print("a Pi:      python -m tests.lab pi --mirror http://127.0.0.1:5000")
        shown = 0
        while True:
            for record in hub.requests()[shown:]:
                shown += 1
                print(f"{record.kind:14} {record.method} {record.path}", flush=True)
            await asyncio.sleep(0.5)


async def run_engine(mirror: str, board: Board) -> None:
    """Run an engine until interrupted."""
    print(f"starting an engine for {board.debian_architecture} {board.kernel_release}", flush=True)
    async with docker_engine(mirror, board) as engine:
        print(f"docker -H unix://{engine.socket} pull debian:jessie", flush=True)
        await asyncio.Event().wait()


async def fetch_engines() -> None:
    """Fetch the ARM engines that the tests run."""
    for architecture in ("armhf", "arm64"):
        print(await provide_userland(architecture))


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, purpose in (("hub", "a stand-in for Docker Hub"), ("own", "a registry of one's own, with arm6/app")):
        command = commands.add_parser(name, help=f"run {purpose}, until Ctrl-C")
        command.add_argument("--port", type=int, default=0)
    command = commands.add_parser(
        "pi", help="run a Docker Engine that believes to be on a Raspberry Pi or another board, until Ctrl-C"
    )
    command.add_argument("--mirror", required=True, help="the registry mirror, e.g. http://127.0.0.1:5000")
    command.add_argument("--board", default="pi-2", choices=_BOARDS)
    command.add_argument("--kernel", help="what `uname -r` says there, e.g. 6.12.47+rpt-rpi-v7")
    commands.add_parser("fetch-engines", help="fetch the ARM engines into tests/lab/.cache")
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        asyncio.run(_carry_out(parser.parse_args()))


async def _carry_out(arguments: argparse.Namespace) -> None:
    try:
        match arguments.command:
            case "hub":
                await serve_hub(HUB, hub_content(), arguments.port)
            case "own":
                await serve_hub(OWN, own_content(), arguments.port)
            case "pi":
                board = _BOARDS[arguments.board]
                await run_engine(
                    arguments.mirror, replace(board, kernel_release=arguments.kernel or board.kernel_release)
                )
            case _:
                await fetch_engines()
    except (pytest.skip.Exception, pytest.fail.Exception) as missing:
        sys.exit(str(missing))


if __name__ == "__main__":
    main()
