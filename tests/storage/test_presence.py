import os
from pathlib import Path

import pytest

from proxy.storage.presence import PRESENCE_FILE, Presence, find_presence, leaving_word
from tests.fakes.events import RecordingEvents

OURS = Presence("http://127.0.0.1:5000", "secret")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "ingest").mkdir()
    return tmp_path


def write(root: Path, content: bytes) -> None:
    (root / PRESENCE_FILE).write_bytes(content)
    (root / PRESENCE_FILE).chmod(0o600)


def names_in(root: Path) -> set[str]:
    return {path.name for path in root.rglob("*")}


async def test_a_server_is_found_while_it_runs_by_its_owner_alone(root: Path) -> None:
    assert find_presence(root) is None
    async with leaving_word(root, OURS, RecordingEvents()):
        assert find_presence(root) == OURS
        assert (root / PRESENCE_FILE).stat().st_mode & 0o777 == 0o600
    assert find_presence(root) is None
    assert names_in(root) == {"ingest"}


async def test_what_another_one_left_is_replaced_and_what_comes_after_stays(root: Path) -> None:
    later = Presence("http://127.0.0.1:5001", "another")
    write(root, b'{"address": "http://127.0.0.1:1", "secret": "of one that was killed"}')
    async with leaving_word(root, OURS, RecordingEvents()):
        assert find_presence(root) == OURS
        async with leaving_word(root, later, RecordingEvents()):
            pass
        async with leaving_word(root, later, RecordingEvents()):
            write(root, b'{"address": "http://127.0.0.1:5002", "secret": "a third"}')
    assert find_presence(root) == Presence("http://127.0.0.1:5002", "a third")


async def test_a_folder_that_cannot_be_written_is_told_and_no_more(tmp_path: Path) -> None:
    events = RecordingEvents()
    async with leaving_word(tmp_path / "gone", OURS, events):
        pass
    assert len(events.named("presence.not_written")) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[]", b"{}", b'{"address": 1, "secret": "s"}', b'{"address": "a", "secret": ""}', b"[" * 4096],
)
def test_a_file_that_says_nothing_of_use_is_none(root: Path, content: bytes) -> None:
    write(root, content)
    assert find_presence(root) is None


def test_what_anybody_else_may_have_written_is_not_believed(root: Path) -> None:
    write(root, b'{"address": "http://127.0.0.1:1", "secret": "s"}')
    assert find_presence(root) is not None
    for mode in (0o620, 0o602):
        (root / PRESENCE_FILE).chmod(mode)
        assert find_presence(root) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_another_user_left_in_a_folder_of_ours_is_not_believed(root: Path) -> None:
    write(root, b'{"address": "http://127.0.0.1:1", "secret": "s"}')
    os.chown(root / PRESENCE_FILE, 12345, 12345)
    assert find_presence(root) is None
    os.chown(root, 12345, 12345)  # a service's own folder, and its own file
    assert find_presence(root) is not None


@pytest.mark.timeout(10)
def test_what_is_no_plain_file_is_none(root: Path) -> None:
    path = root / PRESENCE_FILE
    os.mkfifo(path)
    assert find_presence(root) is None
    path.unlink()
    (root / "elsewhere").write_text('{"address": "http://127.0.0.1:1", "secret": "s"}')
    path.symlink_to(root / "elsewhere")
    assert find_presence(root) is None
    path.unlink()
    path.mkdir()
    assert find_presence(root) is None


def test_the_secret_is_not_shown() -> None:
    assert "secret'" not in repr(OURS)
