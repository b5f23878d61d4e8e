"""Fixtures of the HTTP front."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.fakes.upstream import FakeUpstream
from tests.server.serving import Served, serve
from tests.service.bench import Kept, kept_on_disk, publish_jessie


@pytest.fixture
def upstream() -> FakeUpstream:
    """An upstream that has `debian:jessie` as Docker Hub has it."""
    upstream = FakeUpstream()
    publish_jessie(upstream)
    return upstream


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Kept]:
    """The real store and catalog in a fresh folder."""
    with kept_on_disk(tmp_path / "cache") as kept:
        yield kept


@pytest.fixture
async def served(upstream: FakeUpstream) -> AsyncIterator[Served]:
    """A server whose store is in memory."""
    async with serve(upstream) as served:
        yield served
    assert served.events.faults == []
