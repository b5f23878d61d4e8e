"""`polyarch warm`: into the cache what machines will need, before any of them asks for it."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import click

from proxy.cli.cache import FAILED, as_json_text, json_option, short_name_of
from proxy.cli.image_lists import ListedName, read_assignments, read_names
from proxy.cli.options import cache_directory, read_settings, settings_options
from proxy.cli.tables import Side, count_of, format_size, render_table
from proxy.cli.warm_remote import FLEET, Wanted, WarmWish
from proxy.cli.warm_ways import Errand, Way, carry_out
from proxy.config.loading import read_environment
from proxy.oci.errors import InvalidReference, InvalidSetting
from proxy.oci.references import Reference
from proxy.spending import Purpose
from proxy.warm_folder import WarmLimits, WarmResult, cost_of, count_registry_requests

MAX_LIST_BYTES = 4 * 1024 * 1024
_COLUMNS = (
    ("IMAGE", Side.LEFT),
    ("PLATFORMS", Side.LEFT),
    ("SIZE", Side.RIGHT),
    ("TO FETCH", Side.RIGHT),
    ("STATE", Side.LEFT),
)


@click.command()
@click.argument("images", metavar="[IMAGE]...", nargs=-1)
@click.option(
    "--platform",
    "platforms",
    metavar="P,…",
    default=FLEET,
    show_default=True,
    help="The platforms to warm for, in any of the words that `polyarch platforms` lists.",
)
@click.option(
    "--from",
    "lists",
    type=click.File("r", encoding="utf-8"),
    multiple=True,
    help="A compose file, Kubernetes objects, or one image a line; - is standard input. May be repeated.",
)
@click.option("--concurrency", type=click.IntRange(1, 64), default=4, show_default=True, help="Downloads at once.")
@click.option("--reserve", type=click.IntRange(0), help="Stop where no more than this is left of a pull allowance.")
@click.option("--attestations", is_flag=True, help="Fetch attestations (provenance, SBOM), too.")
@click.option("--pin", is_flag=True, help="Pin what is there then: it stays, whatever else has to leave.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Only tell what it would cost. Manifests are fetched for that.")
@click.option("--server", metavar="URL", help="The running proxy that is to do it, in its own cache.")
@click.option("--token-file", type=click.Path(path_type=Path), help="A file with its api.token; else from --config.")
@click.option("--ca", "authority", type=click.Path(path_type=Path), help="The authority behind its certificate (PEM).")
@click.option("--local", "is_local", is_flag=True, help="Work on the cache folder even if a server has it open.")
@json_option
@settings_options
def warm(
    images: tuple[str, ...],
    *,
    lists: tuple[TextIO, ...],
    as_json: bool,
    config_file: Path | None,
    cache: Path | None,
    upstream: str | None,
    **wanted: Any,
) -> None:
    """Pull IMAGEs into the cache: of each, exactly what the named platforms need.

    What is there already is left alone, what several images share comes once, and what was interrupted goes on where it
    was. If a server runs on the cache, it is the one that does it, in its own way; Ctrl-C ends it there, too. Exit code
    1 says that some image is not there whole.
    """
    settings = read_settings(config_file, cache=cache, upstream=upstream)
    server, is_local = wanted["server"], wanted["is_local"]
    if server is not None and (is_local or cache or upstream):
        raise InvalidSetting("--server works on its own cache: leave out --local, --cache and --upstream")
    listed = [*map(ListedName, images), *(name for one in lists for name in _read_list(one))]
    if not listed:
        raise InvalidSetting("name an image, or a list of them by --from")
    is_dry = wanted["is_dry"]
    limits = WarmLimits(wanted["concurrency"], wanted["reserve"])
    wish = WarmWish(limits, with_attestations=wanted["attestations"], is_pinned=wanted["pin"], is_dry=is_dry)
    errand = Errand(_join(listed, wanted["platforms"]), wish, settings, cache_directory(settings))
    # Who names an upstream means it: a server has its own.
    way = Way(server, wanted["token_file"], wanted["authority"], is_local=is_local or upstream is not None)
    results = asyncio.run(carry_out(errand, way))
    is_strict = wanted["platforms"] != FLEET
    click.echo(_as_json(results, is_dry=is_dry) if as_json else _as_text(results, is_dry=is_dry))
    if not all(one.is_done and not (is_strict and one.plan and one.plan.missing) for one in results):
        raise SystemExit(FAILED)


def _read_list(file: TextIO) -> list[ListedName]:
    source = "standard input" if file.name in {"-", "<stdin>"} else file.name
    try:
        text = file.read(MAX_LIST_BYTES + 1)
    except UnicodeDecodeError as error:
        raise InvalidSetting(f"{source} is no text: {error.reason} at byte {error.start}") from error
    if len(text) > MAX_LIST_BYTES:
        raise InvalidSetting(f"{source} is larger than a list of images can be")
    return read_names(text, source, {**_beside(Path(file.name)), **read_environment()})


def _beside(path: Path) -> Mapping[str, str]:
    """Answer what `.env` beside a compose file says; the environment itself goes before."""
    try:
        return read_assignments((path.parent / ".env").read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        return {}


def _join(listed: Iterable[ListedName], platforms: str) -> list[Wanted]:
    """Make one of all that is wanted of the same image."""
    found: dict[Reference, tuple[str, ...]] = {}
    for one in listed:
        words = tuple(filter(None, map(str.strip, (one.platform or platforms).split(","))))
        if not words:
            raise InvalidSetting("--platform names no platform")
        reference = _read_reference(one)
        found[reference] = tuple(dict.fromkeys((*found.get(reference, ()), *words)))
    return [Wanted(reference, words) for reference, words in found.items()]


def _read_reference(one: ListedName) -> Reference:
    try:
        return Reference.parse(one.image)
    except InvalidReference as error:
        raise InvalidReference(f"{one.place}: {error.message}" if one.place else error.message) from error


def _as_text(results: Sequence[WarmResult], *, is_dry: bool) -> str:
    rows = [_row(result, is_dry=is_dry) for result in results]
    return f"{render_table(_COLUMNS, rows)}\n\n{_foresight(results) if is_dry else _summary(results)}"


def _row(result: WarmResult, *, is_dry: bool) -> tuple[str, ...]:
    name, plan = short_name_of(result.order.reference), result.plan
    if plan is None:
        return (name, "", "", "", result.error or "postponed")
    platforms = ", ".join(str(platform).removeprefix("linux/") for platform in plan.images)
    without = f"; nothing for {', '.join(map(str, plan.missing))}" if plan.missing else ""
    lacking = sum(part.lacking for part in plan.parts)
    state = result.error or ("planned" if is_dry else "done")
    return (name, platforms, format_size(plan.size), format_size(lacking), f"{state}{without}")


def _foresight(results: Sequence[WarmResult]) -> str:
    cost = cost_of([result.plan for result in results if result.plan])
    return (
        f"to fetch: {format_size(cost.size)} ({cost.size} bytes) by {count_of(cost.requests, 'request')}, none of them"
        f" counted by a pull allowance; finding out took {_spent(results)}"
    )


def _summary(results: Sequence[WarmResult]) -> str:
    fetched = sum(result.spending.blob_bytes for result in results)
    hits = sum(part.state.value == "hit" for result in results if result.plan for part in result.plan.parts)
    failed = sum(not result.is_done for result in results)
    lacking = sum(bool(result.plan and result.plan.missing) for result in results)
    without = f", {lacking} without a platform" if lacking else ""
    seconds = max((result.seconds for result in results), default=0.0)
    return (
        f"{count_of(len(results), 'image')}, {failed} not done{without}: {format_size(fetched)} ({fetched} bytes)"
        f" fetched by {_spent(results)}; {count_of(hits, 'part')} there already; {seconds:.1f} s"
    )


def _spent(results: Iterable[WarmResult]) -> str:
    spendings = [result.spending for result in results]
    pulls = sum(spending.requests[Purpose.MANIFEST] for spending in spendings)
    requests = sum(map(count_registry_requests, spendings))
    return f"{count_of(requests, 'request')}, {pulls} of them counted"


def _as_json(results: Sequence[WarmResult], *, is_dry: bool) -> str:
    fields: dict[str, object] = {"images": [_fields(result) for result in results]}
    if is_dry:
        cost = cost_of([result.plan for result in results if result.plan])
        fields["cost"] = {"requests": cost.requests, "bytes": cost.size}
    spendings = [result.spending for result in results]
    fields["spent"] = {
        "requests": sum(map(count_registry_requests, spendings)),
        "pulls": sum(spending.requests[Purpose.MANIFEST] for spending in spendings),
        "tokens": sum(spending.requests[Purpose.TOKEN] for spending in spendings),
        "bytes": sum(spending.blob_bytes for spending in spendings),
    }
    return as_json_text(fields)


def _fields(result: WarmResult) -> dict[str, object]:
    plan = result.plan
    return {
        "reference": str(result.order.reference),
        "state": "postponed" if result.is_postponed else "failed" if result.error else "done",
        "error": result.error or None,
        "root": str(plan.root.digest) if plan else None,
        "platforms": {str(platform): str(image.digest) for platform, image in plan.images.items()} if plan else {},
        "missing_platforms": list(map(str, plan.missing)) if plan else [],
        "size": plan.size if plan else None,
        "to_fetch": sum(part.lacking for part in plan.parts) if plan else None,
        "fetched": result.spending.blob_bytes,
        "requests": count_registry_requests(result.spending),
        "seconds": round(result.seconds, 3),
    }
