"""buildah, and podman, which builds by the same code and takes the same words (buildah-build(1), podman-build(1)).

Images are made in Docker's form: OCI's has no place for HEALTHCHECK, ONBUILD and SHELL, which would be left out.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from proxy.builders.jobs import Job, Tell, run_builder
from proxy.oci.errors import BuildFailed, InvalidSetting

_BUILD = {"buildah": "bud", "podman": "build"}
# buildah compresses layers by itself, and has no such option.
_PUSH = {"buildah": ("push",), "podman": ("push", "--compress")}
Adopt = Callable[[Path], None]
"""Makes a folder that `push … dir:` wrote an OCI image layout. Raises InvalidSetting if it is none."""


class Buildah:
    """The `Builder` port over one of the two."""

    def __init__(self, program: str, adopt: Adopt) -> None:
        """Take the program, `buildah` or `podman`, or a path to one; and what reads the images that it writes."""
        self._program = program
        self._name = Path(program).name
        self._adopt = adopt

    async def find_command(self, job: Job) -> tuple[str, ...]:
        """Answer the command that builds an image."""
        insecure = ["--tls-verify=false"] if job.allows_http else []
        words = (_BUILD[self._name], "--format=docker", *job.list_options(), *insecure)
        return (self._program, *words, str(job.context))

    async def build(self, job: Job, tell: Tell) -> None:
        """Build an image."""
        await run_builder(await self.find_command(job), tell)

    async def export(self, image: str, folder: Path) -> None:
        """Write an image of the store, by its ID or a name, into a folder, as an OCI image layout."""
        await run_builder((self._program, *_PUSH[self._name], image, f"dir:{folder}"), _ignore)
        try:
            await asyncio.to_thread(self._adopt, folder)
        except InvalidSetting as error:
            raise BuildFailed(f"what {self._name} wrote of {image} cannot be used: {error}") from error

    def __repr__(self) -> str:
        return f"<Buildah by {self._program}>"


def _ignore(_line: str) -> None:
    """Nobody wants to know how far it is."""
