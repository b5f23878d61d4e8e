"""Docker Engine's files, written and looked at."""

import json

import pytest

from proxy.cli.clients.docker import review, write
from proxy.oci.errors import InvalidSetting
from tests.cli.clients.wishes import address, wish

MIRROR = "http://polyarch.lan:5000"


def test_builds_by_buildkit_need_a_second_setting() -> None:
    (file,) = write(wish())
    assert file.path == "/etc/docker/daemon.json"
    assert json.loads(file.text) == {"registry-mirrors": [MIRROR], "insecure-registries": [MIRROR]}
    assert "BuildKit before 28" in " ".join(file.notes)


@pytest.mark.parametrize(
    ("proxy", "version", "has_insecure"),
    [
        (MIRROR, "20.10.24", True),
        (MIRROR, "27", True),
        (MIRROR, "28.0.0", False),
        ("https://polyarch.lan", None, False),
    ],
)
def test_the_second_setting_is_for_http_before_28(proxy: str, version: str | None, *, has_insecure: bool) -> None:
    (file,) = write(wish(proxy, version=version))
    assert ("insecure-registries" in json.loads(file.text)) is has_insecure


@pytest.mark.parametrize("version", [None, "20.10.24", "24.0.9"])
def test_a_platform_is_a_header_where_a_path_could_stop_the_engine(version: str | None) -> None:
    daemon, command = write(wish(platform="rpi", version=version))
    assert json.loads(daemon.text)["registry-mirrors"] == [MIRROR]
    assert command.path == "~/.docker/config.json"
    assert json.loads(command.text) == {"HttpHeaders": {"X-Meta-Platform": "linux/arm/v6"}}
    assert "[[listener]]" in " ".join(command.notes)


def test_a_platform_is_a_path_from_25_on() -> None:
    (file,) = write(wish(platform="rpi", version="25.0.1"))
    settings = {"registry-mirrors": [f"{MIRROR}/linux-arm-v6"], "insecure-registries": [MIRROR]}
    assert json.loads(file.text) == settings
    assert "--platform changes nothing" in " ".join(file.notes)


def test_a_path_in_the_address_is_kept_but_for_engines_that_would_not_start() -> None:
    (file,) = write(wish(f"{MIRROR}/rpi"))
    assert json.loads(file.text)["registry-mirrors"] == [f"{MIRROR}/rpi"]
    with pytest.raises(InvalidSetting, match="Docker before 25"):
        write(wish(f"{MIRROR}/rpi", version="24.0.7"))


def test_an_authority_of_ones_own_has_its_place() -> None:
    (file,) = write(wish("https://polyarch.lan"))
    assert "/etc/docker/certs.d/polyarch.lan/ca.crt" in " ".join(file.notes)


def test_other_registries_are_no_mirrors() -> None:
    with pytest.raises(InvalidSetting, match=r"polyarch\.lan:5000/quay\.io/owner/app"):
        write(wish(registries=("quay.io",)))


# Review


def test_what_is_written_is_in_order() -> None:
    for one in (wish(), wish(platform="rpi", version="25"), wish("https://polyarch.lan:5000")):
        found = review(write(one)[0].text, address())
        assert found.own is not None
        assert found.troubles == ()


def test_without_a_proxy_in_mind_the_first_mirror_is_meant() -> None:
    found = review(json.dumps({"registry-mirrors": ["https://other/", MIRROR]}), None)
    assert [str(one) for one in found.named] == ["https://other", MIRROR]
    assert str(found.own) == "https://other"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"registry-mirrors": [MIRROR]}, "polyarch.lan:5000 is missing, so docker build before Docker 28"),
        (
            {"registry-mirrors": [MIRROR], "insecure-registries": ["polyarch.lan:5000"]},
            "written without http://, so docker build before Docker 25",
        ),
        (
            {"registry-mirrors": ["http://first:1", MIRROR], "insecure-registries": [MIRROR]},
            "http://first:1 is asked first",
        ),
    ],
)
def test_troubles_are_told_with_what_to_change(settings: object, said: str) -> None:
    (trouble,) = review(json.dumps(settings), address()).troubles
    assert said in trouble


@pytest.mark.parametrize("settings", [{}, {"registry-mirrors": ["http://other"]}, {"registry-mirrors": "x"}])
def test_a_file_that_does_not_name_the_proxy(settings: object) -> None:
    assert review(json.dumps(settings), address()).own is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"registry-mirrors": [],}'])
def test_a_file_that_the_engine_cannot_read(text: str) -> None:
    assert "the engine does not start with it" in review(text, address()).error
