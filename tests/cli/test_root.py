"""The command itself: help, version, and what its exit codes mean."""

import subprocess
import sys

from proxy.version import VERSION
from tests.cli.conftest import Invoke


def test_help_names_every_command(invoke: Invoke) -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    for name in ("serve", "resolve", "config"):
        assert f"  {name}" in result.output


def test_the_version_is_the_distribution_s(invoke: Invoke) -> None:
    assert VERSION in invoke("--version").output


def test_an_unknown_command_is_bad_input(invoke: Invoke) -> None:
    assert invoke("serf").exit_code == 2


def test_python_m_proxy_is_the_same_command() -> None:
    command = [sys.executable, "-m", "proxy", "--version"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert finished.stdout == f"polyarch, version {VERSION}\n"


def test_a_reader_that_has_seen_enough_is_no_fault() -> None:
    script = f"{sys.executable} -m proxy --help | head -c 1"
    finished = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert "Traceback" not in finished.stderr
