"""One request to an upstream, and everything that may come between: a token, redirects, a second try, time limits.

Redirects are followed by hand, so that `Authorization` never reaches another host, no hop leaves TLS, and none leads
into a private network (peers.md §4b).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import httpx

from proxy.oci.challenges import Challenge, parse_challenges
from proxy.oci.errors import UpstreamMisbehaved, UpstreamRefused, UpstreamSilent, UpstreamUnreachable
from proxy.ports import Clock, Quota
from proxy.upstream.addresses import GuardedResolver
from proxy.upstream.authorization import Authorizer, Credentials
from proxy.upstream.outgoing import Outgoing, Patience, Wish
from proxy.upstream.quota import parse_quota
from proxy.upstream.retries import RetryPolicy, parse_retry_after
from proxy.upstream.second_hosts import SecondHosts, TokenHosts, authority, find_repository

MAX_HOPS = 5
MAX_TOKEN_BYTES = 64 * 1024
REDIRECTS = frozenset({301, 302, 303, 307, 308})
REPEATING_REDIRECTS = frozenset({307, 308})
"""Those that are followed by the same method and body (RFC 9110 §15.4.8)."""
BAD_REQUEST, UNAUTHORIZED, FORBIDDEN = 400, 401, 403
REFUSALS = frozenset({UNAUTHORIZED, FORBIDDEN})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One upstream, as it is configured."""

    name: str
    """What clients call it: `docker.io`."""
    url: str
    """Where it is: `https://registry-1.docker.io`."""
    token_hosts: TokenHosts = field(default_factory=dict)
    """Hosts that may give tokens for a registry on another host: for this one, and for those that it leads on to."""
    credentials: Credentials | None = None
    timeout_seconds: float = 10.0
    """How long an answer may take to begin, tokens and redirects included."""
    connect_timeout_seconds: float = 5.0
    stall_timeout_seconds: float = 30.0
    """How long a body may stand still, on its way here or there."""
    upload_timeout_seconds: float = 300.0
    """How long the answer to an upload may take once all of it was handed to the connection: much of it may still be on
    its way over a slow line, and then it has to be stored."""
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    actions: str = "pull"
    """What a token has to allow in a repository: `pull`, or `pull,push`."""


@dataclass(frozen=True, slots=True)
class Wire:
    """What an exchange sends through: made in the wiring, shared by all upstreams but for the guard."""

    direct: httpx.AsyncBaseTransport
    """To hosts that were configured."""
    guarded: httpx.AsyncBaseTransport
    """To hosts that an upstream named."""
    guard: GuardedResolver
    clock: Clock
    random: Callable[[], float]
    """Answers a number from 0 to 1."""


@dataclass(frozen=True, slots=True)
class _Stop:
    """One host on the way of a request, and what is shown there."""

    url: httpx.URL
    is_home: bool
    repository: str
    """By this host's own name for it: what a token has to open."""
    authorizer: Authorizer | None
    """Who answers its challenges; None where nothing is ever shown."""


