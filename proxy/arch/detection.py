"""Who asks: the platform of a client, from whatever it shows.

Every kind of evidence is one row of `EVIDENCE`, strongest first; the first row that speaks wins, and the detection
names it. A row never raises: a forged, overlong or unknown value says nothing, and the next row is asked.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from proxy.arch.kernels import FLOOR, find_variant
from proxy.arch.words import find_path_platform
from proxy.oci.platforms import Platform

MAX_USER_AGENT_LENGTH = 1024

PRODUCTS = frozenset({"docker", "cri-o", "balenaengine"})
"""Clients whose `arch/` is the machine's own, by the first token of their User-Agent (clients.md §1.1)."""

_ARCHITECTURES = frozenset({"386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x"})
"""GOARCH values that a container engine is built for."""

_SYSTEMS = frozenset({"linux", "windows", "freebsd"})
_TOKEN = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9-]*)/(?P<value>[A-Za-z0-9_.+~:-]+)")
_UPSTREAM_CLIENT = " UpstreamClient("


@dataclass(frozen=True, slots=True)
class ClientHints:
    """What one request shows of its client; an empty text where it shows nothing."""

    path_word: str = ""
    """The platform word that stood in the path, if any."""
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class Detection:
    """The platform that a client is believed to have, and why."""

    platform: Platform | None
    evidence: str
    """The row that spoke: `path`, `user-agent`, `default`, or `none`."""
    considered: tuple[str, ...] = field(default=())
    """The rows that were asked, in order."""


@dataclass(frozen=True, slots=True)
class PathPlatform:
    """A repository of the path, freed of the platform word that stood before it."""

    word: str
    repository: str


def split_path_platform(prefix: str, repository: str) -> PathPlatform | None:
    """Find the platform word of a request path, whichever of the four shapes the client gave it.

    Args:
        prefix: The part before `v2`, or the first part of a path without it.
        repository: The repository of the path, which may itself begin with a word.

    Answers None if the prefix is no platform word: there is no such path then.
    """
    if prefix:
        return PathPlatform(prefix, repository) if find_path_platform(prefix) else None
    first, slash, rest = repository.partition("/")
    if slash and find_path_platform(first):
        return PathPlatform(first, rest)
    return PathPlatform("", repository)


def parse_user_agent(user_agent: str) -> Platform | None:
    """Read the platform out of the User-Agent of Docker Engine, CRI-O or balenaEngine; None if it does not tell.

    Shape (moby `dockerversion/useragent.go`): `docker/28.5.1 go/… git-commit/… kernel/6.1.21-v7+ os/linux arch/arm
    UpstreamClient(…)`. Everything from `UpstreamClient(` on is written by whoever called the engine, so it is cut off.
    """
    if len(user_agent) > MAX_USER_AGENT_LENGTH:
        return None
    tokens = [_TOKEN.fullmatch(token) for token in user_agent.partition(_UPSTREAM_CLIENT)[0].split()]
    if not tokens or tokens[0] is None or tokens[0]["name"].lower() not in PRODUCTS:
        return None
    values = {token["name"].lower(): token["value"] for token in reversed(tokens) if token is not None}
    system, architecture = values.get("os", "").lower(), values.get("arch", "")
    if system not in _SYSTEMS or architecture not in _ARCHITECTURES:
        return None
    variant = (find_variant(values.get("kernel", "")) or FLOOR) if architecture == "arm" else ""
    return Platform(system, architecture, variant).normalised()


def _from_path(hints: ClientHints) -> Platform | None:
    return find_path_platform(hints.path_word) if hints.path_word else None


def _from_user_agent(hints: ClientHints) -> Platform | None:
    return parse_user_agent(hints.user_agent)


EVIDENCE: tuple[tuple[str, Callable[[ClientHints], Platform | None]], ...] = (
    ("path", _from_path),
    ("user-agent", _from_user_agent),
)


def detect(hints: ClientHints, *, default: Platform | None = None) -> Detection:
    """Answer the platform of a client by the strongest evidence that speaks."""
    considered: list[str] = []
    for name, row in EVIDENCE:
        considered.append(name)
        if (platform := row(hints)) is not None:
            return Detection(platform, name, tuple(considered))
    if default is not None:
        return Detection(default, "default", (*considered, "default"))
    return Detection(None, "none", tuple(considered))
