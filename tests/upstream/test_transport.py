import asyncio
import gzip
import inspect
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, suppress

import aiohttp
import httpx
import pytest
import yarl
from aiohttp import http_exceptions
from hypothesis import given
from multidict import CIMultiDict, CIMultiDictProxy

from proxy.upstream.transport import AiohttpTransport, _translated, build_session
from tests.upstream.wires import TableResolver, header_texts, raw_server, sending

OK = b"HTTP/1.1 200 OK\r\n"
REQUEST = httpx.Request("GET", "http://localhost/")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    session = build_session(TableResolver({"localhost": "127.0.0.1"}), connections=10, tls=ssl.create_default_context())
    timeout = httpx.Timeout(connect=5, read=5, write=None, pool=None)
    async with httpx.AsyncClient(transport=AiohttpTransport(session), timeout=timeout, trust_env=False) as client:
        yield client


async def _fetch(client: httpx.AsyncClient, port: int) -> bytes:
    async with client.stream("GET", f"http://localhost:{port}/x?verify=SIGNATURE") as response:
        return b"".join([chunk async for chunk in response.aiter_raw()])


# What is sent and received


async def test_a_request_arrives_as_httpx_made_it(client: httpx.AsyncClient) -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"Content-Length: 0\r\n\r\n")

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    request = httpx.Request(
        "GET",
        f"http://localhost:{port}/a%2Fb/%7e?n=1&last=%20x",
        headers=[("Accept", "a"), ("Accept", "b"), ("X-Own", "1")],
    )
    await client.send(request)
    server.close()
    line, *headers = seen[0].decode().rstrip().split("\r\n")
    assert line == "GET /a%2Fb/%7e?n=1&last=%20x HTTP/1.1"
    assert [header.lower() for header in headers] == [f"host: localhost:{port}", "accept: a", "accept: b", "x-own: 1"]


async def test_an_answer_arrives_as_it_was_sent(client: httpx.AsyncClient) -> None:
    answer = b"HTTP/1.1 404 Nowhere Here\r\nX-Twice: 1\r\nX-Twice: 2\r\nContent-Length: 4\r\n\r\nbody"
    async with raw_server(sending(answer)) as port:
        response = await client.get(f"http://localhost:{port}/")
    assert (response.status_code, response.reason_phrase, response.content) == (404, "Nowhere Here", b"body")
    assert response.headers.get_list("x-twice") == ["1", "2"]


async def test_a_reason_that_is_not_ascii_does_no_harm(client: httpx.AsyncClient) -> None:
    async with raw_server(sending("HTTP/1.1 200 Schön\r\nContent-Length: 0\r\n\r\n".encode())) as port:
        assert (await client.get(f"http://localhost:{port}/")).status_code == 200


async def test_nothing_is_decoded_on_the_way(client: httpx.AsyncClient) -> None:
    packed = gzip.compress(b"manifest")
    answer = OK + f"Content-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode() + packed
    async with raw_server(sending(answer)) as port:
        assert await _fetch(client, port) == packed


async def test_redirects_are_not_followed_and_cookies_not_kept(client: httpx.AsyncClient) -> None:
    answer = b"HTTP/1.1 307 Go\r\nLocation: http://localhost:9/\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    async with raw_server(serve) as port:
        for _ in range(2):
            response = await client.get(f"http://localhost:{port}/")
            seen.append(response.request.headers.get("cookie", ""))
            assert response.status_code == 307


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([b"Content-Length: 10\r\n\r\n", b"01234", b"56789"], id="length"),
        pytest.param([b"Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n", b"5\r\n56789\r\n0\r\n\r\n"], id="chunked"),
        pytest.param([b"\r\n01234", b"56789"], id="until-closed"),
    ],
)
async def test_a_body_is_handed_on_as_it_arrives(client: httpx.AsyncClient, parts: list[bytes]) -> None:
    async with raw_server(sending(OK + parts[0], *parts[1:])) as port:
        assert await _fetch(client, port) == b"0123456789"


async def test_the_first_bytes_are_there_before_the_last(client: httpx.AsyncClient) -> None:
    go_on = asyncio.Event()

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"Content-Length: 10\r\n\r\n01234")
        await writer.drain()
        await go_on.wait()
        writer.write(b"56789")

    async with raw_server(serve) as port, client.stream("GET", f"http://localhost:{port}/") as response:
        chunks = response.aiter_raw()
        assert await anext(chunks) == b"01234"
        go_on.set()
        assert b"".join([chunk async for chunk in chunks]) == b"56789"


