"""`polyarch serve`, as a process."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.lab.programs import Program, pick_free_port
from tests.lab.proxies import ENVIRONMENT

COMMAND = (sys.executable, "-m", "proxy", "serve")


def run_serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **ENVIRONMENT}
    command = [*COMMAND, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=environment)


@pytest.fixture
def port() -> int:
    return pick_free_port()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_without_a_network_until_it_is_told_to_stop(
    tmp_path: Path, port: int, ending: signal.Signals
) -> None:
    listen = f"127.0.0.1:{port}"
    program = Program(
        *COMMAND, "--listen", listen, "--cache", str(tmp_path), log=tmp_path / "log", environment=ENVIRONMENT
    )
    try:
        await program.wait_for_http(f"http://{listen}/v2/")
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"http://{listen}/v2/")).json() == {}
        os.kill(program.pid, ending)
        assert await program.stop() == 0
    finally:
        await program.kill()
    assert '"event": "serving"' in program.log()
    assert '"event": "stopping"' in program.log()


def test_an_occupied_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        finished = run_serve("--cache", str(tmp_path), "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert finished.returncode == 1
    assert "cannot listen at 127.0.0.1" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_cache_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    finished = run_serve("--cache", str(tmp_path / "file"), "--listen", "127.0.0.1:0")
    assert finished.returncode == 1
    assert finished.stderr.startswith(f"polyarch: the cache folder {tmp_path}/file cannot be used")


def test_a_bad_address_is_bad_input(tmp_path: Path) -> None:
    finished = run_serve("--cache", str(tmp_path), "--listen", "nowhere")
    assert finished.returncode == 2
    assert "server.listen must be HOST:PORT" in finished.stderr


async def test_a_cache_folder_serves_one_process_at_a_time(tmp_path: Path, port: int) -> None:
    listen = f"127.0.0.1:{port}"
    program = Program(
        *COMMAND, "--listen", listen, "--cache", str(tmp_path), log=tmp_path / "log", environment=ENVIRONMENT
    )
    try:
        await program.wait_for_http(f"http://{listen}/v2/")
        second = run_serve("--cache", str(tmp_path), "--listen", "127.0.0.1:0")
    finally:
        await program.stop()
    assert second.returncode == 1
    assert "is in use by another polyarch" in second.stderr
