"""`polyarch config check`."""

from pathlib import Path

from tests.cli.conftest import Invoke


def test_a_good_file_is_told_in_three_lines(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        '[cache]\ndirectory = "/srv/cache"\n[server]\nlisten = "127.0.0.1:5001"\n'
        '[[upstream]]\nname = "registry.lan"\nurl = "http://127.0.0.1:5002"\n'
    )
    result = invoke("config", "check", str(file))
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "listens at 127.0.0.1:5001, keeps its cache in /srv/cache",
        "pulls docker.io from https://registry-1.docker.io (public)",
        "pulls registry.lan from http://127.0.0.1:5002 (of one's own)",
        "serves linux/amd64, linux/arm64, linux/arm/v7, linux/arm/v6",
    ]


def test_a_bad_file_is_one_line_and_exit_code_2(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[cache]\ntag_tll = 3\n")
    result = invoke("config", "check", str(file))
    assert result.exit_code == 2
    assert result.stderr == f"polyarch: {file}: unknown key cache.tag_tll; did you mean tag_ttl?\n"
    assert result.stdout == ""


def test_without_a_file_it_tells_the_defaults(invoke: Invoke) -> None:
    assert "pulls docker.io from" in invoke("config", "check").output
