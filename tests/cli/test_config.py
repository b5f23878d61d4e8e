"""`polyarch config check`."""

from pathlib import Path

import pytest

from tests.cli.conftest import Invoke

TLS = Path(__file__).parents[1] / "server" / "tls.pem"


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


def test_more_than_the_usual_is_told_too(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        f'[[listener]]\nlisten = "[::1]:5006"\nplatform = "rpi"\ntls_certificate = "{TLS}"\ntls_key = "{TLS}"\n'
        '[[client]]\nnetwork = "10.0.0.0/8"\nplatform = "arm7"\n[[warm]]\nimages = ["debian"]\nevery = "6h"\n'
    )
    lines = invoke("config", "check", str(file)).output.splitlines()
    assert lines[1] == "listens at [::1]:5006 by HTTPS, too"
    assert lines[-2:] == ["has 1 rule for clients", "has 1 schedule of warming"]


@pytest.mark.parametrize(
    "text",
    [
        '[api]\ntoken_file = "{0}"\n',
        '[server]\ntls_certificate = "{0}"\ntls_key = "{0}"\n',
        '[[upstream]]\nname = "ghcr.io"\nca_file = "{0}"\n',
        '[[upstream]]\nname = "ghcr.io"\nusername = "me"\nrepositories = ["me/*"]\npassword_file = "{0}"\n',
    ],
)
def test_a_file_that_it_names_is_looked_at_too(invoke: Invoke, tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text.format(tmp_path / "nowhere"))
    result = invoke("config", "check", str(file))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "nowhere: No such file or directory" in result.stderr
    assert "upstream" not in text or "upstream ghcr.io: " in result.stderr


def test_without_a_file_it_tells_the_defaults(invoke: Invoke) -> None:
    assert "pulls docker.io from" in invoke("config", "check").output


def test_the_file_may_come_from_the_environment(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[server]\nlisten = "127.0.0.1:7"\n')
    environment = {"POLYARCH_CONFIG": str(file), "POLYARCH_CACHE_DIRECTORY": "/srv/cache"}
    result = invoke("config", "check", environment=environment)
    assert result.output.startswith("listens at 127.0.0.1:7, keeps its cache in /srv/cache\n")


def test_a_bad_variable_is_one_line_and_exit_code_2(invoke: Invoke) -> None:
    result = invoke("config", "check", environment={"POLYARCH_CACHE_TAG_TLL": "1s"})
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "polyarch: the environment: unknown variable POLYARCH_CACHE_TAG_TLL; did you mean POLYARCH_CACHE_TAG_TTL?\n"
    )


def test_a_file_that_is_not_there_is_one_line_and_exit_code_2(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("config", "check", str(tmp_path / "missing.toml"))
    assert result.exit_code == 2
    assert result.stderr == f"polyarch: {tmp_path}/missing.toml: cannot be read: No such file or directory\n"


def test_no_password_is_shown(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[[upstream]]\nusername = "me"\npassword = "secret"\nrepositories = ["me/*"]\n')
    result = invoke("config", "check", str(file))
    assert result.exit_code == 0
    assert "secret" not in result.output


def test_the_example_is_good(invoke: Invoke) -> None:
    assert invoke("config", "check", str(Path(__file__).parents[2] / "config.example.toml")).exit_code == 0
