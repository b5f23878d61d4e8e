"""A server that warms nothing, and tells of jobs what it has been told to."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

from aiohttp import web

from tests.cli.jobs import job_of
from tests.lab.programs import wait_until


@dataclass
class StandIn:
    """A server that has been told what to say."""

    streams: list[list[dict[str, Any]]] = field(default_factory=list)
    """What each stream tells before it ends; a further one is 404."""
    looks: list[dict[str, Any] | None] = field(default_factory=list)
    """What each question after the job is answered; None, and a further one, is 404."""
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    begun: Callable[[], web.StreamResponse] = lambda: web.json_response({"id": "job-1"}, status=202)
    is_silent: bool = False
    """Whether connections are dropped."""
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a stream has told all it has; with `holds`, it stays open then."""
    holds: bool = False
    host: str = ""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path.removeprefix("/api/v1")
        self.asked.append((request.method, path, json.loads(await request.text() or "null")))
        if self.is_silent:
            assert request.transport is not None
            request.transport.abort()
        if (request.method, path) == ("POST", "/warm"):
            return self.begun()
        if path == "/status":
            return web.json_response({"fleet": ["linux/amd64", "linux/arm64"]})
        if request.method == "DELETE":
            return web.json_response(job_of(state="cancelled"))
        if path.endswith("/events"):
            return await self._stream(request) if self.streams else web.Response(status=404)
        found = self.looks.pop(0) if self.looks else None
        return web.json_response(found) if found else web.Response(status=404)

    async def wait_asked(self, count: int) -> None:
        """Wait until it was asked so often."""

        async def is_asked() -> bool:
            return len(self.asked) >= count

        await wait_until(is_asked, seconds=10, purpose=f"{count} questions")

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for fields in self.streams.pop(0):
            await response.write(f"event: job\ndata: {json.dumps(fields)}\n\n".encode())
        self.reached.set()
        if self.holds:
            await asyncio.Event().wait()
        return response


@asynccontextmanager
async def standing_in_to_warm() -> AsyncIterator[StandIn]:
    """Serve on loopback."""
    stand_in = StandIn()
    runner = web.ServerRunner(web.Server(stand_in.answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    stand_in.host = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield stand_in
    finally:
        await runner.cleanup()


@contextmanager
def standing_apart() -> Iterator[StandIn]:
    """Serve in a thread, for a command that is called in this one."""
    started: Future[tuple[StandIn, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        end = asyncio.Event()
        async with standing_in_to_warm() as server:
            started.set_result((server, asyncio.get_running_loop(), end))
            await end.wait()

    thread = Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    server, loop, end = started.result(timeout=10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
