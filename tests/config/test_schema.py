"""The settings themselves: each with a sentence, each in the example."""

import dataclasses
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.config.loading import load_settings
from proxy.config.resolving import CandidateSettings
from proxy.config.schema import Settings
from proxy.config.upstreams import UpstreamSettings

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"


def sections_of(kind: type[object]) -> Iterator[type[object]]:
    """A section, and all those in it."""
    yield kind
    assert dataclasses.is_dataclass(kind)
    for item in dataclasses.fields(kind):
        if "items" in item.metadata:
            yield from sections_of(item.metadata["items"])
        elif callable(item.default_factory):
            yield from sections_of(type(item.default_factory()))


SECTIONS = tuple(sections_of(Settings))


def all_settings() -> set[str]:
    return {
        item.name
        for kind in SECTIONS
        if dataclasses.is_dataclass(kind)
        for item in dataclasses.fields(kind)
        if "parser" in item.metadata
    }


def test_every_setting_stands_in_the_example() -> None:
    text = EXAMPLE.read_text("utf-8")
    written = set(re.findall(r"^#?([a-z_]+) =", text, re.MULTILINE))
    assert all_settings() - {"words"} == written
    assert re.search(r"^\[words\]$", text, re.MULTILINE)


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
    for kind in SECTIONS:
        assert dataclasses.is_dataclass(kind)
        for item in dataclasses.fields(kind):
            if "parser" in item.metadata:
                assert re.match(r"[A-Z].*(\.|\}|…)$", item.metadata["text"]), (kind, item.name)


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


def test_docker_hub_is_there_without_being_named() -> None:
    other = UpstreamSettings(name="ghcr.io")
    assert [one.name for one in Settings(upstream=(other,)).upstreams] == ["docker.io", "ghcr.io"]
    assert "secret" not in repr(UpstreamSettings(password="secret"))