class Exchange:
    """Sends requests to one upstream."""

    def __init__(self, endpoint: Endpoint, wire: Wire, *, user_agent: str) -> None:
        """Take an upstream and what to send through."""
        self.endpoint = endpoint
        self.quota: Quota | None = None
        self._wire = wire
        self._user_agent = user_agent
        limits = httpx.Timeout(
            connect=endpoint.connect_timeout_seconds, read=endpoint.stall_timeout_seconds, write=None, pool=None
        )
        self._limits = limits.as_dict()
        self._authorizer = Authorizer(
            endpoint.url,
            token_hosts=endpoint.token_hosts.get(authority(httpx.URL(endpoint.url)), frozenset()),
            credentials=endpoint.credentials,
            clock=wire.clock,
            fetch_token=partial(self._fetch_token, is_home=True),
            actions=endpoint.actions,
        )
        self._second_hosts = SecondHosts(
            endpoint.token_hosts, clock=wire.clock, fetch_token=partial(self._fetch_token, is_home=False)
        )

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        repository: str,
        headers: Mapping[str, str],
        body: Outgoing | None = None,
        *,
        mounted: str = "",
    ) -> AsyncIterator[httpx.Response]:
        """Send a request and hand on the answer, its body still unread, whatever its status but 401, 429 and 5xx.

        Args:
            method: Of the request.
            path: On the upstream, with its query.
            repository: What it is about: what a token has to open.
            headers: Beside what is always sent.
            body: What is sent with it. While that moves, the limit for the answer has not begun.
            mounted: Another repository, of which this one is to get something.

        Raises:
            UpstreamUnreachable: No answer in time, or one that says "later".
            UpstreamRefused: Upstream wants credentials that we do not have.
            UpstreamMisbehaved: A redirect or a token realm leads where it may not.
        """
        patience = self._patience_for(body)
        wish = Wish(method, repository, headers, body, patience.renew, mounted)
        try:
            async with patience:
                response = await self._send_with_retries(wish, self.endpoint.url + path)
        except TimeoutError as error:
            raise self._silent(f"no answer within {patience.seconds:g} s") from error
        try:
            yield response
        except httpx.HTTPError as error:
            raise self._unreachable(f"the answer broke off: {error}") from error
        finally:
            await response.aclose()

    def _patience_for(self, body: Outgoing | None) -> Patience:
        own = self.endpoint
        is_upload = body is not None and not body.is_repeatable
        return Patience(
            answer_seconds=own.timeout_seconds,
            stall_seconds=own.stall_timeout_seconds,
            upload_seconds=own.upload_timeout_seconds if is_upload else own.timeout_seconds,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._wire.direct.aclose()
        await self._wire.guarded.aclose()

    async def _send_with_retries(self, wish: Wish, url: str) -> httpx.Response:
        policy, attempt = self.endpoint.retries if wish.is_repeatable else RetryPolicy(attempts=1), 0
        while True:
            attempt += 1
            try:
                response = await self._follow(wish, url)
            except httpx.TimeoutException as error:
                raise self._silent(f"timed out: {error}") from error
            except httpx.HTTPError as error:
                wait = policy.wait_seconds(attempt, None, self._wire.random())
                if wait is None:
                    raise self._silent(str(error)) from error
            else:
                asked = parse_retry_after(response.headers.get("retry-after"), response.headers.get("date"))
                wait = policy.wait_after_status(attempt, response.status_code, asked, self._wire.random())
                if wait is None:
                    return await self._judged(response)
                await response.aclose()
            await asyncio.sleep(wait)

    async def _judged(self, response: httpx.Response) -> httpx.Response:
        self.quota = parse_quota(response.headers) or self.quota
        status = response.status_code
        if status == httpx.codes.TOO_MANY_REQUESTS or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            await response.aclose()
            meaning = "limits our requests" if status == httpx.codes.TOO_MANY_REQUESTS else "has trouble"
            raise self._unreachable(f"it {meaning} ({status})")
        return response

    async def _follow(self, wish: Wish, url: str) -> httpx.Response:
        home = current = httpx.URL(url)
        is_led_by_home = True
        for _ in range(MAX_HOPS + 1):
            stop = self._stop_at(current, home, wish.repository, is_led_by_home=is_led_by_home)
            is_led_by_home = is_led_by_home and stop.is_home
            response = await self._visit(wish, stop)
            location = response.headers.get("location")
            if response.status_code not in REDIRECTS or location is None:
                return response
            await response.aclose()
            current = self._next_hop(home, current, location)
            if wish.writes and (_origin(current) != _origin(home) or response.status_code not in REPEATING_REDIRECTS):
                raise UpstreamMisbehaved(
                    f"{self.endpoint.name} sends on to {current.host} what is written to it; refused"
                )
        raise UpstreamMisbehaved(f"{self.endpoint.name} redirects in a circle")

    def _stop_at(self, url: httpx.URL, home: httpx.URL, repository: str, *, is_led_by_home: bool) -> _Stop:
        found = repository if url == home else find_repository(url)
        if _origin(url) == _origin(home):
            # What is shown is for the repository that this is about, if that is another one now. Where it is not clear
            # what it is about, only home itself may lead there with our credentials: a second host is a stranger.
            authorizer = self._authorizer if found or is_led_by_home else None
            return _Stop(url, is_home=True, repository=found or repository, authorizer=authorizer)
        if found is None:
            return _Stop(url, is_home=False, repository=repository, authorizer=None)
        return _Stop(url, is_home=False, repository=found, authorizer=self._second_hosts.authorizer_for(url))

    async def _visit(self, wish: Wish, stop: _Stop) -> httpx.Response:
        """Ask one host, with whatever it wants to be shown, as far as we have it."""
        shown = await stop.authorizer.header_for(stop.repository, wish.mounted) if stop.authorizer else None
        response = await self._send(wish, stop.url, shown, is_home=stop.is_home)
        for is_first in (True, False):  # a token that upstream no longer takes is renewed once
            if stop.authorizer is None or not _wants_more(response, shown, is_first=is_first):
                break
            await response.aclose()
            challenges = await self._challenges(response, stop, stop.authorizer)
            answered = await stop.authorizer.answer(challenges, stop.repository, shown, wish.mounted)
            if answered is None:
                break
            shown = answered
            response = await self._send(wish, stop.url, shown, is_home=stop.is_home)
        return await self._believed(response, stop, shown, writes=wish.writes)

    async def _challenges(self, response: httpx.Response, stop: _Stop, authorizer: Authorizer) -> tuple[Challenge, ...]:
        """Answer what a host asks for: Google's registries may say it at `/v2/` only (containers/image)."""
        told = parse_challenges(response.headers.get_list("www-authenticate")) or authorizer.known_challenges
        if told:
            return told
        ping = await self._ping(stop, None)
        return parse_challenges(ping.headers.get_list("www-authenticate")) if ping.status_code == UNAUTHORIZED else ()

    async def _ping(self, stop: _Stop, shown: str | None) -> httpx.Response:
        """Ask for `/v2/`: its status and headers, without the body."""
        ping = await self._send(Wish("GET", stop.repository, {}), stop.url.join("/v2/"), shown, is_home=stop.is_home)
        await ping.aclose()
        if ping.status_code == httpx.codes.TOO_MANY_REQUESTS or ping.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise self._unreachable(f"it answered {ping.status_code} at /v2/")
        return ping

    async def _believed(
        self, response: httpx.Response, stop: _Stop, shown: str | None, *, writes: bool
    ) -> httpx.Response:
        """Tell a repository that is not shown to us from credentials that are not taken.

        What one says of a repository is an answer, and remembered; a password that has run out says nothing of it.
        ECR's runs out every twelve hours, and is answered 403 from then on, at `/v2/` too.
        """
        status = response.status_code
        has_credentials = shown is not None and shown.startswith("Basic ")
        if status == UNAUTHORIZED and not has_credentials:
            await response.aclose()
            name, repository = self.endpoint.name, stop.repository
            raise UpstreamRefused(
                f"{name} does not let us write to {repository} ({status})"
                if writes
                else f"{name} does not show {repository}: absent, or private"
            )
        if not has_credentials or status not in REFUSALS:
            return response
        await response.aclose()  # its status says it all
        if status == FORBIDDEN and (await self._ping(stop, shown)).status_code not in REFUSALS:
            return response
        raise self._unreachable(f"it does not take the credentials that are configured for it ({status})")

    async def _send(self, wish: Wish, url: httpx.URL, authorization: str | None, *, is_home: bool) -> httpx.Response:
        own = {"Accept-Encoding": "identity", "User-Agent": self._user_agent}
        if authorization is not None:
            own["Authorization"] = authorization
        if not is_home:
            await self._wire.guard.check(url.host)
        # Not by httpx's client: it keeps cookies, and reads every redirect, even those that it is not to follow.
        transport = self._wire.direct if is_home else self._wire.guarded
        waits = {} if wish.is_repeatable else {"read": self.endpoint.upload_timeout_seconds}
        return await transport.handle_async_request(wish.make(url, own, {**self._limits, **waits}))

    def _next_hop(self, home: httpx.URL, current: httpx.URL, location: str) -> httpx.URL:
        try:
            url = current.join(location)
            # The host is decoded only when it is looked at: `xn--` may be followed by what is no name at all.
            is_whole = bool(url.host) and (url.port is None or 0 < url.port < 2**16)
        except (httpx.InvalidURL, ValueError) as error:
            raise UpstreamMisbehaved(f"{self.endpoint.name} redirects to something that is no URL") from error
        if url.scheme not in {"https", home.scheme} or not is_whole or url.userinfo:
            raise UpstreamMisbehaved(f"{self.endpoint.name} redirects to a {url.scheme} address; refused")
        return url

    async def _fetch_token(self, url: str, authorization: str | None, *, is_home: bool) -> bytes:
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, ValueError) as error:
            raise UpstreamMisbehaved(f"{self.endpoint.name} names a token realm that is no URL") from error
        response = await self._send(Wish("GET", "", {}), parsed, authorization, is_home=is_home)
        try:
            content = await read_limited(response, MAX_TOKEN_BYTES)
        finally:
            await response.aclose()
        if response.status_code == httpx.codes.OK:
            return content
        if response.status_code in REFUSALS and authorization is None:
            raise UpstreamRefused(f"{self.endpoint.name} gives no anonymous token for this repository")
        raise self._unreachable(f"its token service answered {response.status_code}")

    def _silent(self, reason: str) -> UpstreamSilent:
        return UpstreamSilent(f"{self.endpoint.name} cannot be asked now: {reason}")

    def _unreachable(self, reason: str) -> UpstreamUnreachable:
        return UpstreamUnreachable(f"{self.endpoint.name} cannot be asked now: {reason}")

    def __repr__(self) -> str:
        return f"<Exchange with {self.endpoint.name} at {self.endpoint.url}>"


async def read_limited(response: httpx.Response, limit: int) -> bytes:
    """Read a body of at most `limit` bytes.

    Raises:
        UpstreamMisbehaved: It is larger.
    """
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > limit:
            raise UpstreamMisbehaved(f"upstream answered more than {limit} bytes where so much has no place")
    return bytes(content)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _wants_more(response: httpx.Response, shown: str | None, *, is_first: bool) -> bool:
    """Tell whether an answer asks for another authorization: 401, or Amazon's 400 to a token that it no longer takes.

    (public.ecr.aws: aws/containers-roadmap #2835.)
    """
    if response.status_code == BAD_REQUEST:
        return is_first and shown is not None and shown.startswith("Bearer ")
    return response.status_code == UNAUTHORIZED
