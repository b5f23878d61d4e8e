"""What builders have in common: what they are told, and how their programs are run."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from proxy.oci.errors import BuildFailed
from proxy.oci.platforms import Platform

KEPT_LINES = 2000
"""How much of what a builder prints is kept for telling why it failed."""
MAX_LINE_BYTES = 1 << 20
END_SECONDS = 10
"""How long a program that is told to end may take for it."""
Tell = Callable[[str], None]
"""Told each line that a builder prints."""


@dataclass(frozen=True, slots=True)
class Job:
    """One image to be built."""

    file: Path
    """A plain Dockerfile."""
    context: Path
    platform: Platform
    name: str
    """What it is called in the builder's store."""
    id_file: Path
    """Where the builder writes what the image is, whatever its name leads to by then."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    allows_http: bool = False
    """Whether registries are spoken to that do not show a certificate."""

    def list_options(self) -> list[str]:
        """Answer the options that all builders take."""
        options = [
            f"--file={self.file}",
            f"--platform={self.platform}",
            f"--tag={self.name}",
            f"--iidfile={self.id_file}",
        ]
        options += [f"--build-arg={name}={value}" for name, value in self.arguments.items()]
        return options + ([f"--target={self.target}"] if self.target else [])

    def read_id(self) -> str:
        """Answer the image that was built, as hex digits.

        Raises:
            BuildFailed: The builder has not said.
        """
        try:
            return self.id_file.read_text().strip().removeprefix("sha256:")
        except OSError as error:
            raise BuildFailed(f"the builder does not say what it built of {self.name}: {error.strerror}") from error


class Builder(Protocol):
    """Builds images into a store of its own, and takes them out of it."""

    async def find_command(self, job: Job, /) -> tuple[str, ...]:
        """Answer the command that builds an image, without running it."""
        ...

    async def build(self, job: Job, tell: Tell, /) -> None:
        """Build an image.

        Raises:
            BuildFailed: The builder says no, or is not there.
        """
        ...

    async def export(self, image: str, folder: Path, /) -> None:
        """Write an image of the store, by its ID or a name, into a folder, as an OCI image layout.

        Raises:
            BuildFailed: It cannot be done.
        """
        ...


async def run_builder(command: Sequence[str], tell: Tell) -> None:
    """Run a program to its end, or end it where we are.

    Raises:
        BuildFailed: It ends with a failure; the reason is the last that it said.
    """
    pipe, nothing, same = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL, asyncio.subprocess.STDOUT
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=nothing, stdout=pipe, stderr=same, limit=MAX_LINE_BYTES
        )
    except OSError as error:
        raise BuildFailed(f"{command[0]} cannot be started: {error.strerror}") from error
    printed = deque[str](maxlen=KEPT_LINES)
    assert process.stdout is not None
    try:
        while line := await _next_line(process.stdout):
            printed.append(line.rstrip("\r\n"))
            tell(printed[-1])
        code = await process.wait()
    finally:
        await _end(process)
    if code:
        said = next((line for line in reversed(printed) if line.strip()), f"code {code}")
        raise BuildFailed(said.removeprefix("Error: ").removeprefix("ERROR: "), printed=tuple(printed))


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a program that still runs; it is given the time to take away what it has begun."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _next_line(stream: asyncio.StreamReader) -> str:
    try:
        line = await stream.readline()
    except ValueError:  # a line of more than a mebibyte: what a program prints, and not what a builder says
        line = b"...\n"
    return line.decode(errors="replace")
