"""The settings themselves: each with a sentence, each in the example."""

import dataclasses
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.arch.candidates import list_candidates
from proxy.arch.image_rules import rule_on
from proxy.config.loading import load_settings
from proxy.config.resolving import CandidateSettings
from proxy.config.schema import Settings
from proxy.config.upstreams import UpstreamSettings
from proxy.oci.platforms import Platform

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


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """The example with all that is commented out in it switched on."""
    path = tmp_path / "config.toml"
    path.write_text(re.sub(r"^#([a-z\[])", r"\1", EXAMPLE.read_text("utf-8"), flags=re.MULTILINE))
    return path


def test_the_example_with_everything_in_it_loads(whole: Path) -> None:
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


PLACES = {
    # pattern: its platform, and whether its name alone is proof (platforms.md §4.4)
    "armel/{name}:{tag}": ("linux/arm/v5", True),
    "resin/rpi-{name}:{tag}": ("linux/arm/v6", False),
    "resin/raspberrypi3-{name}:{tag}": ("linux/arm/v7", False),
    "balenalib/rpi-{name}:{tag}": ("linux/arm/v6", False),
    "balenalib/armv7hf-{name}:{tag}": ("linux/arm/v7", False),
    "balenalib/aarch64-{name}:{tag}": ("linux/arm64", False),
    "hypriot/rpi-{name}:{tag}": ("linux/arm/v6", False),
    "multiarch/{name}:armhf-v{tag}": ("linux/arm/v6", False),
    "multiarch/{name}-debootstrap:armhf-{tag}": ("linux/arm/v7", False),
    "armv7/armhf-{name}:{tag}": ("linux/arm/v7", False),
    "{repository}:arm32v7-{tag}": ("linux/arm/v7", False),
    "{repository}:{tag}-arm32v6": ("linux/arm/v6", False),
    "{repository}:{tag}-armhf": ("linux/arm/v7", False),
    "{repository}:{tag}-rpi": ("linux/arm/v6", False),
    "{repository}:linux-arm-{tag}": ("linux/arm/v7", False),
    "{repository}:linux-arm64-{tag}": ("linux/arm64", False),
    "{repository}-armhf:{tag}": ("linux/arm/v7", False),
    "{namespace}/rpi-{base}:{tag}": ("linux/arm/v6", False),
}


def test_the_places_of_legacy_and_community_builds_stand_ready_with_platform_and_trust(whole: Path) -> None:
    templates = load_settings(whole, {}).candidates.template
    assert {one.pattern: (str(one.platform), one.trusted) for one in templates} == PLACES
    assert len(templates) == len(PLACES)


@pytest.mark.parametrize(
    ("image", "platform", "candidate"),
    [
        ("library/debian:jessie", "linux/arm/v5", "armel/debian:jessie"),
        ("library/node:8-slim", "linux/arm/v7", "resin/raspberrypi3-node:8-slim"),
        ("library/alpine:3.6", "linux/arm/v6", "multiarch/alpine:armhf-v3.6"),
        ("library/debian:jessie", "linux/arm/v7", "multiarch/debian-debootstrap:armhf-jessie"),
        ("library/ubuntu:latest", "linux/arm/v7", "armv7/armhf-ubuntu:latest"),
        ("linuxserver/duckdns:latest", "linux/arm/v7", "linuxserver/duckdns:arm32v7-latest"),
        ("nodered/node-red:1.2-12", "linux/arm/v6", "nodered/node-red:1.2-12-arm32v6"),
        ("portainer/portainer:1.24.1", "linux/arm/v7", "portainer/portainer:linux-arm-1.24.1"),
        ("me/app:1", "linux/arm/v6", "me/rpi-app:1"),
    ],
)
def test_such_a_place_gives_the_names_that_there_are(whole: Path, image: str, platform: str, candidate: str) -> None:
    repository, _, tag = image.partition(":")
    templates = [one.template for one in load_settings(whole, {}).candidates.template]
    found = list_candidates(templates, repository, tag)
    assert (candidate, platform) in {(str(one), str(one.platform)) for one in found}


def test_what_such_places_claim_wrongly_is_corrected_for_each_of_them(whole: Path) -> None:
    """A config that says amd64 is known of balena's and of multiarch's images (platforms.md §4.4)."""
    settings = load_settings(whole, {})
    rules = [one.rule for one in settings.image]
    amd64 = Platform("linux", "amd64")
    for template in (one.template for one in settings.candidates.template):
        candidate = template.apply("library/debian", "9")
        assert candidate is not None
        ruling = rule_on(rules, candidate.repository, candidate.tag)
        is_known_to_lie = candidate.repository.startswith(("balenalib/", "multiarch/"))
        assert ruling.corrections.correct(amd64) == (candidate.platform if is_known_to_lie else amd64)


def test_each_place_says_whose_it_is_before_it_is_switched_on() -> None:
    """A remark stands before it, or before the one of the same owner that it follows."""
    text = EXAMPLE.read_text("utf-8")
    part = text[text.index("# Docker's own, of 2015") : text.index("# What you know of single images")]
    paragraphs = [paragraph for paragraph in part.split("\n\n") if "[[candidates.template]]" in paragraph]
    assert sum(paragraph.count("#[[candidates.template]]") for paragraph in paragraphs) == len(PLACES)
    for paragraph in paragraphs:
        assert paragraph.startswith("# ")
        owners = {line.split('"')[1].partition("/")[0] for line in paragraph.splitlines() if "pattern" in line}
        assert len(owners) == 1 or all(owner.startswith("{") for owner in owners)
