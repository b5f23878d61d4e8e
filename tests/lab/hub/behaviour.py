"""The switches of the stand-in."""

from collections.abc import Mapping
from dataclasses import dataclass, field

SERVICE = "registry.docker.io"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the stand-in behaves. Replace it at any time: `hub.behaviour = dataclasses.replace(HUB, ...)`."""

    auth: bool = True
    """Ask for a bearer token, and hide absent repositories behind 401 `insufficient_scope`."""
    redirect: bool = True
    """Send blobs by way of the CDN, with a signed address."""
    pull_limit: int | None = 100
    """Manifest GETs until 429; `None` sends no rate-limit headers, as for a paid account."""
    token_seconds: int = 300
    """Life of a token: both `expires_in` and what the registry really accepts."""
    legacy_negotiation: bool = False
    """Answer a tag that is a list with its amd64 image when the client accepts no list type."""
    private: frozenset[str] = frozenset()
    """Repositories that only the accounts may read."""
    accounts: Mapping[str, str] = field(default_factory=dict)
    """User names and passwords that the token service knows."""


HUB = Behaviour()
"""Docker Hub, for somebody who is not signed in."""

OWN = Behaviour(auth=False, redirect=False, pull_limit=None)
"""A registry of one's own: no tokens, no CDN, no limit, and a plain 404 for what is absent."""
