"""The version is said once, in pyproject.toml, and the changelog knows of it."""

import tomllib
from pathlib import Path

from proxy.version import VERSION

ROOT = Path(__file__).parents[1]


def test_the_version_is_the_project_s() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == VERSION


def test_the_changelog_has_a_place_for_what_comes() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text("utf-8")
