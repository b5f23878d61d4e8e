"""The builds of `polyarch build`: each made, taken out of the builder's store, and published with the others."""

import shlex
import shutil
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from proxy.arch.words import PROPOSAL
from proxy.build.bases import Base, Routed, Way, route_bases
from proxy.build.conditions import Dockerfile
from proxy.build.groups import Group
from proxy.build.stages import names_of
from proxy.build.steps import find_failed
from proxy.builders.jobs import Builder, Job
from proxy.cli.build_display import BuildWatch
from proxy.cli.index import telling_helpers
from proxy.config.docker_logins import read_own_logins
from proxy.config.schema import Settings
from proxy.oci.digests import Digest
from proxy.oci.errors import BuildFailed, NotFound, UpstreamError
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference, short_name
from proxy.publication import (
    LayoutSource,
    Origin,
    Part,
    Place,
    Publication,
    Publisher,
    Registries,
    open_registries,
    state_platform,
)

IGNORE = ".dockerignore"


@dataclass(frozen=True, slots=True)
class Proxy:
    """The polyarch that images are taken from."""

    host: str
    allows_http: bool


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be built, and how."""

    file: Path
    dockerfile: Dockerfile
    groups: tuple[Group, ...]
    name: str
    """With its tag."""
    context: Path
    builder: Builder
    arguments: Mapping[str, str]
    target: str | None
    proxy: Proxy | None

    def image_of(self, group: Group) -> str:
        """Answer what a build is called in the builder's store."""
        return f"{self.name}-{label_of(group)}"

    def route(self, group: Group) -> Routed:
        """Answer what is given to the builder."""
        if self.proxy is None:
            return Routed(group.rendering.text, ())
        return route_bases(group.rendering.text, Way(self.proxy.host, group.platform), self.arguments)

    def job(self, group: Group, folder: Path) -> Job:
        """Answer what the builder is told; its Dockerfile is in the folder then."""
        file = folder / f"Dockerfile.{label_of(group)}"
        is_http = self.proxy is not None and self.proxy.allows_http
        id_file = folder / f"{label_of(group)}.id"
        name = self.image_of(group)
        return Job(file, self.context, group.platform, name, id_file, self.arguments, self.target, is_http)


def label_of(group: Group) -> str:
    """Answer a short name for a build, which no other build has: `amd64`, `armv6`, `windows-amd64`."""
    platform, name = group.platform, names_of(group.platform)[0]
    return name if platform.os == "linux" else f"{platform.os}-{name}"


@dataclass(frozen=True, slots=True)
class Wish:
    """Where builds are to be published."""

    destination: Reference
    in_namespaces: bool
    """Whether each is to be found under the proposal's names, too."""
    is_plain: bool
    """Whether registries that the settings do not have are spoken to over HTTP."""

    def list_places(self, group: Group) -> list[Place]:
        """Answer the proposal's places for a build: `arm6/app` and `rpi/app`, `x86-64/app`."""
        name, tag = short_name(self.destination.repository), str(self.destination.target)
        fitting = [
            word
            for word, text in PROPOSAL.items()
            if any(platform.is_same(Platform.parse(text)) for platform in group.platforms)
        ]
        return [Place(f"{word}/{name}", tag) for word in fitting] if self.in_namespaces else []


async def describe(order: Order, wish: Wish | None) -> list[str]:
    """Say what would be built, for whom, by which commands, and where it would be published."""
    lines = list[str]()
    for group in order.groups:
        tagged = f", serves {', '.join(map(str, group.tagged))}, too" if group.tagged else ""
        lines.append(f"{group.platform}{tagged}: {order.image_of(group)}")
        lines += [f"  line {_line_of(group, base)}: {base.image} as {base.name}" for base in order.route(group).bases]
        lines.append(f"  {shlex.join(await order.builder.find_command(order.job(group, Path())))}")
        if wish is not None:
            places = [f"by digest in {wish.destination}", *map(str, wish.list_places(group))]
            lines.append(f"  to be published {', '.join(places)}")
    return lines


