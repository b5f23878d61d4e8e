"""The token handshake, without I/O (distribution `docs/content/spec/auth/token.md`).

What is decided here: where a token may be asked for, what the request for it looks like, and how long it holds. A realm
is chosen by the upstream's answer, so it is pinned: CVE-2026-33540 is a pull-through cache that sent its credentials to
whatever realm an upstream named.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from proxy.oci.challenges import Challenge
from proxy.oci.errors import UpstreamMisbehaved

DEFAULT_LIFETIME_SECONDS = 60.0
"""Where a token does not say (token.md, "expires_in")."""
SAFETY_SECONDS = 30.0
"""A token is renewed this long before it ends: clocks differ, and a blob's redirect takes its time."""
LONGEST_LIFETIME_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token and when, on the monotonic clock, it is to be renewed."""

    text: str
    renew_at: float

    @property
    def bearer(self) -> str:
        """The `Authorization` of the Bearer scheme (RFC 6750)."""
        return f"Bearer {self.text}"

    def __repr__(self) -> str:
        return f"<Token, to be renewed at {self.renew_at:.0f}>"


@dataclass(frozen=True, slots=True)
class TokenRealm:
    """Where tokens for an upstream are had, as its challenge said."""

    realm: str
    service: str

    @property
    def challenge(self) -> Challenge:
        """The challenge that names it."""
        return Challenge("bearer", {"realm": self.realm, "service": self.service})

    def url_for(self, repository: str, actions: str = "pull", mounted: str = "") -> str:
        """Write the request for a token that allows some actions in one repository: `pull`, or `pull,push`.

        One scope a token: some token services read only the first. The scope is ours, not the challenge's, which for
        some registries is a placeholder (GHCR) or names a repository that nobody meant. A second one is for who mounts
        something out of another repository (distribution-spec 1.1.1, "Mounting a blob from another repository").
        """
        parts = urlsplit(self.realm)
        query = parse_qsl(parts.query, keep_blank_values=True)
        if self.service:
            query.append(("service", self.service))
        query.append(("scope", f"repository:{repository}:{actions}"))
        if mounted:
            query.append(("scope", f"repository:{mounted}:pull"))
        return urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query, safe=":/"), ""))


def check_realm(challenge: Challenge, upstream_url: str, token_hosts: frozenset[str]) -> TokenRealm:
    """Answer the realm of a Bearer challenge, if tokens may be asked for there.

    Args:
        challenge: What upstream answered.
        upstream_url: Where the upstream was configured.
        token_hosts: Further hosts (`name` or `name:port`) that were named for it.

    Raises:
        UpstreamMisbehaved: The realm is on a foreign host, or without TLS where the upstream has it.
    """
    try:
        realm, upstream = urlsplit(challenge.realm), urlsplit(upstream_url)
        is_own = (realm.hostname, _port(realm)) == (upstream.hostname, _port(upstream))
    except ValueError as error:
        raise UpstreamMisbehaved("upstream names a token realm that is no URL") from error
    schemes = {"https", upstream.scheme}
    is_named = realm.netloc.lower() in token_hosts
    if realm.scheme not in schemes or realm.username is not None or not (is_own or is_named):
        raise UpstreamMisbehaved(
            f"upstream names a token realm on {realm.netloc or 'no host'}, which is not its own; "
            "if it is right, name that host in the upstream's token_hosts"
        )
    return TokenRealm(challenge.realm, challenge.service)


def _port(parts: SplitResult) -> int | None:
    return parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def parse_token(content: bytes, now: float) -> Token:
    """Read a token service's answer.

    Args:
        content: The body.
        now: The monotonic clock.

    Raises:
        UpstreamMisbehaved: There is no token in it.
    """
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UpstreamMisbehaved("the token service answered something that is not JSON") from error
    text = (fields.get("token") or fields.get("access_token")) if isinstance(fields, Mapping) else None
    if not isinstance(text, str) or not text or not text.isascii() or not text.isprintable():
        raise UpstreamMisbehaved("the token service answered without a token")
    seconds = fields.get("expires_in")
    has_lifetime = isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds > 0
    lifetime = float(min(seconds, LONGEST_LIFETIME_SECONDS)) if has_lifetime else DEFAULT_LIFETIME_SECONDS
    return Token(text, now + max(lifetime - SAFETY_SECONDS, lifetime / 2))
