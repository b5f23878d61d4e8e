"""The server on a port of its own, over the use cases and fakes; and a client that sees what is on the wire."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx
from aiohttp import web
from multidict import CIMultiDict

from proxy.arch.candidates import official_templates, proposal_templates
from proxy.arch.resolution import Policy
from proxy.arch.vocabulary import BUILT_IN, Vocabulary
from proxy.oci.platforms import Platform
from proxy.server.clients import Clients
from proxy.server.connections import build_server
from proxy.server.doors import Door
from proxy.server.fronts import Front
from proxy.server.networks import Neighbourhood
from proxy.server.registry import Contents, RegistryHandler
from proxy.service.small_blobs import SmallBlobs
from tests.fakes.clock import ManualClock
from tests.fakes.events import RecordingEvents
from tests.fakes.upstream import FakeUpstream
from tests.service.bench import FLEET, HUB, Bench, Kept, open_bench

OWN = "registry.lan:5000"
OWN_POLICY = Policy(FLEET, (*official_templates(), *proposal_templates()))
CERTIFICATE = Path(__file__).with_name("tls.pem")


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs."""

    port: int
    bench: Bench
    """The use cases of `docker.io`."""
    own: FakeUpstream
    """The upstream of `OWN`."""
    events: RecordingEvents
    """What the server tells, apart from the use cases."""
    client: httpx.AsyncClient
    stop: Callable[[], Awaitable[None]]
    """Stops the server before its time."""

    @property
    def upstream(self) -> FakeUpstream:
        """The upstream of `docker.io`."""
        return self.bench.upstream

    @property
    def lines(self) -> list[dict[str, object]]:
        """The log lines of requests."""
        return [dict(fields) for fields in self.events.named("request")]

    def connect(self) -> AbstractAsyncContextManager["Wire"]:
        """Open a connection that shows everything."""
        return connect(self.port)


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and headers of an answer."""

    status: int
    headers: CIMultiDict[str]


class Wire:
    """One connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, method: str, path: str, **headers: str) -> Self:
        """Send a request, its path exactly as it is."""
        lines = [f"{method} {path} HTTP/1.1", "Host: proxy", *(f"{key}: {value}" for key, value in headers.items())]
        self._writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        await self._writer.drain()
        return self

    def write(self, content: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(content)

    async def head(self) -> Head:
        """Read the head of an answer."""
        status_line, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
        pairs = (line.partition(": ") for line in lines)
        return Head(int(status_line.split()[1]), CIMultiDict((key, value) for key, _, value in pairs))

    async def exactly(self, size: int) -> bytes:
        """Read so many bytes of the body."""
        return await self._reader.readexactly(size)

    async def rest(self) -> bytes:
        """Read until the server closes."""
        return await self._reader.read()

    def leave(self) -> None:
        """Close without a word."""
        self._writer.transport.abort()


@asynccontextmanager
async def connect(port: int) -> AsyncIterator[Wire]:
    """Open a connection to a server that shows everything."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    wire = Wire(reader, writer)
    try:
        yield wire
    finally:
        wire.leave()


@asynccontextmanager
async def serve(
    upstream: FakeUpstream,
    kept: Kept | None = None,
    *,
    tls: bool = False,
    default_platform: Platform | None = None,
    clock: ManualClock | None = None,
    shutdown_seconds: float = 0,
    memory_bytes: int = 1024 * 1024,
    own_name: str = OWN,
    neighbourhood: Neighbourhood | None = None,
    door: Door | None = None,
    vocabulary: Vocabulary = BUILT_IN,
) -> AsyncIterator[Served]:
    """Serve Docker Hub, and a registry of one's own, from the same store."""
    kept, own, events, clock = kept or Kept(), FakeUpstream(), RecordingEvents(), clock or ManualClock()
    async with AsyncExitStack() as stack:
        bench = await stack.enter_async_context(open_bench(upstream, kept, clock=clock))
        other = await stack.enter_async_context(open_bench(own, kept, policy=OWN_POLICY, name=own_name))
        fronts = {HUB: Front(bench.puller, has_library=True), own_name: Front(other.puller, has_words=True)}
        contents = Contents(kept.store, SmallBlobs(kept.store, events, memory_bytes=memory_bytes))
        clients = Clients(neighbourhood or Neighbourhood(), default_platform, vocabulary)
        handler = RegistryHandler(fronts, contents, clock, clients)
        server = build_server(handler, door or Door(), events, clock)
        runner = web.ServerRunner(server, shutdown_timeout=shutdown_seconds)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=_server_tls() if tls else None).start()
        port = int(runner.addresses[0][1])
        trust = ssl.create_default_context(cafile=str(CERTIFICATE)) if tls else False
        address = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        client = httpx.AsyncClient(base_url=address, trust_env=False, verify=trust, timeout=30)
        await stack.enter_async_context(client)
        yield Served(port, bench, own, events, client, runner.cleanup)


def _server_tls() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    return context
