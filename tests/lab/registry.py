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
LOGIN = ("me", "secret")
_HTPASSWD = "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"


@dataclass(frozen=True, slots=True)
class DockerRegistry:
    """A running registry that takes pushes."""

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
async def docker_registry(
    *, mirror_of: str | None = None, port: int | None = None, is_guarded: bool = False
) -> AsyncIterator[DockerRegistry]:
    """Run a registry.

    Args:
        mirror_of: An address that it is a pull-through cache of, for comparison.
        port: Where it listens; without, anywhere.
        is_guarded: Whether it is for `LOGIN` alone; else it asks nobody who they are.
    """
    binary = tools.require("docker-registry")
    folder = Path(tempfile.mkdtemp(prefix="polyarch-registry-"))
    host = f"127.0.0.1:{port or pick_free_port()}"
    config = _CONFIG.format(folder=folder, host=host)
    if mirror_of:
        config += f'proxy: {{remoteurl: "{mirror_of}"}}\n'
    if is_guarded:
        (folder / "htpasswd").write_text(_HTPASSWD)
        config += f"auth: {{htpasswd: {{realm: lab, path: {folder}/htpasswd}}}}\n"
    (folder / "config.yml").write_text(config)
    program = Program(binary, "serve", str(folder / "config.yml"), log=folder / "log")
    try:
        await program.wait_for_http(f"http://{host}/")  # which is open to everybody
        yield DockerRegistry(host, folder, program)
    finally:
        await program.stop()
        shutil.rmtree(folder, ignore_errors=True)
