"""The ways in: addresses and host names, and what the operator says of whoever comes in by them.

A port or a host name per platform is the only channel that every client of every version has (clients.md §2.1).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from proxy.arch.detection import NOTHING_ASSIGNED, Assignment


@dataclass(frozen=True, slots=True)
class Listener:
    """One way in."""

    name: str = ""
    """What it is called in logs: its address, its host name, or nothing for the main one."""
    host: str = ""
    """The host name that it is for; empty for whatever no other one of its address is for."""
    assignment: Assignment = NOTHING_ASSIGNED
    upstream: str = ""
    """The upstream of a request that names none; empty for Docker Hub."""


MAIN = Listener()


class Door:
    """All ways in by one address."""

    def __init__(self, listeners: Iterable[Listener] = ()) -> None:
        """Take the listeners of the address; of those without a host name, the first is for everybody else."""
        self.change(listeners)

    def change(self, listeners: Iterable[Listener]) -> None:
        """Take other listeners, for requests to come."""
        known = tuple(listeners)
        self._by_host = {normalise_host(one.host): one for one in known if one.host}
        self._others = next((one for one in known if not one.host), MAIN)

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """All of them, the one for everybody else first."""
        return (self._others, *self._by_host.values())

    def find(self, host: str) -> Listener:
        """Answer the listener for a `Host` header."""
        if not self._by_host:
            return self._others
        return self._by_host.get(normalise_host(host), self._others)

    def __repr__(self) -> str:
        return f"<Door: {self._others.name or 'main'}, {', '.join(self._by_host) or 'no hosts'}>"


def normalise_host(host: str) -> str:
    """Answer a host as it is compared: without its port, in lower case, without the dot of the root.

    >>> [normalise_host(host) for host in ("RPI.lan:5000", "rpi.lan.", "[::1]:5000", "rpi.lan")]
    ['rpi.lan', 'rpi.lan', '[::1]', 'rpi.lan']
    """
    name, _, port = host.rpartition(":")
    return (name if name and (port.isdigit() or not port) else host).rstrip(".").lower()
