"""Fixtures of the use cases."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.fakes.clock import ManualClock
from tests.fakes.events import RecordingEvents
from tests.fakes.upstream import FakeUpstream
from tests.service.bench import PLAIN_POLICY, Bench, Kept, kept_on_disk, open_bench, publish_jessie


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def events() -> RecordingEvents:
    return RecordingEvents()


@pytest.fixture
def upstream() -> FakeUpstream:
    """An upstream that has `debian:jessie` as Docker Hub has it."""
    upstream = FakeUpstream()
    publish_jessie(upstream)
    return upstream


@pytest.fixture
async def bench(upstream: FakeUpstream) -> AsyncIterator[Bench]:
    """The use cases with Docker Hub's candidates."""
    async with open_bench(upstream) as bench:
        yield bench


@pytest.fixture
async def plain(upstream: FakeUpstream) -> AsyncIterator[Bench]:
    """The use cases without candidates."""
    async with open_bench(upstream, policy=PLAIN_POLICY) as bench:
        yield bench


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Kept]:
    """The real store and catalog in a fresh folder."""
    with kept_on_disk(tmp_path / "cache") as kept:
        yield kept
