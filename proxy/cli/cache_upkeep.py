"""`polyarch cache verify`, and what takes content away: `purge`, `gc`."""

import asyncio
from pathlib import Path

import click

from proxy.cache_folder import open_cache
from proxy.cli.cache import FAILED, as_json_text, json_option, quiet_events, settle, short_name_of
from proxy.cli.options import settings_options
from proxy.cli.progress import showing_progress
from proxy.cli.tables import count_of, format_size
from proxy.config.schema import Settings
from proxy.oci.references import Reference


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
        fate = "repaired" if one.is_repaired else "damaged, put aside" + (f"; {one.reason}" if one.reason else "")
        lines.append(f"  {one.digest}: {fate}")
        lines += [f"    of {short_name_of(name)}" for name in one.references]
    for lack in found.incomplete:
        lines.append(f"  {short_name_of(lack.reference)}: {count_of(len(lack.missing), 'blob')} not at hand")
    if not found.is_sound and not repair:
        lines.append("clients get them anew from upstream; --repair does so now")
    return "\n".join(lines), found.is_sound
