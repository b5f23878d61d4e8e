import asyncio
import os
import ssl
import time
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web

from proxy.cli import listening as module
from proxy.cli.listening import Listening
from proxy.oci.errors import Unavailable
from proxy.server.certificates import Certificate
from proxy.server.connections import RegistryServer
from proxy.server.doors import Door
from proxy.wiring import Entrance
from tests.fakes.events import RecordingEvents
from tests.lab.programs import wait_until
from tests.server.serving import CERTIFICATE, Wire, connect


class Gate:
    """Answers half of what it is asked for, and the rest when it is opened."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.opened = asyncio.Event()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "10"})
        await response.prepare(request)
        await response.write(b"12345")
        self.begun.set()
        await self.opened.wait()
        await response.write(b"67890")
        return response

    def entrance(self, listen: tuple[str, int] = ("127.0.0.1", 0)) -> Entrance:
        return Entrance(listen, None, None, Door(), RegistryServer(self.answer, RecordingEvents()))


async def ask(wire: Wire, gate: Gate) -> None:
    await wire.send("GET", "/v2/a/blobs/x")
    await gate.begun.wait()


async def has_told(events: RecordingEvents, event: str) -> bool:
    return bool(events.named(event))


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


async def test_what_is_being_answered_is_answered_to_its_end_while_nobody_new_is_let_in() -> None:
    events, gate = RecordingEvents(), Gate()
    listening = Listening(events)
    await listening.open(gate.entrance(), None)
    port = port_of(listening.addresses[0])
    async with connect(port) as wire:
        await ask(wire, gate)
        closing = asyncio.ensure_future(listening.close(30, asyncio.Event()))
        await asyncio.sleep(0.02)
        assert not closing.done()
        with pytest.raises(OSError, match=r"refused|failed"):
            await asyncio.open_connection("127.0.0.1", port)
        gate.opened.set()
        await closing
        assert (await wire.rest()).endswith(b"1234567890")
    assert events.told == []


@pytest.mark.parametrize("is_in_a_hurry", [False, True])
async def test_what_takes_too_long_is_cut_off_and_told(*, is_in_a_hurry: bool) -> None:
    events, gate, hurry = RecordingEvents(), Gate(), asyncio.Event()
    listening = Listening(events)
    await listening.open(gate.entrance(), None)
    async with connect(port_of(listening.addresses[0])) as wire:
        await ask(wire, gate)
        started = time.monotonic()
        closing = asyncio.ensure_future(listening.close(30 if is_in_a_hurry else 0.05, hurry))
        await asyncio.sleep(0.02)
        if is_in_a_hurry:
            hurry.set()
        await closing
        assert time.monotonic() - started < 3
        assert (await wire.rest()).endswith(b"12345")
    (told,) = events.named("drain.cut_short")
    assert told == {"answers": 1}


async def test_all_addresses_end_at_the_same_time() -> None:
    """The limit is one for all of them, not one after the other."""
    gates, listening = [Gate(), Gate(), Gate()], Listening(RecordingEvents())
    for gate in gates:
        await listening.open(gate.entrance(), None)
    ports = [port_of(address) for address in listening.addresses]
    async with connect(ports[0]) as first, connect(ports[1]) as second, connect(ports[2]) as third:
        for wire, gate in zip((first, second, third), gates, strict=True):
            await ask(wire, gate)
        assert listening.answering == 3
        started = time.monotonic()
        await listening.close(0.2, asyncio.Event())
        assert time.monotonic() - started < 2


async def test_an_address_that_is_taken_leaves_the_others_to_be_closed() -> None:
    listening, gate = Listening(RecordingEvents()), Gate()
    await listening.open(gate.entrance(), None)
    taken = port_of(listening.addresses[0])
    with pytest.raises(Unavailable, match=f"cannot listen at 127.0.0.1:{taken}"):
        await listening.open(gate.entrance(("127.0.0.1", taken)), None)
    await listening.close(0, asyncio.Event())
    with pytest.raises(OSError, match=r"refused|failed"):
        await asyncio.open_connection("127.0.0.1", taken)


async def test_a_renewed_certificate_is_shown_to_whoever_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEWAL_SECONDS", 0.02)
    file = tmp_path / "tls.pem"
    file.write_bytes(CERTIFICATE.read_bytes())
    events, gate = RecordingEvents(), Gate()
    gate.opened.set()
    listening = Listening(events)
    await listening.open(gate.entrance(), Certificate(file, file))
    following = asyncio.ensure_future(listening.follow_certificates())
    trust = ssl.create_default_context(cafile=str(CERTIFICATE))
    for content, event in ((b"junk", "tls.not_renewed"), (CERTIFICATE.read_bytes(), "tls.renewed")):
        file.write_bytes(content)
        os.utime(file, ns=(0, file.stat().st_mtime_ns + 1_000_000_000))
        await wait_until(partial(has_told, events, event), seconds=5, purpose=event)
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(listening.addresses[0]), ssl=trust)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"1234567890")
        writer.close()
    assert "tls.pem" in str(events.named("tls.not_renewed")[0]["reason"])
    following.cancel()
    await listening.close(0, asyncio.Event())


async def test_without_a_certificate_nothing_is_followed() -> None:
    listening = Listening(RecordingEvents())
    await listening.open(Gate().entrance(), None)
    await asyncio.wait_for(listening.follow_certificates(), 5)
    await listening.close(0, asyncio.Event())
