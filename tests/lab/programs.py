"""Programs that the lab starts: each in a process group of its own, logged to a file, ended by its pid."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx

_POLL_SECONDS = 0.02
# A test run that is itself killed leaves nothing behind: the kernel ends what it had started.
_DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--") if shutil.which("setpriv") else ()


class CommandFailed(AssertionError):
    """A client or a tool ended with a failure; the message is what it printed."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command that ran to its end left behind."""

    command: tuple[str, ...]
    code: int
    stdout: str
    stderr: str

    def check(self) -> Self:
        """Return itself, or raise if the command failed."""
        if self.code != 0:
            raise CommandFailed(f"{' '.join(self.command)}: exit {self.code}\n{self.stdout}{self.stderr}")
        return self


async def run(*command: str, environment: Mapping[str, str] | None = None, seconds: float = 120) -> Finished:
    """Run a command to its end; past the time limit its whole process group is killed."""
    process = await asyncio.create_subprocess_exec(
        *_DIES_WITH_US,
        *command,
        env={**os.environ, **(environment or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        stdout, stderr = await asyncio.wait_for(process.communicate(), seconds)
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    return Finished(command, process.returncode or 0, stdout.decode(), stderr.decode())


class Program:
    """A started server. It belongs to no event loop, so a fixture of any scope may own it."""

    def __init__(self, *command: str, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.command = command
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*_DIES_WITH_US, *command],
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __repr__(self) -> str:
        return f"<Program {Path(self.command[0]).name} pid={self.pid} code={self.code}>"

    @property
    def pid(self) -> int:
        """The process id, which is its group's id too."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """The exit code, or `None` while it runs."""
        return self._process.poll()

    def log(self) -> str:
        """Everything printed so far."""
        return self._log.read_text(errors="replace")

    async def stop(self, *, seconds: float = 10) -> int:
        """Ask the program to end, and make sure that its group has; return the exit code."""
        if self.code is None:
            self._process.terminate()
            with suppress(TimeoutError):
                await wait_until(self._has_ended, seconds=seconds, purpose=f"the end of {self!r}")
        return await self.kill()

    async def kill(self) -> int:
        """End the program's whole group at once, as a power cut would; return the exit code."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await wait_until(self._has_ended, seconds=10, purpose=f"the end of {self!r}")
        return self._process.returncode

    async def wait_for_http(self, url: str, *, seconds: float = 30) -> None:
        """Wait until `url` answers 200; raise with the log if the program ends before."""

        async def answers() -> bool:
            if self.code is not None:
                raise CommandFailed(f"{self!r} ended while starting\n{self.log()}")
            with suppress(httpx.TransportError):
                return (await client.get(url)).status_code == httpx.codes.OK
            return False

        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            await wait_until(answers, seconds=seconds, purpose=f"{url} from {self!r}")

    async def _has_ended(self) -> bool:
        return self.code is not None


async def wait_until(holds: Callable[[], Awaitable[bool]], *, seconds: float, purpose: str) -> None:
    """Ask again and again until the answer is yes; `TimeoutError` names the purpose when time is up."""
    deadline = time.monotonic() + seconds
    while not await holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s in vain for {purpose}")
        await asyncio.sleep(_POLL_SECONDS)


def pick_free_port(address: str = "127.0.0.1") -> int:
    """Return a TCP port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])
