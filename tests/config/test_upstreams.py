"""Registries to pull from: which are public, and whose token services are known."""

from pathlib import Path

import pytest

from proxy.config.upstreams import PUBLIC_HOSTS, TOKEN_HOSTS, UpstreamSettings


@pytest.mark.parametrize(
    ("url", "is_public"),
    [
        ("https://registry-1.docker.io", True),
        ("https://europe-docker.pkg.dev", True),
        ("https://ghcr.io", True),
        ("https://registry.lan:5000", False),
        ("http://127.0.0.1:5001", False),
        ("https://notdocker.io", False),
    ],
)
def test_strangers_own_names_on_the_large_registries(url: str, *, is_public: bool) -> None:
    assert UpstreamSettings(name="registry.lan", url=url).is_public is is_public


@pytest.mark.parametrize("name", ["docker.io", "index.docker.io", "ghcr.io"])
def test_a_mirror_of_a_large_registry_is_as_public_as_that(name: str) -> None:
    """Whoever put a mirror in its place has not made its names his own: `arm6/debian` there may be a stranger's."""
    assert UpstreamSettings(name=name).is_public
    assert UpstreamSettings(name=name, url="http://192.168.1.2:5000").is_public
    assert not UpstreamSettings(name=name, url="http://192.168.1.2:5000", public="false").is_public


@pytest.mark.parametrize("host", PUBLIC_HOSTS)
def test_every_large_registry_is_public_and_so_is_whatever_is_below_it(host: str) -> None:
    assert UpstreamSettings(name=host).is_public
    assert UpstreamSettings(name="mirror", url=f"https://mirror.{host}:8443").is_public
    assert not UpstreamSettings(name=f"{host}.example").is_public
    assert not UpstreamSettings(name=f"x{host}").is_public


@pytest.mark.parametrize("host", TOKEN_HOSTS)
def test_only_a_registry_that_is_known_has_a_token_service_elsewhere(host: str) -> None:
    for port in ("", ":443"):
        assert UpstreamSettings(name="x", url=f"https://{host}{port}").all_token_hosts[host] == set(TOKEN_HOSTS[host])
    assert UpstreamSettings(name="x", url=f"https://{host}:8443").all_token_hosts[f"{host}:8443"] == frozenset()


def test_every_token_service_that_is_known_has_its_source_in_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "upstreams.md").read_text("utf-8")
    for registry, hosts in TOKEN_HOSTS.items():
        assert all(f"`{host}`" in text for host in (registry, *hosts))


def test_token_services_are_known_for_registries_that_another_one_may_lead_on_to() -> None:
    known = UpstreamSettings(name="registry.lan", token_hosts=("auth.lan",)).all_token_hosts
    assert known["registry-1.docker.io"] == {"auth.docker.io"}
    assert known["registry.lan"] == {"auth.lan"}
    assert not any("auth.lan" in hosts for registry, hosts in known.items() if registry != "registry.lan")


def test_an_operator_knows_better() -> None:
    assert UpstreamSettings(url="http://127.0.0.1:1", public="true").is_public
    assert not UpstreamSettings(public="false").is_public


def test_docker_hub_s_tokens_come_from_its_own_service_and_no_other_registry_s_do() -> None:
    hub = "registry-1.docker.io"
    assert UpstreamSettings().all_token_hosts[hub] == {"auth.docker.io"}
    assert UpstreamSettings(url="http://127.0.0.1:1").all_token_hosts["127.0.0.1:1"] == frozenset()
    assert UpstreamSettings(token_hosts=("Auth.Example",)).all_token_hosts[hub] == {"auth.docker.io", "auth.example"}


def test_an_upstream_is_where_its_name_says_unless_told() -> None:
    assert UpstreamSettings(name="GHCR.io").address == "https://ghcr.io"
    for name in ("docker.io", "Docker.io", "index.docker.io"):
        assert UpstreamSettings(name=name).address == "https://registry-1.docker.io"
    assert UpstreamSettings(name="x", url="http://127.0.0.1:1").address == "http://127.0.0.1:1"
