"""A real registry: Debian's `docker-registry` (distribution 2.8) on a port and a folder of its own."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab import tools
from tests.lab.images import Document
from tests.lab.programs import Program, pick_free_port
from tests.lab.pushing import push

_CONFIG = """\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {folder}/registry, maxthreads: 200}}
  delete: {{enabled: true}}
http: {{addr: "{host}"}}
"""


@dataclass(frozen=True, slots=True)
class DockerRegistry:
    """A running registry that asks nobody who they are and takes pushes."""

    host: str
    folder: Path
    program: Program

    @property
    def url(self) -> str:
        """The base address, without a slash at its end."""
        return f"http://{self.host}"

    async def push(self, document: Document, repository: str, tag: str) -> None:
        """Upload an image or an index under a tag."""
        await push(document, repository, tag, registry_url=self.url)


@asynccontextmanager
async def docker_registry(*, mirror_of: str | None = None, port: int | None = None) -> AsyncIterator[DockerRegistry]:
    """Run a registry; with `mirror_of` it is a pull-through cache of that address, for comparison."""
    binary = tools.require("docker-registry")
    folder = Path(tempfile.mkdtemp(prefix="polyarch-registry-"))
    host = f"127.0.0.1:{port or pick_free_port()}"
    config = _CONFIG.format(folder=folder, host=host)
    if mirror_of:
        config += f'proxy: {{remoteurl: "{mirror_of}"}}\n'
    (folder / "config.yml").write_text(config)
    program = Program(binary, "serve", str(folder / "config.yml"), log=folder / "log")
    try:
        await program.wait_for_http(f"http://{host}/v2/")
        yield DockerRegistry(host, folder, program)
    finally:
        await program.stop()
        shutil.rmtree(folder, ignore_errors=True)
