"""Who may read what: the token service, and the challenges of the registry."""

import base64
import json
from dataclasses import dataclass
from http import HTTPStatus

from tests.lab.hub.answers import Answer, plain, refusal
from tests.lab.hub.asked import Asked, read_scope
from tests.lab.hub.backend import Backend
from tests.lab.hub.behaviour import SERVICE, Behaviour
from tests.lab.hub.tokens import Grant, TokenMint, Verdict

API_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}


@dataclass(frozen=True, slots=True)
class TokenService:
    """Gives a token to everybody; for an absent or private repository it is one that allows nothing."""

    backend: Backend
    mint: TokenMint
    own_url: str

    async def give_token(self, asked: Asked, behaviour: Behaviour) -> Answer:
        """Answer a request for a token."""
        account, password = _read_basic(asked.headers.get("Authorization", ""))
        if account and behaviour.accounts.get(account) != password:
            body = b'{"details":"incorrect username or password"}'
            return plain(body, "application/json", status=HTTPStatus.UNAUTHORIZED)
        scopes = [scope for line in asked.query.getall("scope", []) for scope in line.split()]
        grants = [await self._grant(scope, behaviour, signed_in=bool(account)) for scope in scopes]
        service = asked.query.get("service", "")
        token = self.mint.issue(service, grants, account=account, seconds=behaviour.token_seconds)
        return plain(json.dumps(token).encode(), "application/json")

    async def _grant(self, scope: str, behaviour: Behaviour, *, signed_in: bool) -> Grant:
        repository, actions = read_scope(scope)
        closed = repository in behaviour.private and not signed_in
        exists = not closed and await self.backend.tags(repository) is not None
        return Grant(repository, actions & {"pull"} if exists else frozenset())

    def challenge(self, asked: Asked) -> Answer | None:
        """Return the 401 that a request gets, or `None` if it brings the right token."""
        verdict = self.mint.judge(asked.headers.get("Authorization"), asked.repository)
        if verdict is Verdict.GOOD:
            return None
        challenge = f'Bearer realm="{self.own_url}/token",service="{SERVICE}"'
        if asked.repository:
            challenge += f',scope="repository:{asked.repository}:pull"'
        if verdict is not Verdict.MISSING:
            error = "invalid_token" if verdict is Verdict.INVALID else "insufficient_scope"
            challenge += f',error="{error}"'
        detail = [{"Type": "repository", "Class": "", "Name": asked.repository, "Action": "pull"}]
        headers = {"WWW-Authenticate": challenge, **API_VERSION}
        return refusal(
            HTTPStatus.UNAUTHORIZED,
            "UNAUTHORIZED",
            "authentication required",
            detail=detail if asked.repository else None,
            headers=headers,
        )


def _read_basic(authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    account, _, password = base64.b64decode(encoded).decode().partition(":")
    return account, password
