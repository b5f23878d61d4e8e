"""The HTTP server below the handlers: aiohttp's low-level one, with its own errors told in the registry's words.

There is no `web.Application`: the pull API's grammar is ours (`oci/routes.py`), so a router that decodes and compares
piece by piece would only stand in its way, and the frame around it costs as much as answering a manifest does.
"""

import asyncio
from collections.abc import Awaitable
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol

from aiohttp import web

from proxy.ports import Clock
from proxy.server.doors import Door
from proxy.server.middleware import (
    Fault,
    Handler,
    MalformedRequest,
    ServerEvents,
    answer_errors,
    error_response,
    log_requests,
)

LINGER_SECONDS = 1.0
"""How long a body that was refused is read on, so that its sender sees the answer before the connection ends."""
IDLE_SECONDS = 120.0
"""How long a connection without a request is kept, also one whose request never ends. Go's clients, which is most of
them, leave by themselves after 90 (net/http, `DefaultTransport`); aiohttp would keep each for an hour."""
ENDLESS = "/api/"
"""Where answers may have no end, because they follow what happens: nobody waits for them."""
OPTIONS: dict[str, Any] = {
    "access_log": None,
    "auto_decompress": False,
    "keepalive_timeout": IDLE_SECONDS,
    "lingering_time": LINGER_SECONDS,
}


class Parts(Protocol):
    """Whoever answers requests, whichever part of the server they are for."""

    def handle(self, request: web.BaseRequest, door: Door) -> Awaitable[web.StreamResponse]:
        """Answer one request that came in by a door. Raises RegistryError: what the client is to be told."""


def build_server(parts: Parts, door: Door, events: ServerEvents, clock: Clock) -> "RegistryServer":
    """Make the server for a door: one handler for every path and method, and what stands around it, outermost first."""
    handler = partial(parts.handle, door=door)
    return RegistryServer(log_requests(answer_errors(handler, events), events, clock), events)


class RegistryServer(web.Server):
    """Makes a `Connection` of each connection, and knows what is being answered."""

    def __init__(self, handler: Handler, events: ServerEvents) -> None:
        """Take what answers requests, and where to tell of what is none."""
        super().__init__(self._answer)
        self._handler = handler
        self._events = events
        self._answering: dict[asyncio.Task[Any], bool] = {}
        """What is being answered, to its last byte; and whether it has an end."""

    @property
    def answering(self) -> int:
        """How many answers are being given that have an end."""
        return sum(self._answering.values())

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        # aiohttp's task for a request goes on after the handler, until the answer is written.
        task = asyncio.current_task()
        assert task is not None
        self._answering[task] = not request.raw_path.startswith(ENDLESS)
        task.add_done_callback(self._forget)
        return await self._handler(request)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._answering.pop(task, None)

    async def drain(self) -> None:
        """Take no further requests; wait until every answer that has an end is given."""
        self.pre_shutdown()
        for task in [task for task, has_end in self._answering.items() if not has_end]:
            task.cancel()
        if waiting := [task for task, has_end in self._answering.items() if has_end]:
            await asyncio.wait(waiting)

    def cut(self) -> None:
        """End whatever is still being answered: a client sees that its answer is not whole."""
        for task in list(self._answering):
            task.cancel()

    def __call__(self) -> web.RequestHandler:
        """Answer the protocol for a new connection."""
        return Connection(self, self._events)


class Connection(web.RequestHandler):
    """One client's connection."""

    __slots__ = ("_events",)

    def __init__(self, server: web.Server, events: ServerEvents) -> None:
        """Belong to a server."""
        super().__init__(server, loop=asyncio.get_running_loop(), **OPTIONS)
        self._events = events

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be read as a request, and close: where the next one begins is not known.

        Raises:
            ConnectionError: Something was sent already; an envelope would be taken for a part of it.
        """
        if request.writer.output_size > 0:
            raise ConnectionError("an answer had begun")
        if status == HTTPStatus.BAD_REQUEST:
            reason = (message or "").partition("\n")[0].rstrip(":")
            self._events.note("request.malformed", status=status, client=request.remote, reason=reason)
            response = error_response(MalformedRequest(f"not a request of HTTP/1.1: {reason}"))
        else:
            self._events.fail("request.crashed", client=request.remote, reason=repr(exc))
            response = error_response(Fault())
        response.force_close()
        return response

    def log_exception(self, *args: Any, **_: Any) -> None:
        """Tell of a fault in aiohttp, or in what it called, as of any other."""
        self._events.fail("connection.crashed", reason=str(args[0]))
