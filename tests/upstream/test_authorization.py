import asyncio
import base64
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci.challenges import Challenge, parse_challenges
from proxy.oci.errors import RegistryError, UpstreamMisbehaved, UpstreamRefused, UpstreamUnreachable
from proxy.upstream.authorization import Authorizer, Credentials
from tests.fakes.clock import ManualClock
from tests.strategies import repositories

URL = "https://registry.example"
BEARER = parse_challenges(['Bearer realm="https://registry.example/token",service="registry"'])
INVALID = parse_challenges(['Bearer realm="https://registry.example/token",service="registry",error="invalid_token"'])
INSUFFICIENT = parse_challenges(
    ['Bearer realm="https://registry.example/token",service="registry",error="insufficient_scope"']
)
BASIC = parse_challenges(['Basic realm="registry"'])
REPOSITORY = "library/debian"
ME = Credentials("me", "secret", ("me/*", "library/debian"))


class TokenDesk:
    """A token service: counts, numbers its tokens, and can be held and broken."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.lifetime_seconds = 300.0
        self.error: RegistryError | None = None
        self.answer: bytes | None = None
        self.open = asyncio.Event()
        self.open.set()
        self._news = asyncio.Event()

    async def wait_asked(self, count: int) -> None:
        while len(self.asked) < count:
            await self._news.wait()
            self._news.clear()

    async def fetch(self, url: str, authorization: str | None) -> bytes:
        self.asked.append((url, authorization))
        self._news.set()
        number = len(self.asked)
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return self.answer or json.dumps({"token": f"token-{number}", "expires_in": self.lifetime_seconds}).encode()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def desk() -> TokenDesk:
    return TokenDesk()


Make = Callable[..., Authorizer]


@pytest.fixture
def make(clock: ManualClock, desk: TokenDesk) -> Make:
    def make(credentials: Credentials | None = None, *, token_hosts: frozenset[str] = frozenset()) -> Authorizer:
        return Authorizer(URL, token_hosts=token_hosts, credentials=credentials, clock=clock, fetch_token=desk.fetch)

    return make


@pytest.fixture
def authorizer(make: Make) -> Authorizer:
    return make()


async def test_nothing_is_shown_before_it_is_asked_for(make: Make, desk: TokenDesk) -> None:
    assert await make().header_for(REPOSITORY) is None
    assert await make(ME).header_for(REPOSITORY) is None
    assert desk.asked == []


async def test_a_challenge_is_answered_with_a_token_for_the_repository(authorizer: Authorizer, desk: TokenDesk) -> None:
    assert await authorizer.answer(BEARER, REPOSITORY, None) == "Bearer token-1"
    assert desk.asked == [
        ("https://registry.example/token?service=registry&scope=repository:library/debian:pull", None)
    ]


@pytest.mark.parametrize(("mounted", "is_shown"), [("me/base", True), ("you/base", False)])
async def test_credentials_are_used_where_they_are_for_what_is_mounted_as_well(
    make: Make, desk: TokenDesk, mounted: str, *, is_shown: bool
) -> None:
    authorizer = make(ME)
    first = await authorizer.answer(BEARER, "me/app", None, mounted)
    assert first == await authorizer.header_for("me/app", mounted)
    assert first != await authorizer.header_for("me/app")
    ((_, shown), _) = desk.asked
    assert (shown == ME.basic) is is_shown


async def test_from_then_on_tokens_are_shown_unasked(authorizer: Authorizer, desk: TokenDesk) -> None:
    await authorizer.answer(BEARER, REPOSITORY, None)
    assert await authorizer.header_for(REPOSITORY) == "Bearer token-1"
    assert await authorizer.header_for("library/redis") == "Bearer token-2"
    assert await authorizer.header_for("library/redis") == "Bearer token-2"
    assert len(desk.asked) == 2


@pytest.mark.parametrize("seconds", [0, 269.9])
async def test_a_token_is_used_while_it_holds(
    authorizer: Authorizer, desk: TokenDesk, clock: ManualClock, seconds: float
) -> None:
    await authorizer.answer(BEARER, REPOSITORY, None)
    clock.tick(seconds)
    assert await authorizer.header_for(REPOSITORY) == "Bearer token-1"


@pytest.mark.parametrize("seconds", [270, 10_000])
async def test_a_token_is_renewed_before_it_ends(
    authorizer: Authorizer, desk: TokenDesk, clock: ManualClock, seconds: float
) -> None:
    await authorizer.answer(BEARER, REPOSITORY, None)
    clock.tick(seconds)
    assert await authorizer.header_for(REPOSITORY) == "Bearer token-2"


async def test_a_wall_clock_that_is_set_renews_nothing(
    authorizer: Authorizer, desk: TokenDesk, clock: ManualClock
) -> None:
    await authorizer.answer(BEARER, REPOSITORY, None)
    clock.jump(1e6)
    assert await authorizer.header_for(REPOSITORY) == "Bearer token-1"


async def test_one_token_is_fetched_however_many_wait_for_it(authorizer: Authorizer, desk: TokenDesk) -> None:
    desk.open.clear()
    waiting = asyncio.gather(*(authorizer.answer(BEARER, REPOSITORY, None) for _ in range(50)))
    others = asyncio.gather(*(authorizer.answer(BEARER, f"library/{number}", None) for number in range(3)))
    await desk.wait_asked(4)
    desk.open.set()
    assert set(await waiting) == {"Bearer token-1"}
    assert len(set(await others)) == 3
    assert len(desk.asked) == 4


async def test_one_renewal_is_fetched_however_many_wait_for_it(
    authorizer: Authorizer, desk: TokenDesk, clock: ManualClock
) -> None:
    await authorizer.answer(BEARER, REPOSITORY, None)
    clock.tick(300)
    shown = await asyncio.gather(*(authorizer.header_for(REPOSITORY) for _ in range(50)))
    assert (set(shown), len(desk.asked)) == ({"Bearer token-2"}, 2)


async def test_a_token_that_upstream_no_longer_takes_is_renewed(authorizer: Authorizer, desk: TokenDesk) -> None:
    shown = await authorizer.answer(BEARER, REPOSITORY, None)
    assert await authorizer.answer(INVALID, REPOSITORY, shown) == "Bearer token-2"
    assert await authorizer.header_for(REPOSITORY) == "Bearer token-2"


async def test_a_token_that_many_were_refused_with_is_renewed_once(authorizer: Authorizer, desk: TokenDesk) -> None:
    refused = await authorizer.answer(BEARER, REPOSITORY, None)
    shown = await asyncio.gather(*(authorizer.answer(INVALID, REPOSITORY, refused) for _ in range(20)))
    assert (set(shown), len(desk.asked)) == ({"Bearer token-2"}, 2)
    assert await authorizer.answer(INVALID, REPOSITORY, refused) == "Bearer token-2"
    assert len(desk.asked) == 2


async def test_a_token_that_does_not_reach_is_not_renewed(authorizer: Authorizer, desk: TokenDesk) -> None:
    """Docker Hub's word for absent or private: another token would say the same."""
    shown = await authorizer.answer(BEARER, REPOSITORY, None)
    assert await authorizer.answer(INSUFFICIENT, REPOSITORY, shown) is None
    assert len(desk.asked) == 1


