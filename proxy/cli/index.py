"""`polyarch index`: an index put together out of images that are there, and looked at."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from proxy.cli.cache import as_json_text, json_option
from proxy.cli.index_display import (
    Shown,
    as_fields,
    as_steps,
    as_table,
    list_entries,
    parse_shown,
    read_old_platform,
)
from proxy.cli.options import read_settings
from proxy.cli.tables import format_size
from proxy.config.docker_logins import read_own_logins
from proxy.config.schema import Settings
from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidReference, InvalidSetting, UpstreamRefused
from proxy.oci.manifests import ImageManifest, Schema1Manifest
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference
from proxy.publication import (
    Origin,
    Part,
    Place,
    Publication,
    Publisher,
    Registries,
    Step,
    gather,
    open_registries,
    read_platform,
)

_CONFIG = click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="The configuration file (TOML)."
)
_PLAIN = click.option("--plain-http", "is_plain", is_flag=True, help="Speak HTTP with registries not in the settings.")


@dataclass(frozen=True, slots=True)
class _Wish:
    """An image that the index is to hold."""

    platforms: tuple[Platform, ...]
    reference: Reference


@dataclass(frozen=True, slots=True)
class _Order:
    """All that was asked for."""

    target: Reference
    wishes: Sequence[_Wish]
    annotations: tuple[tuple[str, str], ...]
    is_dry: bool
    is_forced: bool


@click.group()
def index() -> None:
    """Indexes of images: one name for several architectures, on any registry.

    Logins are those of `docker login` and `podman login`, or the configuration's.
    """


@index.command("create")
@click.argument("name", metavar="NAME:TAG")
@click.argument("images", metavar="PLATFORM[,…]=REF...", nargs=-1, required=True)
@click.option("--dry-run", "is_dry", is_flag=True, help="Only tell what would be done.")
@click.option(
    "--annotation",
    "annotations",
    metavar="NAME=TEXT",
    multiple=True,
    help="Something that the index says of itself; makes an OCI index of it. Repeatable.",
)
@click.option("--force", "is_forced", is_flag=True, help="Take images that say that they are for something else.")
@json_option
@_PLAIN
@_CONFIG
def create(
    name: str,
    images: tuple[str, ...],
    *,
    annotations: tuple[str, ...],
    is_dry: bool,
    is_forced: bool,
    as_json: bool,
    is_plain: bool,
    config_file: Path | None,
) -> None:
    """Publish an index NAME:TAG that has the image REF for each PLATFORM.

    What the registry lacks is mounted or copied into its repository; the tag is set at last. The same image may stand
    for several platforms, as in `arm6,arm7,arm8=REF`, and is stored once. Where REF is an index itself, what it has for
    the platform is meant.
    """
    settings = read_settings(config_file, cache=None, upstream=None)
    target = read_target(name)
    wishes = [_read_wish(text, settings) for text in images]
    _check_once(wishes)
    order = _Order(target, wishes, tuple(map(_read_annotation, annotations)), is_dry=is_dry, is_forced=is_forced)
    steps = list[Step]()

    def watch(step: Step) -> None:
        steps.append(step)
        if not is_dry:
            _tell(step)

    told = asyncio.run(_create(settings, order, watch, is_plain=is_plain))
    click.echo(
        as_json_text({**told, "steps": [_step_fields(one) for one in steps]}) if as_json else _as_text(told, steps)
    )


@index.command("show")
@click.argument("reference", metavar="REF")
@click.option("--raw", "is_raw", is_flag=True, help="Print the document as it is, to the byte.")
@json_option
@_PLAIN
@_CONFIG
def show(reference: str, *, is_raw: bool, as_json: bool, is_plain: bool, config_file: Path | None) -> None:
    """Show what is under REF: an index with its images, or one image."""
    settings = read_settings(config_file, cache=None, upstream=None)
    shown = asyncio.run(_look(settings, Reference.parse(reference), is_raw=is_raw, is_plain=is_plain))
    if is_raw:
        click.echo(shown.found.content, nl=False)
    else:
        click.echo(as_json_text(as_fields(shown)) if as_json else as_table(shown))


async def _create(
    settings: Settings, order: _Order, watch: Callable[[Step], None], *, is_plain: bool
) -> dict[str, Any]:
    target = order.target
    async with open_registries(settings, read_own_logins(), is_plain=is_plain) as registries:
        parts, notes = list[Part](), list[str]()
        for wish in order.wishes:
            source = registries.source(wish.reference.registry)
            with telling_helpers(registries, wish.reference.registry):
                gathered = await gather(source, wish.reference, wish.platforms, is_forced=order.is_forced)
            parts += gathered.parts
            notes += gathered.notes
        place = Place(target.repository, str(target.target))
        publication = Publication(target.registry, place, tuple(parts), annotations=order.annotations)
        publisher = Publisher(registries.destination(target.registry), watch)
        with telling_helpers(registries, target.registry):
            written = await publisher.publish(publication, is_dry=order.is_dry)
    return {
        "reference": str(target),
        "digest": str(written.digest),
        "media_type": written.media_type,
        "size": len(written.content),
        "platforms": [
            {"platform": str(platform), "digest": str(part.descriptor.digest)}
            for part in parts
            for platform in part.platforms
        ],
        "notes": notes,
        "dry_run": order.is_dry,
    }


async def _look(settings: Settings, reference: Reference, *, is_raw: bool, is_plain: bool) -> Shown:
    async with open_registries(settings, read_own_logins(), is_plain=is_plain) as registries:
        with telling_helpers(registries, reference.registry):
            source = registries.source(reference.registry)
            found = await source.fetch_manifest(reference.repository, reference.target)
            if is_raw:
                return Shown(reference, found, ())
            document, platform = parse_shown(found), None
            if isinstance(document, Schema1Manifest):
                platform = read_old_platform(found.content)
            elif isinstance(document, ImageManifest) and not document.artifact:
                platform = await read_platform(document, Origin(reference.registry, reference.repository, source))
            return Shown(reference, found, list_entries(document, found.content), platform)


@contextmanager
def telling_helpers(registries: Registries, registry: str) -> Iterator[None]:
    """Say of a refusal what may be behind it: who one is there, or a password that only a helper knows."""
    try:
        yield
    except UpstreamRefused as error:
        raise UpstreamRefused(f"{error.message}; {registries.explain_login(registry)}") from error


def read_target(text: str) -> Reference:
    """Read the name that an index is published under.

    Raises:
        InvalidReference: It is none, or a digest.
    """
    target = Reference.parse(text)
    if isinstance(target.target, Digest):
        raise InvalidReference(f"{text} is a digest: an index is published under a tag")
    return target


def _read_wish(text: str, settings: Settings) -> _Wish:
    words, equals, reference = text.partition("=")
    platforms = [settings.words.parse_platform(word) for word in map(str.strip, words.split(",")) if word]
    if not equals or not platforms:
        raise InvalidSetting(f"{text!r} should be PLATFORM=REF, for example arm6,arm7=registry.lan/app:1-arm")
    return _Wish(tuple(dict.fromkeys(platforms)), Reference.parse(reference))


def _read_annotation(text: str) -> tuple[str, str]:
    name, equals, said = text.partition("=")
    if not equals or not name:
        raise InvalidSetting(f"--annotation {text[:80]!r} should be NAME=TEXT: org.opencontainers.image.title=app")
    return name, said


def _check_once(wishes: Sequence[_Wish]) -> None:
    seen: set[Platform] = set()
    for platform in (platform.normalised() for wish in wishes for platform in wish.platforms):
        if platform in seen:
            raise InvalidSetting(f"{platform} is named twice")
        seen.add(platform)


def _step_fields(step: Step) -> dict[str, Any]:
    return {"action": step.action, "repository": step.repository, "what": step.what, "size": step.size}


def _as_text(told: dict[str, Any], steps: Sequence[Step]) -> str:
    lines = [f"{one['platform']:<16} {one['digest']}" for one in told["platforms"]]
    lines += [f"note: {note}" for note in told["notes"]]
    if told["dry_run"]:
        lines += ["", as_steps([(one.action, one.repository, one.what, one.size) for one in steps]), ""]
    counts = Counter(one.action for one in steps)
    pushed = sum(one.size for one in steps if one.action == "push")
    verb = "would publish" if told["dry_run"] else "published"
    lines.append(
        f"{verb} {told['reference']} as {told['digest']}: {counts['push']} pushed ({format_size(pushed)}),"
        f" {counts['mount']} mounted, {counts['skip']} there already"
    )
    return "\n".join(lines)


def _tell(step: Step) -> None:
    """Say what was done to somebody who sits there; large layers take their time."""
    if step.action != "skip" and sys.stderr.isatty():
        click.echo(f"{step.action} {step.repository} {step.what} ({format_size(step.size)})", err=True)
