"""buildah, and podman, which builds by the same code and takes the same words (buildah-build(1), podman-build(1))."""

from pathlib import Path

from proxy.builders.jobs import Job, Tell, run_builder

_BUILD = {"buildah": "bud", "podman": "build"}


class Buildah:
    """The `Builder` port over one of the two."""

    def __init__(self, program: str) -> None:
        """Take the program, `buildah` or `podman`, or a path to one."""
        self._program = program

    async def find_command(self, job: Job) -> tuple[str, ...]:
        """Answer the command that builds an image."""
        insecure = ["--tls-verify=false"] if job.allows_http else []
        return (self._program, _BUILD[Path(self._program).name], *job.list_options(), *insecure, str(job.context))

    async def build(self, job: Job, tell: Tell) -> None:
        """Build an image."""
        await run_builder(await self.find_command(job), tell)

    async def export(self, name: str, folder: Path) -> None:
        """Write an image of the store into a folder, as an OCI image layout."""
        await run_builder((self._program, "push", name, f"oci:{folder}:image"), _ignore)

    def __repr__(self) -> str:
        return f"<Buildah by {self._program}>"


def _ignore(_line: str) -> None:
    """Nobody wants to know how far it is."""
