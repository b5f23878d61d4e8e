"""`polyarch serve`: run the proxy until it is told to stop."""

import asyncio
import resource
import signal
import ssl
from contextlib import suppress
from pathlib import Path

import click
from aiohttp import web

from proxy.cli.options import cache_directory, read_settings, settings_options
from proxy.config.schema import Settings
from proxy.config.serving import ServerSettings
from proxy.oci.errors import Unavailable
from proxy.server.encryption import build_tls
from proxy.server.middleware import ServerEvents
from proxy.telemetry.logs import LogEvents, LogFormat, build_logger
from proxy.version import VERSION
from proxy.wiring import open_proxy

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
    tls = _tls(settings.server)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_proxy(settings, cache, events) as running:
        if not running.owns_cache:
            raise Unavailable(
                f"the cache folder {cache} is in use by another polyarch; give this one a --cache of its own"
            )
        runner = web.ServerRunner(running.server, shutdown_timeout=SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            address = await _listen(runner, *settings.server.listen, tls)
            upstreams = {one.name: one.address for one in settings.upstreams}
            scheme = "http" if tls is None else "https"
            events.note(
                "serving", version=VERSION, listen=address, scheme=scheme, cache=str(cache), upstreams=upstreams
            )
            await stop.wait()
            events.note("stopping")
        finally:
            await runner.cleanup()


def _tls(server: ServerSettings) -> ssl.SSLContext | None:
    if server.tls_certificate is None or server.tls_key is None:
        return None
    return build_tls(server.tls_certificate, server.tls_key)


async def _listen(runner: web.ServerRunner, host: str, port: int, tls: ssl.SSLContext | None) -> str:
    site = web.TCPSite(runner, host, port, backlog=1024, ssl_context=tls)
    try:
        await site.start()
    except OSError as error:
        raise Unavailable(f"cannot listen at {host}:{port}: {error.strerror}") from error
    bound_host, bound_port = runner.addresses[0][:2]
    return f"[{bound_host}]:{bound_port}" if ":" in bound_host else f"{bound_host}:{bound_port}"
