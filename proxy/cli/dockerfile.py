"""`polyarch dockerfile`: one Dockerfile for every architecture, looked at and made plain."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from proxy.build.checks import as_error, find_misfits, find_problems
from proxy.build.conditions import Dockerfile, read_dockerfile
from proxy.build.groups import Group, list_groups
from proxy.build.rendering import render
from proxy.build.stages import write_stages
from proxy.cli.cache import FAILED, as_json_text, json_option
from proxy.cli.options import read_settings
from proxy.config.schema import Settings
from proxy.oci.errors import InvalidSetting
from proxy.oci.platforms import Platform

MAX_BYTES = 1024 * 1024
_FILE = click.argument("file", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True))
_CONFIG = click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="The configuration file (TOML)."
)


@click.group()
def dockerfile() -> None:
    """Conditional Dockerfiles: IFARCH, ELSE, ENDIFARCH and TAGARCH. FILE may be - for standard input."""


@dockerfile.command("render")
@_FILE
@click.option("--platform", required=True, metavar="P", help="The architecture, in any word of `polyarch platforms`.")
@_CONFIG
def render_file(file: Path, *, platform: str, config_file: Path | None) -> None:
    """Print the plain Dockerfile for one architecture, which any builder takes."""
    settings, found = read_conditional(file, config_file)
    click.echo(render(found, settings.words.parse_platform(platform)).text.encode(), nl=False)


@dockerfile.command("archs")
@_FILE
@click.option(
    "--platform",
    "platforms",
    metavar="P,…",
    help="The architectures to serve; without it, those it names, or the fleet.",
)
@json_option
@_CONFIG
def list_archs(file: Path, *, platforms: str | None, as_json: bool, config_file: Path | None) -> None:
    """List what is built once, and which architectures are tagged on to it."""
    settings, found = read_conditional(file, config_file)
    groups = list_groups(found, list_targets(settings, found, platforms))
    if as_json:
        click.echo(as_json_text([_fields(group) for group in groups]))
        return
    for group in groups:
        tagged = f", serves {', '.join(map(str, group.tagged))}, too" if group.tagged else ""
        click.echo(f"{group.platform}{tagged}")


@dockerfile.command("stages")
@_FILE
@click.option(
    "--platform",
    "platforms",
    metavar="P,…",
    help="The architectures to serve; without it, those it names, or the fleet.",
)
@_CONFIG
def write_stages_of(file: Path, *, platforms: str | None, config_file: Path | None) -> None:
    """Print one plain Dockerfile that BuildKit and buildah build by themselves, for each architecture its own.

    It has a stage `base-<architecture>` for each; `docker buildx build --platform` chooses among them.
    """
    settings, found = read_conditional(file, config_file)
    targets = list_targets(settings, found, platforms)
    click.echo(write_stages(found, list_groups(found, targets)).encode(), nl=False)


@dockerfile.command("check")
@_FILE
@click.option("--platform", "platforms", metavar="P,…", help="The architectures to check for.")
@_CONFIG
def check(file: Path, *, platforms: str | None, config_file: Path | None) -> None:
    """Name what builders would refuse, with line and caret, for every architecture at once."""
    settings, found = read_conditional(file, config_file)
    targets = list_targets(settings, found, platforms)
    groups = list_groups(found, targets)
    problems = sorted([*find_problems(found, targets), *find_misfits(groups)])
    for problem in problems:
        click.echo(str(as_error(found, problem)), err=True)
    if problems:
        raise SystemExit(FAILED)
    click.echo(f"{found.name}: nothing wrong for {', '.join(map(str, targets))}")


def read_conditional(file: Path, config_file: Path | None) -> tuple[Settings, Dockerfile]:
    """Read a Dockerfile, and the settings that have the words for architectures.

    Raises:
        InvalidSetting: It cannot be read.
        InvalidDockerfile: It is no Dockerfile.
    """
    settings = read_settings(config_file, cache=None, upstream=None)
    name = "standard input" if str(file) == "-" else str(file)
    try:
        content = _read_bytes(file)  # not as text: line endings are kept as they are
        if len(content) > MAX_BYTES:
            raise InvalidSetting(f"{name} is larger than a Dockerfile can be")
        return settings, read_dockerfile(content.decode(), name, settings.words)
    except OSError as error:
        raise InvalidSetting(f"{name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidSetting(f"{name} is no text: {error.reason} at byte {error.start}") from error


def _read_bytes(file: Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    with file.open("rb") as opened:
        return opened.read(MAX_BYTES + 1)


def list_targets(settings: Settings, found: Dockerfile, platforms: str | None) -> Sequence[Platform]:
    """Answer the architectures that are meant: the named ones, else those of the file, else the fleet's."""
    if platforms is not None:
        named = [settings.words.parse_platform(word) for word in map(str.strip, platforms.split(",")) if word]
        if not named:
            raise InvalidSetting("--platform names no platform")
        return named
    return found.list_named() or settings.resolution.fleet


def _fields(group: Group) -> dict[str, Any]:
    return {"platform": str(group.platform), "serves": list(map(str, group.platforms))}
