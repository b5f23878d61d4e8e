"""BuildKit's `buildkitd.toml`, written and looked at."""

import tomllib

import pytest

from proxy.cli.clients.buildkit import review, write
from proxy.oci.errors import InvalidSetting
from tests.cli.clients.wishes import address, wish

PLACE = "polyarch.lan:5000"


def test_http_is_said_of_the_mirrors_own_host() -> None:
    (file,) = write(wish(platform="rpi"))
    assert file.path == "/etc/buildkit/buildkitd.toml"
    registries = {"docker.io": {"mirrors": [f"{PLACE}/linux-arm-v6"]}, PLACE: {"http": True}}
    assert tomllib.loads(file.text) == {"registry": registries}


def test_https_needs_no_more() -> None:
    (file,) = write(wish("https://polyarch.lan"))
    assert tomllib.loads(file.text) == {"registry": {"docker.io": {"mirrors": ["polyarch.lan"]}}}
    assert '# [registry."polyarch.lan"]\n#   ca = [' in file.text


def test_other_registries_have_the_same_mirror() -> None:
    (file,) = write(wish(registries=("ghcr.io",)))
    assert tomllib.loads(file.text)["registry"]["ghcr.io"] == {"mirrors": [PLACE]}
    with pytest.raises(InvalidSetting, match="name each"):
        write(wish(registries=("*",)))


# Review


def test_what_is_written_is_in_order() -> None:
    for one in (wish(), wish(platform="rpi"), wish("https://polyarch.lan:5000")):
        found = review(write(one)[0].text, one.proxy)
        assert found.own is not None
        assert found.troubles == ()


def test_http_that_is_not_said_is_a_trouble() -> None:
    text = f'[registry."docker.io"]\nmirrors = ["{PLACE}"]\n'
    (trouble,) = review(text, address()).troubles
    assert f'write http = true below [registry."{PLACE}"]' in trouble
    assert review(text, None).troubles == ()


@pytest.mark.parametrize("text", ["", "registry = 1", '[registry."docker.io"]\nmirrors = "x"\n', '[registry."x"]\n'])
def test_a_file_that_does_not_name_the_proxy(text: str) -> None:
    assert review(text, address()).own is None


def test_a_file_that_buildkit_cannot_read() -> None:
    assert "no TOML" in review("[registry", address()).error
