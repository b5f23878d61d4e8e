import asyncio
import errno
import resource
import threading
from concurrent.futures import Executor
from pathlib import Path

import pytest

from proxy.storage.durable import create_file, run_to_the_end, write_durably


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "ingest").mkdir()
    return tmp_path


def test_small_files_are_replaced_in_one_step_by_many_writers(root: Path, writers: Executor) -> None:
    texts = [str(number).encode() * 10_000 for number in range(10)]
    for done in [writers.submit(write_durably, root, "index.json", text) for text in texts * 5]:
        done.result()
        assert (root / "index.json").read_bytes() in texts
    assert list((root / "ingest").iterdir()) == []


def test_a_small_file_that_does_not_fit_leaves_the_former_one_and_nothing_else(root: Path) -> None:
    write_durably(root, "index.json", b"former")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large") as raised:
            write_durably(root, "index.json", b"x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert raised.value.errno == errno.EFBIG
    assert (root / "index.json").read_bytes() == b"former"
    assert list((root / "ingest").iterdir()) == []


def test_a_name_that_is_taken_is_not_taken_again(root: Path) -> None:
    """In containers two processes have the same number: what one writes must not be the other's."""
    first, file = create_file(root, "name")
    file.close()
    stem, pid, number = first.name.rsplit(".", 2)
    for taken in range(int(number) + 1, int(number) + 4):
        (root / f"{stem}.{pid}.{taken}").write_bytes(b"somebody's")
    path, file = create_file(root, "name")
    with file:
        file.write(b"mine")
    assert int(path.name.rsplit(".", 1)[1]) >= int(number) + 4
    assert [one.read_bytes() for one in sorted(root.glob("name.*"))].count(b"somebody's") == 3


async def test_who_is_cancelled_waits_for_the_thread(writers: Executor) -> None:
    may_end, has_ended = threading.Event(), threading.Event()

    def work() -> None:
        may_end.wait(20)
        has_ended.set()

    waiting = asyncio.ensure_future(run_to_the_end(writers, work))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert has_ended.is_set()
