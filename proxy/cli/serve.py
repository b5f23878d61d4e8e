"""`polyarch serve`: run the proxy until it is told to stop."""

import asyncio
import resource
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
from structlog.typing import FilteringBoundLogger

from proxy.cli.listening import Listening
from proxy.cli.options import cache_directory, read_settings, settings_options
from proxy.cli.orders import Orders, Supervisor
from proxy.cli.reloading import Reloading, Takers
from proxy.config.loading import read_environment
from proxy.config.schema import Settings
from proxy.oci.errors import Unavailable
from proxy.policies import list_doors
from proxy.server.certificates import Certificate
from proxy.server.middleware import ServerEvents
from proxy.storage.presence import Presence, leaving_word
from proxy.telemetry.logs import LogEvents, LogFormat, build_logger
from proxy.version import VERSION
from proxy.wiring import Entrance, Running, open_proxy

CLOSE_SECONDS = 10.0
"""How long the end may take beside the answers that are waited for, as the supervisor is told."""
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - what it means to who is on this machine


@dataclass(frozen=True, slots=True)
class Again:
    """What is needed to take other settings."""

    read: Callable[[], Settings]
    """Reads them, from where they were read at first."""
    log: Callable[[Settings], None]
    """Makes log lines be written as they say."""


@click.command()
@settings_options
@click.option("--listen", metavar="HOST:PORT", help="Where to listen.  [default: 0.0.0.0:5000]")
def serve(config_file: Path | None, cache: Path | None, upstream: str | None, listen: str | None) -> None:
    """Serve Docker Hub, or another registry, to machines of every architecture."""
    read = partial(read_settings, config_file, cache=cache, upstream=upstream, listen=listen)
    settings = read()
    events = LogEvents(_build_logger(settings))
    raise_file_limit()

    def change_log(other: Settings) -> None:
        events.change(_build_logger(other))

    asyncio.run(run(settings, cache_directory(settings), events, Again(read, change_log)))


def _build_logger(settings: Settings) -> FilteringBoundLogger:
    return build_logger(settings.log.level, LogFormat(settings.log.format))


def raise_file_limit() -> None:
    """Use as many open files as the system lets us: every download takes two, and 1024 are the usual soft limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # some systems tell more than they give
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def run(settings: Settings, cache: Path, events: ServerEvents, again: Again | None = None) -> None:
    """Serve until SIGTERM or SIGINT; what is being answered then is answered to its end, within a limit.

    Args:
        settings: What to serve, and where.
        cache: The cache folder.
        events: Where happenings are told.
        again: How the settings are read again on SIGHUP; by default they stay as they are.

    Raises:
        Unavailable: The address or the cache folder cannot be used.
        InvalidSetting: A file that is named cannot be used.
    """
    certificates = _read_certificates(settings)  # before anything is begun
    orders, supervisor = Orders(), Supervisor(read_environment().get("NOTIFY_SOCKET"))
    orders.hear()
    async with open_proxy(settings, cache, events) as running:
        _check_owner(running, cache)
        listening = Listening(events)
        again = again or Again(lambda: settings, lambda _: None)
        takers = Takers(again.read, partial(_check_certificates, listening), running.change, again.log)
        reloading = Reloading(settings, takers, events, supervisor)
        try:
            for entrance in running.entrances:
                await listening.open(entrance, certificates.get(entrance.listen))
            _tell_serving(settings, cache, running.entrances, listening.addresses, events)
            supervisor.tell_ready()
            presence = Presence(_find_own_url(running.entrances[0], listening.addresses[0]), running.identity.secret)
            async with leaving_word(cache, presence, events), asyncio.TaskGroup() as tasks:
                parts = [listening.follow_certificates(), reloading.run(orders.reload), running.standing_orders.run()]
                running_tasks = [tasks.create_task(one) for one in parts]
                await orders.stop.wait()
                for task in running_tasks:
                    task.cancel()
            events.note("stopping", answering=listening.answering)
            supervisor.tell_stopping(reloading.settings.server.drain_seconds + CLOSE_SECONDS)
        finally:
            await listening.close(reloading.settings.server.drain_seconds, orders.hurry)


def _check_owner(running: Running, cache: Path) -> None:
    if not running.owns_cache:
        raise Unavailable(f"the cache folder {cache} is in use by another polyarch; give this one a --cache of its own")


def _check_certificates(listening: Listening, settings: Settings) -> Callable[[], None]:
    return partial(listening.change, _read_certificates(settings))


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
    scheme = _scheme_of(entrances[0])
    upstreams = {one.name: one.address for one in settings.upstreams}
    more = {"listeners": addresses[1:]} if addresses[1:] else {}
    events.note(
        "serving", version=VERSION, listen=addresses[0], scheme=scheme, cache=str(cache), upstreams=upstreams, **more
    )


def _find_own_url(entrance: Entrance, address: str) -> str:
    """Answer how this machine reaches an address that is listened at."""
    host, _, port = address.rpartition(":")
    return f"{_scheme_of(entrance)}://{_ANYWHERE.get(host, host)}:{port}"


def _scheme_of(entrance: Entrance) -> str:
    return "http" if entrance.tls_certificate is None else "https"
