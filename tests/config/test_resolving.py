"""What is resolved, unless somebody says otherwise."""

import re
from pathlib import Path

import pytest

from proxy.arch.candidates import parse_source
from proxy.arch.corrections import Correction, Corrections
from proxy.arch.image_rules import ImageRule, SharedImage
from proxy.config.loading import load_settings
from proxy.config.resolving import (
    CandidateSettings,
    ImageSettings,
    ResolutionSettings,
    SourceSettings,
    TemplateSettings,
)
from proxy.oci.errors import InvalidSetting
from proxy.oci.platforms import Platform

V6 = Platform("linux", "arm", "v6")


def test_the_fleet_is_what_most_people_have() -> None:
    assert [str(one) for one in ResolutionSettings().fleet] == [
        "linux/amd64",
        "linux/arm64",
        "linux/arm/v7",
        "linux/arm/v6",
    ]
    assert CandidateSettings().proposal == "auto"


def test_a_template_is_checked_when_it_is_used() -> None:
    assert TemplateSettings("resin/rpi-{name}", V6).template.pattern == "resin/rpi-{name}:{tag}"
    with pytest.raises(InvalidSetting, match="needs"):
        _ = TemplateSettings("resin/rpi", V6).template


def test_a_template_verifies_what_it_says_or_what_all_do() -> None:
    assert TemplateSettings("x/{name}", V6).make_template("elf").checks_binaries
    assert not TemplateSettings("x/{name}", V6).make_template("config").checks_binaries
    assert not TemplateSettings("x/{name}", V6, verify="config").make_template("elf").checks_binaries


def test_a_template_that_is_trusted_is_verified_where_it_says_so_itself() -> None:
    assert not TemplateSettings("x/{name}", V6, trusted=True).make_template("elf").checks_binaries
    assert TemplateSettings("x/{name}", V6, trusted=True, verify="elf").make_template("config").checks_binaries


@pytest.mark.parametrize(
    ("pattern", "registry", "whole"),
    [
        ("{name}-armhf", "docker.io", "library/{name}-armhf:{tag}"),
        ("rpi-{base}:{tag}-x", "docker.io", "library/rpi-{base}:{tag}-x"),
        ("{repository}-armhf", "docker.io", "{repository}-armhf:{tag}"),
        ("me/{name}", "docker.io", "me/{name}:{tag}"),
        ("{name}-armhf", "registry.lan:5000", "{name}-armhf:{tag}"),
    ],
)
def test_a_name_without_a_namespace_is_an_official_one_on_docker_hub(pattern: str, registry: str, whole: str) -> None:
    """It has no other of one component: nothing would ever be found there."""
    assert TemplateSettings(pattern, V6, registry=registry).template.pattern == whole
    source = ImageSettings("debian", registry, source=(SourceSettings(V6, pattern),), exclude=(pattern,)).rule
    assert source.sources[0].pattern == whole
    assert source.excluded[0] == whole.removesuffix(":{tag}")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('[[image]]\nmatch = "ghcr.io/owner/app"\nexclude = ["x/*"]', "the image 'ghcr.io/owner/app'"),
        ('[[image]]\nmatch = "app"\nexclude = ["Docker.io/x/*"]', "exclude 'Docker.io/x/*'"),
        ('[[image]]\nmatch = "app"\n[[image.source]]\nplatform = "rpi"\nname = "ghcr.io/a/b"', "source 'ghcr.io/a/b'"),
        ('[[candidates.template]]\nplatform = "rpi"\npattern = "ghcr.io/a/{name}"', "candidate 'ghcr.io/a/{name}'"),
    ],
)
def test_a_registry_in_a_name_is_told_where_it_belongs(tmp_path: Path, text: str, where: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'{text}\n[[upstream]]\nname = "ghcr.io"')
    with pytest.raises(InvalidSetting, match=re.escape(where)) as caught:
        load_settings(file, {})
    assert "registry = " in str(caught.value)


@pytest.mark.parametrize(
    ("match", "registry", "pattern"),
    [
        ("debian", "docker.io", "library/debian"),
        ("debian:jess*", "docker.io", "library/debian:jess*"),
        ("library/debian", "index.docker.io", "library/debian"),
        ("me/*", "docker.io", "me/*"),
        ("*", "docker.io", "*"),
        ("*-armhf", "docker.io", "*-armhf"),
        ("debian", "registry.lan:5000", "debian"),
    ],
)
def test_a_rule_is_for_the_names_that_people_write(match: str, registry: str, pattern: str) -> None:
    assert ImageSettings(match, registry).rule.pattern == pattern


def test_a_rule_says_all_that_its_table_says(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("""
        [[image]]
        match = "debian"
        exclude = ["arm32v7/*"]
        corrections = { "*" = "arm6", "linux/amd64" = "rpi", armhf = "arm5" }
        also_runs_on = { rpi = ["arm7", "arm8", "arm8.1"] }
        [[image.source]]
        platform = "rpi"
        name = "resin/rpi-raspbian"
        """)
    (image,) = load_settings(file, {}).image
    v7, v5 = Platform("linux", "arm", "v7"), Platform("linux", "arm", "v5")
    assert image.rule == ImageRule(
        "library/debian",
        sources=(parse_source("resin/rpi-raspbian:{tag}", V6),),
        excluded=("arm32v7/*",),
        corrections=Corrections((Correction(Platform("linux", "amd64"), V6), Correction(v7, v5), Correction(None, V6))),
        shared=(SharedImage(V6, (v7, Platform("linux", "arm64"), Platform("linux", "arm64", "v8.1"))),),
    )
