"""`polyarch serve`: run the proxy until it is told to stop."""

import asyncio
import resource
import signal
import ssl
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import click
from aiohttp import web

from proxy.cli.options import cache_directory, read_settings, settings_options
from proxy.config.schema import Settings
from proxy.oci.errors import Unavailable
from proxy.server.encryption import build_tls
from proxy.server.middleware import ServerEvents
from proxy.telemetry.logs import LogEvents, LogFormat, build_logger
from proxy.version import VERSION
from proxy.wiring import Entrance, open_proxy

SHUTDOWN_SECONDS = 4.0
"""How long downloads may go on. aiohttp takes it twice, and Docker kills a container after ten seconds."""


@click.command()
@settings_options
@click.option("--listen", metavar="HOST:PORT", help="Where to listen.  [default: 0.0.0.0:5000]")
def serve(config_file: Path | None, cache: Path | None, upstream: str | None, listen: str | None) -> None:
    """Serve Docker Hub, or another registry, to machines of every architecture."""
    settings = read_settings(config_file, cache=cache, upstream=upstream, listen=listen)
    events = LogEvents(build_logger(settings.log.level, LogFormat(settings.log.format)))
    raise_file_limit()
    asyncio.run(run(settings, cache_directory(settings), events))


def raise_file_limit() -> None:
    """Use as many open files as the system lets us: every download takes two, and 1024 are the usual soft limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # some systems tell more than they give
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def run(settings: Settings, cache: Path, events: ServerEvents) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        Unavailable: The address or the cache folder cannot be used.
        InvalidSetting: A file that is named cannot be used.
    """
    _tls(settings.server.tls_certificate, settings.server.tls_key)  # before anything is begun
    for position, listener in enumerate(settings.listener):
        _tls(listener.tls_certificate, listener.tls_key, section=f"listener[{position}]")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_proxy(settings, cache, events) as running:
        if not running.owns_cache:
            raise Unavailable(
                f"the cache folder {cache} is in use by another polyarch; give this one a --cache of its own"
            )
        async with AsyncExitStack() as stack:
            addresses = [await _open(entrance, stack) for entrance in running.entrances]
            _tell_serving(settings, cache, running.entrances, addresses, events)
            await stop.wait()
            events.note("stopping")


async def _open(entrance: Entrance, stack: AsyncExitStack) -> str:
    """Listen at an address until the stack is left; answer the address."""
    runner = web.ServerRunner(entrance.server, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return await _listen(runner, *entrance.listen, _tls(entrance.tls_certificate, entrance.tls_key))


def _tell_serving(
    settings: Settings, cache: Path, entrances: Sequence[Entrance], addresses: Sequence[str], events: ServerEvents
) -> None:
    scheme = "http" if entrances[0].tls_certificate is None else "https"
    upstreams = {one.name: one.address for one in settings.upstreams}
    more = {"listeners": addresses[1:]} if addresses[1:] else {}
    events.note(
        "serving", version=VERSION, listen=addresses[0], scheme=scheme, cache=str(cache), upstreams=upstreams, **more
    )


def _tls(certificate: Path | None, key: Path | None, *, section: str = "server") -> ssl.SSLContext | None:
    return None if certificate is None or key is None else build_tls(certificate, key, section=section)


async def _listen(runner: web.ServerRunner, host: str, port: int, tls: ssl.SSLContext | None) -> str:
    site = web.TCPSite(runner, host, port, backlog=1024, ssl_context=tls)
    try:
        await site.start()
    except OSError as error:
        raise Unavailable(f"cannot listen at {host}:{port}: {error.strerror}") from error
    bound_host, bound_port = runner.addresses[0][:2]
    return f"[{bound_host}]:{bound_port}" if ":" in bound_host else f"{bound_host}:{bound_port}"
