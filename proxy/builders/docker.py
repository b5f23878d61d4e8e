"""Docker: by BuildKit where the buildx plugin is, and by the engine's own builder where it is not.

Registries are spoken to by the engine, over HTTP only where its `insecure-registries` say so, or on loopback addresses.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from proxy.builders.jobs import Job, Tell, run_builder
from proxy.oci.errors import BuildFailed, InvalidSetting

_BUILD = ["build"]
# An attestation would make an index of the one image, which not every engine's store takes.
_BUILDX = ["buildx", "build", "--load", "--provenance=false", "--progress=plain"]
Unpack = Callable[[Path, Path], None]
"""Makes an OCI image layout, in a folder, of a file that `docker save` wrote. Raises InvalidSetting if it is none."""


class Docker:
    """The `Builder` port over the `docker` command, which says itself where the engine is."""

    def __init__(self, program: str, unpack: Unpack) -> None:
        """Take the program, and what unpacks the images that it saves."""
        self._program = program
        self._unpack = unpack

    async def find_command(self, job: Job) -> tuple[str, ...]:
        """Answer the command that builds an image."""
        words = _BUILDX if await self._has_buildx() else _BUILD
        return (self._program, *words, *job.list_options(), str(job.context))

    async def build(self, job: Job, tell: Tell) -> None:
        """Build an image."""
        await run_builder(await self.find_command(job), tell)

    async def export(self, image: str, folder: Path) -> None:
        """Write an image of the store, by its ID or a name, into a folder, as an OCI image layout."""
        saved = folder.with_suffix(".tar")
        await run_builder((self._program, "save", f"--output={saved}", image), _ignore)
        try:
            await asyncio.to_thread(self._unpack, saved, folder)
        except InvalidSetting as error:
            raise BuildFailed(f"what docker saved of {image} cannot be used: {error}") from error
        finally:
            saved.unlink(missing_ok=True)

    async def _has_buildx(self) -> bool:
        try:
            await run_builder((self._program, "buildx", "version"), _ignore)
        except BuildFailed:
            return False
        return True

    def __repr__(self) -> str:
        return f"<Docker by {self._program}>"


def _ignore(_line: str) -> None:
    """Nobody wants to know how far it is."""
