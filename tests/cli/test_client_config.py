"""`polyarch client-config`: what is printed, where to, and what the address is if nobody says."""

import json
import tomllib
from pathlib import Path

import pytest

from proxy.arch.vocabulary import BUILT_IN
from proxy.cli.client_config import CLIENTS, guess_address
from proxy.config.loading import load_settings
from tests.cli.conftest import Invoke

PROXY = ("--proxy", "http://polyarch.lan:5000")


def test_json_is_printed_alone_and_its_notes_beside_it(invoke: Invoke) -> None:
    result = invoke("client-config", "docker", *PROXY)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["registry-mirrors"] == ["http://polyarch.lan:5000"]
    assert result.stderr.startswith("/etc/docker/daemon.json\n\n- ")
    assert "Afterwards:\n- sudo systemctl restart docker" in result.stderr


@pytest.mark.parametrize("client", ["containerd", "podman", "buildkit", "crio"])
def test_toml_is_printed_with_its_notes_inside(invoke: Invoke, client: str) -> None:
    result = invoke("client-config", client, *PROXY)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("# /etc/")
    assert "polyarch.lan:5000" in str(tomllib.loads(result.stdout))


def test_several_files_are_printed_one_after_the_other(invoke: Invoke) -> None:
    result = invoke("client-config", "containerd", *PROXY, "--registry", "ghcr.io", "--registry", "*")
    tops = [line for line in result.stdout.splitlines() if line.startswith("# /")]
    assert [line.split("/")[-2] for line in tops] == ["docker.io", "ghcr.io", "_default"]
    assert result.stderr == "\nThese are 3 files: --into / puts each into its place.\n"


@pytest.mark.parametrize("client", CLIENTS)
def test_the_same_can_be_had_in_json_and_in_place(invoke: Invoke, tmp_path: Path, client: str) -> None:
    options = (client, *PROXY, "--platform", "rpi")
    files = json.loads(invoke("client-config", *options, "--json").stdout)
    written = invoke("client-config", *options, "--into", str(tmp_path))
    assert written.exit_code == 0
    for file in files:
        path = file["path"].replace("~", str(Path.home()))
        assert (tmp_path / path.lstrip("/")).read_text() == file["text"]
        assert f"wrote {tmp_path}{path}" in written.stdout
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == len(files)


def test_what_is_in_place_already_stays(invoke: Invoke, tmp_path: Path) -> None:
    options = ("client-config", "docker", *PROXY, "--into", str(tmp_path))
    assert invoke(*options).exit_code == 0
    assert invoke(*options).exit_code == 0  # the same again changes nothing
    file = tmp_path / "etc/docker/daemon.json"
    file.write_text('{"debug": true}')
    result = invoke(*options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"polyarch: {file} is there already, and stays as it is: print the file, and join the two\n"
    assert file.read_text() == '{"debug": true}'


def test_a_place_that_cannot_be_written_is_one_line(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "etc").touch()
    result = invoke("client-config", "docker", *PROXY, "--into", str(tmp_path))
    assert result.exit_code == 1
    assert result.stderr == f"polyarch: {tmp_path}/etc/docker/daemon.json cannot be written: Not a directory\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--proxy", "polyarch.lan:5000"), "--proxy must be a URL"),
        (("--proxy", "http://m/some/path"), "--proxy has the path /some/path"),
        ((*PROXY, "--platform", "pi"), "--platform: unknown platform 'pi'; did you mean rpi"),
        ((*PROXY, "--client-version", "new"), "--client-version must be a version"),
        ((*PROXY, "--registry", "not a host"), "--registry must be the name of a registry"),
        ((*PROXY, "--registry", "quay.io"), "--registry: Docker mirrors docker.io only"),
    ],
)
def test_bad_input_is_one_line(invoke: Invoke, options: tuple[str, ...], said: str) -> None:
    result = invoke("client-config", "docker", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_docker_hub_need_not_be_named(invoke: Invoke) -> None:
    plain = invoke("client-config", "k3s", *PROXY).stdout
    assert invoke("client-config", "k3s", *PROXY, "--registry", "index.docker.io").stdout == plain


def test_ones_own_words_are_understood(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[words]\npi-zero = "rpi"\n')
    options = ("--platform", "pi-zero", "--config", str(tmp_path / "config.toml"))
    assert 'X-Platform = "linux/arm/v6"' in invoke("client-config", "containerd", *PROXY, *options).stdout


def test_without_an_address_the_proxys_own_settings_are_asked(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[server]\nlisten = "192.168.7.2:5001"\n')
    result = invoke("client-config", "podman", "--config", str(tmp_path / "config.toml"))
    assert 'location = "192.168.7.2:5001"' in result.stdout
    assert "# - No --proxy was given, so http://192.168.7.2:5001 is this machine" in result.stdout


def test_a_listener_for_the_platform_is_the_channel(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[[listener]]\nlisten = "192.168.7.2:5006"\nplatform = "rpi"\n')
    result = invoke("client-config", "containerd", "--platform", "rpi", "--config", str(tmp_path / "config.toml"))
    assert '[host."http://192.168.7.2:5006"]' in result.stdout
    assert "header" not in result.stdout
    assert "[[listener]] for linux/arm/v6" in result.stdout


@pytest.mark.parametrize(
    ("config", "platform", "address"),
    [
        ("", None, "http://server:5000"),
        ('[server]\nlisten = "[::1]:5000"\n', None, "http://[::1]:5000"),
        ('[server]\nlisten = ":443"\ntls_certificate = "/c"\ntls_key = "/k"\n', None, "https://server:443"),
        ('[[listener]]\nhost = "zero.lan"\nplatform = "rpi"\n', "rpi", "http://zero.lan:5000"),
        ('[[listener]]\nhost = "zero.lan"\nplatform = "rpi"\n', "arm7", "http://server:5000"),
        ('[[listener]]\nlisten = ":5006"\nplatform = "rpi"\n', "rpi", "http://server:5006"),
        (
            '[server]\ntls_certificate = "/c"\ntls_key = "/k"\n[[listener]]\nlisten = ":5006"\nplatform = "rpi"\n',
            "rpi",
            "http://server:5006",
        ),
        (
            '[server]\ntls_certificate = "/c"\ntls_key = "/k"\n[[listener]]\nhost = "zero.lan"\nplatform = "rpi"\n',
            "rpi",
            "https://zero.lan:5000",
        ),
    ],
)
def test_an_address_is_guessed(tmp_path: Path, config: str, platform: str | None, address: str) -> None:
    (tmp_path / "config.toml").write_text(config)
    settings = load_settings(tmp_path / "config.toml", {}, {})
    guess = guess_address(settings, BUILT_IN.parse_platform(platform) if platform else None, "server")
    assert str(guess.address) == address
    assert address in guess.reason
    assert guess.names_platform is (platform == "rpi")
