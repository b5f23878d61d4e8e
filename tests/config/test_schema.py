"""The settings themselves: each with a sentence, each in the example."""

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from proxy.config.loading import load_settings
from proxy.config.schema import (
    PUBLIC_HOSTS,
    TOKEN_HOSTS,
    CandidateSettings,
    Settings,
    TemplateSettings,
    UpstreamSettings,
)

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"


def names_of(kind: type[object]) -> set[str]:
    assert dataclasses.is_dataclass(kind)
    return {item.name for item in dataclasses.fields(kind)}


def all_settings() -> set[str]:
    names = names_of(TemplateSettings) | names_of(UpstreamSettings)
    for section in dataclasses.fields(Settings):
        if callable(section.default_factory):
            names |= names_of(type(section.default_factory()))
    return names


def test_every_setting_stands_in_the_example() -> None:
    text = EXAMPLE.read_text("utf-8")
    written = set(re.findall(r"^#?([a-z_]+) =", text, re.MULTILINE))
    assert all_settings() - {"template"} == written


def test_the_example_as_it_is_says_nothing_else_than_the_defaults() -> None:
    assert load_settings(EXAMPLE, {}) == Settings()


def test_the_example_with_everything_in_it_loads(tmp_path: Path) -> None:
    whole = tmp_path / "config.toml"
    whole.write_text(re.sub(r"^#([a-z\[])", r"\1", EXAMPLE.read_text("utf-8"), flags=re.MULTILINE))
    settings = load_settings(whole, {})
    assert settings.server.listen == Settings().server.listen
    unset = ("directory", "stale_limit", "max_bytes", "min_free_bytes")
    assert settings.cache == dataclasses.replace(
        Settings().cache, **{name: getattr(settings.cache, name) for name in unset}
    )
    assert settings.resolution.fleet == Settings().resolution.fleet
    assert settings.candidates == dataclasses.replace(CandidateSettings(), template=settings.candidates.template)
    assert settings.upstreams[0].address == UpstreamSettings().address


def test_every_setting_has_a_sentence() -> None:
    for kind in (TemplateSettings, UpstreamSettings):
        for item in dataclasses.fields(kind):
            assert item.metadata["text"].endswith((".", "…}.", "}."))


@pytest.mark.parametrize(
    ("url", "is_public"),
    [
        (None, True),
        ("https://registry-1.docker.io", True),
        ("https://europe-docker.pkg.dev", True),
        ("https://ghcr.io", True),
        ("https://registry.lan:5000", False),
        ("http://127.0.0.1:5001", False),
        ("https://notdocker.io", False),
    ],
)
def test_strangers_own_names_on_the_large_registries(url: str | None, *, is_public: bool) -> None:
    assert UpstreamSettings(url=url).is_public is is_public


@pytest.mark.parametrize("host", PUBLIC_HOSTS)
def test_every_large_registry_is_public_and_so_is_whatever_is_below_it(host: str) -> None:
    assert UpstreamSettings(name=host).is_public
    assert UpstreamSettings(name="mirror", url=f"https://mirror.{host}:8443").is_public
    assert not UpstreamSettings(name=f"{host}.example").is_public
    assert not UpstreamSettings(name=f"x{host}").is_public


@pytest.mark.parametrize("host", TOKEN_HOSTS)
def test_only_a_registry_that_is_known_has_a_token_service_elsewhere(host: str) -> None:
    assert UpstreamSettings(name="x", url=f"https://{host}").all_token_hosts == set(TOKEN_HOSTS[host])
    assert UpstreamSettings(name="x", url=f"https://{host}:8443").all_token_hosts == frozenset()


def _section_of(settings: object, name: str) -> object:
    for part in name.split("."):
        settings = getattr(settings, part)
    return settings


@pytest.mark.parametrize("section", ["server", "log", "cache", "resolution", "candidates"])
def test_what_the_example_shows_is_the_default_to_the_letter(section: str) -> None:
    """But for what has none: a cache folder that depends on who runs it, a platform that nobody is taken for."""
    shown = tomllib.loads(re.sub(r"^#([a-z])", r"\1", EXAMPLE.read_text("utf-8").split("#[[")[0], flags=re.MULTILINE))
    defaults = _section_of(Settings(), section)
    assert dataclasses.is_dataclass(defaults)
    for item in dataclasses.fields(defaults):
        if "parser" in item.metadata and getattr(defaults, item.name) is not None:
            assert item.metadata["parser"](shown[section][item.name]) == getattr(defaults, item.name), item.name


def test_the_example_s_times_of_an_upstream_are_the_defaults() -> None:
    text = EXAMPLE.read_text("utf-8")
    for item in dataclasses.fields(UpstreamSettings):
        if item.name.endswith("timeout"):
            (written,) = re.findall(rf'^#{item.name} = "(.+)"$', text, re.MULTILINE)
            assert item.metadata["parser"](written) == item.default


def test_an_operator_knows_better() -> None:
    assert UpstreamSettings(url="http://127.0.0.1:1", public="true").is_public
    assert not UpstreamSettings(public="false").is_public


def test_docker_hub_s_tokens_come_from_its_own_service_and_no_other_registry_s_do() -> None:
    assert UpstreamSettings().all_token_hosts == {"auth.docker.io"}
    assert UpstreamSettings(url="http://127.0.0.1:1").all_token_hosts == frozenset()
    assert UpstreamSettings(token_hosts=("Auth.Example",)).all_token_hosts == {"auth.docker.io", "auth.example"}


def test_an_upstream_is_where_its_name_says_unless_told() -> None:
    assert UpstreamSettings(name="ghcr.io").address == "https://ghcr.io"
    assert UpstreamSettings(name="x", url="http://127.0.0.1:1").address == "http://127.0.0.1:1"


def test_docker_hub_is_there_without_being_named() -> None:
    other = UpstreamSettings(name="ghcr.io")
    assert [one.name for one in Settings(upstream=(other,)).upstreams] == ["docker.io", "ghcr.io"]
    assert "secret" not in repr(UpstreamSettings(password="secret"))
