"""Answers that tell of things as they happen: server-sent events (HTML, "Server-sent events").

Each is written as it comes, and nothing heaps up: while a client reads slowly, what tells is not asked for more.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from aiohttp import hdrs, web

from proxy.server.registry import REMARKS

CONTENT_TYPE = "text/event-stream"
QUIET_SECONDS = 15.0
"""How long nothing is said. A comment then keeps the connection, and shows who has left."""
LOOK_SECONDS = 1.0
"""How often it is looked whether the client is still there."""
HEADERS = {
    hdrs.CONTENT_TYPE: CONTENT_TYPE,
    hdrs.CACHE_CONTROL: "no-store",
    "X-Accel-Buffering": "no",  # nginx would else hold it back
}


@dataclass(frozen=True, slots=True)
class Told:
    """One event."""

    name: str
    fields: Any
    """Its data, written as JSON."""

    def __bytes__(self) -> bytes:
        """Write it. JSON has no line breaks of its own, and no name has one."""
        return f"event: {self.name}\ndata: {json.dumps(self.fields, separators=(',', ':'))}\n\n".encode()


async def send_events(
    request: web.BaseRequest, events: AsyncGenerator[Told, None], *, quiet_seconds: float = QUIET_SECONDS
) -> web.StreamResponse:
    """Send events until there are no more, or the client has left."""
    response = web.StreamResponse(headers=HEADERS)
    async with aclosing(events):
        try:
            await response.prepare(request)
            if request.method != hdrs.METH_HEAD:
                await response.write(b": this tells what happens\n\n")
                await _pass_on(request, response, events, quiet_seconds)
            await response.write_eof()
        except ConnectionError:
            request[REMARKS]["body"] = "left by the client"
    return response


async def _pass_on(
    request: web.BaseRequest, response: web.StreamResponse, events: AsyncGenerator[Told, None], quiet_seconds: float
) -> None:
    look_seconds = min(LOOK_SECONDS, quiet_seconds)
    while True:
        waiting, quiet = asyncio.ensure_future(anext(events, None)), 0.0
        try:
            while not (await asyncio.wait((waiting,), timeout=look_seconds))[0]:
                if request.transport is None or request.transport.is_closing():
                    raise ConnectionError("the client has left")
                quiet += look_seconds
                if quiet >= quiet_seconds:
                    quiet = 0.0
                    await response.write(b": nothing new\n\n")
        finally:
            if not waiting.done():
                waiting.cancel()
                await asyncio.wait((waiting,))  # else it would still run while its generator is closed
        told = waiting.result()
        if told is None:
            return
        await response.write(bytes(told))
