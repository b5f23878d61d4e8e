"""`polyarch cache`: look at what is cached, and say what stays."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from proxy.cache_folder import ListedImage, OpenCache, open_cache
from proxy.cli.options import cache_directory, read_settings
from proxy.cli.tables import Side, count_of, format_age, format_size, render_table
from proxy.config.schema import Settings
from proxy.oci.layouts import familiar_name
from proxy.oci.references import Reference
from proxy.ports import Pin
from proxy.server.listed import listed_fields
from proxy.telemetry.logs import LogEvents, LogFormat, build_logger
from proxy.wiring import SystemClock

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., Any])
FAILED = 1
SHORT_DIGEST = 12
"""How many hex digits of a digest tell it from any other for a person."""
_COLUMNS = (
    ("REFERENCE", Side.LEFT),
    ("PLATFORMS", Side.LEFT),
    ("SIZE", Side.RIGHT),
    ("USED", Side.LEFT),
    ("CHECKED", Side.LEFT),
    ("STATE", Side.LEFT),
    ("PIN", Side.LEFT),
    ("DIGEST", Side.LEFT),
)


@click.group()
def cache() -> None:
    """Look at the cache and keep house in it, beside a running server or without one."""


def cache_options(command: _F) -> _F:
    """Give a command `--config` and `--cache`."""
    for option in (
        click.option("--cache", "folder", type=click.Path(path_type=Path), help="The cache folder."),
        click.option("--config", "config_file", type=click.Path(path_type=Path), help="The configuration file (TOML)."),
    ):
        command = option(command)
    return command


def json_option(command: _F) -> _F:
    """Give a command `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")(command)


def settle(config_file: Path | None, folder: Path | None, upstream: str | None = None) -> tuple[Settings, Path]:
    """Answer the settings of a command, and the cache folder that it works on."""
    settings = read_settings(config_file, cache=folder, upstream=upstream)
    return settings, cache_directory(settings)


def quiet_events() -> LogEvents:
    """Tell of errors only: a command says itself what it did."""
    return LogEvents(build_logger("error", LogFormat.AUTO))


def as_json_text(fields: object) -> str:
    """Write what scripts read."""
    return json.dumps(fields, indent=2)


def short_name_of(reference: Reference) -> str:
    """Write a reference as its user would."""
    separator = ":" if isinstance(reference.target, str) else "@"
    return f"{familiar_name(reference)}{separator}{reference.target}"


@cache.command("ls")
@click.argument("pattern", required=False)
@click.option(
    "--sort", type=click.Choice(["name", "size", "used"]), default="name", help="By what to sort.", show_default=True
)
@json_option
@cache_options
def list_images(
    pattern: str | None, *, sort: str, as_json: bool, config_file: Path | None, folder: Path | None
) -> None:
    """List the cached images; PATTERN is a repository, a tag, or a shell pattern of either.

    A platform counts that is there whole; "+2" says that two more are known, and fetched when somebody asks for them.
    """
    settings, folder = settle(config_file, folder)
    click.echo(asyncio.run(_list_images(settings, folder, pattern, sort, as_json=as_json)))


async def _list_images(settings: Settings, folder: Path, pattern: str | None, sort: str, *, as_json: bool) -> str:
    async with open_cache(settings, folder, quiet_events()) as opened:
        images = await opened.inspection.list_images(pattern)
    if sort == "size":
        images.sort(key=lambda image: -image.size)
    elif sort == "used":
        images.sort(key=lambda image: -(image.used_at or 0))
    return as_json_text([listed_fields(image) for image in images]) if as_json else _listed_table(images)


def _listed_table(images: Iterable[ListedImage]) -> str:
    now = SystemClock().now()
    return render_table(
        _COLUMNS,
        [
            (
                short_name_of(image.reference),
                _platforms(image),
                format_size(image.size),
                format_age(image.used_at, now),
                format_age(image.checked_at, now),
                "fresh" if image.is_fresh else "expired",
                "pinned" if image.is_pinned else "-",
                (image.answer or image.digest).encoded[:SHORT_DIGEST],
            )
            for image in images
        ],
    )


def _platforms(image: ListedImage) -> str:
    whole = ",".join(str(platform or "unknown") for platform in image.platforms) or "-"
    return f"{whole} +{len(image.missing_platforms)}" if image.missing_platforms else whole


@cache.command()
@json_option
@cache_options
def du(*, as_json: bool, config_file: Path | None, folder: Path | None) -> None:
    """Show what takes how much room."""
    settings, folder = settle(config_file, folder)
    click.echo(asyncio.run(_measure(settings, folder, as_json=as_json)))


async def _measure(settings: Settings, folder: Path, *, as_json: bool) -> str:
    async with open_cache(settings, folder, quiet_events()) as opened:
        usage, beside = await opened.inspection.measure(), opened.measure()
    if as_json:
        return as_json_text(
            {
                "size": usage.size,
                "max_size": settings.cache.max_bytes,
                "blobs": usage.blobs,
                "shared_size": usage.shared_size,
                "unreferenced_size": usage.unreferenced_size,
                "partial_size": beside.partial_size,
                "quarantined_size": beside.quarantined_size,
                "catalog_size": beside.catalog_size,
                "repositories": [
                    {"name": one.name, "tags": one.tags, "size": one.size, "own_size": one.own_size}
                    for one in usage.repositories
                ],
            }
        )
    columns = (("REPOSITORY", Side.LEFT), ("TAGS", Side.RIGHT), ("SIZE", Side.RIGHT), ("ITS OWN", Side.RIGHT))
    rows = [(one.name, str(one.tags), format_size(one.size), format_size(one.own_size)) for one in usage.repositories]
    bound = settings.cache.max_bytes
    lines = [
        ("images", f"{format_size(usage.size)} in {count_of(usage.blobs, 'blob')}"),
        ("shared", f"{format_size(usage.shared_size)} by several repositories"),
        ("without a tag", format_size(usage.unreferenced_size)),
        ("partial", format_size(beside.partial_size)),
        ("quarantined", format_size(beside.quarantined_size)),
        ("catalog", format_size(beside.catalog_size)),
        *([("bound", f"{format_size(bound)}, {usage.size / bound:.0%} full")] if bound else []),
    ]
    return "\n".join([render_table(columns, rows), "", *(f"{name:<14}{text}" for name, text in lines)])


@cache.command()
@click.argument("reference", metavar="REF")
@cache_options
def pin(reference: str, *, config_file: Path | None, folder: Path | None) -> None:
    """Keep what is under REF, a tag or a digest, whatever else has to leave the cache."""
    settings, folder = settle(config_file, folder)
    named = Reference.parse(reference)
    is_cached = asyncio.run(_with_cache(settings, folder, lambda opened: _pin(opened, named)))
    ahead = "" if is_cached else "; it is not cached yet, and stays from its first pull on"
    click.echo(f"pinned {named}{ahead}")


@cache.command()
@click.argument("reference", metavar="REF")
@cache_options
def unpin(reference: str, *, config_file: Path | None, folder: Path | None) -> None:
    """Let go of what was pinned as REF."""
    settings, folder = settle(config_file, folder)
    named = Reference.parse(reference)
    was_pinned = asyncio.run(_with_cache(settings, folder, lambda opened: opened.ledger.remove_pin(_pin_of(named))))
    if not was_pinned:
        click.echo(f"polyarch: {named} is not pinned; `polyarch cache ls` shows what is", err=True)
        raise SystemExit(FAILED)
    click.echo(f"unpinned {named}")


async def _with_cache(settings: Settings, folder: Path, work: Callable[[OpenCache], Awaitable[_T]]) -> _T:
    async with open_cache(settings, folder, quiet_events()) as opened:
        return await work(opened)


async def _pin(opened: OpenCache, reference: Reference) -> bool:
    await opened.ledger.put_pin(_pin_of(reference))
    return await opened.inspection.is_cached(reference)


def _pin_of(reference: Reference) -> Pin:
    return Pin(reference.registry, reference.repository, str(reference.target))
