"""polyarch as its users have it: a process of its own, known by its address only."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.programs import Program, pick_free_port

COMMAND = (sys.executable, "-m", "proxy")
ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).parents[2])}


def as_docker_hub(url: str) -> str:
    """Return a configuration that has Docker Hub at that address, and treats it as such: strangers own names there."""
    return f'[[upstream]]\nname = "docker.io"\nurl = "{url}"\npublic = "true"\n'


def in_place_of_hub(url: str) -> str:
    """Return a configuration that has a registry of one's own in the place of Docker Hub: the names are one's own."""
    return f'[[upstream]]\nname = "docker.io"\nurl = "{url}"\npublic = "false"\n'


@dataclass(slots=True)
class Proxy:
    """A polyarch that can be started, stopped, killed and started again on the same port and cache."""

    folder: Path
    """Where its log, its configuration and, unless told otherwise, its cache are."""
    host: str
    """`address:port`"""
    cache: Path
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    wrapper: tuple[str, ...] = ()
    """A command that is given the proxy's own as its last arguments, and becomes it."""
    _program: Program | None = None

    @property
    def url(self) -> str:
        """The base address, without a slash at its end."""
        return f"http://{self.host}"

    @property
    def pid(self) -> int:
        """The process id while it runs."""
        return self._running.pid

    async def start(self) -> None:
        """Start it and wait until it serves."""
        command = (*self.wrapper, *COMMAND, "serve", "--listen", self.host, "--cache", str(self.cache), *self.arguments)
        environment = {**ENVIRONMENT, **self.environment}
        self._program = Program(*command, log=self.folder / "log", environment=environment)
        await self._program.wait_for_http(f"{self.url}/v2/")

    async def stop(self) -> int:
        """End it as a service manager would; return its exit code."""
        return await self._running.stop()

    async def kill(self) -> int:
        """End it without warning."""
        return await self._running.kill()

    async def restart(self) -> None:
        """Stop it and start it again."""
        await self.stop()
        await self.start()

    def log(self) -> str:
        """Everything that it has printed, over all its starts."""
        return self._running.log()

    @property
    def _running(self) -> Program:
        if self._program is None:
            raise RuntimeError("this proxy was never started")
        return self._program


class StartProxy:
    """Called to start a proxy with a folder of its own; ends them all at last."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[Proxy] = []

    async def __call__(
        self,
        upstream: str | None = None,
        *,
        config: str | None = None,
        cache: Path | None = None,
        arguments: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
        wrapper: tuple[str, ...] = (),
    ) -> Proxy:
        """Start a proxy and wait until it serves.

        Args:
            upstream: The address to use for `docker.io` (`--upstream`).
            config: The text of a configuration file.
            cache: The cache folder; a fresh one by default.
            arguments: More arguments for `serve`.
            environment: More environment variables.
            wrapper: A command to run it by, which replaces itself by the command that follows.
        """
        folder = self._folder / f"proxy-{len(self._started)}"
        folder.mkdir()
        if config is not None:
            (folder / "config.toml").write_text(config)
            arguments = ("--config", str(folder / "config.toml"), *arguments)
        if upstream is not None:
            arguments = ("--upstream", upstream, *arguments)
        host = f"127.0.0.1:{pick_free_port()}"
        proxy = Proxy(folder, host, cache or folder / "cache", arguments, environment or {}, wrapper)
        self._started.append(proxy)
        await proxy.start()
        return proxy

    async def stop_all(self) -> None:
        """End every proxy that still runs."""
        for proxy in self._started:
            await proxy.stop()
