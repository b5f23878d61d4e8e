import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.oci.challenges import parse_challenges
from proxy.oci.errors import (
    RegistryError,
    UpstreamMisbehaved,
    UpstreamRefused,
    UpstreamSilent,
    UpstreamUnreachable,
)
from proxy.ports import Quota
from proxy.upstream.authorization import Credentials
from proxy.upstream.exchange import MAX_HOPS, MAX_TOKEN_BYTES, Exchange, read_limited
from proxy.upstream.retries import RetryPolicy
from tests.fakes.clock import ManualClock
from tests.upstream.wires import (
    PUBLIC,
    UPSTREAM,
    Answer,
    Line,
    TableResolver,
    header_texts,
    open_exchange,
    open_line,
    raw_server,
    sending,
)

PATH, REPOSITORY = "/v2/library/debian/manifests/jessie", "library/debian"
REALM = f"{UPSTREAM}/token"
CHALLENGE = {"WWW-Authenticate": f'Bearer realm="{REALM}",service="registry"'}
ME = Credentials("me", "secret", ("library/debian",))


async def _ask(exchange: Exchange, method: str = "GET", headers: dict[str, str] | None = None) -> httpx.Response:
    async with exchange.open(method, PATH, REPOSITORY, headers or {}) as response:
        await response.aread()
        return response


def _in_turn(*answers: httpx.Response | Exception) -> Answer:
    """Answer each request with the next one, the last one for ever."""
    rest = list(answers)

    def answer(_request: httpx.Request) -> httpx.Response:
        found = rest.pop(0) if len(rest) > 1 else rest[0]
        if isinstance(found, Exception):
            raise found
        return httpx.Response(found.status_code, headers=found.headers, content=found.content)

    return answer


def _with_tokens(registry: Answer, *, token: httpx.Response | None = None) -> Answer:
    """Answer token requests, and let `registry` answer the rest."""

    def answer(request: httpx.Request) -> httpx.Response | Awaitable[httpx.Response]:
        if request.url.path == "/token":
            return token or httpx.Response(200, json={"token": "t", "expires_in": 300})
        return registry(request)

    return answer


def _guarded_by(token: str) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        is_good = request.headers.get("authorization") == f"Bearer {token}"
        return httpx.Response(200, text="manifest") if is_good else httpx.Response(401, headers=CHALLENGE)

    return answer


def _redirect(location: str, status: int = 307) -> httpx.Response:
    return httpx.Response(status, headers={"Location": location})


OK = httpx.Response(200, text="manifest")


# A request


async def test_a_request_says_who_asks_and_takes_nothing_encoded() -> None:
    async with open_line(_in_turn(OK)) as line:
        response = await _ask(line.exchange, headers={"Accept": "application/json"})
    assert (response.status_code, response.text) == (200, "manifest")
    (request,) = line.sent
    assert (request.method, str(request.url)) == ("GET", f"{UPSTREAM}{PATH}")
    assert request.headers["user-agent"] == "polyarch/test"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["accept"] == "application/json"
    assert "authorization" not in request.headers


@pytest.mark.parametrize("status", [200, 206, 304, 400, 403, 404, 405, 410, 416])
async def test_an_answer_is_handed_on_whatever_its_status(status: int) -> None:
    async with open_line(_in_turn(httpx.Response(status))) as line:
        assert (await _ask(line.exchange)).status_code == status
    assert len(line.sent) == 1


async def test_cookies_are_never_sent_back() -> None:
    cookie = {"Set-Cookie": "session=1; Path=/"}
    async with open_line(_in_turn(httpx.Response(200, headers=cookie))) as line:
        await _ask(line.exchange)
        await _ask(line.exchange)
    assert all("cookie" not in request.headers for request in line.sent)


# Tokens


async def test_a_challenge_costs_one_token_and_the_next_request_none() -> None:
    async with open_line(_with_tokens(_guarded_by("t"))) as line:
        for _ in range(2):
            assert (await _ask(line.exchange)).text == "manifest"
    token = f"{REALM}?service=registry&scope=repository:library/debian:pull"
    assert line.urls == [UPSTREAM + PATH, token, UPSTREAM + PATH, UPSTREAM + PATH]


