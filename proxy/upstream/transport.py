"""httpx's API over aiohttp's connections.

httpx's own transport passes each 64 KiB through several async generators: over TLS it is three to four times slower
than this one, which hands on whatever has arrived (protocol_and_perf.md B2). HTTP/1.1 only, on purpose.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager

import aiohttp
import httpx
import yarl
from aiohttp.http_exceptions import HttpProcessingError

READ_BUFFER_BYTES = 1024 * 1024
"""How much of a body may wait to be read; at twice that much its connection is told to wait, which costs, too."""
READ_BODY = "read_body"
"""The extension of a response that reads its body without httpx's five layers of iterators around each chunk."""


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends httpx's requests by an aiohttp session; follows nothing, decodes nothing, keeps no cookies."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        """Take a session made by `build_session`; the transport closes it."""
        self._session = session

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; the body of the response is still on its way."""
        with _translated(request):
            response = await self._session.request(
                request.method,
                yarl.URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                data=_outgoing(request),
                allow_redirects=False,
                timeout=_timeout(request),
            )
        body = _Body(response, request)
        return httpx.Response(
            response.status,
            headers=list(response.raw_headers),
            stream=body,
            extensions={"reason_phrase": (response.reason or "").encode("ascii", "replace"), READ_BODY: body.read},
        )

    async def aclose(self) -> None:
        """Close the session and its connections."""
        await self._session.close()


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse, request: httpx.Request) -> None:
        self._response = response
        self._request = request
        self._stall_seconds = _timeout(request).sock_read

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self.read():
            yield chunk

    async def read(self) -> bytes:
        """Read whatever has arrived; nothing at the end."""
        with _translated(self._request):
            if content := self._response.content.read_nowait():
                return content
            # Once aiohttp's parser gives up in the middle of a body, its own limit no longer holds: nothing would end
            # this.
            async with asyncio.timeout(self._stall_seconds):
                return await self._response.content.readany()

    async def aclose(self) -> None:
        # A body that was not read to its end takes its connection with it.
        self._response.close()


def build_session(
    resolver: aiohttp.abc.AbstractResolver, *, connections: int, tls: ssl.SSLContext
) -> aiohttp.ClientSession:
    """Make a session that leaves everything to its caller: redirects, cookies, decoding, time limits."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, resolver=resolver, ttl_dns_cache=30, ssl=tls),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        raise_for_status=False,
        trust_env=False,
        read_bufsize=READ_BUFFER_BYTES,
        skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
    )


def _outgoing(request: httpx.Request) -> AsyncIterable[bytes] | None:
    """Answer what is to be sent, as it is read; nothing where the request has no body."""
    stream = request.stream
    if int(request.headers.get("content-length", 0)) == 0 or not isinstance(stream, AsyncIterable):
        return None
    return stream


def _connect_reason(error: aiohttp.ClientConnectorError) -> str:
    """Tell why there is no connection, without the address: clients are told this."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"its name cannot be resolved: {error.os_error.strerror or error.os_error}"
        case aiohttp.ClientConnectorCertificateError():
            found = error.certificate_error
            return f"its certificate is not trusted: {getattr(found, 'verify_message', '') or type(found).__name__}"
        case aiohttp.ClientConnectorSSLError():
            reason = error.os_error.strerror or type(error.os_error).__name__
            is_plain = getattr(error.os_error, "reason", "") == "WRONG_VERSION_NUMBER"
            return f"{'it speaks plain HTTP, and no TLS' if is_plain else 'no TLS with it'}: {reason}"
        case _:
            number = error.os_error.errno
            return os.strerror(number).lower() if number else "none of its addresses answers"


def _timeout(request: httpx.Request) -> aiohttp.ClientTimeout:
    seconds = request.extensions.get("timeout", {})
    return aiohttp.ClientTimeout(
        total=None,
        connect=seconds.get("pool"),
        sock_connect=seconds.get("connect"),
        sock_read=seconds.get("read"),
    )


@contextmanager
def _translated(request: httpx.Request) -> Iterator[None]:
    """Turn aiohttp's errors into httpx's: the one place where that is done.

    No message holds the URL: a CDN's carries a signature, and what is said here goes to clients and into the log.
    """
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx.ConnectTimeout(f"no connection to {request.url.host} in time", request=request) from error
    except TimeoutError as error:
        raise httpx.ReadTimeout(str(error) or "timed out", request=request) from error
    except aiohttp.ClientConnectorError as error:
        raise httpx.ConnectError(_connect_reason(error), request=request) from error
    except aiohttp.ClientPayloadError as error:
        raise httpx.RemoteProtocolError("the body ended before its time", request=request) from error
    except (aiohttp.ClientResponseError, HttpProcessingError) as error:
        # Only the first line: the others quote what was sent.
        raise httpx.RemoteProtocolError(f"not HTTP: {error.message.partition(chr(10))[0]}", request=request) from error
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError) as error:
        raise httpx.ReadError(str(error), request=request) from error
    except (aiohttp.ClientError, ValueError) as error:
        raise httpx.RemoteProtocolError(f"cannot be asked: {type(error).__name__}", request=request) from error
