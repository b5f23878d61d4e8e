"""`polyarch cache verify`, `purge`, `gc`: what may take content away."""

import asyncio
from pathlib import Path

import click

from proxy.cache_folder import open_cache
from proxy.cli.cache import FAILED, as_json_text, cache_options, json_option, quiet_events, settle, short_name_of
from proxy.cli.options import settings_options
from proxy.cli.progress import showing_progress
from proxy.cli.tables import count_of, format_size
from proxy.config.schema import Settings
from proxy.oci.errors import ManifestUnknown
from proxy.oci.references import Reference
from proxy.ports import Pin


@click.command()
@click.argument("reference", metavar="[REF]", required=False)
@click.option("--repair", is_flag=True, help="Fetch again from upstream what is damaged.")
@json_option
@settings_options
def verify(
    reference: str | None,
    *,
    repair: bool,
    as_json: bool,
    config_file: Path | None,
    cache: Path | None,
    upstream: str | None,
) -> None:
    """Hold every blob, or all that REF needs, against its digest.

    What is damaged is put aside and never served: the next client that wants it lets it be fetched again. Exit code 1
    says that something is damaged, and was not repaired.
    """
    named = None if reference is None else Reference.parse(reference)
    settings, folder = settle(config_file, cache, upstream)
    text, is_sound = asyncio.run(_verify(settings, folder, named, repair=repair, as_json=as_json))
    click.echo(text)
    if not is_sound:
        raise SystemExit(FAILED)


async def _verify(
    settings: Settings, folder: Path, reference: Reference | None, *, repair: bool, as_json: bool
) -> tuple[str, bool]:
    async with open_cache(settings, folder, quiet_events(), repairs=repair) as opened:
        with showing_progress("verifying") as progress:
            found = await opened.verification.run(reference, progress)
    if as_json:
        fields = {
            "blobs": found.blobs,
            "size": found.size,
            "damaged": [
                {
                    "digest": str(one.digest),
                    "size": one.size,
                    "references": [str(name) for name in one.references],
                    "repaired": one.is_repaired,
                    "reason": one.reason or None,
                }
                for one in found.damaged
            ],
            "incomplete": [
                {"reference": str(one.reference), "missing": [str(digest) for digest in one.missing]}
                for one in found.incomplete
            ],
        }
        return as_json_text(fields), found.is_sound
    lines = [f"verified {count_of(found.blobs, 'blob')}, {format_size(found.size)}"]
    for one in found.damaged:
        fate = "repaired" if one.is_repaired else f"damaged; {one.reason}" if one.reason else "damaged, put aside"
        lines.append(f"  {one.digest}: {fate}")
        lines += [f"    of {short_name_of(name)}" for name in one.references]
    for lack in found.incomplete:
        lines.append(f"  {short_name_of(lack.reference)}: {count_of(len(lack.missing), 'blob')} not at hand")
    if not repair and any(not one.is_repaired and not one.reason for one in found.damaged):
        lines.append("clients get them anew from upstream; --repair does so now")
    return "\n".join(lines), found.is_sound


@click.command()
@click.argument("reference", metavar="REF")
@click.option("--all-tags", is_flag=True, help="All of the repository, instead of one tag.")
@json_option
@cache_options
def purge(reference: str, *, all_tags: bool, as_json: bool, config_file: Path | None, folder: Path | None) -> None:
    """Forget REF, a tag or a digest, and remove what only it needs; "debian" means "debian:latest", as for Docker.

    What is pinned stays, and what another image needs. The next pull of REF goes upstream.
    """
    named = Reference.parse(reference)
    settings, folder = settle(config_file, folder)
    text = asyncio.run(_purge(settings, folder, named, all_tags=all_tags, as_json=as_json))
    click.echo(text)


async def _purge(settings: Settings, folder: Path, reference: Reference, *, all_tags: bool, as_json: bool) -> str:
    pin = Pin(reference.registry, reference.repository, str(reference.target))
    async with open_cache(settings, folder, quiet_events(), changes=True) as opened:
        target = None if all_tags else pin.target
        removed = await opened.housekeeper.purge(pin.upstream, pin.repository, target)
    name = f"{pin.upstream}/{pin.repository}" if all_tags else str(reference)
    if not removed.tags and not removed.blobs:
        raise ManifestUnknown(f"{name} is not cached; `polyarch cache ls` shows what is")
    if as_json:
        return as_json_text({"name": name, "tags": removed.tags, "blobs": removed.blobs, "size": removed.size})
    freed = f"{count_of(removed.blobs, 'blob')}, {format_size(removed.size)}"
    return f"purged {name}: {count_of(removed.tags, 'tag')}, {freed}"


@click.command()
@click.option("--dry-run", is_flag=True, help="Only tell what would be removed.")
@json_option
@cache_options
def gc(*, dry_run: bool, as_json: bool, config_file: Path | None, folder: Path | None) -> None:
    """Remove what nobody can ask for, and what is left of downloads that broke off long ago."""
    settings, folder = settle(config_file, folder)
    click.echo(asyncio.run(_collect_garbage(settings, folder, is_dry=dry_run, as_json=as_json)))


async def _collect_garbage(settings: Settings, folder: Path, *, is_dry: bool, as_json: bool) -> str:
    async with open_cache(settings, folder, quiet_events(), changes=True) as opened:
        removed = await opened.housekeeper.collect_garbage(dry_run=is_dry)
    counts = {
        "blobs": removed.blobs,
        "partial": removed.suspended,
        "quarantined": removed.quarantined,
        "forgotten": removed.forgotten,
        "size": removed.size,
    }
    if as_json:
        return as_json_text({"dry_run": is_dry, **counts})
    verb = "would remove" if is_dry else "removed"
    parts = (
        count_of(removed.blobs, "blob"),
        count_of(removed.suspended, "partial download"),
        count_of(removed.quarantined, "quarantined blob"),
    )
    return f"{verb} {', '.join(parts)}; {format_size(removed.size)}"