async def build_all(order: Order, settings: Settings, folder: Path, watch: BuildWatch) -> None:
    """Make every build, one after another.

    Raises:
        BuildFailed: One failed: those after it are not begun.
    """
    async with _opened(settings, is_plain=order.proxy is not None and order.proxy.allows_http) as registries:
        for group in order.groups:
            name = label_of(group)
            watch.begin(name)
            is_built = False
            try:
                routed = order.route(group)
                await _tell_bases(order, group, routed, registries, watch)
                await _build(order, group, routed.text, folder, watch)
                is_built = True
            finally:
                watch.end(name, is_built=is_built)


async def publish_all(order: Order, settings: Settings, folder: Path, wish: Wish) -> Digest:
    """Take all builds out of the store, and publish them under one name; answer the index's digest."""
    parts = [await _take_out(order, group, folder) for group in order.groups]
    places = [
        (place, part) for group, part in zip(order.groups, parts, strict=True) for place in wish.list_places(group)
    ]
    target = wish.destination
    publication = Publication(
        target.registry, Place(target.repository, str(target.target)), tuple(parts), tuple(places)
    )
    async with _opened(settings, is_plain=wish.is_plain) as registries:
        with telling_helpers(registries, target.registry):
            return (await Publisher(registries.destination(target.registry)).publish(publication)).digest


def _opened(settings: Settings, *, is_plain: bool) -> AbstractAsyncContextManager[Registries]:
    return open_registries(settings, read_own_logins(), is_plain=is_plain)


async def _tell_bases(order: Order, group: Group, routed: Routed, registries: Registries, watch: BuildWatch) -> None:
    """Say which images the proxy has for what is built upon, or that it has none, before anything is built."""
    for base in routed.bases:
        reference = Reference.parse(base.name)
        name, line = label_of(group), _line_of(group, base)
        try:
            found = await registries.source(reference.registry).head_manifest(reference.repository, reference.target)
        except NotFound as error:
            raise _failed(
                order, line, f"the proxy has no {base.image} for {group.platform}: {error.message}"
            ) from error
        except UpstreamError as error:  # the builder may have another way there
            watch.tell(name, f"line {line}: {base.image} is not known: {error.message}")
        else:
            watch.tell(name, f"line {line}: {base.image} is {found.digest}")


async def _build(order: Order, group: Group, text: str, folder: Path, watch: BuildWatch) -> None:
    job, name = order.job(group, folder), label_of(group)
    _write_files(order, job, text)
    try:
        await order.builder.build(job, lambda line: watch.tell(name, line))
    except BuildFailed as error:
        # Where it is now is no place that anybody could look at.
        said = str(error).replace(str(job.file), Path(order.dockerfile.name).name)
        reason = f"the build for {group.platform} failed: {said}"
        failed = find_failed(text, error.printed)
        if failed is None:
            raise BuildFailed(reason) from error
        raise _failed(order, group.rendering.lines[failed.line - 1], reason) from error


def _write_files(order: Order, job: Job, text: str) -> None:
    job.file.write_bytes(text.encode())
    ignored = Path(f"{order.file}{IGNORE}")
    if (
        ignored.is_file()
    ):  # where a builder knows it, it counts and not the context's own (docs.docker.com, build context)
        shutil.copyfile(ignored, f"{job.file}{IGNORE}")


def _failed(order: Order, line: int, reason: str) -> BuildFailed:
    """Say at which line of the file as it was written a build failed."""
    written = " ".join(order.dockerfile.text.split("\n")[line - 1].split())
    return BuildFailed(f"{order.dockerfile.name}:{line}: {reason}\n  {written}")


def _line_of(group: Group, base: Base) -> int:
    return group.rendering.lines[base.line - 1]


async def _take_out(order: Order, group: Group, folder: Path) -> Part:
    layout = folder / label_of(group)
    await order.builder.export(order.job(group, folder).read_id(), layout)
    return Part(group.platforms, state_platform(layout, group.platform), Origin("", "", LayoutSource(layout)))
