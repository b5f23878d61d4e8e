"""The diary of standing orders: what is written is there after a restart, and a broken file costs nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from proxy.ports import Diary
from proxy.storage.diary import DIARY_FILE, JsonDiary
from tests.fakes.events import RecordingEvents

DIARY = Diary({"key": 5.5}, {"redis:7.*": ("7.4.1", "7.4.0")})


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "ingest").mkdir()
    return tmp_path


async def test_what_is_written_is_there_after_a_restart(root: Path, executor: ThreadPoolExecutor) -> None:
    diary = JsonDiary(root, executor, RecordingEvents())
    assert diary.read() == Diary()
    await diary.write(DIARY)
    assert diary.read() == DIARY
    assert JsonDiary(root, executor, RecordingEvents()).read() == DIARY


async def test_nothing_is_written_where_nothing_changed(root: Path, executor: ThreadPoolExecutor) -> None:
    await JsonDiary(root, executor, RecordingEvents()).write(Diary())
    assert not (root / DIARY_FILE).exists()


async def test_a_disk_that_takes_nothing_is_told_and_forgotten(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    events = RecordingEvents()
    diary = JsonDiary(tmp_path, executor, events)  # without the folder that files are made in
    await diary.write(DIARY)
    assert diary.read() == DIARY
    assert events.warnings == ["warm.not_remembered"]
    assert DIARY_FILE in repr(diary)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "[" * 100_000,
        '{"begun": [], "pins": 3}',
        '{"begun": {"key": "5", "other": -1, "third": NaN}, "pins": {"a": "b", "c": [1]}}',
    ],
    ids=lambda text: text[:20],
)
def test_what_is_broken_is_passed_over(root: Path, executor: ThreadPoolExecutor, text: str) -> None:
    (root / DIARY_FILE).write_text(text)
    assert JsonDiary(root, executor, RecordingEvents()).read() == Diary()
