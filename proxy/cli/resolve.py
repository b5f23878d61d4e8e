"""`polyarch resolve`: which image would a client get, and why."""

import asyncio
import dataclasses
import json
from pathlib import Path

import click

from proxy.arch.detection import ClientHints, Detection, detect
from proxy.arch.words import parse_platform
from proxy.cli.options import cache_directory, read_settings, settings_options
from proxy.config.schema import Settings
from proxy.oci.references import Reference
from proxy.server.explanations import Explanation, explain
from proxy.telemetry.logs import LogEvents, LogFormat, build_logger
from proxy.wiring import open_proxy


@click.command()
@click.argument("reference")
@click.option("--platform", metavar="PLATFORM", help="The client's platform: arm7, rpi, linux/arm/v7, …")
@click.option("--user-agent", metavar="UA", help="The client's User-Agent, to see what is read out of it.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@settings_options
def resolve(
    reference: str,
    *,
    platform: str | None,
    user_agent: str | None,
    as_json: bool,
    config_file: Path | None,
    cache: Path | None,
    upstream: str | None,
) -> None:
    """Show which image a client would get for REFERENCE, and the reasons."""
    parsed = Reference.parse(reference)
    detection = _detection(platform, user_agent)
    settings = read_settings(config_file, cache=cache, upstream=upstream)
    explanation = asyncio.run(_explain(settings, cache_directory(settings), parsed, detection))
    click.echo(json.dumps(dataclasses.asdict(explanation), indent=2) if as_json else _as_text(explanation))


def _detection(platform: str | None, user_agent: str | None) -> Detection:
    if platform is not None:
        return Detection(parse_platform(platform), "asked for")
    return detect(ClientHints(user_agent=user_agent or ""))


async def _explain(settings: Settings, cache: Path, reference: Reference, detection: Detection) -> Explanation:
    events = LogEvents(build_logger("error", LogFormat.AUTO))
    async with open_proxy(settings, cache, events) as running:
        return await explain(running.fronts, reference, detection)


def _as_text(found: Explanation) -> str:
    lines = [
        f"{found.reference} for {found.platform or 'an unknown platform'} (evidence: {found.evidence})",
        f"  image     {found.image}{f' for {found.image_platform}' if found.image_platform else ''}",
        f"  document  {found.digest}",
        f"            {found.media_type}, {found.size} bytes, {found.cache}",
    ]
    if found.warning:
        lines.append(f"  warning   {found.warning}")
    return "\n".join([*lines, "  because", *(f"    {reason}" for reason in found.trail)])
