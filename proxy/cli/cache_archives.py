"""`polyarch cache export` and `import`: images into archives and out of them."""

import asyncio
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import click

from proxy.cache_folder import Export, Imported, open_cache
from proxy.cli.cache import as_json_text, cache_options, json_option, quiet_events, settle, short_name_of
from proxy.cli.progress import showing_progress
from proxy.cli.tables import count_of, format_size
from proxy.config.schema import Settings
from proxy.oci.errors import InvalidSetting
from proxy.oci.layouts import InvalidArchive
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference
from proxy.storage.archive_reading import ArchiveFile
from proxy.storage.archive_writing import ArchiveWriter, writing_folder, writing_stream, writing_tar

STANDARD_OUTPUT = "-"


@click.command()
@click.argument("reference", metavar="REF")
@click.argument("file")
@click.option("--platform", metavar="PLATFORM", help="Only the image for this platform: arm7, rpi, linux/arm/v7, …")
@click.option(
    "--format",
    "form",
    type=click.Choice(["oci", "docker"]),
    default="oci",
    show_default=True,
    help="docker: one image only, for engines of any age.",
)
@json_option
@cache_options
def export(
    reference: str,
    file: str,
    *,
    platform: str | None,
    form: str,
    as_json: bool,
    config_file: Path | None,
    folder: Path | None,
) -> None:
    """Write what is cached of REF into FILE, an OCI archive; into a folder if FILE ends in "/"; to stdout if it is "-".

    An archive with one image is one for `docker load`, too. Of an index, the platforms are in it that are cached whole.
    """
    named = Reference.parse(reference)
    if file == STANDARD_OUTPUT and sys.stdout.isatty():
        raise InvalidSetting("an archive is nothing for a terminal: name a file, or a pipe behind this")
    settings, folder = settle(config_file, folder)
    wanted = settings.words.parse_platform(platform) if platform else None
    done = asyncio.run(_export(settings, folder, named, wanted, file, is_one=form == "docker"))
    is_streamed = file == STANDARD_OUTPUT
    click.echo(as_json_text(_export_fields(done, file)) if as_json else _export_text(done, file), err=is_streamed)


async def _export(
    settings: Settings, folder: Path, reference: Reference, platform: Platform | None, file: str, *, is_one: bool
) -> Export:
    async with open_cache(settings, folder, quiet_events()) as opened:
        planned = await opened.exporting.plan(reference, platform, one_image=is_one)
        with _open_target(file) as writer, showing_progress("exporting") as progress:
            await opened.exporting.write(planned, writer, progress)
        return planned


def _open_target(file: str) -> AbstractContextManager[ArchiveWriter]:
    if file == STANDARD_OUTPUT:
        return writing_stream(sys.stdout.buffer)
    path = Path(file)
    return writing_folder(path) if file.endswith("/") or path.is_dir() else writing_tar(path)


def _export_fields(done: Export, file: str) -> dict[str, object]:
    return {
        "reference": str(done.reference),
        "digest": str(done.root.digest),
        "platforms": _texts(done.platforms),
        "missing_platforms": _texts(done.missing_platforms),
        "size": done.size,
        "docker": done.is_for_docker,
        "file": file,
    }


def _export_text(done: Export, file: str) -> str:
    there = ", ".join(str(platform or "an unknown platform") for platform in done.platforms)
    lines = [f"exported {short_name_of(done.reference)} for {there} to {file}, {format_size(done.size)}"]
    if done.missing_platforms:
        lines.append(f"  not cached, and not in it: {', '.join(map(str, done.missing_platforms))}")
    if not done.is_for_docker and len(done.platforms) > 1:
        lines.append(
            "  engines without containerd's image store load archives of one image only: --platform chooses it"
        )
    return "\n".join(lines)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--as", "name", metavar="REF", help="What the image is to be called, whatever the archive says.")
@json_option
@cache_options
def import_archive(
    file: Path, *, name: str | None, as_json: bool, config_file: Path | None, folder: Path | None
) -> None:
    """Take in the images of FILE: an OCI layout or archive, or what `docker save` wrote.

    They are served as if they had just been pulled. Once their tags have expired, upstream has the last word again; if
    it cannot be asked, they are served on.
    """
    named = None if name is None else Reference.parse(name)
    settings, folder = settle(config_file, folder)
    try:
        done = asyncio.run(_import(settings, folder, file, named))
    except InvalidArchive as error:
        raise InvalidArchive(f"{file}: {error}") from error
    click.echo(as_json_text(_import_fields(done)) if as_json else _import_text(done))


async def _import(settings: Settings, folder: Path, file: Path, name: Reference | None) -> Imported:
    archive = ArchiveFile(file)
    archive.check()
    async with open_cache(settings, folder, quiet_events(), changes=True, creates=True) as opened:
        with showing_progress("importing") as progress:
            return await opened.importing.run(archive, name, progress)


def _import_fields(done: Imported) -> dict[str, object]:
    return {
        "images": [
            {
                "references": [str(name) for name in image.references],
                "digest": str(image.digest),
                "platforms": _texts(image.platforms),
                "missing_platforms": _texts(image.missing_platforms),
            }
            for image in done.images
        ],
        "blobs": done.blobs,
        "size": done.size,
    }


def _import_text(done: Imported) -> str:
    lines = []
    for image in done.images:
        names = ", ".join(short_name_of(name) for name in image.references)
        lines.append(f"imported {names}, {image.digest}")
        if image.missing_platforms:
            lines.append(f"  not in the archive: {', '.join(str(one or 'unknown') for one in image.missing_platforms)}")
    return "\n".join([*lines, f"{count_of(done.blobs, 'new blob')}, {format_size(done.size)}"])


def _texts(platforms: tuple[Platform | None, ...]) -> list[str | None]:
    return [None if platform is None else str(platform) for platform in platforms]
