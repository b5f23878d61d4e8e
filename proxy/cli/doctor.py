"""`polyarch doctor`: does this set-up work, from the clients' files to upstream; and if not, what to change."""

import asyncio
import dataclasses
import json
import platform
import shutil
import ssl
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import httpx

from proxy.cache_folder import open_cache
from proxy.cli.cache import FAILED, as_json_text, json_option, quiet_events
from proxy.cli.clients.addresses import ProxyAddress
from proxy.cli.clients.findings import Finding, Grade
from proxy.cli.clients.machines import Machine, machine_by_docker, machine_by_uname
from proxy.cli.clients.reviews import KINDS, FoundFile, find_proxy, review_files
from proxy.cli.options import cache_directory, read_settings
from proxy.cli.probing import SECONDS, Visit
from proxy.cli.servers import trust
from proxy.cli.tables import format_size
from proxy.config.schema import Settings
from proxy.oci.errors import InvalidSetting, PolyarchError
from proxy.oci.references import Reference
from proxy.policies import cache_limits
from proxy.storage.footprint import is_cache
from proxy.wiring import SystemClock

DOCKER_SECONDS = 10.0
MAX_FILE_BYTES = 1024 * 1024
_NARROW_MAXSIZE = 2**32


@dataclass(frozen=True, slots=True)
class _Setup:
    """What is looked at."""

    address: ProxyAddress
    source: str
    """The file that named the address; nothing if the user did."""
    files: Sequence[FoundFile]
    image: Reference
    tls: ssl.SSLContext
    settings: Settings


@click.command()
@click.option("--proxy", metavar="URL", help="The proxy; else the first that a client's file here names.")
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default="/",
    show_default=True,
    help="Where the clients' files are.",
)
@click.option("--image", default="hello-world", show_default=True, help="The image to ask for, by HEAD.")
@click.option("--ca", type=click.Path(path_type=Path), help="The authority behind the proxy's certificate (PEM).")
@json_option
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="The proxy's configuration file (TOML).")
@click.option("--cache", type=click.Path(path_type=Path), help="The cache folder, if it is on this machine.")
def doctor(
    proxy: str | None,
    *,
    root: Path,
    image: str,
    ca: Path | None,
    as_json: bool,
    config_file: Path | None,
    cache: Path | None,
) -> None:
    """Check a set-up from this machine: its clients' files, the proxy, upstream; and say what to change.

    Exit code 1 says that something fails; a warning does not.
    """
    settings = read_settings(config_file, cache=cache, upstream=None)
    reference, tls = Reference.parse(image), trust(ca)
    files, unread = read_client_files(root)
    address, source = _find_address(proxy, files, root)
    setup = _Setup(address, source, files, reference, tls, settings)
    findings = [*unread, *asyncio.run(_examine(setup))]
    click.echo(_as_json(setup, findings) if as_json else "\n".join(_lines(findings)))
    if any(one.grade is Grade.FAIL for one in findings):
        raise SystemExit(FAILED)


def read_client_files(root: Path) -> tuple[list[FoundFile], list[Finding]]:
    """Answer the clients' files below a root, and which of them cannot be read."""
    found, unread = [], []
    for client, kind in KINDS.items():
        for path in (path for place in kind.places for path in sorted(root.glob(place.lstrip("/")))):
            try:
                with path.open("rb") as file:
                    text = file.read(MAX_FILE_BYTES).decode("utf-8", "replace")
                found.append(FoundFile(client, str(path), text))
            except OSError as error:
                message = f"{path} cannot be read: {error.strerror}"
                unread.append(Finding(Grade.WARN, client, message, "run this as root: sudo polyarch doctor"))
    return found, unread


def _find_address(named: str | None, files: Sequence[FoundFile], root: Path) -> tuple[ProxyAddress, str]:
    if named is not None:
        try:
            return ProxyAddress.parse(named), ""
        except InvalidSetting as error:
            raise InvalidSetting(f"--proxy {error}") from error
    found = find_proxy(files)
    if found is None:
        raise InvalidSetting(f"no client's file below {root} names a proxy: say --proxy URL")
    return found


async def _examine(setup: _Setup) -> list[Finding]:
    findings = []
    if setup.source:
        findings.append(Finding(Grade.OK, "address", f"{setup.address}, as {setup.source} names it"))
    machine = await _find_machine()
    async with httpx.AsyncClient(
        verify=setup.tls, trust_env=False, timeout=httpx.Timeout(None, connect=SECONDS)
    ) as client:
        visit = Visit(setup.address, client, machine, SystemClock())
        findings += [finding async for finding in visit.examine(setup.image)]
    findings += review_files(setup.files, setup.address)
    folder = cache_directory(setup.settings)
    if is_cache(folder):
        findings += await _look_at_cache(setup.settings, folder)
    return findings


async def _find_machine() -> Machine:
    """Answer this machine, by its Docker Engine if there is one that answers."""
    uname = platform.uname()
    own = machine_by_uname(uname.system, uname.machine, uname.release, is_narrow=sys.maxsize < _NARROW_MAXSIZE)
    command = shutil.which("docker")
    if command is None:
        return own
    try:
        process = await asyncio.create_subprocess_exec(
            *(command, "version", "--format", "{{json .Server}}"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return own
    try:
        async with asyncio.timeout(DOCKER_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return own
    try:
        server = json.loads(output)
    except ValueError:
        return own
    return machine_by_docker(server, own, uname.release) if isinstance(server, dict) else own


async def _look_at_cache(settings: Settings, folder: Path) -> list[Finding]:
    try:
        async with open_cache(settings, folder, quiet_events()) as opened:
            usage, beside = await opened.inspection.measure(), opened.measure()
        return list(_judge_cache(settings, folder, usage.size, beside.quarantined_size))
    except (PolyarchError, OSError) as error:
        return [Finding(Grade.FAIL, "cache", f"{folder} cannot be used: {error}", "check its owner, and its disk")]


def _judge_cache(settings: Settings, folder: Path, size: int, quarantined: int) -> Iterator[Finding]:
    limits, free = cache_limits(settings, folder), shutil.disk_usage(folder).free
    bound = f" of {format_size(limits.max_bytes)}" if limits.max_bytes is not None else ""
    message = f"{folder} holds {format_size(size)}{bound}, and its disk has {format_size(free)} free"
    if free < limits.min_free_bytes:
        advice = f"{format_size(limits.min_free_bytes)} are to stay free: make room, or set cache.max_bytes"
        yield Finding(Grade.WARN, "cache", message, advice)
    elif limits.max_bytes is not None and size > limits.max_bytes:
        advice = "polyarch cache ls shows what is pinned: that stays, whatever the bound is"
        yield Finding(Grade.WARN, "cache", message, advice)
    else:
        yield Finding(Grade.OK, "cache", message)
    if quarantined:
        advice = "polyarch cache verify --repair fetches it again; look after the disk"
        yield Finding(Grade.WARN, "cache", f"{format_size(quarantined)} were found damaged", advice)


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    width = max(len(one.subject) for one in findings)
    for one in findings:
        yield f"{one.grade:<4}  {one.subject:<{width}}  {one.message}"
        if one.advice:
            yield f"{'':<{width + 8}}-> {one.advice}"


def _as_json(setup: _Setup, findings: Sequence[Finding]) -> str:
    return as_json_text(
        {
            "proxy": str(setup.address),
            "is_well": all(one.grade is not Grade.FAIL for one in findings),
            "findings": [dataclasses.asdict(one) for one in findings],
        }
    )
