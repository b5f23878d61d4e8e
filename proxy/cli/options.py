"""Options that several commands share, and the settings that come of them."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from proxy.config.loading import default_cache_directory, load_settings, read_environment
from proxy.config.parsers import parse_url
from proxy.config.schema import Settings
from proxy.oci.errors import InvalidSetting
from proxy.oci.references import DOCKER_HUB, normalise_registry

_F = TypeVar("_F", bound=Callable[..., Any])


def settings_options(command: _F) -> _F:
    """Give a command `--config`, `--cache` and `--upstream`."""
    options = (
        click.option("--config", "config_file", type=click.Path(path_type=Path), help="The configuration file (TOML)."),
        click.option("--cache", type=click.Path(path_type=Path), help="The cache folder."),
        click.option("--upstream", metavar="URL", help="Where docker.io is: another registry, or a mirror of it."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def read_settings(
    config_file: Path | None, *, cache: Path | None, upstream: str | None, listen: str | None = None
) -> Settings:
    """Answer the settings of a command, from file, environment and flags.

    Raises:
        InvalidSetting: One line that says what is wrong, and where.
    """
    overrides: dict[str, Mapping[str, object]] = {}
    if listen is not None:
        overrides["server"] = {"listen": listen}
    if cache is not None:
        overrides["cache"] = {"directory": str(cache)}
    settings = load_settings(config_file, read_environment(), overrides)
    return settings if upstream is None else _with_hub_at(settings, upstream)


def cache_directory(settings: Settings) -> Path:
    """Answer the cache folder: the configured one, or the user's."""
    is_root = os.geteuid() == 0
    return settings.cache.directory or default_cache_directory(read_environment(), is_root=is_root)


def _with_hub_at(settings: Settings, url: str) -> Settings:
    try:
        address = parse_url(url)
    except InvalidSetting as error:
        raise InvalidSetting(f"--upstream {error}") from error
    upstreams = tuple(
        replace(one, url=address) if normalise_registry(one.name) == DOCKER_HUB else one for one in settings.upstreams
    )
    return replace(settings, upstream=upstreams)
