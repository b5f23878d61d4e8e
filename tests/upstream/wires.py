"""What an upstream can be tested over without a network: resolvers with a table, wires with a function, raw servers."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import strategies as st

from proxy.ports import Clock
from proxy.upstream.addresses import GuardedResolver
from proxy.upstream.authorization import Credentials
from proxy.upstream.exchange import Endpoint, Exchange, Wire
from proxy.upstream.retries import RetryPolicy
from proxy.upstream.second_hosts import TokenHosts
from proxy.upstream.transport import AiohttpTransport, build_session
from tests.fakes.clock import ManualClock

PUBLIC = "93.184.216.34"
UPSTREAM = "https://registry.example"
AT_ONCE = RetryPolicy(base_seconds=0)
"""The usual policy, without its waits."""

header_texts = st.text(st.characters(exclude_categories=["Cs"]))
"""What httpx makes of a header's bytes: any text, but never half a surrogate."""

Answer = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]
_Handler = Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]


class TableResolver(AbstractResolver):
    """Resolves names by a table; what is not in it does not exist."""

    def __init__(self, table: Mapping[str, tuple[str, ...] | str]) -> None:
        self.table = {name: (found,) if isinstance(found, str) else found for name, found in table.items()}
        self.asked: list[str] = []
        self.is_closed = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        if host not in self.table:
            raise OSError(socket.EAI_NONAME, f"no such name: {host}")
        return [_resolved(host, port, address) for address in self.table[host]]

    async def close(self) -> None:
        self.is_closed = True


def _resolved(host: str, port: int, address: str) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return {"hostname": host, "host": address, "port": port, "family": family, "proto": 0, "flags": 0}


@dataclass(slots=True)
class Line:
    """An exchange over functions instead of connections, and what went over it."""

    exchange: Exchange
    clock: ManualClock
    sent: list[httpx.Request] = field(default_factory=list)
    """Requests to hosts that were configured."""
    sent_away: list[httpx.Request] = field(default_factory=list)
    """Requests to hosts that an upstream named."""

    @property
    def urls(self) -> list[str]:
        """The URLs that were asked for, at home."""
        return [str(request.url) for request in self.sent]


@asynccontextmanager
async def open_line(
    home: Answer,
    away: Answer | None = None,
    *,
    url: str = UPSTREAM,
    table: Mapping[str, tuple[str, ...] | str] | None = None,
    credentials: Credentials | None = None,
    token_hosts: TokenHosts | None = None,
    timeout_seconds: float = 10.0,
    retries: RetryPolicy = AT_ONCE,
) -> AsyncIterator[Line]:
    """Open an exchange whose requests are answered by `home`, and by `away` once a redirect has led elsewhere."""
    host = urlsplit(url).hostname or ""
    resolver = TableResolver({host: PUBLIC, "cdn.example": PUBLIC, **(table or {})})
    guard = GuardedResolver(resolver, host)
    clock = ManualClock()
    sent: list[httpx.Request] = []
    sent_away: list[httpx.Request] = []
    wire = Wire(
        direct=httpx.MockTransport(_noting(home, sent)),
        guarded=httpx.MockTransport(_noting(away or home, sent_away)),
        guard=guard,
        clock=clock,
        random=lambda: 0.5,
    )
    endpoint = Endpoint(
        "registry.example",
        url,
        token_hosts=token_hosts or {},
        credentials=credentials,
        timeout_seconds=timeout_seconds,
        retries=retries,
    )
    line = Line(Exchange(endpoint, wire, user_agent="polyarch/test"), clock, sent, sent_away)
    try:
        yield line
    finally:
        await line.exchange.aclose()


def _noting(answer: Answer, sent: list[httpx.Request]) -> _Handler:
    async def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        answered = answer(request)
        response = answered if isinstance(answered, httpx.Response) else await answered
        # Not yet read, as an answer is that comes over a connection.
        content = await response.aread()
        return httpx.Response(response.status_code, headers=response.headers.raw, stream=httpx.ByteStream(content))

    return handle


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_server(serve: Serve) -> AsyncIterator[int]:
    """Serve connections of one request each by a function that writes bytes; yields the port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await serve(reader, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


def sending(*parts: bytes) -> Serve:
    """Make a function that sends bytes, with a moment between the parts, and closes."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)

    return serve


@asynccontextmanager
async def open_exchange(
    url: str,
    clock: Clock,
    *,
    resolver: AbstractResolver | None = None,
    guarding: AbstractResolver | None = None,
    credentials: Credentials | None = None,
    token_hosts: TokenHosts | None = None,
    timeout_seconds: float = 10.0,
    stall_timeout_seconds: float = 10.0,
    upload_timeout_seconds: float = 10.0,
    retries: RetryPolicy = AT_ONCE,
    actions: str = "pull",
) -> AsyncIterator[Exchange]:
    """Open an exchange over real connections.

    Args:
        url: Where the upstream is.
        clock: What tokens live by.
        resolver: What finds hosts that were configured; the loopback host only, if none is given.
        guarding: What finds hosts that an upstream named; the same, if none is given.
        credentials: Whose.
        token_hosts: As in `Endpoint`.
        timeout_seconds: As in `Endpoint`.
        stall_timeout_seconds: As in `Endpoint`.
        upload_timeout_seconds: As in `Endpoint`.
        retries: As in `Endpoint`.
        actions: As in `Endpoint`.
    """
    own = resolver or TableResolver({"localhost": "127.0.0.1"})
    guard = GuardedResolver(guarding or own, urlsplit(url).hostname or "")
    tls = ssl.create_default_context()
    wire = Wire(
        direct=AiohttpTransport(build_session(own, connections=10, tls=tls)),
        guarded=AiohttpTransport(build_session(guard, connections=10, tls=tls)),
        guard=guard,
        clock=clock,
        random=lambda: 0.5,
    )
    endpoint = Endpoint(
        "registry.example",
        url,
        token_hosts=token_hosts or {},
        credentials=credentials,
        timeout_seconds=timeout_seconds,
        stall_timeout_seconds=stall_timeout_seconds,
        upload_timeout_seconds=upload_timeout_seconds,
        retries=retries,
        actions=actions,
    )
    exchange = Exchange(endpoint, wire, user_agent="polyarch/test")
    try:
        yield exchange
    finally:
        await exchange.aclose()