async def test_a_first_request_is_given_a_token_whatever_the_challenge_says(
    authorizer: Authorizer, desk: TokenDesk
) -> None:
    assert await authorizer.answer(INSUFFICIENT, REPOSITORY, None) == "Bearer token-1"


@pytest.mark.parametrize("error", [UpstreamRefused("no"), UpstreamUnreachable("not now")], ids=["refused", "gone"])
async def test_a_fetch_that_failed_is_told_and_tried_again_by_the_next(
    authorizer: Authorizer, desk: TokenDesk, error: RegistryError
) -> None:
    desk.error = error
    with pytest.raises(type(error)):
        await authorizer.answer(BEARER, REPOSITORY, None)
    desk.error = None
    assert await authorizer.header_for(REPOSITORY) == "Bearer token-2"
    assert authorizer._fetching == {}


async def test_who_leaves_while_a_token_is_fetched_takes_it_from_nobody(
    authorizer: Authorizer, desk: TokenDesk
) -> None:
    desk.open.clear()
    first, second = (asyncio.ensure_future(authorizer.answer(BEARER, REPOSITORY, None)) for _ in range(2))
    await desk.wait_asked(1)
    first.cancel()
    await asyncio.wait([first])
    desk.open.set()
    assert await second == "Bearer token-2"
    assert authorizer._fetching == {}


async def test_who_stops_waiting_for_a_token_leaves_the_others_waiting_for_the_same(
    authorizer: Authorizer, desk: TokenDesk
) -> None:
    desk.open.clear()
    first, second = (asyncio.ensure_future(authorizer.answer(BEARER, REPOSITORY, None)) for _ in range(2))
    await desk.wait_asked(1)
    second.cancel()
    await asyncio.wait([second])
    third = asyncio.ensure_future(authorizer.answer(BEARER, REPOSITORY, None))
    desk.open.set()
    assert (await first, await third) == ("Bearer token-1", "Bearer token-1")


async def test_an_upstream_that_changes_its_mind_about_the_scheme_is_followed(make: Make, desk: TokenDesk) -> None:
    authorizer = make(ME)
    shown = await authorizer.answer(BASIC, REPOSITORY, None)
    assert await authorizer.answer(BEARER, REPOSITORY, shown) == "Bearer token-1"
    assert await authorizer.header_for(REPOSITORY) == "Bearer token-1"


async def test_a_foreign_realm_is_not_asked(make: Make, desk: TokenDesk) -> None:
    foreign = parse_challenges(['Bearer realm="https://evil.example/token",service="registry"'])
    authorizer = make(ME)
    with pytest.raises(UpstreamMisbehaved, match=r"evil\.example"):
        await authorizer.answer(foreign, REPOSITORY, None)
    assert desk.asked == []
    assert await authorizer.header_for(REPOSITORY) is None


