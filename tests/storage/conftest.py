"""The executors that stores and catalogs write in."""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest


@pytest.fixture
def writers() -> Iterator[Executor]:
    """A few threads, for blobs."""
    with ThreadPoolExecutor(3, "test-writer") as executor:
        yield executor


@pytest.fixture
def scribe() -> Iterator[Executor]:
    """One thread, for the catalog."""
    with ThreadPoolExecutor(1, "test-scribe") as executor:
        yield executor
