"""`polyarch build`: one Dockerfile, built for every architecture, each build once; and published under one name."""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from proxy.arch.words import PROPOSAL
from proxy.build.bases import Way, route_bases
from proxy.build.checks import as_error, find_problems
from proxy.build.conditions import Dockerfile
from proxy.build.failures import find_failed
from proxy.build.groups import Group, list_groups
from proxy.build.stages import names_of
from proxy.builders.buildah import BUILDERS, Buildah, Job
from proxy.cli.clients.machines import machine_by_uname
from proxy.cli.dockerfile import list_targets, read_conditional
from proxy.cli.index import read_target, telling_helpers
from proxy.config.docker_logins import read_logins
from proxy.config.loading import read_environment
from proxy.config.schema import Settings
from proxy.oci.errors import BuildFailed, InvalidSetting
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference, short_name
from proxy.publication import LayoutSource, Origin, Part, Place, Publication, Publisher, open_registries, state_platform

ONE_REPOSITORY, NAMESPACES = "repository", "namespaces"


@dataclass(frozen=True, slots=True)
class _Order:
    """What is to be built, and how."""

    dockerfile: Dockerfile
    groups: tuple[Group, ...]
    name: str
    context: Path
    builder: str
    arguments: Mapping[str, str]
    target: str | None
    proxy: str | None

    def image_of(self, group: Group) -> str:
        """Answer what a build is called in the builder's store."""
        return f"{self.name}-{names_of(group.platform)[0]}"


@click.command()
@click.argument("context", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-t", "--tag", "name", required=True, metavar="NAME[:TAG]", help="What the image is called.")
@click.option("-f", "--file", type=click.Path(path_type=Path), help="The Dockerfile.  [default: Dockerfile in CONTEXT]")
@click.option("--platform", "platforms", metavar="P,…", help="The architectures to serve; without it, those it names.")
@click.option("--builder", type=click.Choice(BUILDERS), help="Who builds.  [default: whichever is there]")
@click.option("--build-arg", "arguments", multiple=True, metavar="NAME=VALUE", help="A build argument.")
@click.option("--target", help="The stage to build.")
@click.option("--proxy", metavar="URL", help="Take what the image is built upon from this polyarch.")
@click.option("--push", "is_pushed", is_flag=True, help="Publish the builds under one name, by an index.")
@click.option(
    "--layout",
    type=click.Choice((ONE_REPOSITORY, NAMESPACES)),
    default=ONE_REPOSITORY,
    show_default=True,
    help="Where builds are published beside that: nowhere, or as arm6/NAME, x86-64/NAME, …, too.",
)
@click.option("--dry-run", "is_dry", is_flag=True, help="Only tell what would be built, and for whom.")
@click.option("--plain-http", "is_plain", is_flag=True, help="Speak HTTP with registries not in the settings.")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="The configuration file (TOML).")
def build(context: Path, *, name: str, is_pushed: bool, is_dry: bool, config_file: Path | None, **wanted: Any) -> None:
    """Build CONTEXT for every architecture that its Dockerfile is for, each build once.

    A Dockerfile may have IFARCH, ELSE, ENDIFARCH and TAGARCH. One that names no architecture is built for this
    machine's, as by any builder. Builds stay in the builder's store as NAME:TAG-amd64 and so on. With --push, they are
    published by digest, and NAME:TAG is set to an index over them when all of them are there.
    """
    settings, dockerfile = read_conditional(wanted["file"] or context / "Dockerfile", config_file)
    groups = _plan(settings, dockerfile, wanted["platforms"])
    order = _Order(
        dockerfile,
        groups,
        name=_with_tag(name),
        context=context,
        builder=wanted["builder"] or _find_builder(),
        arguments=_read_arguments(wanted["arguments"]),
        target=wanted["target"],
        proxy=wanted["proxy"],
    )
    destination = read_target(name) if is_pushed else None
    for group in groups:
        tagged = f", serves {', '.join(map(str, group.tagged))}, too" if group.tagged else ""
        click.echo(f"{group.platform}{tagged}: {order.image_of(group)}", err=not is_dry)
    if not is_dry:
        asyncio.run(_build(order, settings, destination, layout=wanted["layout"], is_plain=wanted["is_plain"]))


