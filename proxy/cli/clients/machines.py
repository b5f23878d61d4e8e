"""The machine that a command runs on: its platform, and what an engine on it tells registries of itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.arch.vocabulary import BUILT_IN
from proxy.oci.errors import InvalidPlatform
from proxy.oci.platforms import Platform

_NARROW: Mapping[str, Platform] = {"arm64": Platform("linux", "arm", "v8"), "amd64": Platform("linux", "386")}
"""What a 32-bit userland is on a kernel of 64 bits."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine, as it is shown."""

    shown_by: str
    """What told of it: `Docker 28.5.1`, or `uname`."""
    user_agent: str
    """What its Docker sends, or would send."""
    platform: Platform | None
    """What it is by its own word; None where that is not known, or where Docker is on another one."""


def machine_by_uname(system: str, machine: str, release: str, *, is_narrow: bool) -> Machine:
    """Answer the machine that `uname` describes.

    Args:
        system: `uname -s`.
        machine: `uname -m`: `armv7l`, `aarch64` …
        release: `uname -r`.
        is_narrow: Whether programs of it are of 32 bits.
    """
    platform = _find_platform(system, machine, is_narrow=is_narrow)
    architecture = platform.architecture if platform else machine
    user_agent = f"docker/28.0.0 go/go1.24 kernel/{release} os/{system.lower()} arch/{architecture}"
    return Machine("uname", user_agent, platform)


def machine_by_docker(server: Mapping[str, object], own: Machine, release: str) -> Machine:
    """Answer the machine of a Docker Engine.

    Args:
        server: The `Server` of `docker version --format json`.
        own: This machine.
        release: This machine's `uname -r`: an engine with another kernel is elsewhere.
    """
    told = {name: str(server.get(name) or "") for name in ("Version", "GoVersion", "KernelVersion", "Os", "Arch")}
    user_agent = (
        f"docker/{told['Version']} go/{told['GoVersion']} kernel/{told['KernelVersion']} "
        f"os/{told['Os']} arch/{told['Arch']}"
    )
    platform = own.platform if told["KernelVersion"] == release else None
    return Machine(f"Docker {told['Version']}", user_agent, platform)


def _find_platform(system: str, machine: str, *, is_narrow: bool) -> Platform | None:
    if system.lower() != "linux":
        return None
    try:
        found = BUILT_IN.parse_platform(machine)
    except InvalidPlatform:
        return None
    return _NARROW.get(found.architecture, found) if is_narrow else found
