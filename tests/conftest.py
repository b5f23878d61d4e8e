"""Fixtures of the tests that run the whole proxy inside the test's own event loop (`tests/live.py`)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.lab.hub import HubStandIn
from tests.lab.registry import DockerRegistry
from tests.live import Live, open_backend, run_proxy, settings_for


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def live_backend() -> AsyncIterator[DockerRegistry]:
    """One `docker-registry` for the whole session: read it only."""
    async with open_backend() as registry:
        yield registry


@pytest.fixture
async def live_hub(live_backend: DockerRegistry) -> AsyncIterator[HubStandIn]:
    """A fresh stand-in for Docker Hub; its CDN never sees a credential."""
    async with HubStandIn(live_backend.url) as hub:
        yield hub
        assert hub.leaks() == []


@pytest.fixture
async def live(live_hub: HubStandIn, tmp_path: Path) -> AsyncIterator[Live]:
    """A proxy with an empty cache; at the end whatever is in the cache is what it is called."""
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        yield live
    live.stored()