async def test_a_connection_is_used_again_once_its_answer_was_read(client: httpx.AsyncClient) -> None:
    connections = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK + b"Content-Length: 2\r\n\r\nok")
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for _ in range(3):
        assert await _fetch(client, port) == b"ok"
    server.close()
    assert connections == 1


async def test_who_leaves_a_body_closes_its_connection(client: httpx.AsyncClient) -> None:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"Content-Length: 1000000\r\n\r\n" + b"x" * 1000)
        await writer.drain()
        assert await reader.read() == b""
        gone.set()

    async with raw_server(serve) as port:
        async with client.stream("GET", f"http://localhost:{port}/") as response:
            assert await anext(response.aiter_raw())
        await asyncio.wait_for(gone.wait(), 20)


async def test_a_body_is_sent_too(client: httpx.AsyncClient) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = await reader.readexactly(5)
        writer.write(OK + b"Content-Length: 5\r\n\r\n" + body)

    async with raw_server(serve) as port:
        assert (await client.post(f"http://localhost:{port}/", content=b"12345")).content == b"12345"


# What goes wrong

BROKEN = {
    "cut-by-length": (httpx.RemoteProtocolError, [OK + b"Content-Length: 10\r\n\r\n", b"01234"]),
    "cut-by-chunk": (httpx.RemoteProtocolError, [OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\n012"]),
    "cut-between-chunks": (httpx.RemoteProtocolError, [OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n"]),
    "bad-chunk-at-once": (httpx.RemoteProtocolError, [OK + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n01234\r\n"]),
    "nothing": (httpx.ReadError, []),
    "only-a-status": (httpx.ReadError, [OK]),
    "only-continue": (httpx.ReadError, [b"HTTP/1.1 100 Continue\r\n\r\n"]),
    "another-protocol": (httpx.TransportError, [b"SSH-2.0-OpenSSH_9.2\r\n"]),
    "no-version": (httpx.TransportError, [b"HTTP/x 200 OK\r\n\r\n"]),
    "no-header": (httpx.RemoteProtocolError, [OK + b"no colon\r\n\r\n"]),
    "long-header": (httpx.RemoteProtocolError, [OK + b"X: " + b"a" * 20_000 + b"\r\n\r\n"]),
    "many-headers": (httpx.RemoteProtocolError, [OK + b"X: a\r\n" * 40_000 + b"\r\n"]),
    "two-lengths": (httpx.RemoteProtocolError, [OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n"]),
    "negative-length": (httpx.RemoteProtocolError, [OK + b"Content-Length: -1\r\n\r\n"]),
    "length-beyond-all-numbers": (httpx.RemoteProtocolError, [OK + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n"]),
}


@pytest.mark.parametrize(("expected", "parts"), BROKEN.values(), ids=BROKEN)
async def test_a_broken_answer_is_told_in_one_line_without_the_url(
    client: httpx.AsyncClient, expected: type[httpx.HTTPError], parts: list[bytes]
) -> None:
    """The URL of a CDN carries a signature, and the message goes to a client and into the log."""
    async with raw_server(sending(*parts)) as port:
        with pytest.raises(expected) as caught:
            await _fetch(client, port)
    assert "SIGNATURE" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.request.url.path == "/x"


async def test_a_body_that_turns_into_nonsense_ends(client: httpx.AsyncClient) -> None:
    """The parser in C gives up in silence and takes aiohttp's time limit with it; the one in Python raises."""
    parts = (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n", b"ZZ\r\n01234\r\n")
    got = bytearray()

    async def read() -> None:
        async with client.stream("GET", f"http://localhost:{port}/", timeout=0.3) as response:
            async for chunk in response.aiter_raw():
                got.extend(chunk)

    async with raw_server(sending(*parts)) as port:
        with pytest.raises((httpx.ReadTimeout, httpx.RemoteProtocolError)):
            await read()
    assert got == b"01234"


async def test_a_connection_that_is_refused_is_a_connect_error(client: httpx.AsyncClient) -> None:
    async with raw_server(sending()) as port:
        pass
    with pytest.raises(httpx.ConnectError, match=r"^connection refused$"):
        await _fetch(client, port)


async def test_a_name_that_does_not_exist_is_a_connect_error(client: httpx.AsyncClient) -> None:
    with pytest.raises(httpx.ConnectError):
        await client.get("http://nowhere.example/")


async def test_a_connection_that_is_reset_is_a_read_error(client: httpx.AsyncClient) -> None:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with raw_server(serve) as port:
        with pytest.raises(httpx.ReadError):
            await _fetch(client, port)


async def test_tls_where_there_is_none_is_a_connect_error(client: httpx.AsyncClient) -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    with pytest.raises(httpx.ConnectError, match="it speaks plain HTTP, and no TLS"):
        await client.get(f"https://localhost:{server.sockets[0].getsockname()[1]}/")
    server.close()


@pytest.mark.parametrize("sent", [b"", OK + b"Content-Length: 10\r\n\r\n01234"], ids=["before-headers", "in-the-body"])
async def test_a_stall_is_a_read_timeout(client: httpx.AsyncClient, sent: bytes) -> None:
    forever = asyncio.Event()

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await writer.drain()
        await forever.wait()

    async with raw_server(serve) as port:
        began = time.monotonic()
        with pytest.raises(httpx.ReadTimeout):
            async with client.stream("GET", f"http://localhost:{port}/", timeout=0.1) as response:
                await response.aread()
        assert time.monotonic() - began < 5
        forever.set()


async def test_a_connection_that_takes_too_long_is_a_connect_timeout(client: httpx.AsyncClient) -> None:
    """A listener whose queue is full answers no more."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        with pytest.raises(httpx.ConnectTimeout):
            await client.get(f"http://localhost:{listener.getsockname()[1]}/", timeout=httpx.Timeout(5, connect=0.2))


def _tree(root: type[BaseException]) -> Iterator[type[BaseException]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


ROOTS = (aiohttp.ClientError, http_exceptions.HttpProcessingError, TimeoutError, ConnectionError)
OF_AIOHTTP = sorted(
    {kind for root in ROOTS for kind in _tree(root) if kind.__module__.partition(".")[0] in {"aiohttp", "builtins"}},
    key=lambda kind: kind.__qualname__,
)
_URL = "http://localhost/?verify=SIGNATURE"
_PARTS: dict[str, object] = {
    "args": (111, "why"),
    "message": "why",
    "status": 400,
    "headers": None,
    "history": (),
    "request_info": aiohttp.RequestInfo(yarl.URL(_URL), "GET", CIMultiDictProxy(CIMultiDict())),
    "_conn_key": aiohttp.client_reqrep.ConnectionKey(
        "localhost", 80, is_ssl=False, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None
    ),
    "_os_error": OSError(111, "refused"),
    "_certificate_error": ValueError("why"),
    "_path": "/run/socket",
    "_url": _URL,
    "_description": "why",
}


def _instance(kind: type[BaseException]) -> BaseException:
    """Make an error of any class without its constructor, which is another one each time."""
    error = kind.__new__(kind)
    for name, value in _PARTS.items():
        with suppress(AttributeError):  # a property of some other part
            setattr(error, name, value)
    return error


@pytest.mark.parametrize("kind", OF_AIOHTTP, ids=lambda kind: kind.__qualname__)
def test_every_error_of_aiohttp_becomes_one_of_httpx(kind: type[BaseException]) -> None:
    with pytest.raises(httpx.HTTPError) as caught, _translated(REQUEST):
        raise _instance(kind)
    assert isinstance(caught.value.__cause__, kind)
    assert isinstance(caught.value, httpx.TimeoutException) is issubclass(kind, TimeoutError)
    assert "SIGNATURE" not in str(caught.value)


def test_the_tree_of_aiohttp_is_walked_in_full() -> None:
    public = {
        each
        for _, each in inspect.getmembers(aiohttp, inspect.isclass)
        if issubclass(each, aiohttp.ClientError) and not issubclass(each, http_exceptions.HttpProcessingError)
    }
    assert public <= set(OF_AIOHTTP)


@pytest.mark.parametrize("make", [ValueError, lambda: UnicodeError("x")], ids=["value", "unicode"])
def test_a_url_that_cannot_be_sent_is_an_error_of_httpx(make: Callable[[], Exception]) -> None:
    with pytest.raises(httpx.RemoteProtocolError), _translated(REQUEST):
        raise make()


@pytest.mark.parametrize("kind", [KeyError, asyncio.CancelledError, RuntimeError])
def test_faults_of_our_own_are_not_dressed_up(kind: type[BaseException]) -> None:
    with pytest.raises(kind), _translated(REQUEST):
        raise kind


@given(path=header_texts)
def test_both_parsers_of_urls_see_the_same_host(path: str) -> None:
    """A redirect is judged by what httpx reads, and the connection goes where yarl reads it to go."""
    try:
        url = httpx.URL("https://cdn.example").join(path)
    except (httpx.InvalidURL, ValueError):  # a lone surrogate is a UnicodeEncodeError
        return
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo:
        return
    try:
        seen = yarl.URL(str(url), encoded=True)
    except ValueError:
        return
    assert (seen.raw_host or "").strip("[]") == url.raw_host.decode().strip("[]")
