"""Fixtures: registries, the stand-in and the proxy as a real process."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from tests.lab.content import Content, hub_content, own_content
from tests.lab.hub import HubStandIn
from tests.lab.programs import Finished, pick_free_port, run
from tests.lab.proxies import COMMAND, ENVIRONMENT, StartProxy
from tests.lab.registry import DockerRegistry, docker_registry
from tests.lab.warming import fleet_content

RunCli = Callable[..., Awaitable[Finished]]


@pytest.fixture
def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    return pick_free_port()


@pytest.fixture
def client_folder() -> Iterator[Path]:
    """An empty folder with a short name, for clients that keep sockets and storage (podman allows 50 characters)."""
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def content() -> Content:
    """The images that `hub` holds, with all their digests."""
    return hub_content()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hub_backend(content: Content) -> AsyncIterator[DockerRegistry]:
    """One `docker-registry` with `content`, for the whole session: read it only."""
    async with docker_registry() as registry:
        await content.push(registry.url)
        yield registry


@pytest.fixture
async def hub(hub_backend: DockerRegistry) -> AsyncIterator[HubStandIn]:
    """A fresh stand-in for Docker Hub with `content`."""
    async with HubStandIn(hub_backend.url) as stand_in:
        yield stand_in


@pytest.fixture
async def own_registry() -> AsyncIterator[DockerRegistry]:
    """A plain `docker-registry` of one's own with `own_content()`; the test may push to it."""
    async with docker_registry() as registry:
        await own_content().push(registry.url)
        yield registry


@pytest.fixture
async def writable_hub(own_registry: DockerRegistry) -> AsyncIterator[HubStandIn]:
    """A stand-in for Docker Hub in front of `own_registry`: for tests that push and move tags."""
    async with HubStandIn(own_registry.url) as stand_in:
        yield stand_in


@pytest.fixture
async def warm_hub() -> AsyncIterator[HubStandIn]:
    """A stand-in for Docker Hub with the images of a fleet (`warming.py`)."""
    async with docker_registry() as registry:
        await fleet_content().push(registry.url)
        async with HubStandIn(registry.url) as hub:
            yield hub


@pytest.fixture
async def start_proxy(tmp_path: Path) -> AsyncIterator[StartProxy]:
    """Start `polyarch serve` as a process of its own, as often as the test needs."""
    starter = StartProxy(tmp_path)
    yield starter
    await starter.stop_all()


@pytest.fixture
def run_cli() -> RunCli:
    """Run `polyarch ARGUMENTS` to its end."""
    return partial(run, *COMMAND, environment=ENVIRONMENT)
