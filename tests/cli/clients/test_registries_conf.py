"""The `registries.conf` of podman, buildah, skopeo and CRI-O, written and looked at."""

import tomllib

import pytest

from proxy.cli.clients.registries_conf import review, write_crio, write_podman
from proxy.oci.errors import InvalidSetting
from tests.cli.clients.wishes import address, wish

PLACE = "polyarch.lan:5000"
HUB = {"prefix": "docker.io", "location": "docker.io", "mirror": [{"location": PLACE, "insecure": True}]}


def test_short_names_are_docker_hubs() -> None:
    (file,) = write_podman(wish())
    assert file.path == "/etc/containers/registries.conf.d/50-polyarch.conf"
    assert tomllib.loads(file.text) == {"unqualified-search-registries": ["docker.io"], "registry": [HUB]}


def test_kubernetes_has_short_names_of_its_own() -> None:
    (file,) = write_crio(wish())
    assert tomllib.loads(file.text) == {"registry": [HUB]}
    assert "sudo systemctl reload crio" in file.afterwards


def test_https_is_not_insecure() -> None:
    (file,) = write_podman(wish("https://polyarch.lan"))
    assert tomllib.loads(file.text)["registry"][0]["mirror"] == [{"location": "polyarch.lan"}]
    assert "/etc/containers/certs.d/polyarch.lan/ca.crt" in " ".join(file.notes)


def test_a_platform_and_other_registries_stand_in_the_path() -> None:
    (file,) = write_podman(wish(platform="rpi", registries=("ghcr.io",)))
    hub, ghcr = tomllib.loads(file.text)["registry"]
    assert hub["mirror"][0]["location"] == f"{PLACE}/linux-arm-v6"
    assert (ghcr["prefix"], ghcr["location"]) == ("ghcr.io", "ghcr.io")
    assert ghcr["mirror"][0]["location"] == f"{PLACE}/linux-arm-v6/ghcr.io"


def test_there_is_no_word_for_all_registries() -> None:
    with pytest.raises(InvalidSetting, match="name each"):
        write_podman(wish(registries=("*",)))


def test_an_old_podman_reads_one_file_only() -> None:
    assert write_podman(wish(version="1.6.4"))[0].path == "/etc/containers/registries.conf"
    assert write_podman(wish(version="4.3.1"))[0].path.endswith("50-polyarch.conf")


# Review


def test_what_is_written_is_in_order() -> None:
    for one in (wish(), wish(platform="rpi", registries=("ghcr.io",)), wish("https://polyarch.lan:5000")):
        for file in (*write_podman(one), *write_crio(one)):
            found = review(file.text, one.proxy)
            assert found.own is not None
            assert found.troubles == ()


def test_the_proxy_may_stand_in_the_place_of_docker_hub() -> None:
    text = f'[[registry]]\nprefix = "docker.io"\nlocation = "{PLACE}"\ninsecure = true\n'
    found = review(text, address())
    assert (str(found.own), found.troubles) == (f"http://{PLACE}", ())


MIRRORED = f'[[registry]]\nlocation = "docker.io"\n%s[[registry.mirror]]\nlocation = "{PLACE}"\n%s'


@pytest.mark.parametrize(
    ("registry", "mirror", "said"),
    [
        ("", "", "write insecure = true"),
        ("mirror-by-digest-only = true\n", "insecure = true\n", "only digests are asked"),
        ("", 'insecure = true\npull-from-mirror = "digest-only"\n', "only digests are asked"),
    ],
)
def test_troubles_are_told_with_what_to_change(registry: str, mirror: str, said: str) -> None:
    (trouble,) = review(MIRRORED % (registry, mirror), address()).troubles
    assert said in trouble


@pytest.mark.parametrize(
    "text",
    [
        "",
        "registry = 1",
        '[[registry]]\nlocation = "quay.io"\n',
        '[[registry]]\nlocation = "docker.io"\n',
        "registry = [1]",
    ],
)
def test_a_file_that_does_not_name_the_proxy(text: str) -> None:
    assert review(text, address()).own is None


def test_a_file_that_podman_cannot_read() -> None:
    assert "no TOML" in review("[[registry", address()).error
