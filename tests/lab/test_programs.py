"""Programs are ended whole, and what they said is kept."""

import sys
from pathlib import Path

import pytest

from tests.lab import tools
from tests.lab.programs import CommandFailed, Program, run, wait_until

SPAWN = "import subprocess, sys, time; subprocess.Popen(['sleep', '60']); print('up', flush=True); time.sleep(60)"


async def running_in_group(group: int) -> list[str]:
    listing = await run("ps", "-o", "stat=", "-o", "comm=", "-g", str(group))
    members = [line.split() for line in listing.stdout.splitlines()]
    return [name for state, name, *_ in members if not state.startswith("Z")]


async def test_a_command_tells_what_it_said() -> None:
    finished = await run(sys.executable, "-c", "import sys; print('out'); sys.exit('err')")
    assert (finished.code, finished.stdout, finished.stderr) == (1, "out\n", "err\n")
    with pytest.raises(CommandFailed, match=r"exit 1\nout\nerr"):
        finished.check()


async def test_a_command_has_a_time_limit() -> None:
    with pytest.raises(TimeoutError):
        await run("sleep", "60", seconds=0.1)


async def test_a_program_is_ended_with_its_children(tmp_path: Path) -> None:
    program = Program(sys.executable, "-c", SPAWN, log=tmp_path / "log")

    async def is_up() -> bool:
        return program.log() == "up\n"

    await wait_until(is_up, seconds=10, purpose="the program")
    assert "sleep" in await running_in_group(program.pid)
    assert await program.stop() == -15
    assert await running_in_group(program.pid) == []


async def test_waiting_in_vain_names_the_purpose() -> None:
    async def never() -> bool:
        return False

    with pytest.raises(TimeoutError, match="in vain for godot"):
        await wait_until(never, seconds=0.05, purpose="godot")


def test_a_missing_part_is_a_failure_under_ci_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program is not installed"):
        tools.require("no-such-program")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception):
        tools.require("no-such-program")
