"""`polyarch serve`: run the proxy until it is told to stop."""

import asyncio
import resource
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import click

from proxy.cli.listening import Listening
from proxy.cli.options import cache_directory, read_settings, settings_options
from proxy.cli.orders import Orders, Supervisor
from proxy.config.loading import read_environment
from proxy.config.schema import Settings
from proxy.oci.errors import Unavailable
from proxy.policies import list_doors
from proxy.server.certificates import Certificate
from proxy.server.middleware import ServerEvents
from proxy.telemetry.logs import LogEvents, LogFormat, build_logger
from proxy.version import VERSION
from proxy.wiring import Entrance, open_proxy

CLOSE_SECONDS = 10.0
"""How long the end may take beside the answers that are waited for, as the supervisor is told."""


@click.command()
@settings_options
@click.option("--listen", metavar="HOST:PORT", help="Where to listen.  [default: 0.0.0.0:5000]")
def serve(config_file: Path | None, cache: Path | None, upstream: str | None, listen: str | None) -> None:
    """Serve Docker Hub, or another registry, to machines of every architecture."""
    read = partial(read_settings, config_file, cache=cache, upstream=upstream, listen=listen)
    settings = read()
    events = LogEvents(build_logger(settings.log.level, LogFormat(settings.log.format)))
    raise_file_limit()
    asyncio.run(run(settings, cache_directory(settings), events))


def raise_file_limit() -> None:
    """Use as many open files as the system lets us: every download takes two, and 1024 are the usual soft limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # some systems tell more than they give
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def run(settings: Settings, cache: Path, events: ServerEvents) -> None:
    """Serve until SIGTERM or SIGINT; what is being answered then is answered to its end, within a limit.

    Raises:
        Unavailable: The address or the cache folder cannot be used.
        InvalidSetting: A file that is named cannot be used.
    """
    certificates = _read_certificates(settings)  # before anything is begun
    orders, supervisor = Orders(), Supervisor(read_environment().get("NOTIFY_SOCKET"))
    orders.hear()
    async with open_proxy(settings, cache, events) as running:
        if not running.owns_cache:
            raise Unavailable(
                f"the cache folder {cache} is in use by another polyarch; give this one a --cache of its own"
            )
        listening = Listening(events)
        drain_seconds = settings.server.drain_seconds
        try:
            for entrance in running.entrances:
                await listening.open(entrance, certificates.get(entrance.listen))
            _tell_serving(settings, cache, running.entrances, listening.addresses, events)
            supervisor.tell_ready()
            await orders.stop.wait()
            events.note("stopping", answering=listening.answering)
            supervisor.tell_stopping(drain_seconds + CLOSE_SECONDS)
        finally:
            await listening.close(drain_seconds, orders.hurry)


def _read_certificates(settings: Settings) -> Mapping[tuple[str, int], Certificate]:
    """Read every certificate that is named, and answer those of the addresses."""
    pairs = [("server", settings.server.tls_certificate, settings.server.tls_key)]
    pairs += [(f"listener[{i}]", one.tls_certificate, one.tls_key) for i, one in enumerate(settings.listener)]
    known: dict[tuple[Path | None, Path | None], Certificate] = {
        (certificate, key): Certificate(certificate, key, section=section)
        for section, certificate, key in pairs
        if certificate is not None and key is not None
    }
    doors = list_doors(settings)
    return {listen: known[certificate, key] for listen, certificate, key, _ in doors if (certificate, key) in known}


def _tell_serving(
    settings: Settings, cache: Path, entrances: Sequence[Entrance], addresses: Sequence[str], events: ServerEvents
) -> None:
    scheme = "http" if entrances[0].tls_certificate is None else "https"
    upstreams = {one.name: one.address for one in settings.upstreams}
    more = {"listeners": addresses[1:]} if addresses[1:] else {}
    events.note(
        "serving", version=VERSION, listen=addresses[0], scheme=scheme, cache=str(cache), upstreams=upstreams, **more
    )
