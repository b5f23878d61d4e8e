"""buildah, and podman, which builds by the same code and takes the same words (buildah-build(1), podman-build(1))."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from proxy.oci.errors import BuildFailed
from proxy.oci.platforms import Platform

KEPT_LINES = 2000
"""How much of what a builder prints is kept for telling why it failed."""
MAX_LINE_BYTES = 1 << 20
Tell = Callable[[str], None]
"""Told each line that a builder prints."""
_BUILD = {"buildah": "bud", "podman": "build"}
BUILDERS = tuple(_BUILD)


@dataclass(frozen=True, slots=True)
class Job:
    """One image to be built."""

    file: Path
    """A plain Dockerfile."""
    context: Path
    platform: Platform
    name: str
    """What it is called in the builder's store."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    allows_http: bool = False
    """Whether registries are spoken to that do not show a certificate."""


class Buildah:
    """A builder."""

    def __init__(self, program: str, tell: Tell) -> None:
        """Take the program, one of `BUILDERS` or a path to one, and who is told what it prints."""
        self._program = program
        self._tell = tell

    async def build(self, job: Job) -> None:
        """Build an image.

        Raises:
            BuildFailed: The builder says no, or is not there.
        """
        options = [f"--file={job.file}", f"--platform={job.platform}", f"--tag={job.name}"]
        options += [f"--build-arg={name}={value}" for name, value in job.arguments.items()]
        options += [f"--target={job.target}"] if job.target else []
        options += ["--tls-verify=false"] if job.allows_http else []
        await self._run(_BUILD[Path(self._program).name], *options, str(job.context))

    async def export(self, name: str, folder: Path) -> None:
        """Write an image of the store into a folder, as an OCI image layout.

        Raises:
            BuildFailed: It cannot be done.
        """
        await self._run("push", name, f"oci:{folder}:image")

    async def _run(self, *arguments: str) -> None:
        pipe, nothing, same = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL, asyncio.subprocess.STDOUT
        try:
            process = await asyncio.create_subprocess_exec(
                self._program, *arguments, stdin=nothing, stdout=pipe, stderr=same, limit=MAX_LINE_BYTES
            )
        except OSError as error:
            raise BuildFailed(f"{self._program} cannot be started: {error.strerror}") from error
        printed = deque[str](maxlen=KEPT_LINES)
        assert process.stdout is not None
        try:
            while line := await _next_line(process.stdout):
                printed.append(line.rstrip("\r\n"))
                self._tell(printed[-1])
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if code:
            said = next((line for line in reversed(printed) if line.strip()), f"code {code}")
            raise BuildFailed(said.removeprefix("Error: "), printed=tuple(printed))

    def __repr__(self) -> str:
        return f"<Buildah by {self._program}>"


async def _next_line(stream: asyncio.StreamReader) -> str:
    try:
        line = await stream.readline()
    except ValueError:  # a line of more than a mebibyte: what a program prints, and not what a builder says
        line = b"...\n"
    return line.decode(errors="replace")
