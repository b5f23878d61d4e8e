"""The clients' files of a machine, read together."""

import pytest

from proxy.cli.client_config import CLIENTS
from proxy.cli.clients.findings import Finding, Grade
from proxy.cli.clients.reviews import KINDS, FoundFile, find_proxy, review_files
from tests.cli.clients.wishes import address, wish

MIRROR = '{"registry-mirrors": ["%s"], "insecure-registries": ["http://polyarch.lan:5000"]}'
HUB_FILE = FoundFile("containerd", "/hosts.toml", '[host."https://registry-1.docker.io"]\n')
SHORT_NAMES = FoundFile("podman", "/etc/containers/registries.conf", 'unqualified-search-registries = ["docker.io"]')


def docker(text: str) -> FoundFile:
    return FoundFile("docker", "/etc/docker/daemon.json", text)


def review(*files: FoundFile) -> list[Finding]:
    return list(review_files(files, address()))


@pytest.mark.parametrize("client", KINDS)
def test_what_client_config_prints_is_well_and_names_the_proxy(client: str) -> None:
    files = [FoundFile(client, file.path, file.text) for file in CLIENTS[client](wish())]
    found = review_files(files, address())
    assert [(one.grade, one.subject) for one in found] == [(Grade.OK, client)]
    assert find_proxy(files) == (address(), files[0].path)


def test_docker_hub_itself_is_no_proxy() -> None:
    assert find_proxy([HUB_FILE]) is None
    assert find_proxy([HUB_FILE, docker(MIRROR % "http://a.lan")]) == (address("http://a.lan"), docker("").path)
    assert find_proxy([]) is None


def test_a_client_that_names_another_goes_past_the_proxy() -> None:
    (found,) = review(docker(MIRROR % "http://other.lan:5000"))
    assert (found.grade, found.subject) == (Grade.WARN, "docker")
    assert "http://polyarch.lan:5000 is not named, but http://other.lan:5000, so" in found.message
    assert found.advice.startswith("polyarch client-config docker --proxy http://polyarch.lan:5000")


def test_one_file_of_a_client_is_enough() -> None:
    (printed,) = CLIENTS["podman"](wish())
    (found,) = review(SHORT_NAMES, FoundFile("podman", printed.path, printed.text))
    assert found == Finding(Grade.OK, "podman", f"{printed.path} names http://polyarch.lan:5000")
    (alone,) = review(SHORT_NAMES)
    assert alone.grade is Grade.WARN


def test_a_trouble_comes_with_what_to_change() -> None:
    (found,) = review(docker('{"registry-mirrors": ["http://polyarch.lan:5000"]}'))
    assert (found.grade, found.advice) == (
        Grade.WARN,
        'add "http://polyarch.lan:5000" to insecure-registries, and restart Docker',
    )
    assert "insecure-registries: polyarch.lan:5000 is missing" in found.message
    text = '[host."http://polyarch.lan:5000"]\ncapabilities = ["pull"]\n'
    (found,) = review(FoundFile("containerd", "/hosts.toml", text))
    assert found.grade is Grade.FAIL
    assert found.message == "/hosts.toml: tags are asked of the registry itself"
    assert found.advice == 'write capabilities = ["pull", "resolve"]'


def test_a_file_that_its_client_cannot_read_fails() -> None:
    (found,) = review(docker("{"))
    assert found.grade is Grade.FAIL
    assert found.message.startswith("/etc/docker/daemon.json is no JSON (")


def test_where_no_file_is_the_next_step_is_told() -> None:
    (found,) = review()
    assert (found.grade, found.subject) == (Grade.WARN, "clients")
    assert "polyarch client-config CLIENT --proxy http://polyarch.lan:5000" in found.advice
