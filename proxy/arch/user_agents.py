"""The engine behind a request, as far as its User-Agent tells.

Only Docker Engine, balenaEngine and CRI-O name their machine's architecture, none its variant (clients.md §1.1); on a
Raspberry Pi the kernel's release tells that.
"""

import re
from dataclasses import dataclass

from proxy.arch.kernels import FLOOR, find_variant
from proxy.oci.platforms import Platform

MAX_USER_AGENT_LENGTH = 1024

PRODUCTS = frozenset({"docker", "cri-o", "balenaengine"})
"""Clients whose `arch/` is the machine's own, by the first token of their User-Agent (clients.md §1.1)."""

_ARCHITECTURES = frozenset({"386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x"})
"""GOARCH values that a container engine is built for."""

_SYSTEMS = frozenset({"linux", "windows", "freebsd"})
_TOKEN = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9-]*)/(?P<value>[A-Za-z0-9_.+~:-]+)")
_UPSTREAM_CLIENT = " UpstreamClient("
_VERSION = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){0,2}")


@dataclass(frozen=True, slots=True)
class Engine:
    """A container engine that tells which machine it runs on."""

    product: str
    """`docker`, `balenaengine` or `cri-o`."""
    version: tuple[int, ...]
    """`(20, 10, 24)`; empty where it is not told."""
    platform: Platform
    """The machine's, its ARM variant told by the kernel, or the floor."""


def parse_user_agent(user_agent: str) -> Engine | None:
    """Read the User-Agent of Docker Engine, CRI-O or balenaEngine; None if it is another's, or does not tell.

    Shape (moby `dockerversion/useragent.go`): `docker/28.5.1 go/… git-commit/… kernel/6.1.21-v7+ os/linux arch/arm
    UpstreamClient(…)`. Everything from `UpstreamClient(` on is written by whoever called the engine, so it is cut off.
    """
    if len(user_agent) > MAX_USER_AGENT_LENGTH:
        return None
    machine = user_agent.partition(_UPSTREAM_CLIENT)[0]
    # At spaces only: an engine writes no other separator, and Docker 1.12 wrote two of them (distribution#1965).
    tokens = [_TOKEN.fullmatch(token) for token in machine.split(" ") if token]
    if not tokens or tokens[0] is None or tokens[0]["name"].lower() not in PRODUCTS:
        return None
    values = {token["name"].lower(): token["value"] for token in reversed(tokens) if token is not None}
    system, architecture = values.get("os", "").lower(), values.get("arch", "")
    if system not in _SYSTEMS or architecture not in _ARCHITECTURES:
        return None
    variant = (find_variant(values.get("kernel", "")) or FLOOR) if architecture == "arm" else ""
    product = tokens[0]["name"].lower()
    return Engine(product, _version(values[product]), Platform(system, architecture, variant).normalised())


def _version(text: str) -> tuple[int, ...]:
    found = _VERSION.match(text)
    return tuple(int(number) for number in found[0].split(".")) if found else ()
