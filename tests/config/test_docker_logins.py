"""Logins, as docker and podman write them down."""

import base64
import json
from pathlib import Path

import pytest

from proxy.config.docker_logins import Login, Logins, _list_files, read_logins, read_own_logins
from proxy.oci.errors import InvalidSetting


def auth(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


def write(path: Path, **fields: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(fields))


def test_docker_hub_is_known_by_its_old_url(tmp_path: Path) -> None:
    auths = {"https://index.docker.io/v1/": auth("me:a:b"), "Registry.LAN:5000": auth("you:c"), "ghcr.io": {}}
    write(tmp_path / ".docker" / "config.json", auths=auths, credsStore="desktop", credHelpers={"ecr.example": "ecr"})
    found = read_logins({"HOME": str(tmp_path)})
    assert found.known == {"docker.io": Login("me", "a:b"), "registry.lan:5000": Login("you", "c")}
    assert "a:b" not in repr(found)
    helpers = [found.find_helper(name) for name in ("docker.io", "ecr.example", "ghcr.io")]
    assert helpers == [None, "ecr", "desktop"]


def test_podman_s_count_before_docker_s(tmp_path: Path) -> None:
    write(tmp_path / "run" / "containers" / "auth.json", auths={"a.example": auth("podman:1")})
    write(tmp_path / "docker" / "config.json", auths={"a.example": auth("docker:1"), "b.example": auth("docker:2")})
    write(tmp_path / "named.json", auths={"b.example": auth("named:2")})
    environment = {"XDG_RUNTIME_DIR": str(tmp_path / "run"), "DOCKER_CONFIG": str(tmp_path / "docker")}
    found = read_logins({**environment, "REGISTRY_AUTH_FILE": str(tmp_path / "named.json")})
    assert {name: login.username for name, login in found.known.items()} == {
        "a.example": "podman",
        "b.example": "named",
    }


def test_without_files_nobody_is_known(tmp_path: Path) -> None:
    assert read_logins({"HOME": str(tmp_path)}) == Logins()
    assert Logins().find_helper("docker.io") is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [("{", "is no JSON"), ('{"auths": {"a": {"auth": "%"}}}', "cannot be read; log in again")],
)
def test_a_file_of_no_use_is_named(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(InvalidSetting, match=reason):
        read_logins({"DOCKER_CONFIG": str(tmp_path)})


@pytest.mark.parametrize("content", ["[]", '{"auths": 3}', '{"auths": {"a": 3}}', '{"auths": {"a": {"auth": "YQ=="}}}'])
def test_what_is_no_login_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    assert read_logins({"DOCKER_CONFIG": str(tmp_path)}).known == {}


def test_without_a_runtime_folder_podman_has_one_for_each_user(tmp_path: Path) -> None:
    assert _list_files({"HOME": str(tmp_path)}, 1000) == [
        Path("/run/containers/1000/auth.json"),
        tmp_path / ".docker" / "config.json",
    ]
    assert _list_files({"HOME": str(tmp_path), "XDG_RUNTIME_DIR": "/run/user/1000"}, 1000)[0] == Path(
        "/run/user/1000/containers/auth.json"
    )
    assert isinstance(read_own_logins(), Logins)


def test_an_identity_token_is_no_password(tmp_path: Path) -> None:
    token = {**auth("00000000-0000-0000-0000-000000000000:"), "identitytoken": "secret"}
    write(tmp_path / "run" / "containers" / "auth.json", auths={"a.example": token, "b.example": token})
    write(tmp_path / "docker" / "config.json", auths={"a.example": auth("me:1")})
    found = read_logins({"XDG_RUNTIME_DIR": str(tmp_path / "run"), "DOCKER_CONFIG": str(tmp_path / "docker")})
    assert (found.known, found.identity_tokens) == ({"a.example": Login("me", "1")}, frozenset({"b.example"}))


def test_a_name_and_a_password_in_clear_will_do_as_in_kubernetes(tmp_path: Path) -> None:
    auths = {"a.example": {"username": "me", "password": "p:w"}, "b.example": {"username": "me"}}
    write(tmp_path / "config.json", auths=auths)
    assert read_logins({"DOCKER_CONFIG": str(tmp_path)}).known == {"a.example": Login("me", "p:w")}
