"""Which `Authorization` a request to one upstream carries.

Tokens are kept one a repository until they are to be renewed, and fetched once however many requests wait for one.
Credentials are only ever used for repositories that the operator named: whatever they can see, every client of this
proxy can see.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import cachetools

from proxy.oci.challenges import Challenge
from proxy.ports import Clock
from proxy.upstream.token_auth import Token, TokenRealm, check_realm, parse_token

MAX_TOKENS = 4096

FetchToken = Callable[[str, str | None], Awaitable[bytes]]
"""Fetches a token service's answer, from a URL, with an `Authorization` or none."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user's name and password at an upstream, and the repositories that they may be used for."""

    username: str
    password: str = field(repr=False)
    repositories: tuple[str, ...] = ()
    """Shell patterns: `me/*`, `library/debian`."""
    current: Callable[[], str] | None = field(default=None, repr=False, compare=False)
    """Answers the password of the moment, where it changes."""

    def cover(self, repository: str) -> bool:
        """Tell whether they may be used for a repository."""
        return any(fnmatchcase(repository, pattern) for pattern in self.repositories)

    @property
    def basic(self) -> str:
        """The `Authorization` of the Basic scheme (RFC 7617)."""
        password = self.current() if self.current is not None else self.password
        pair = f"{self.username}:{password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


class Authorizer:
    """Answers the challenges of one upstream."""

    def __init__(
        self,
        upstream_url: str,
        *,
        token_hosts: frozenset[str],
        credentials: Credentials | None,
        clock: Clock,
        fetch_token: FetchToken,
        actions: str = "pull",
    ) -> None:
        """Take what is configured, the function that asks a token service, and what tokens are to allow."""
        self._url = upstream_url
        self._token_hosts = token_hosts
        self._credentials = credentials
        self._clock = clock
        self._fetch_token = fetch_token
        self._actions = actions
        self._realm: TokenRealm | None = None
        self._uses_basic = False
        self._tokens: cachetools.LRUCache[tuple[str, str], Token] = cachetools.LRUCache(MAX_TOKENS)
        self._fetching: dict[tuple[str, str], asyncio.Lock] = {}

    @property
    def known_challenges(self) -> tuple[Challenge, ...]:
        """What the upstream asked for before, to go by where it refuses without a word."""
        if self._realm is not None:
            return (self._realm.challenge,)
        return (Challenge("basic"),) if self._uses_basic else ()

    async def header_for(self, repository: str, mounted: str = "") -> str | None:
        """Answer what a first request carries: a token if it is known that one is asked for, else nothing."""
        if self._realm is not None:
            return await self._bearer(self._realm, repository, mounted)
        return self._basic_for(repository, mounted) if self._uses_basic else None

    async def answer(
        self, challenges: tuple[Challenge, ...], repository: str, refused: str | None, mounted: str = ""
    ) -> str | None:
        """Answer what a request carries after a 401, or None where nothing more can be shown.

        Args:
            challenges: What upstream asked for.
            repository: The repository of the request.
            refused: The `Authorization` that did not do, if there was one.
            mounted: Another repository that is read for it.

        Raises:
            UpstreamMisbehaved: The token realm is not one that may be asked.
            UpstreamRefused, UpstreamUnreachable: The token service gave none.
        """
        for challenge in challenges:
            if challenge.scheme == "bearer":
                return await self._answer_bearer(challenge, repository, refused, mounted)
            if challenge.scheme == "basic" and refused is None:
                self._uses_basic = True
                return self._basic_for(repository, mounted)
        return None

    async def _answer_bearer(
        self, challenge: Challenge, repository: str, refused: str | None, mounted: str
    ) -> str | None:
        self._realm = check_realm(challenge, self._url, self._token_hosts)
        if refused is not None:
            if challenge.error == "insufficient_scope":
                return None
            known = self._tokens.get((repository, mounted))
            if known is not None and known.bearer == refused:  # else somebody has renewed it meanwhile
                del self._tokens[repository, mounted]
        return await self._bearer(self._realm, repository, mounted)

    async def _bearer(self, realm: TokenRealm, repository: str, mounted: str) -> str:
        key = repository, mounted
        lock = self._fetching.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                token = self._tokens.get(key)
                if token is None or token.renew_at <= self._clock.monotonic():
                    url = realm.url_for(repository, self._actions, mounted)
                    answer = await self._fetch_token(url, self._basic_for(repository, mounted))
                    token = self._tokens[key] = parse_token(answer, self._clock.monotonic())
        finally:
            if not lock.locked():
                self._fetching.pop(key, None)
        return token.bearer

    def _basic_for(self, repository: str, mounted: str) -> str | None:
        known = self._credentials
        is_covered = known is not None and known.cover(repository) and (not mounted or known.cover(mounted))
        return known.basic if known is not None and is_covered else None

    def __repr__(self) -> str:
        return f"<Authorizer: {self._realm.realm if self._realm else 'no realm yet'}, {len(self._tokens)} tokens>"