async def test_a_token_is_asked_for_as_it_is_and_anonymously() -> None:
    """A token service that is offered gzip may use it."""
    async with open_line(_with_tokens(_guarded_by("t"))) as line:
        await _ask(line.exchange)
    request = line.sent[1]
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["user-agent"] == "polyarch/test"
    assert "authorization" not in request.headers


async def test_credentials_go_to_the_token_service_and_nowhere_else() -> None:
    async with open_line(_with_tokens(_guarded_by("t")), credentials=ME) as line:
        await _ask(line.exchange)
    shown = [request.headers.get("authorization") for request in line.sent]
    assert shown == [None, ME.basic, "Bearer t"]


async def test_a_token_service_on_another_host_is_asked_if_it_was_named() -> None:
    challenge = {"WWW-Authenticate": 'Bearer realm="https://auth.example/token",service="registry"'}
    refusal = httpx.Response(401, headers=challenge)
    named = {"registry.example": frozenset({"auth.example"})}
    async with open_line(_with_tokens(_in_turn(refusal, OK)), token_hosts=named) as line:
        assert (await _ask(line.exchange)).text == "manifest"
    assert httpx.URL(line.urls[1]).host == "auth.example"
    async with open_line(_with_tokens(_in_turn(refusal, OK))) as line:
        with pytest.raises(UpstreamMisbehaved, match=r"auth\.example"):
            await _ask(line.exchange)
    assert len(line.sent) == 1


async def test_a_realm_that_no_request_can_be_sent_to_is_misbehaviour() -> None:
    challenge = {"WWW-Authenticate": f'Bearer realm="{UPSTREAM}/to\x01ken",service="registry"'}
    async with open_line(_in_turn(httpx.Response(401, headers=challenge))) as line:
        with pytest.raises(UpstreamMisbehaved, match="token realm that is no URL"):
            await _ask(line.exchange)


async def test_a_token_that_has_become_invalid_is_renewed_once() -> None:
    invalid = {"WWW-Authenticate": f'{CHALLENGE["WWW-Authenticate"]},error="invalid_token"'}
    answer = _with_tokens(_in_turn(httpx.Response(401, headers=CHALLENGE), httpx.Response(401, headers=invalid), OK))
    async with open_line(answer) as line:
        assert (await _ask(line.exchange)).text == "manifest"
    assert [httpx.URL(url).path for url in line.urls] == [PATH, "/token", PATH, "/token", PATH]


@pytest.mark.parametrize(
    ("error", "requests"), [("insufficient_scope", 3), ("invalid_token", 5), ("", 5)], ids=["scope", "token", "none"]
)
async def test_what_no_token_opens_is_refused(error: str, requests: int) -> None:
    challenge = {"WWW-Authenticate": f'{CHALLENGE["WWW-Authenticate"]},error="{error}"'}
    async with open_line(_with_tokens(_in_turn(httpx.Response(401, headers=challenge)))) as line:
        with pytest.raises(UpstreamRefused, match="library/debian: absent, or private"):
            await _ask(line.exchange)
    assert len(line.sent) == requests


async def test_a_401_that_asks_for_nothing_we_have_is_a_refusal() -> None:
    async with open_line(_in_turn(httpx.Response(401, headers={"WWW-Authenticate": "Negotiate"}))) as line:
        with pytest.raises(UpstreamRefused):
            await _ask(line.exchange)
    assert len(line.sent) == 1


@pytest.mark.parametrize(
    ("status", "credentials", "expected"),
    [
        (401, None, UpstreamRefused),
        (403, None, UpstreamRefused),
        (401, ME, UpstreamUnreachable),
        (403, ME, UpstreamUnreachable),
        (404, None, UpstreamUnreachable),
        (429, None, UpstreamUnreachable),
        (302, None, UpstreamUnreachable),
        (500, None, UpstreamUnreachable),
    ],
)
async def test_a_token_service_that_gives_none_says_why(
    status: int, credentials: Credentials | None, expected: type[RegistryError]
) -> None:
    """Wrong credentials are never taken for an absent repository (protocol_and_perf.md A1)."""
    answer = _with_tokens(_guarded_by("t"), token=httpx.Response(status, text="no"))
    async with open_line(answer, credentials=credentials) as line:
        with pytest.raises(expected, match=str(status) if expected is UpstreamUnreachable else "no anonymous token"):
            await _ask(line.exchange)


