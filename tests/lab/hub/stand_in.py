"""`HubStandIn`: two listeners in the event loop of the test, a journal and the faults."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import Self

import aiohttp
from aiohttp import web

from tests.lab.hub.answers import Answer, Delivery
from tests.lab.hub.api import HubApi
from tests.lab.hub.asked import Asked, Kind, read_request
from tests.lab.hub.auth import TokenService
from tests.lab.hub.backend import Backend
from tests.lab.hub.behaviour import HUB, Behaviour
from tests.lab.hub.cdn import Cdn
from tests.lab.hub.faults import Fault, Injection
from tests.lab.hub.journal import Journal, Record
from tests.lab.hub.tokens import TokenMint
from tests.lab.programs import pick_free_port, wait_until


class HubStandIn:
    """Docker Hub on loopback, in front of the registry at `backend_url`; an async context manager.

    Args:
        backend_url: A `docker-registry` that asks for no credentials.
        behaviour: `HUB`, `OWN` or a variation; it may be changed at any time.
        port: Where to listen; 0 picks a free port. The CDN always gets a port of its own.
        cdn_address: The CDN's host; another one of 127.0.0.0/8 makes it differ by more than the port.
    """

    def __init__(
        self, backend_url: str, behaviour: Behaviour = HUB, *, port: int = 0, cdn_address: str = "127.0.0.1"
    ) -> None:
        self.behaviour = behaviour
        self.referrers: dict[str, list[dict[str, object]]] = {}
        """Descriptors by subject digest, for the referrers API; it answers 404 for any other digest."""
        self._backend_url = backend_url
        self._listeners = (("127.0.0.1", port or pick_free_port()), (cdn_address, pick_free_port(cdn_address)))
        self._journal = Journal()
        self._faults: list[Injection] = []
        self._released = asyncio.Event()
        self._runners: list[web.AppRunner] = []
        self._stack = AsyncExitStack()
        self._mint = TokenMint()

    def __repr__(self) -> str:
        return f"<HubStandIn {self.url} online={bool(self._runners)} asked={len(self.requests())}>"

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=None)
        connector = aiohttp.TCPConnector(limit=0)
        client = aiohttp.ClientSession(timeout=timeout, connector=connector, auto_decompress=False)
        session = await self._stack.enter_async_context(client)
        backend = Backend(self._backend_url, session)
        self._cdn = Cdn(backend, self._mint)
        self._auth = TokenService(backend, self._mint, self.url)
        self._api = HubApi(backend, self._cdn, self.cdn_url, self.referrers)
        self._stack.push_async_callback(self.go_offline)
        await self.go_online()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def host(self) -> str:
        """`address:port` of the registry."""
        return ":".join(map(str, self._listeners[0]))

    @property
    def url(self) -> str:
        """The registry's base address, without a slash at its end."""
        return f"http://{self.host}"

    @property
    def cdn_url(self) -> str:
        """The CDN's base address."""
        return "http://" + ":".join(map(str, self._listeners[1]))

    # What was asked

    def requests(self, kind: str = "", repository: str | None = None, reference: str | None = None) -> list[Record]:
        """Return the requests so far that match; `manifest` stands for both manifest kinds."""
        return self._journal.find(kind, repository, reference)

    async def wait_for(self, kind: str, repository: str | None = None, *, count: int = 1) -> list[Record]:
        """Wait until so many matching requests have come in, answered or not; return them."""

        async def enough() -> bool:
            return len(self.requests(kind, repository)) >= count

        await wait_until(enough, seconds=30, purpose=f"{count} requests of {kind} {repository or ''}")
        return self.requests(kind, repository)

    def leaks(self) -> list[Record]:
        """Return the requests that carried credentials to the CDN."""
        return [record for record in self._journal.find(Kind.CDN) if "Authorization" in record.headers]

    def reset(self) -> None:
        """Forget the requests and the faults, and give all pulls back."""
        self._journal.reset()
        self._faults.clear()
        self.spent_pulls = 0

    @property
    def spent_pulls(self) -> int:
        """How many manifests were given out; at `behaviour.pull_limit` the answer becomes 429."""
        return self._api.spent_pulls

    @spent_pulls.setter
    def spent_pulls(self, pulls: int) -> None:
        self._api.spent_pulls = pulls

    # What goes wrong

    def inject(
        self,
        fault: Fault,
        *,
        kind: str = "",
        repository: str | None = None,
        reference: str | None = None,
        times: int | None = None,
    ) -> None:
        """Let a fault strike every matching request, or the next so many of them."""
        self._faults.append(Injection(fault, kind, repository, reference, times))

    @contextmanager
    def failing(self, fault: Fault, **match: str) -> Iterator[None]:
        """Let a fault strike every matching request inside a `with` block."""
        injection = Injection(fault, match.get("kind", ""), match.get("repository"), match.get("reference"), None)
        self._faults.append(injection)
        try:
            yield
        finally:
            self._faults.remove(injection)

    def release(self) -> None:
        """Let every stalled answer go on; those to come are stalled anew."""
        self._released.set()
        self._released = asyncio.Event()

    async def go_offline(self) -> None:
        """Close both listeners and every connection: from now on connections are refused."""
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()

    async def go_online(self) -> None:
        """Listen again, on the same ports."""
        for (address, port), on_cdn in zip(self._listeners, (False, True), strict=True):
            app = web.Application(client_max_size=0)
            app.router.add_route("*", "/{path:.*}", partial(self._handle, on_cdn=on_cdn))
            runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0)
            await runner.setup()
            await web.TCPSite(runner, address, port).start()
            self._runners.append(runner)

    async def _handle(self, request: web.Request, *, on_cdn: bool) -> web.StreamResponse:
        asked = read_request(request, on_cdn=on_cdn)
        record = self._journal.add(asked)
        answer = await self._answer(asked)
        for injection in self._faults:
            if injection.strikes(asked):
                answer = injection.fault.apply(answer, asked)
        return await Delivery(answer, request, record, self._released).run()

    async def _answer(self, asked: Asked) -> Answer:
        if asked.kind is Kind.CDN:
            return await self._cdn.answer(asked)
        if asked.kind is Kind.TOKEN:
            return await self._auth.give_token(asked, self.behaviour)
        refused = self._auth.challenge(asked) if self.behaviour.auth else None
        return refused or await self._api.answer(asked, self.behaviour)
