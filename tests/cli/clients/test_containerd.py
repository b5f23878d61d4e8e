"""containerd's `hosts.toml`, written and looked at."""

import tomllib

import pytest

from proxy.cli.clients.containerd import review, write
from proxy.oci.errors import InvalidSetting
from tests.cli.clients.wishes import address, wish

MIRROR = "http://polyarch.lan:5000"
CAPABLE = ["pull", "resolve"]


def test_tags_are_asked_of_the_proxy_too() -> None:
    (file,) = write(wish())
    assert file.path == "/etc/containerd/certs.d/docker.io/hosts.toml"
    assert tomllib.loads(file.text) == {
        "server": "https://registry-1.docker.io",
        "host": {MIRROR: {"capabilities": CAPABLE}},
    }


def test_a_platform_is_a_header() -> None:
    (file,) = write(wish(platform="rpi"))
    assert tomllib.loads(file.text)["host"][MIRROR]["header"] == {"X-Platform": "linux/arm/v6"}


def test_a_path_has_v2_behind_it() -> None:
    (file,) = write(wish(f"{MIRROR}/rpi"))
    assert tomllib.loads(file.text)["host"] == {f"{MIRROR}/rpi": {"capabilities": CAPABLE}}
    assert "No override_path here" in " ".join(file.notes)
    with pytest.raises(InvalidSetting, match="already"):
        write(wish(f"{MIRROR}/rpi", platform="arm7"))


def test_every_registry_has_a_file_of_its_own() -> None:
    _, ghcr, all_others = write(wish(registries=("ghcr.io", "*")))
    assert ghcr.path == "/etc/containerd/certs.d/ghcr.io/hosts.toml"
    assert tomllib.loads(ghcr.text)["server"] == "https://ghcr.io"
    assert all_others.path == "/etc/containerd/certs.d/_default/hosts.toml"
    assert tomllib.loads(all_others.text) == {"host": {MIRROR: {"capabilities": CAPABLE}}}


@pytest.mark.parametrize(
    ("version", "has_first", "has_second"), [(None, True, True), ("1.6.20", True, False), ("2.1", False, True)]
)
def test_the_way_there_has_another_name_in_version_2(version: str | None, *, has_first: bool, has_second: bool) -> None:
    told = " ".join(write(wish(version=version))[0].afterwards)
    assert ("io.containerd.grpc.v1.cri" in told, "io.containerd.cri.v1.images" in told) == (has_first, has_second)


def test_there_was_no_such_file_before_1_5() -> None:
    with pytest.raises(InvalidSetting, match=r"before 1\.5"):
        write(wish(version="1.4.13"))


def test_an_authority_of_ones_own_has_its_place() -> None:
    (file,) = write(wish("https://polyarch.lan"))
    assert '  # ca = "' in file.text
    assert tomllib.loads(file.text)["host"] == {"https://polyarch.lan": {"capabilities": CAPABLE}}


# Review


def test_what_is_written_is_in_order() -> None:
    for one in (wish(), wish(platform="rpi"), wish(f"{MIRROR}/rpi", registries=("*",))):
        for file in write(one):
            found = review(file.text, address())
            assert found.own is not None
            assert found.troubles == ()


@pytest.mark.parametrize(
    ("keys", "said"),
    [('capabilities = ["pull"]', '"resolve"'), ("override_path = true", "override_path keeps /v2 away")],
)
def test_troubles_are_told_with_what_to_change(keys: str, said: str) -> None:
    found = review(f'[host."{MIRROR}"]\n{keys}\n', None)
    assert str(found.own) == MIRROR
    assert said in found.troubles[0]


@pytest.mark.parametrize("text", ["", "host = 1", '[host."http://other"]', '[host."://"]'])
def test_a_file_that_does_not_name_the_proxy(text: str) -> None:
    assert review(text, address()).own is None


def test_a_host_that_is_no_table_has_no_capabilities() -> None:
    assert review(f'[host]\n"{MIRROR}" = 1\n', address()).troubles == ()


def test_a_file_that_containerd_cannot_read() -> None:
    assert "no TOML" in review("[host", address()).error
