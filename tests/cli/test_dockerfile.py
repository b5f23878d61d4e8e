import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy.cli.root import cli
from tests.build.dockerfiles import FORUM
from tests.cli.conftest import Invoke


@pytest.fixture
def forum(tmp_path: Path) -> str:
    file = tmp_path / "Dockerfile"
    file.write_bytes(FORUM.encode())
    return str(file)


def test_one_plain_file_for_one_architecture(invoke: Invoke, forum: str) -> None:
    result = invoke("dockerfile", "render", "--platform", "rpi", forum)
    assert result.exit_code == 0
    assert "ADD rootfs-rpi.tar.xz /\n" in result.stdout
    assert "x64" not in result.stdout


def test_a_plain_file_is_printed_byte_for_byte() -> None:
    content = b"FROM a\r\nRUN b \\\r\n  c\r\nCMD d"
    result = CliRunner().invoke(cli, ["dockerfile", "render", "--platform", "arm64", "-"], input=content)
    assert result.output_bytes == content


def test_what_is_built_once_and_what_is_tagged_on(invoke: Invoke, forum: str) -> None:
    result = invoke("dockerfile", "archs", forum)
    assert result.stdout.splitlines() == [
        "linux/amd64",
        "linux/arm/v6, serves linux/arm/v7, linux/arm64, linux/arm64/v8.1, too",
    ]
    listed = json.loads(invoke("dockerfile", "archs", "--json", "--platform", "arm7", forum).stdout)
    assert [one["platform"] for one in listed] == ["linux/arm/v6"]


def test_one_plain_file_for_all_architectures(invoke: Invoke, forum: str) -> None:
    stages = invoke("dockerfile", "stages", forum).stdout
    assert stages.endswith("\nFROM base-${TARGETARCH}${TARGETVARIANT}\n")
    assert "FROM base-armv6 AS base-arm64v8.1\n" in stages
    only = invoke("dockerfile", "stages", "--platform", "x86-64", forum).stdout
    assert only == invoke("dockerfile", "render", "--platform", "x86-64", forum).stdout


def test_the_original_of_the_forum_is_checked(invoke: Invoke, forum: str) -> None:
    assert "nothing wrong for linux/amd64, linux/arm/v7" in invoke("dockerfile", "check", forum).stdout
    Path(forum).write_text(FORUM.replace(".xz /\n", ".xz\n"))
    result = invoke("dockerfile", "check", forum)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{forum}:6:1: there is no destination" in result.stderr
    assert result.stderr.count("^^^") == 2


@pytest.mark.parametrize(
    ("content", "arguments", "reason"),
    [
        (b"IFARCH arm7\n", ("archs",), ":1:1: this IFARCH is not closed by an ENDIFARCH"),
        (b"TAGARCH arm7\n", ("check", "--platform", "amd64,arm64"), "is served by the build for linux/amd64 already"),
        (b"\xff", ("check",), "is no text"),
        (b"#" * 1_048_577, ("check",), "larger than a Dockerfile can be"),
        (b"FROM a\n", ("render", "--platform", "amr7"), "unknown platform 'amr7'"),
        (b"FROM a\n", ("archs", "--platform", ","), "--platform names no platform"),
    ],
)
def test_bad_input(invoke: Invoke, tmp_path: Path, content: bytes, arguments: tuple[str, ...], reason: str) -> None:
    file = tmp_path / "Dockerfile"
    file.write_bytes(content)
    result = invoke("dockerfile", *arguments, str(file))
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in result.stderr


def test_a_file_that_is_not_there(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("dockerfile", "check", str(tmp_path / "nowhere"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "No such file" in result.stderr
