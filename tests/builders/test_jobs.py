"""Programs run as builders are."""

import asyncio
import sys
from pathlib import Path

import pytest

from proxy.builders import jobs
from proxy.builders.jobs import Job, run_builder
from proxy.oci.errors import BuildFailed
from proxy.oci.platforms import Platform


def python(script: str) -> tuple[str, str, str]:
    return (sys.executable, "-c", script)


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_all_builders_take_the_same_words() -> None:
    job = Job(Path("f"), Path("c"), Platform.parse("linux/arm/v6"), "app:1", Path("i"), {"A": "b"}, "x")
    assert job.list_options() == [
        "--file=f",
        "--platform=linux/arm/v6",
        "--tag=app:1",
        "--iidfile=i",
        "--build-arg=A=b",
        "--target=x",
    ]


def test_what_was_built_is_read_where_the_builder_wrote_it(tmp_path: Path) -> None:
    job = Job(Path("f"), Path("c"), Platform.parse("linux/arm/v6"), "app:1", tmp_path / "id")
    with pytest.raises(BuildFailed, match="does not say what it built of app:1: No such file"):
        job.read_id()
    job.id_file.write_text(f"sha256:{'ab' * 32}\n")
    assert job.read_id() == "ab" * 32


async def test_each_line_is_told_and_the_last_is_the_reason() -> None:
    told = list[str]()
    script = "import sys; print('one'); print('Error: two\\n', file=sys.stderr); sys.exit(3)"
    with pytest.raises(BuildFailed, match=r"^two$") as caught:
        await run_builder(python(script), told.append)
    assert sorted(told) == ["", "Error: two", "one"] == sorted(caught.value.printed)


async def test_one_that_says_nothing_fails_by_its_code() -> None:
    with pytest.raises(BuildFailed, match=r"^code 3$"):
        await run_builder(python("raise SystemExit(3)"), lambda _: None)


async def test_one_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="nothing cannot be started: No such file"):
        await run_builder((str(tmp_path / "nothing"),), lambda _: None)


async def test_a_line_without_an_end_is_no_failure() -> None:
    told = list[str]()
    await run_builder(python("print('x' * 3_000_000); print('y')"), told.append)
    assert told[-1] == "y"
    assert all(len(line) <= 1 << 20 for line in told)


WAIT = "print(os.getpid(), flush=True); time.sleep(60)"


async def interrupt(script: str) -> int:
    """Run a program that says its number, and stop waiting for it then."""
    told = asyncio.Queue[str]()
    running = asyncio.ensure_future(run_builder(python(f"import os, signal, sys, time; {script}"), told.put_nowait))
    pid = int(await told.get())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    return pid


async def test_whoever_is_interrupted_leaves_nothing_running() -> None:
    assert not is_there(await interrupt(WAIT))


async def test_who_is_told_to_end_may_tidy_up_first(tmp_path: Path) -> None:
    left = tmp_path / "left"
    left.touch()
    tidy = f"signal.signal(signal.SIGTERM, lambda *_: (os.unlink({str(left)!r}), sys.exit()))"
    assert not is_there(await interrupt(f"{tidy}; {WAIT}"))
    assert not left.exists()


async def test_who_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "END_SECONDS", 0.1)
    assert not is_there(await interrupt(f"signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAIT}"))
