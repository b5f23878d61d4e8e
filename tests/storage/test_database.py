"""What is kept in memory while the file cannot be written, and what becomes of it."""

from concurrent.futures import Executor
from pathlib import Path

from proxy.storage.database import Database
from tests.fakes.events import RecordingEvents


def test_a_file_that_can_be_written_is_nothing_to_tell_of(tmp_path: Path, scribe: Executor) -> None:
    events = RecordingEvents()
    with Database(tmp_path / "catalog.sqlite", scribe, events):
        pass
    assert events.told == []
