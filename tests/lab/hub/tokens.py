"""The token service: always willing to give a token, which then may allow nothing."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import TypedDict

from tests.lab.hub.behaviour import SERVICE


class Verdict(Enum):
    """What the registry makes of a request's token."""

    MISSING = auto()
    INVALID = auto()
    INSUFFICIENT = auto()
    GOOD = auto()


@dataclass(frozen=True, slots=True)
class Grant:
    """One scope and the actions that were allowed of those that were asked."""

    repository: str
    actions: frozenset[str]

    def as_json(self) -> dict[str, object]:
        """The form inside a token."""
        return {"type": "repository", "class": "", "name": self.repository, "actions": sorted(self.actions)}


class _Access(TypedDict):
    name: str
    actions: list[str]


class _Claims(TypedDict):
    aud: str
    exp: int
    access: list[_Access]


class TokenMint:
    """Makes tokens that look like Docker Hub's, and reads only its own."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def issue(self, service: str, grants: Iterable[Grant], *, account: str, seconds: int) -> dict[str, object]:
        """Return the token service's whole answer."""
        now = int(time.time())
        claims = {
            "access": [grant.as_json() for grant in grants],
            "aud": service,
            "exp": now + seconds,
            "iat": now,
            "iss": "auth.docker.io",
            "jti": secrets.token_hex(8),
            "nbf": now - seconds,
            "sub": account,
        }
        payload = ".".join(_encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
        token = f"{payload}.{self._sign(payload)}"
        issued = datetime.fromtimestamp(now, UTC).isoformat()
        return {"token": token, "access_token": token, "expires_in": seconds, "issued_at": issued}

    def judge(self, authorization: str | None, repository: str) -> Verdict:
        """Say whether an `Authorization` header allows pulling from a repository (empty: any)."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return Verdict.MISSING
        claims = self._read(token)
        if claims is None or claims["aud"] != SERVICE or claims["exp"] <= time.time():
            return Verdict.INVALID
        allowed = {entry["name"] for entry in claims["access"] if "pull" in entry["actions"]}
        return Verdict.GOOD if not repository or repository in allowed else Verdict.INSUFFICIENT

    def sign_address(self, path: str, *, seconds: int = 3000) -> str:
        """Return the query that makes an address of the CDN valid for a while."""
        expiry = int(time.time()) + seconds
        return f"verify={expiry}-{self._sign(f'{path} {expiry}')}"

    def address_is_good(self, path: str, verify: str) -> bool:
        """Whether the query belongs to the path and has not run out."""
        expiry, _, mac = verify.partition("-")
        return expiry.isdecimal() and int(expiry) > time.time() and mac == self._sign(f"{path} {expiry}")

    def _read(self, token: str) -> _Claims | None:
        payload, _, mac = token.rpartition(".")
        if not hmac.compare_digest(mac, self._sign(payload)):
            return None
        body = payload.partition(".")[2]
        claims: _Claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return claims

    def _sign(self, text: str) -> str:
        return _encode(hmac.digest(self._key, text.encode(), hashlib.sha256))


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
