"""The connection itself: what is no request, what is pushed all the same, and the end of the server."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci.errors import ManifestUnknown
from proxy.server.connections import LINGER_SECONDS, OPTIONS, Connection, RegistryServer
from tests.fakes.events import RecordingEvents
from tests.fakes.upstream import FakeUpstream, Kind
from tests.server.serving import Served, Wire, connect, serve
from tests.server.test_registry import JESSIE


async def test_every_path_and_method_has_one_handler(served: Served) -> None:
    """Also those that a router would refuse by itself, in words that no registry's client knows."""
    for method in ("GET", "PUT", "PROPFIND"):
        for path in ("/", "/v2/%2e%2e/x", "/v2/a//b", "/%", "/v2/x/manifests/%ff"):
            async with served.connect() as wire:
                await wire.send(method, path)
                head = await wire.head()
                assert head.headers["Content-Type"].startswith("application/json")
                assert head.status in {400, 404, 405}


async def test_errors_are_answered_before_the_line_is_written(served: Served) -> None:
    """The line tells the status that the client was told."""
    answer = await served.client.get("/v2/library/debian/manifests/nothing")
    (line,) = served.lines
    assert (answer.status_code, line["status"]) == (404, 404)
    assert ManifestUnknown.code in answer.text


# What is no request


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET /v2/ HTTP/9\r\n\r\n", id="a version that is none"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 to the wrong port\r\n\r\n", id="TLS"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", id="SSH"),
        pytest.param(b"GET /v2/ HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", id="a header that is none"),
        pytest.param(b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", id="a header with a zero"),
        pytest.param(b"GET /v2/" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", id="an endless line"),
        pytest.param(b"GET /v2/ HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", id="an endless header"),
        pytest.param(b"GET /v2/ HTTP/1.1\r\nContent-Length: x\r\n\r\n", id="a length that is none"),
    ],
)
async def test_what_is_no_request_gets_the_envelope_and_one_line(
    served: Served, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with served.connect() as wire:
        wire.write(sent)
        head = await wire.head()
        body = await wire.rest()  # the connection ends: where the next request begins is not known
    assert head.status == 400
    assert head.headers["Content-Type"] == "application/json"
    (error,) = json.loads(body)["errors"]
    assert error["code"] == "UNSUPPORTED"
    assert error["message"].startswith("not a request of HTTP/1.1: ")
    (told,) = served.events.named("request.malformed")
    assert told["status"] == 400
    assert told["client"] == "127.0.0.1"
    assert "\n" not in str(told["reason"])
    assert caplog.records == []
    assert (await served.client.get("/v2/")).status_code == 200


async def test_a_request_before_the_nonsense_is_answered(served: Served) -> None:
    async with served.connect() as wire:
        await wire.send("GET", "/v2/")
        first = await wire.head()
        assert (first.status, await wire.exactly(2)) == (200, b"{}")
        wire.write(b"nonsense\r\n\r\n")
        assert (await wire.head()).status == 400
        await wire.rest()


async def test_nothing_is_written_into_an_answer_that_has_begun(served: Served) -> None:
    """Aiohttp asks for an error's answer in whatever state the connection is."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "10"})
        await response.prepare(request)
        await response.write(b"12345")
        raise ZeroDivisionError

    events = RecordingEvents()
    runner = web.ServerRunner(RegistryServer(handler, events), shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        reader, writer = await asyncio.open_connection(*runner.addresses[0])
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        received = await reader.read()
        writer.close()
    finally:
        await runner.cleanup()
    assert received.endswith(b"\r\n\r\n12345")


async def test_a_fault_below_the_handlers_is_told(served: Served) -> None:
    """Nothing of ours raises there; should aiohttp do so, the log has it, and not a traceback on standard error."""

    async def handler(_: web.BaseRequest) -> web.StreamResponse:
        raise ZeroDivisionError("odd")

    events = RecordingEvents()
    runner = web.ServerRunner(RegistryServer(handler, events), shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        reader, writer = await asyncio.open_connection(*runner.addresses[0])
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        received = await reader.read()
        writer.close()
    finally:
        await runner.cleanup()
    assert received.startswith(b"HTTP/1.1 500 ")
    assert b'"code": "UNKNOWN"' in received
    assert [fault.name for fault in events.faults] == ["request.crashed"]


@given(sent=st.binary(min_size=1, max_size=200), ending=st.sampled_from([b"", b"\r\n\r\n", b" HTTP/1.1\r\n\r\n"]))
async def test_whatever_is_sent_the_server_lives_and_blames_nobody(sent: bytes, ending: bytes) -> None:
    async with serve(FakeUpstream()) as served:
        async with served.connect() as wire:
            wire.write(sent + ending)
            await asyncio.sleep(0)
        assert (await served.client.get("/v2/")).status_code == 200
        assert served.events.faults == []


async def test_who_asks_for_nothing_is_let_go(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPTIONS, "keepalive_timeout", 0.1)
    for begun in (b"", b"GET /v2/ HTTP/1.1\r\nHos"):
        async with served.connect() as wire:
            wire.write(begun)
            started = time.monotonic()
            assert await wire.rest() == b""
            assert time.monotonic() - started < 2


# What is pushed all the same


async def test_a_push_that_waits_to_be_told_to_go_on_is_refused_at_once(served: Served) -> None:
    async with served.connect() as wire:
        await wire.send("PUT", JESSIE, Expect="100-continue", **{"Content-Length": "1000000"})
        assert (await wire.head()).status == 405


@pytest.mark.parametrize("length", [{"Content-Length": "1000000"}, {"Transfer-Encoding": "chunked"}])
@pytest.mark.parametrize("expect", [{}, {"Expect": "100-continue"}])
async def test_who_pushes_and_stays_is_shown_out(
    served: Served, length: dict[str, str], expect: dict[str, str]
) -> None:
    """The answer arrives, and after a moment the connection ends, whatever is still to come."""
    async with served.connect() as wire:
        await wire.send("POST", "/v2/library/debian/blobs/uploads/", **length, **expect)
        head = await wire.head()
        started = time.monotonic()
        assert b"UNSUPPORTED" in await wire.rest()
    assert head.status == 405
    assert time.monotonic() - started < LINGER_SECONDS + 1


async def test_a_small_push_leaves_the_connection_as_it_was(served: Served) -> None:
    async with served.connect() as wire:
        await wire.send("PUT", JESSIE, **{"Content-Length": "3"})
        wire.write(b"123")
        head = await wire.head()
        await wire.exactly(int(head.headers["Content-Length"]))
        await wire.send("GET", "/v2/")
        assert (await wire.head()).status == 200


async def test_what_is_pushed_is_never_unpacked(served: Served) -> None:
    """A few bytes may unpack to gigabytes."""
    async with served.connect() as wire:
        await wire.send("PUT", JESSIE, **{"Content-Length": "5", "Content-Encoding": "gzip"})
        wire.write(b"nozip")
        assert (await wire.head()).status == 405


# The end


async def seconds_to_stop(upstream: FakeUpstream, *sent: bytes, leave: bool = False) -> float:
    """Serve, let one client send something, stop; answer how long that took."""
    async with serve(upstream, shutdown_seconds=10) as served, served.connect() as wire:
        for piece in sent:
            wire.write(piece)
            await wire.head()
        if leave:
            wire.leave()
        started = time.monotonic()
        await served.stop()
    return time.monotonic() - started


PING = b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n"
PUSH = b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegun"


@pytest.mark.parametrize("leave", [False, True], ids=["stays", "leaves"])
@pytest.mark.parametrize(
    "sent", [pytest.param((), id="nothing"), pytest.param((PING,), id="a request"), pytest.param((PUSH,), id="a push")]
)
async def test_nobody_who_waits_holds_up_the_end(
    upstream: FakeUpstream, sent: tuple[bytes, ...], *, leave: bool
) -> None:
    assert await seconds_to_stop(upstream, *sent, leave=leave) < 2


async def test_half_a_request_holds_up_nothing(upstream: FakeUpstream) -> None:
    async with serve(upstream, shutdown_seconds=10) as served, served.connect() as wire:
        wire.write(b"GET /v2/ HT")
        await asyncio.sleep(0.05)
        started = time.monotonic()
        await served.stop()
    assert time.monotonic() - started < 2


async def test_who_is_being_answered_gets_the_rest(upstream: FakeUpstream) -> None:
    async with serve(upstream, shutdown_seconds=10) as served:
        gate = upstream.hold(Kind.GET_MANIFEST)
        answer = asyncio.ensure_future(served.client.get(JESSIE))
        await upstream.wait_asked(Kind.GET_MANIFEST)
        stopping = asyncio.ensure_future(served.stop())
        await asyncio.sleep(0.05)
        gate.set()
        assert (await answer).status_code == 200
        await stopping


async def test_a_connection_tells_the_log_what_goes_wrong_below_it() -> None:
    async def handler(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response()

    events = RecordingEvents()
    connection = RegistryServer(handler, events)()
    assert repr(connection) == f"<{Connection.__name__} disconnected>"
    try:
        int("odd")
    except ValueError as error:
        connection.log_exception("Unhandled exception", exc_info=error)
    (fault,) = events.faults
    assert (fault.name, fault.fields["reason"]) == ("connection.crashed", "Unhandled exception")


@asynccontextmanager
async def serve_gated(path: str) -> AsyncIterator[tuple[RegistryServer, asyncio.Event, Wire]]:
    """Serve an answer that waits at a gate half-way, and ask for it."""
    gate, begun = asyncio.Event(), asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "10"})
        await response.prepare(request)
        await response.write(b"12345")
        begun.set()
        await gate.wait()
        await response.write(b"67890")
        return response

    server = RegistryServer(handler, RecordingEvents())
    runner = web.ServerRunner(server, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with connect(runner.addresses[0][1]) as wire:
        await wire.send("GET", path)
        await begun.wait()
        yield server, gate, wire
        await runner.cleanup()


async def test_draining_lets_an_answer_come_to_its_end_and_then_closes() -> None:
    async with serve_gated("/v2/a/blobs/x") as (server, gate, wire):
        draining = asyncio.ensure_future(server.drain())
        await asyncio.sleep(0.02)
        assert (server.answering, draining.done()) == (1, False)
        gate.set()
        await draining
        assert server.answering == 0
        assert (await wire.rest()).endswith(b"\r\n\r\n1234567890")


async def test_cutting_ends_what_does_not_come_to_its_end_and_the_client_sees_it() -> None:
    async with serve_gated("/v2/a/blobs/x") as (server, _, wire):
        draining = asyncio.ensure_future(server.drain())
        await asyncio.sleep(0.02)
        server.cut()
        await draining
        assert (await wire.rest()).endswith(b"\r\n\r\n12345")


async def test_nobody_waits_for_what_has_no_end() -> None:
    async with serve_gated("/api/v1/events") as (server, _, wire):
        assert server.answering == 0
        await asyncio.wait_for(server.drain(), 5)
        assert (await wire.rest()).endswith(b"\r\n\r\n12345")
