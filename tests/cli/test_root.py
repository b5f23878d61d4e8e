"""The command itself: help, version, and what its exit codes mean."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from proxy.cli.root import cli
from proxy.oci import errors
from proxy.version import VERSION
from tests.cli.conftest import Invoke


def test_help_names_every_command(invoke: Invoke) -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    for name in ("serve", "resolve", "config", "cache"):
        assert f"  {name}" in result.output


def test_only_the_command_that_is_called_for_is_imported() -> None:
    """The server needs nothing of the builders; the version needs nothing at all."""
    listed = "import sys, proxy.cli.root as root; sys.argv[1:] = {}; {}; print(*sys.modules, file=sys.stderr)"
    run = "\ntry: root.main()\nexcept SystemExit: pass\n"
    for arguments, unwanted in ((["--version"], "aiohttp"), (["serve", "--help"], "proxy.builders")):
        script = listed.replace("; {}; ", run).format(arguments)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert unwanted not in done.stderr.split()
        assert "click" in done.stderr.split()


def test_the_version_is_the_distribution_s(invoke: Invoke) -> None:
    assert VERSION in invoke("--version").output


def test_an_unknown_command_is_bad_input(invoke: Invoke) -> None:
    assert invoke("serf").exit_code == 2


COMMANDS = (
    *(["serve"], ["resolve"], ["config"], ["config", "check"], ["cache"]),
    *(["cache", name] for name in ("ls", "du", "pin", "unpin", "purge", "verify", "gc", "export", "import")),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_helps(invoke: Invoke, command: list[str]) -> None:
    for flag in ("--help", "-h"):
        result = invoke(*command, flag)
        assert result.exit_code == 0
        assert result.output.startswith(f"Usage: polyarch {' '.join(command)} ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "--no-such-option"],
        ["resolve", "a", "b"],
        ["serve", "extra"],
        ["config", "chekc"],
        ["-x"],
    ],
    ids=" ".join,
)
def test_a_command_line_that_cannot_be_read_is_bad_input(invoke: Invoke, arguments: list[str]) -> None:
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: " in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidSetting("why"), 2),
        (errors.InvalidReference("why"), 2),
        (errors.InvalidPlatform("why"), 2),
        (errors.NameUnknown("why"), 1),
        (errors.ManifestUnknown("why"), 1),
        (errors.UpstreamUnreachable("why"), 1),
        (errors.UpstreamRefused("why"), 1),
        (errors.UpstreamMisbehaved("why"), 1),
        (errors.Unavailable("why"), 1),
        (errors.InvalidManifest("why"), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_an_error_is_one_line_and_its_exit_code(error: errors.PolyarchError, code: int) -> None:
    def fail() -> None:
        raise error

    group = type(cli)(commands=[click.Command("fail", callback=fail)])
    result = CliRunner().invoke(group, ["fail"])
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", "polyarch: why\n")


def test_a_fault_of_our_own_is_not_dressed_up() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    result = CliRunner().invoke(type(cli)(commands=[click.Command("fail", callback=fail)]), ["fail"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_python_m_proxy_is_the_same_command() -> None:
    command = [sys.executable, "-m", "proxy", "--version"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert finished.stdout == f"polyarch, version {VERSION}\n"


def test_a_reader_that_has_seen_enough_is_no_fault() -> None:
    script = f"{sys.executable} -m proxy --help | head -c 1"
    finished = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert "Traceback" not in finished.stderr