def _plan(settings: Settings, dockerfile: Dockerfile, platforms: str | None) -> tuple[Group, ...]:
    targets = list_targets(settings, dockerfile, platforms)
    if platforms is None and not dockerfile.list_named():
        system = os.uname()
        own = machine_by_uname(system.sysname, system.machine, system.release, is_narrow=sys.maxsize < 2**32).platform
        targets = (own,) if own is not None else targets
    groups = list_groups(dockerfile, targets)
    problems = find_problems(dockerfile, [group.platform for group in groups])
    if problems:
        raise as_error(dockerfile, problems[0])
    return groups


async def _build(
    order: _Order, settings: Settings, destination: Reference | None, *, layout: str, is_plain: bool
) -> None:
    with tempfile.TemporaryDirectory(prefix="polyarch-build-") as folder:
        for group in order.groups:
            await _build_group(order, group, Path(folder))
        if destination is None:
            return
        parts = [await _take_out(order, group, Path(folder)) for group in order.groups]
        place = Place(destination.repository, str(destination.target))
        places = tuple(_namespaces(destination, parts)) if layout == NAMESPACES else ()
        publication = Publication(destination.registry, place, tuple(parts), places)
        async with open_registries(settings, read_logins(read_environment()), is_plain=is_plain) as registries:
            with telling_helpers(registries, destination.registry):
                index = await Publisher(registries.destination(destination.registry)).publish(publication)
    for other, _ in places:
        click.echo(f"published {destination.registry}/{other}")
    click.echo(f"published {destination} as {index.digest}")


async def _build_group(order: _Order, group: Group, folder: Path) -> None:
    text, allows_http = group.rendering.text, False
    if order.proxy is not None:
        parts = urlsplit(order.proxy)
        if not parts.netloc:
            raise InvalidSetting(f"--proxy {order.proxy}: write for example http://polyarch.lan:5000")
        word = "-".join(str(group.platform.explicit()).split("/"))
        text, allows_http = route_bases(text, Way(parts.netloc, word), order.arguments), parts.scheme == "http"
    name = names_of(group.platform)[0]
    file = folder / f"Dockerfile.{name}"
    file.write_bytes(text.encode())
    builder = Buildah(order.builder, lambda line: click.echo(f"[{name}] {line}", err=True))
    job = Job(file, order.context, group.platform, order.image_of(group), order.arguments, order.target, allows_http)
    try:
        await builder.build(job)
    except BuildFailed as error:
        raise _explained(order, group, text, error) from error


def _explained(order: _Order, group: Group, text: str, error: BuildFailed) -> Exception:
    """Say at which line of the file that was written a build failed."""
    reason = f"the build for {group.platform} failed: {error}"
    failed = find_failed(text, error.printed)
    if failed is None:
        return BuildFailed(reason)
    line = group.rendering.lines[failed.line - 1]
    written = " ".join(order.dockerfile.text.split("\n")[line - 1].split())
    return BuildFailed(f"{order.dockerfile.name}:{line}: {reason}\n  {written}")


async def _take_out(order: _Order, group: Group, folder: Path) -> Part:
    layout = folder / names_of(group.platform)[0]
    await Buildah(order.builder, lambda _: None).export(order.image_of(group), layout)
    descriptor = state_platform(layout, group.platform)
    return Part(group.platforms, descriptor, Origin("", "", LayoutSource(layout)))


def _namespaces(destination: Reference, parts: Sequence[Part]) -> list[tuple[Place, Part]]:
    """Answer the proposal's places for each build: `arm6/app` and `rpi/app`, `x86-64/app`."""
    name, tag = short_name(destination.repository), str(destination.target)
    return [
        (Place(f"{word}/{name}", tag), part)
        for part in parts
        for word, text in PROPOSAL.items()
        if any(platform.is_same(Platform.parse(text)) for platform in part.platforms)
    ]


def _find_builder() -> str:
    found = next((one for one in BUILDERS if shutil.which(one)), None)
    if found is None:
        raise InvalidSetting(f"there is no builder here: install one of {', '.join(BUILDERS)}")
    return found


def _with_tag(name: str) -> str:
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _read_arguments(texts: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    if any(not equals for _, equals, _ in pairs):
        raise InvalidSetting("--build-arg should be NAME=VALUE")
    return {name: value for name, _, value in pairs}
