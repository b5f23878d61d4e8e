"""Server-sent events over a real connection: what is told arrives at once, and who leaves ends it."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import httpx
import pytest
from aiohttp import web

from proxy.server.event_streams import Told, send_events
from proxy.server.registry import REMARKS
from tests.lab.programs import wait_until


class Source:
    """Tells what it is given, and knows whether it was closed."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Told | None] = asyncio.Queue()
        self.is_closed = False

    async def tell(self) -> AsyncGenerator[Told, None]:
        try:
            while (told := await self.queue.get()) is not None:
                yield told
        finally:
            self.is_closed = True

    async def has_closed(self) -> bool:
        return self.is_closed


@asynccontextmanager
async def serving(
    events: Callable[[], AsyncGenerator[Told, None]], *, quiet_seconds: float = 15.0
) -> AsyncIterator[tuple[str, list[dict[str, object]]]]:
    """Answer events at a URL; tell it, and the remarks of each request."""
    remarks: list[dict[str, object]] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        request[REMARKS] = {}
        remarks.append(request[REMARKS])
        return await send_events(request, events(), quiet_seconds=quiet_seconds)

    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", remarks
    finally:
        await runner.cleanup()


async def test_each_arrives_when_it_is_told_and_the_end_ends_it() -> None:
    source = Source()
    async with (
        serving(source.tell) as (url, remarks),
        httpx.AsyncClient(trust_env=False, timeout=10) as client,
        client.stream("GET", url) as answer,
    ):
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.headers["Cache-Control"] == "no-store"
        lines = answer.aiter_lines()
        assert (await anext(lines)).startswith(":")
        assert await anext(lines) == ""
        for number in range(3):
            source.queue.put_nowait(Told("job", {"number": number, "text": "a\nb"}))
            assert await anext(lines) == "event: job"
            assert json.loads((await anext(lines)).removeprefix("data: ")) == {"number": number, "text": "a\nb"}
            assert await anext(lines) == ""
        source.queue.put_nowait(None)
        assert [line async for line in lines] == []
    assert source.is_closed
    assert remarks == [{}]


async def test_a_silence_is_broken_by_comments() -> None:
    source = Source()
    async with (
        serving(source.tell, quiet_seconds=0.01) as (url, _),
        httpx.AsyncClient(trust_env=False, timeout=10) as client,
        client.stream("GET", url) as answer,
    ):
        lines = answer.aiter_lines()
        said = [await anext(lines) for _ in range(6)]
        assert [line.partition(" ")[0] for line in said] == [":", "", ":", "", ":", ""]
        source.queue.put_nowait(Told("late", None))
        while await anext(lines) != "event: late":  # the test's time limit ends it
            pass


async def test_who_has_left_is_noticed_in_the_next_silence() -> None:
    source = Source()
    async with serving(source.tell, quiet_seconds=0.01) as (url, remarks):
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client, client.stream("GET", url) as answer:
            await anext(answer.aiter_lines())
        await wait_until(source.has_closed, seconds=10, purpose="the end of the stream")
    assert remarks == [{"body": "left by the client"}]


async def test_a_head_is_answered_without_events() -> None:
    source = Source()
    async with serving(source.tell) as (url, _), httpx.AsyncClient(trust_env=False, timeout=10) as client:
        answer = await client.head(url)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/event-stream")


async def test_a_slow_client_is_not_told_more_than_he_reads() -> None:
    told = 0

    async def tell() -> AsyncGenerator[Told, None]:
        nonlocal told
        while told < 10_000:
            told += 1
            yield Told("much", "x" * 10_000)

    async def is_full(last: list[int]) -> bool:
        last.append(told)
        return len(last) > 20 and len(set(last[-20:])) == 1

    async with (
        serving(tell) as (url, _),
        httpx.AsyncClient(trust_env=False, timeout=10) as client,
        client.stream("GET", url),
    ):
        await wait_until(partial(is_full, []), seconds=20, purpose="everything between them to be full")
        assert told < 5_000


async def test_what_fails_while_it_tells_fails_the_answer() -> None:
    async def tell() -> AsyncGenerator[Told, None]:
        yield Told("one", 1)
        raise ValueError("a fault of ours")

    async with serving(tell) as (url, _), httpx.AsyncClient(trust_env=False, timeout=10) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(url)