async def test_a_token_service_may_not_talk_without_end() -> None:
    answer = _with_tokens(_guarded_by("t"), token=httpx.Response(200, content=b" " * (MAX_TOKEN_BYTES + 1)))
    async with open_line(answer) as line:
        with pytest.raises(UpstreamMisbehaved, match=f"more than {MAX_TOKEN_BYTES} bytes"):
            await _ask(line.exchange)


# Second tries


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_failing_upstream_is_asked_once_more(status: int) -> None:
    async with open_line(_in_turn(httpx.Response(status), OK)) as line:
        assert (await _ask(line.exchange)).text == "manifest"
    assert len(line.sent) == 2


async def test_a_broken_connection_is_made_once_more() -> None:
    async with open_line(_in_turn(httpx.ReadError("gone"), OK)) as line:
        assert (await _ask(line.exchange)).text == "manifest"


@pytest.mark.parametrize(
    ("answer", "expected", "requests"),
    [
        pytest.param(httpx.Response(500), UpstreamUnreachable, 2, id="500"),
        pytest.param(httpx.Response(599), UpstreamUnreachable, 1, id="599"),
        pytest.param(httpx.Response(429), UpstreamUnreachable, 1, id="429"),
        pytest.param(httpx.Response(429, headers={"Retry-After": "60"}), UpstreamUnreachable, 1, id="429-for-long"),
        pytest.param(httpx.Response(429, headers={"Retry-After": "0"}), UpstreamUnreachable, 2, id="429-for-a-moment"),
        pytest.param(httpx.ConnectError("refused"), UpstreamSilent, 2, id="refused"),
        pytest.param(httpx.ReadError("gone"), UpstreamSilent, 2, id="gone"),
        pytest.param(httpx.RemoteProtocolError("nonsense"), UpstreamSilent, 2, id="nonsense"),
        pytest.param(httpx.ReadTimeout("slow"), UpstreamSilent, 1, id="slow"),
        pytest.param(httpx.ConnectTimeout("slow"), UpstreamSilent, 1, id="slow-to-connect"),
    ],
)
async def test_an_upstream_that_keeps_failing_is_unreachable(
    answer: httpx.Response | Exception, expected: type[UpstreamUnreachable], requests: int
) -> None:
    async with open_line(_in_turn(answer)) as line:
        with pytest.raises(UpstreamUnreachable, match=r"registry\.example cannot be asked now: ") as caught:
            await _ask(line.exchange)
    assert type(caught.value) is expected
    assert len(line.sent) == requests


async def test_an_answer_that_takes_too_long_is_not_waited_for() -> None:
    never = asyncio.Event()

    async def answer(_request: httpx.Request) -> httpx.Response:
        await never.wait()
        return OK

    async with open_line(answer, timeout_seconds=0.05) as line:
        began = time.monotonic()
        with pytest.raises(UpstreamSilent, match=r"no answer within 0\.05 s"):
            await _ask(line.exchange)
    assert time.monotonic() - began < 5


async def test_a_second_try_does_not_outlast_the_time_there_is() -> None:
    patient = RetryPolicy(attempts=100, base_seconds=0.03)
    async with open_line(_in_turn(httpx.Response(500)), timeout_seconds=0.2, retries=patient) as line:
        with pytest.raises(UpstreamSilent, match="no answer within"):
            await _ask(line.exchange)
    assert 2 <= len(line.sent) < 100


# Quota


