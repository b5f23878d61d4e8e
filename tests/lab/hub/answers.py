"""An answer before it is sent, and the sending of it, with whatever is to go wrong on the way."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from aiohttp import web

from tests.lab.hub.journal import Record

Body = Callable[[], AsyncIterator[bytes]]


class Mishap(Enum):
    """What befalls an answer that is under way."""

    HOLD = auto()
    """It stops until `HubStandIn.release()`, or until the client leaves."""
    CUT = auto()
    """The connection is closed."""


@dataclass(frozen=True, slots=True)
class Incident:
    """A mishap, and how much is sent before it: a fraction of the body, or `None` for not even the headers."""

    mishap: Mishap
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and a body that is read only when it is sent."""

    status: int
    headers: Mapping[str, str]
    body: Body
    size: int
    """What `Content-Length` says; the body's true size, unless a fault changed it."""
    incident: Incident | None = None


def plain(content: bytes, content_type: str, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Build an answer from bytes at hand."""

    async def body() -> AsyncIterator[bytes]:
        yield content

    return Answer(status, {"Content-Type": content_type, **(headers or {})}, body, len(content))


def refusal(
    status: int, code: str, message: str, *, detail: object = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """Build an error in the envelope of the distribution spec."""
    error = {"code": code, "message": message, **({"detail": detail} if detail is not None else {})}
    content = json.dumps({"errors": [error]}).encode() + b"\n"
    return plain(content, "application/json; charset=utf-8", status=status, headers=headers)


@dataclass(slots=True)
class Delivery:
    """The sending of one answer to one client."""

    answer: Answer
    request: web.Request
    record: Record
    released: asyncio.Event
    _met: bool = field(default=False, init=False)

    async def run(self) -> web.StreamResponse:
        """Send headers and body; a mishap happens at its place."""
        self.record.status = self.answer.status
        if self.answer.incident and self.answer.incident.after is None:
            await self._meet(self.answer.incident)
        response = web.StreamResponse(status=self.answer.status, headers=self.answer.headers)
        response.content_length = self.answer.size
        await response.prepare(self.request)
        if self.request.method != "HEAD":
            await self._send_body(response)
        return response

    async def _send_body(self, response: web.StreamResponse) -> None:
        async for chunk in self.answer.body():
            for piece in self._split_at_incident(chunk):
                if self.answer.incident and self._is_due(piece):
                    await self._meet(self.answer.incident)
                await self._send(response, piece)
        if self.record.sent_bytes < self.answer.size:
            self._hang_up()

    def _split_at_incident(self, chunk: bytes) -> tuple[bytes, ...]:
        incident = self.answer.incident
        if incident is None or incident.after is None or self._met:
            return (chunk,)
        keep = max(0, int(self.answer.size * incident.after) - self.record.sent_bytes)
        return (chunk[:keep], chunk[keep:]) if 0 < keep < len(chunk) else (chunk,)

    def _is_due(self, piece: bytes) -> bool:
        incident = self.answer.incident
        if incident is None or incident.after is None or self._met or not piece:
            return False
        return self.record.sent_bytes >= int(self.answer.size * incident.after)

    async def _send(self, response: web.StreamResponse, piece: bytes) -> None:
        room = self.answer.size - self.record.sent_bytes
        if piece[:room]:
            await response.write(piece[:room])
            self.record.sent_bytes += len(piece[:room])

    async def _meet(self, incident: Incident) -> None:
        self._met = True
        match incident.mishap:
            case Mishap.HOLD:
                await self.released.wait()
            case Mishap.CUT:
                self._hang_up()

    def _hang_up(self) -> None:
        if self.request.transport is not None:
            self.request.transport.close()
        raise ConnectionResetError("the stand-in hung up")
