"""`polyarch resolve`: which image would a client get, and why."""

import asyncio
import dataclasses
import difflib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from multidict import CIMultiDict

from proxy.cli.client_presets import Preset, parse_preset, render_presets
from proxy.cli.options import cache_directory, read_settings, settings_options
from proxy.config.schema import Settings
from proxy.oci.errors import InvalidSetting
from proxy.oci.platforms import Platform
from proxy.oci.references import DOCKER_HUB, Reference
from proxy.oci.routes import ManifestRoute
from proxy.server.doors import Door, normalise_host
from proxy.server.explanations import ASKED_FOR, Explanation, Inquiry, explain
from proxy.server.imagined import ImaginedRequest
from proxy.server.networks import parse_address
from proxy.telemetry.logs import LogEvents, LogFormat, build_logger
from proxy.wiring import Entrance, open_proxy

_HEADER = re.compile(r"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(?P<value>[^\r\n\0]*?)[ \t]*")
_LIST = "list"


@dataclass(frozen=True, slots=True)
class _Question:
    """What was asked, read."""

    target: str
    """The path of the request, with its query."""
    headers: CIMultiDict[str]
    address: str | None
    listener: str
    platform: Platform | None
    preset: Preset | None


@click.command()
@click.argument("reference", required=False)
@click.option("--platform", metavar="PLATFORM", help="The client's platform: arm7, rpi, linux/arm/v7, …")
@click.option("--user-agent", metavar="UA", help="The client's User-Agent, to see what is read out of it.")
@click.option(
    "--as-client",
    metavar="CLIENT[@MACHINE]",
    help="Send what a client sends, and tell what it would take: docker-28@pi-zero; `list` shows all. "
    "--platform is then what the client itself is told.",
)
@click.option(
    "--header", "headers", metavar="'NAME: VALUE'", multiple=True, help="A header of the request; repeatable."
)
@click.option("--path", metavar="PATH", help="The whole request, instead of REFERENCE: /v2/arm6/debian/manifests/8.")
@click.option("--from", "address", metavar="ADDRESS", help="The address that the request comes from.")
@click.option("--listener", metavar="HOST", help="The listener it comes in by: its host name, HOST:PORT, or port.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@settings_options
def resolve(
    reference: str | None,
    *,
    platform: str | None,
    as_client: str | None,
    as_json: bool,
    config_file: Path | None,
    cache: Path | None,
    upstream: str | None,
    **shown: Any,
) -> None:
    """Show which image a client would get for REFERENCE, and the reasons."""
    if as_client == _LIST:
        click.echo(render_presets())
        return
    preset = parse_preset(as_client) if as_client else None
    settings = read_settings(config_file, cache=cache, upstream=upstream)
    meant = settings.words.parse_platform(platform) if platform is not None else None
    question = _read_question(reference, preset, meant, **shown)
    explanation = asyncio.run(_explain(settings, cache_directory(settings), question))
    click.echo(_as_json(explanation, preset) if as_json else _as_text(explanation, preset))


def _read_question(
    reference: str | None,
    preset: Preset | None,
    platform: Platform | None,
    *,
    user_agent: str | None,
    headers: Sequence[str],
    path: str | None,
    address: str | None,
    listener: str | None,
) -> _Question:
    if (reference is None) is (path is None):
        raise InvalidSetting("name an image, or a request by --path, and not both")
    target = _path_of(Reference.parse(reference), preset) if reference is not None else path or ""
    if not target.startswith("/"):
        raise InvalidSetting(f"--path {target[:80]!r} must begin with a slash: /v2/library/debian/manifests/jessie")
    if address is not None and parse_address(address) is None:
        raise InvalidSetting(f"--from {address[:80]!r} is no address such as 192.168.7.9")
    return _Question(target, _merge_headers(preset, user_agent, headers), address, listener or "", platform, preset)


def _path_of(reference: Reference, preset: Preset | None) -> str:
    """Answer the request by which a client asks for an image; one that sends no `?ns=` has the registry in the path."""
    if preset is None or preset.kind.sends_namespace:
        return f"{ManifestRoute(reference.repository, reference.target)}?ns={reference.registry}"
    is_hub = reference.registry == DOCKER_HUB
    repository = reference.repository if is_hub else f"{reference.registry}/{reference.repository}"
    return str(ManifestRoute(repository, reference.target))


def _merge_headers(preset: Preset | None, user_agent: str | None, lines: Sequence[str]) -> CIMultiDict[str]:
    """Answer the header lines of a preset, but for those that are named otherwise."""
    own = [_parse_header(line) for line in lines]
    if user_agent is not None:
        own.append(("User-Agent", user_agent))
    named = {name.lower() for name, _ in own}
    given = preset.list_headers() if preset else []
    return CIMultiDict([*(pair for pair in given if pair[0].lower() not in named), *own])


def _parse_header(line: str) -> tuple[str, str]:
    found = _HEADER.fullmatch(line)
    if found is None:
        raise InvalidSetting(f"--header {line[:80]!r} must be written 'Name: value'")
    return found["name"], found["value"]


async def _explain(settings: Settings, cache: Path, question: _Question) -> Explanation:
    events = LogEvents(build_logger("error", LogFormat.AUTO))
    async with open_proxy(settings, cache, events) as running:
        door, host = _find_door(running.entrances, question.listener)
        if host:
            question.headers.setdefault("Host", host)
        request = ImaginedRequest(question.target, question.headers, question.address)
        if question.preset is None:
            inquiry = Inquiry(request, door, question.platform)
        else:
            inquiry = Inquiry(request, door, chooser=question.preset.make_chooser(question.platform))
        return await explain(running.fronts, running.clients, inquiry)


def _find_door(entrances: Sequence[Entrance], named: str) -> tuple[Door, str]:
    """Answer the door of a listener, and the host name that clients know it by."""
    if not named:
        return entrances[0].door, ""
    known: dict[str, tuple[Door, str]] = {}
    for entrance in reversed(entrances):  # what was configured first counts
        host, port = entrance.listen
        for name in (f"{host}:{port}", f":{port}", str(port)):
            known[name] = (entrance.door, "")
        for one in entrance.door.listeners:
            known |= {normalise_host(one.host): (entrance.door, one.host)} if one.host else {}
    found = known.get(named) or known.get(normalise_host(named))
    if found is None:
        near = difflib.get_close_matches(named[:80], known, n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there is {', '.join(sorted(known))}"
        raise InvalidSetting(f"--listener {named[:80]!r} is none of the listeners; {hint}")
    return found


def _as_json(found: Explanation, preset: Preset | None) -> str:
    told = dataclasses.asdict(found)
    if preset is not None:
        told["client"] = {"name": preset.name, "is": preset.described, "user_agent": preset.user_agent}
    return json.dumps(told, indent=2)


def _as_text(found: Explanation, preset: Preset | None) -> str:
    lines = [f"{found.reference} for {found.platform or 'an unknown platform'} (evidence: {found.evidence})"]
    if preset is not None:
        lines.append(f"  client    {preset.name}: {preset.described}")
    if found.evidence != ASKED_FOR:
        lines += _evidence_lines(found)
    lines += [
        f"  image     {found.image}{f' for {found.image_platform}' if found.image_platform else ''}",
        f"  document  {found.digest}",
        f"            {found.media_type}, {found.size} bytes, {found.cache}",
        *_pick_lines(found),
    ]
    if found.warning:
        lines.append(f"  warning   {found.warning}")
    return "\n".join([*lines, "  because", *(f"    {reason}" for reason in found.trail)])


def _evidence_lines(found: Explanation) -> list[str]:
    rows = [f"    {row['evidence']:<11}  {_row(row)}".rstrip() for row in found.considered]
    return ["  considered", *rows, f"  answer    the {found.answer} ({found.answer_evidence})"]


def _row(row: dict[str, str | None]) -> str:
    if not row["shown"]:
        return "-"
    return f"{row['platform'] or 'no platform'}  {row['shown']}"


def _pick_lines(found: Explanation) -> list[str]:
    pick = found.pick
    if pick is None:
        return []
    if pick.digest is None or (pick.image is None and pick.platform is None):
        return [f"  takes     {pick.verdict}"]
    platform = f" for {pick.platform}" if pick.platform else ""
    return [f"  takes     {pick.image or pick.digest}{platform}", f"            {pick.verdict}"]
