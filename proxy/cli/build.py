"""`polyarch build`: what a conditional Dockerfile is for, each build once; and published under one name."""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from proxy.build.checks import as_error, find_misfits, find_problems
from proxy.build.conditions import Dockerfile
from proxy.build.groups import Group, list_groups
from proxy.builders.buildah import Buildah
from proxy.builders.docker import Docker
from proxy.builders.jobs import Builder
from proxy.cli.build_display import showing_builds
from proxy.cli.building import Order, Proxy, Wish, build_all, describe, publish_all
from proxy.cli.clients.machines import machine_by_uname
from proxy.cli.dockerfile import list_targets, read_conditional
from proxy.cli.index import read_target
from proxy.config.schema import Settings
from proxy.oci.errors import InvalidSetting
from proxy.publication import adopt_directory, unpack_saved

BUILDERS = ("buildah", "podman", "docker")
"""Those that are known, and which is taken first."""
ONE_REPOSITORY, NAMESPACES = "repository", "namespaces"


@click.command()
@click.argument("context", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-t", "--tag", "name", required=True, metavar="NAME[:TAG]", help="What the image is called.")
@click.option("-f", "--file", type=click.Path(path_type=Path), help="The Dockerfile.  [default: Dockerfile in CONTEXT]")
@click.option("--platform", "platforms", metavar="P,…", help="The architectures to serve; without it, those it names.")
@click.option("--builder", type=click.Choice(BUILDERS), help="Who builds.  [default: the first that is there]")
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
@click.option("--dry-run", "is_dry", is_flag=True, help="Only tell what would be built, for whom, and how.")
@click.option("--plain-http", "is_plain", is_flag=True, help="Speak HTTP with registries not in the settings.")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="The configuration file (TOML).")
def build(context: Path, *, name: str, is_pushed: bool, is_dry: bool, config_file: Path | None, **wanted: Any) -> None:
    """Build CONTEXT for every architecture that its Dockerfile is for, each build once.

    A Dockerfile may have IFARCH, ELSE, ENDIFARCH and TAGARCH. One that names no architecture is built for this
    machine's, as by any builder. Builds stay in the builder's store as NAME:TAG-amd64 and so on. With --push, they are
    published by digest, and NAME:TAG is set to an index over them when all of them are there.
    """
    file, target = wanted["file"] or context / "Dockerfile", read_target(name)
    settings, dockerfile = read_conditional(file, config_file)
    order = Order(
        file,
        dockerfile,
        _plan(settings, dockerfile, wanted["platforms"]),
        name=_with_tag(name),
        context=context,
        builder=_builder(wanted["builder"]),
        arguments=_read_arguments(wanted["arguments"]),
        target=wanted["target"],
        proxy=_read_proxy(wanted["proxy"]),
    )
    in_namespaces = wanted["layout"] == NAMESPACES
    wish = Wish(target, in_namespaces, wanted["is_plain"]) if is_pushed else None
    if is_dry:
        for line in asyncio.run(describe(order, wish)):
            click.echo(line)
    else:
        asyncio.run(_build(order, settings, wish))


async def _build(order: Order, settings: Settings, wish: Wish | None) -> None:
    with tempfile.TemporaryDirectory(prefix="polyarch-build-") as folder:
        with showing_builds() as watch:
            await build_all(order, settings, Path(folder), watch)
        if wish is None:
            for group in order.groups:
                click.echo(f"built {order.image_of(group)} for {', '.join(map(str, group.platforms))}")
            return
        digest = await publish_all(order, settings, Path(folder), wish)
    for place in (place for group in order.groups for place in wish.list_places(group)):
        click.echo(f"published {wish.destination.registry}/{place}")
    click.echo(f"published {wish.destination} as {digest}")


def _plan(settings: Settings, dockerfile: Dockerfile, platforms: str | None) -> tuple[Group, ...]:
    targets = list_targets(settings, dockerfile, platforms)
    if platforms is None and not dockerfile.list_named():
        system = os.uname()
        own = machine_by_uname(system.sysname, system.machine, system.release, is_narrow=sys.maxsize < 2**32).platform
        targets = (own,) if own is not None else targets
    groups = list_groups(dockerfile, targets)
    problems = [*find_problems(dockerfile, [group.platform for group in groups]), *find_misfits(groups)]
    if problems:
        raise as_error(dockerfile, problems[0])
    return groups


def _builder(wanted: str | None) -> Builder:
    program = wanted or next((one for one in BUILDERS if shutil.which(one)), None)
    if program is None:
        raise InvalidSetting(f"there is no builder here: install one of {', '.join(BUILDERS)}")
    return Docker(program, unpack_saved) if program == "docker" else Buildah(program, adopt_directory)


def _read_proxy(url: str | None) -> Proxy | None:
    if url is None:
        return None
    parts = urlsplit(url)
    if not parts.netloc:
        raise InvalidSetting(f"--proxy {url}: write for example http://polyarch.lan:5000")
    return Proxy(parts.netloc, parts.scheme == "http")


def _with_tag(name: str) -> str:
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _read_arguments(texts: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    if any(not equals for _, equals, _ in pairs):
        raise InvalidSetting("--build-arg should be NAME=VALUE")
    return {name: value for name, _, value in pairs}