async def test_a_realm_on_a_named_host_is_asked(make: Make, desk: TokenDesk) -> None:
    named = parse_challenges(['Bearer realm="https://auth.example/token",service="registry"'])
    authorizer = make(token_hosts=frozenset({"auth.example"}))
    assert await authorizer.answer(named, REPOSITORY, None) == "Bearer token-1"
    assert "https://auth.example/token" in repr(authorizer)


async def test_an_answer_without_a_token_is_misbehaviour(authorizer: Authorizer, desk: TokenDesk) -> None:
    desk.answer = b"<html>"
    with pytest.raises(UpstreamMisbehaved, match="not JSON"):
        await authorizer.answer(BEARER, REPOSITORY, None)


@pytest.mark.parametrize(
    ("repository", "is_covered"),
    [("library/debian", True), ("me/app", True), ("library/redis", False), ("you/app", False)],
)
async def test_credentials_are_used_for_the_named_repositories_only(
    make: Make, desk: TokenDesk, repository: str, *, is_covered: bool
) -> None:
    await make(ME).answer(BEARER, repository, None)
    assert desk.asked[0][1] == (ME.basic if is_covered else None)


async def test_basic_credentials_are_shown_where_they_are_asked_for(make: Make, desk: TokenDesk) -> None:
    authorizer = make(ME)
    assert await authorizer.answer(BASIC, REPOSITORY, None) == ME.basic
    assert await authorizer.header_for(REPOSITORY) == ME.basic
    assert await authorizer.header_for("you/app") is None
    assert desk.asked == []


async def test_basic_credentials_that_do_not_do_are_not_shown_again(make: Make) -> None:
    authorizer = make(ME)
    shown = await authorizer.answer(BASIC, REPOSITORY, None)
    assert await authorizer.answer(BASIC, REPOSITORY, shown) is None


@pytest.mark.parametrize(
    "challenges",
    [(), parse_challenges(['Negotiate, NTLM abc, Digest realm="x"']), BASIC],
    ids=["none", "unknown-schemes", "basic-without-credentials"],
)
async def test_what_cannot_be_answered_is_not_answered(
    authorizer: Authorizer, challenges: tuple[Challenge, ...]
) -> None:
    assert await authorizer.answer(challenges, REPOSITORY, None) is None


async def test_what_was_asked_for_once_is_known(make: Make) -> None:
    authorizer = make(ME)
    assert not authorizer.known_challenges
    await authorizer.answer(BASIC, REPOSITORY, None)
    assert authorizer.known_challenges == (Challenge("basic"),)
    await authorizer.answer(BEARER, REPOSITORY, None)
    assert authorizer.known_challenges == BEARER


async def test_the_first_scheme_that_is_known_is_answered(authorizer: Authorizer) -> None:
    challenges = (*parse_challenges(["Negotiate"]), *BEARER, *BASIC)
    assert await authorizer.answer(challenges, REPOSITORY, None) == "Bearer token-1"


async def test_tokens_do_not_grow_without_end(authorizer: Authorizer, desk: TokenDesk) -> None:
    await authorizer.answer(BEARER, REPOSITORY, None)
    for number in range(5000):
        await authorizer.header_for(f"library/{number}")
    assert "4096 tokens" in repr(authorizer)
    assert authorizer._fetching == {}


def test_credentials_are_written_as_the_rfc_has_them() -> None:
    """RFC 7617 §2.1."""
    assert Credentials("Aladdin", "open sesame").basic == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert base64.b64decode(Credentials("ä", "ö:ü").basic.removeprefix("Basic ")).decode() == "ä:ö:ü"


def test_nothing_that_is_shown_in_a_log_holds_a_password(make: Make) -> None:
    assert "secret" not in repr(ME)
    assert "secret" not in repr(make(ME))
    assert "no realm yet" in repr(make(ME))


@pytest.mark.parametrize(
    ("pattern", "repository", "is_covered"),
    [
        ("me/*", "me/app", True),
        ("me/*", "me/group/app", True),
        ("me/*", "me", False),
        ("me/*", "meet/app", False),
        ("library/debian", "library/debian-slim", False),
        ("*", "anything/at/all", True),
        ("ME/*", "me/app", False),
    ],
)
def test_a_pattern_covers_this(pattern: str, repository: str, *, is_covered: bool) -> None:
    assert Credentials("me", "secret", (pattern,)).cover(repository) is is_covered


@given(repository=repositories)
def test_credentials_without_repositories_cover_nothing(repository: str) -> None:
    assert not Credentials("me", "secret").cover(repository)


@given(st.lists(repositories, max_size=5), repositories)
def test_a_plain_name_covers_itself_only(names: list[str], repository: str) -> None:
    assert Credentials("me", "secret", tuple(names)).cover(repository) is (repository in names)
