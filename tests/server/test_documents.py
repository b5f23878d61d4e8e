import asyncio
from email.utils import parsedate_to_datetime

import pytest
from aiohttp import web

from proxy.server.connections import RegistryServer
from proxy.server.documents import Head, document_response
from tests.fakes.events import RecordingEvents
from tests.server.serving import connect

HEAD = Head({"Content-Type": "text/plain", "Content-Length": "5", "X-Name": "é"}, {"cache": "hit"})
CONTENT = b"12345"
NOW = 1_795_485_912.75


async def exchange(sent: bytes, head: Head = HEAD, content: bytes | None = CONTENT) -> bytes:
    """Send something to a server that has one document; answer all that it sends until it closes, or says no more."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return document_response(request, head, content, NOW)

    events = RecordingEvents()
    runner = web.ServerRunner(RegistryServer(handler, events), shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with connect(runner.addresses[0][1]) as wire:
            wire.write(sent)
            await asyncio.sleep(0.05)
            ending = asyncio.ensure_future(wire.rest())
            await runner.cleanup()
            return await ending
    finally:
        assert events.faults == []


def request(method: str = "GET", version: str = "1.1", *lines: str) -> bytes:
    return "\r\n".join((f"{method} / HTTP/{version}", "Host: a", *lines, "", "")).encode()


def parse(answer: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return status, dict(line.split(": ", 1) for line in lines), body


async def test_who_stays_gets_what_is_written_already() -> None:
    status, headers, body = parse(await exchange(request()))
    assert status == "HTTP/1.1 200 OK"
    assert HEAD.headers.items() <= headers.items()
    assert parsedate_to_datetime(headers["Date"]).timestamp() == int(NOW)
    assert body == CONTENT


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(request("GET", "1.1", "Connection: close"), id="it wants to leave"),
        pytest.param(request("GET", "1.0"), id="an old one"),
        pytest.param(request("GET", "1.0", "Connection: keep-alive"), id="an old one that wants to stay"),
    ],
)
async def test_who_is_special_gets_the_same(asked: bytes) -> None:
    status, headers, body = parse(await exchange(asked))
    assert status.endswith(" 200 OK")
    assert body == CONTENT
    _, usual, _ = parse(await exchange(request()))
    assert set(usual) <= set(headers)
    assert all(headers[name] == usual[name] for name in set(usual) - {"Date"})


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("content", [None, CONTENT])
async def test_a_head_has_no_body(version: str, content: bytes | None) -> None:
    _, headers, body = parse(await exchange(request("HEAD", version), content=content))
    assert (headers["Content-Length"], body) == ("5", b"")


async def test_requests_that_come_at_once_are_answered_in_order() -> None:
    answers = await exchange(request() + request("HEAD") + request("GET", "1.1", "Connection: close"))
    assert answers.count(b"HTTP/1.1 200 OK") == 3
    assert answers.count(CONTENT) == 2
    assert answers.endswith(CONTENT)


async def test_an_answer_larger_than_the_connection_takes_at_once_arrives() -> None:
    content = b"x" * 8_000_000
    _, _, body = parse(await exchange(request(), Head({"Content-Length": str(len(content))}), content))
    assert body == content


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\0", "\x7f"])
def test_no_header_breaks_out_of_its_line(value: str) -> None:
    with pytest.raises(ValueError, match="a control character"):
        Head({"Warning": value})
    with pytest.raises(ValueError, match="a control character"):
        Head({value: "a"})
