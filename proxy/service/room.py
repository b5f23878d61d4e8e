"""Room for what is about to be written: the question that a fill asks, and an answer for who has no bounds."""

from typing import Protocol

from proxy.oci.digests import Digest
from proxy.oci.errors import Unavailable


class Room(Protocol):
    """Who decides whether there is room for a blob."""

    def reserve(self, digest: Digest, size: int | None, /) -> bool:
        """Make room for a blob that is about to be written; tell whether there is some. The size may be unknown."""

    async def wait(self) -> None:
        """Wait until what has to leave for it has left, or cannot."""

    def release(self, digest: Digest, stored: int, /, *, suspended: int = 0) -> None:
        """Hear that it was written, and takes so many bytes now, or none; or that so many wait for the next try."""


class EndlessRoom:
    """Room for everything."""

    def reserve(self, _digest: Digest, _size: int | None, /) -> bool:
        """Tell that there is room."""
        return True

    async def wait(self) -> None:
        """Wait for nothing."""

    def release(self, _digest: Digest, _stored: int, /, *, suspended: int = 0) -> None:
        """Hear it, and forget it."""


class NoRoom(Unavailable):
    """The store has room for a blob of this size neither now nor later."""