async def test_what_is_left_of_the_quota_is_remembered() -> None:
    told = httpx.Response(200, headers={"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "7;w=21600"})
    async with open_line(_in_turn(told, OK, httpx.Response(404))) as line:
        assert line.exchange.quota is None
        for _ in range(3):
            await _ask(line.exchange)
            assert line.exchange.quota == Quota(100, 7, 21600)


async def test_the_quota_is_read_from_a_refusal_too() -> None:
    told = httpx.Response(429, headers={"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "0;w=21600"})
    async with open_line(_in_turn(told)) as line:
        with pytest.raises(UpstreamUnreachable, match="limits our requests"):
            await _ask(line.exchange)
        assert line.exchange.quota == Quota(100, 0, 21600)


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed_without_our_credentials(status: int) -> None:
    def home(request: httpx.Request) -> httpx.Response:
        if "authorization" not in request.headers:
            return httpx.Response(401, headers=CHALLENGE)
        return _redirect("https://cdn.example/data?verify=1", status)

    async with open_line(_with_tokens(home), _in_turn(OK), credentials=ME) as line:
        assert (await _ask(line.exchange, headers={"Range": "bytes=5-"})).text == "manifest"
    (away,) = line.sent_away
    assert str(away.url) == "https://cdn.example/data?verify=1"
    assert away.headers["range"] == "bytes=5-"
    assert not {"authorization", "cookie"} & set(away.headers)


async def test_a_head_stays_a_head() -> None:
    async with open_line(_in_turn(_redirect("https://cdn.example/")), _in_turn(OK)) as line:
        await _ask(line.exchange, "HEAD")
    assert line.sent_away[0].method == "HEAD"


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/v2/other", f"{UPSTREAM}/v2/other"),
        ("other?x=1", f"{UPSTREAM}/v2/library/debian/manifests/other?x=1"),
        ("?x=1", f"{UPSTREAM}{PATH}?x=1"),
        (f"{UPSTREAM}/v2/other", f"{UPSTREAM}/v2/other"),
        (f"{UPSTREAM}:443/v2/other", f"{UPSTREAM}/v2/other"),
        ("HTTPS://Registry.EXAMPLE/v2/other", f"{UPSTREAM}/v2/other"),
        ("//registry.example/v2/other", f"{UPSTREAM}/v2/other"),
    ],
)
async def test_a_redirect_within_the_upstream_keeps_our_token(location: str, expected: str) -> None:
    def home(request: httpx.Request) -> httpx.Response:
        if "authorization" not in request.headers:
            return httpx.Response(401, headers=CHALLENGE)
        return OK if str(request.url) == expected else _redirect(location)

    async with open_line(_with_tokens(home)) as line:
        assert (await _ask(line.exchange)).text == "manifest"
    assert line.sent[-1].headers["authorization"] == "Bearer t"
    assert line.sent_away == []


@pytest.mark.parametrize(
    "location",
    [
        "https://registry.example:8443/",
        "https://registry.example.evil.example/",
        "https://evil.example/",
        "https://cdn.registry.example/",
    ],
)
async def test_another_port_or_host_is_another_place(location: str) -> None:
    async with open_line(
        _in_turn(_redirect(location)), _in_turn(OK), table={httpx.URL(location).host: "8.8.8.8"}
    ) as line:
        await _ask(line.exchange)
    assert len(line.sent_away) == 1


@pytest.mark.parametrize(
    "location",
    [
        pytest.param("http://cdn.example/", id="out-of-tls"),
        pytest.param("http://registry.example/v2/", id="out-of-tls-at-home"),
        pytest.param("ftp://cdn.example/", id="another-scheme"),
        pytest.param("file:///etc/passwd", id="a-file"),
        pytest.param("https://me:secret@cdn.example/", id="user-info"),
        pytest.param("https://registry.example@cdn.example/", id="a-host-for-a-user"),
        pytest.param("https://cdn.example:99999/", id="no-port"),
        pytest.param("https://cdn.example:0/", id="port-zero"),
        pytest.param("https://[::1/", id="no-url"),
        pytest.param("https://xn--/", id="no-name-in-punycode"),
        pytest.param("https://xn--a/", id="a-control-character-in-punycode"),
        pytest.param("https://cdn.exam\x01ple/", id="a-control-character"),
        pytest.param("https://169.254.169.254/latest/meta-data/", id="a-metadata-service"),
        pytest.param("https://127.0.0.1/", id="this-machine"),
        pytest.param("https://[::1]/", id="this-machine-ipv6"),
        pytest.param("https://[::ffff:10.0.0.1]/", id="a-private-network-wrapped"),
        pytest.param("https://127.1/", id="a-short-form"),
        pytest.param("https://2130706433/", id="a-number"),
        pytest.param("//10.0.0.1/", id="a-private-network"),
    ],
)
async def test_a_redirect_may_not_lead_here(location: str) -> None:
    async with open_line(_in_turn(_redirect(location)), _in_turn(OK)) as line:
        with pytest.raises(UpstreamMisbehaved, match="redirects to"):
            await _ask(line.exchange)
    assert (len(line.sent), line.sent_away) == (1, [])


async def test_a_redirect_to_another_repository_takes_a_token_for_that_one() -> None:
    def home(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            return httpx.Response(200, json={"token": request.url.params["scope"].replace(":", "-")})
        wanted = "own/new" if "/new/" in request.url.path else REPOSITORY
        if request.headers.get("authorization") != f"Bearer repository-{wanted}-pull":
            return httpx.Response(401, headers=CHALLENGE)
        return OK if wanted == "own/new" else _redirect("/v2/own/new/manifests/jessie")

    async with open_line(home, credentials=ME) as line:
        assert (await _ask(line.exchange)).text == "manifest"
    tokens = [request for request in line.sent if request.url.path == "/token"]
    assert ["authorization" in request.headers for request in tokens] == [True, False]


@pytest.mark.parametrize("is_by_way_of_another", [False, True])
@pytest.mark.parametrize("path", ["/v2/own/private/manifests/1", "/v2/own%2Fprivate/manifests/1"])
async def test_credentials_are_not_led_to_a_repository_that_they_are_not_for(
    path: str, *, is_by_way_of_another: bool
) -> None:
    def home(request: httpx.Request) -> httpx.Response:
        if "authorization" not in request.headers:
            return httpx.Response(401, headers={"WWW-Authenticate": 'Basic realm="registry"'})
        if "private" in request.url.path:
            return OK
        return _redirect(f"https://cdn.example{PATH}" if is_by_way_of_another else path)

    async with open_line(home, _in_turn(_redirect(UPSTREAM + path)), credentials=ME) as line:
        with pytest.raises(UpstreamRefused, match="own/private: absent, or private"):
            await _ask(line.exchange)
    assert [request.url.path for request in line.sent if "authorization" in request.headers] == [PATH]


async def test_another_host_does_not_lead_home_with_our_credentials() -> None:
    def home(request: httpx.Request) -> httpx.Response:
        if "authorization" not in request.headers:
            return httpx.Response(401, headers=CHALLENGE)
        return OK if request.url.path == "/admin" else _redirect("https://cdn.example/data")

    async with open_line(_with_tokens(home), _in_turn(_redirect(f"{UPSTREAM}/admin")), credentials=ME) as line:
        with pytest.raises(UpstreamRefused):
            await _ask(line.exchange)
    assert line.sent[-1].url.path == "/admin"
    assert "authorization" not in line.sent[-1].headers


async def test_an_upstream_without_tls_may_lead_to_one_with_or_without() -> None:
    for scheme in ("http", "https"):
        url = "http://registry.example"
        async with open_line(_in_turn(_redirect(f"{scheme}://cdn.example/")), _in_turn(OK), url=url) as line:
            assert (await _ask(line.exchange)).text == "manifest"


async def test_tls_is_not_left_on_a_later_hop() -> None:
    away = _in_turn(_redirect("http://cdn.example/"))
    async with open_line(_in_turn(_redirect("https://cdn.example/")), away) as line:
        with pytest.raises(UpstreamMisbehaved, match="http address"):
            await _ask(line.exchange)


async def test_a_circle_is_left() -> None:
    async with open_line(_in_turn(_redirect("https://cdn.example/a")), _in_turn(_redirect(UPSTREAM + PATH))) as line:
        with pytest.raises(UpstreamMisbehaved, match="in a circle"):
            await _ask(line.exchange)
    assert len(line.sent) + len(line.sent_away) == MAX_HOPS + 1


async def test_a_redirect_without_a_location_is_an_answer() -> None:
    async with open_line(_in_turn(httpx.Response(307))) as line:
        assert (await _ask(line.exchange)).status_code == 307


async def test_a_cdn_that_wants_a_password_gets_none() -> None:
    challenge = {"WWW-Authenticate": 'Basic realm="cdn"'}
    away = _in_turn(httpx.Response(401, headers=challenge))
    async with open_line(_in_turn(_redirect("https://cdn.example/")), away, credentials=ME) as line:
        with pytest.raises(UpstreamRefused):
            await _ask(line.exchange)
    assert all("authorization" not in request.headers for request in line.sent_away)


@pytest.mark.parametrize("realm", ["https://10.0.0.1/token", "https://169.254.169.254/token", "https://127.1/token"])
async def test_a_second_registry_s_tokens_are_not_fetched_from_a_private_network(realm: str) -> None:
    """Not even from a host that stands in the table: by its address it might have become anybody's."""
    challenge = {"WWW-Authenticate": f'Bearer realm="{realm}",service="s"'}
    away = _in_turn(httpx.Response(401, headers=challenge))
    known = {"cdn.example": frozenset({httpx.URL(realm).host})}
    async with open_line(_in_turn(_redirect(f"https://cdn.example{PATH}")), away, token_hosts=known) as line:
        with pytest.raises(UpstreamMisbehaved, match="refused"):
            await _ask(line.exchange)
    assert [request.url.path for request in line.sent_away] == [PATH]


async def test_a_second_registry_s_tokens_are_fetched_as_guarded_as_it_is(clock: ManualClock) -> None:
    """Its token service is a name that resolves to this machine, for an upstream that is a public one."""
    known = {"second.example": frozenset({"tokens.example"})}
    challenges = parse_challenges(['Bearer realm="https://tokens.example/token",service="s"'])
    direct = TableResolver({"registry.example": "127.0.0.1"})
    guarding = TableResolver({"registry.example": PUBLIC, "tokens.example": "127.0.0.1"})
    async with open_exchange(
        "https://registry.example", clock, resolver=direct, guarding=guarding, token_hosts=known
    ) as exchange:
        second = exchange._second_hosts.authorizer_for(httpx.URL("https://second.example/"))
        with pytest.raises(UpstreamMisbehaved, match=r"tokens\.example, a loopback address; refused"):
            await second.answer(challenges, REPOSITORY, None)


@asynccontextmanager
async def _redirecting_line(location: str) -> AsyncIterator[Line]:
    raw = [(b"Location", location.encode("utf-8", "surrogateescape"))]

    def home(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(307, headers=raw)

    async with open_line(home, _in_turn(OK), credentials=ME) as line:
        yield line


@given(
    location=header_texts
    | st.builds("https://{}".format, st.text(max_size=30))
    | st.builds("https://cdn.example{}".format, st.text(max_size=10))
)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_location_is_followed_safely_or_refused(location: str) -> None:
    async def follow() -> None:
        async with _redirecting_line(location) as line:
            with suppress(RegistryError):
                await _ask(line.exchange)
            assert all(request.url.scheme == "https" for request in line.sent_away)
            assert all("authorization" not in request.headers for request in line.sent_away)

    asyncio.run(follow())


# Bodies


async def test_a_body_that_breaks_off_is_unreachable(clock: ManualClock) -> None:
    async with (
        raw_server(sending(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")) as port,
        open_exchange(f"http://localhost:{port}", clock) as exchange,
    ):
        with pytest.raises(UpstreamUnreachable, match="the answer broke off"):
            await _ask(exchange)


async def test_a_body_that_stands_still_is_unreachable(clock: ManualClock) -> None:
    forever = asyncio.Event()

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
        await writer.drain()
        await forever.wait()

    async with (
        raw_server(serve) as port,
        open_exchange(f"http://localhost:{port}", clock, stall_timeout_seconds=0.1) as exchange,
    ):
        with pytest.raises(UpstreamUnreachable, match="broke off"):
            await _ask(exchange)
        forever.set()


async def test_a_body_may_take_longer_than_an_answer_may_take_to_begin(clock: ManualClock) -> None:
    parts = [b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n", *[b"x"] * 30]
    async with (
        raw_server(sending(*parts)) as port,
        open_exchange(f"http://localhost:{port}", clock, timeout_seconds=0.15) as exchange,
    ):
        assert (await _ask(exchange)).text == "x" * 30


@pytest.mark.parametrize("size", [0, 1, 1000])
async def test_a_body_within_its_limit_is_read(size: int) -> None:
    response = httpx.Response(200, stream=_Stream([b"x"] * size))
    assert await read_limited(response, 1000) == b"x" * size


async def test_a_body_beyond_its_limit_is_not_read_on() -> None:
    stream = _Stream([b"x" * 600] * 10)
    with pytest.raises(UpstreamMisbehaved, match="more than 1000 bytes"):
        await read_limited(httpx.Response(200, stream=stream), 1000)
    assert stream.given == 2


class _Stream(httpx.AsyncByteStream):
    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = chunks
        self.given = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            self.given += 1
            yield chunk


# Over real connections: what a name resolves to


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


Redirecting = Callable[[str], Awaitable[int]]


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1"])
async def test_a_name_that_hides_an_address_is_seen_through(clock: ManualClock, address: str) -> None:
    """The upstream is a public one, as far as the guard can tell; the connection to it goes to loopback."""
    asked: list[str] = []

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append("upstream")
        head = f"HTTP/1.1 307 Go\r\nLocation: http://metadata.example:{port}/\r\nContent-Length: 0\r\n\r\n"
        writer.write(head.encode())

    direct = TableResolver({"registry.example": "127.0.0.1"})
    guarding = TableResolver({"registry.example": "93.184.216.34", "metadata.example": address})
    async with (
        raw_server(serve) as port,
        open_exchange(f"http://registry.example:{port}", clock, resolver=direct, guarding=guarding) as exchange,
    ):
        with pytest.raises(UpstreamMisbehaved, match=r"metadata\.example, a (loopback|link-local|private) address"):
            await _ask(exchange)
    assert asked == ["upstream"]


async def test_a_registry_of_one_s_own_may_redirect_within_its_network(clock: ManualClock) -> None:
    async def cdn(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nblob")

    async with raw_server(cdn) as cdn_port:
        location = f"http://cdn.lan:{cdn_port}/data"
        head = f"HTTP/1.1 307 Go\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
        resolver = TableResolver({"registry.lan": "127.0.0.1", "cdn.lan": "127.0.0.1"})
        async with (
            raw_server(sending(head)) as port,
            open_exchange(f"http://registry.lan:{port}", clock, resolver=resolver) as exchange,
        ):
            assert (await _ask(exchange)).text == "blob"


async def test_an_upstream_that_is_not_there_is_silent(clock: ManualClock) -> None:
    async with raw_server(sending()) as port:
        pass
    async with open_exchange(f"http://localhost:{port}", clock) as exchange:
        with pytest.raises(UpstreamSilent, match=r"cannot be asked now: (connection refused|none of its)"):
            await _ask(exchange)
    async with open_exchange("http://nowhere.example", clock) as exchange:
        with pytest.raises(UpstreamSilent):
            await _ask(exchange)


async def test_many_requests_at_once_share_a_token(clock: ManualClock) -> None:
    tokens = 0

    async def home(request: httpx.Request) -> httpx.Response:
        nonlocal tokens
        await asyncio.sleep(0)
        if request.url.path == "/token":
            tokens += 1
            return httpx.Response(200, content=json.dumps({"token": "t"}))
        answered = _guarded_by("t")(request)
        assert isinstance(answered, httpx.Response)
        return answered

    async with open_line(home) as line:
        answers = await asyncio.gather(*(_ask(line.exchange) for _ in range(30)))
    assert {answer.text for answer in answers} == {"manifest"}
    assert tokens == 1


async def test_an_exchange_is_known_by_its_upstream() -> None:
    async with open_line(_in_turn(OK), credentials=ME) as line:
        assert repr(line.exchange) == f"<Exchange with registry.example at {UPSTREAM}>"
