"""How full the cache is: what is stored, what is on its way, and what there is room for. Arithmetic, no I/O.

What is on its way counts as if it were there. How much of it is written already decides only about the disk, which has
that much less to give.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from proxy.oci.digests import Digest
from proxy.ports import StoredBlob

LOW_WATER = 0.95
"""Down to which part of its bound the cache is emptied once it is full, so that this happens rarely."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How large the cache may become."""

    max_bytes: int | None = None
    """How many bytes its content may take; None where only the disk is a limit."""
    min_free_bytes: int = 0
    """How many bytes of its disk are left to others."""


class Occupancy:
    """What the cache holds, and what it is about to hold."""

    def __init__(
        self, limits: Limits, find_free: Callable[[], int], find_written: Callable[[Digest], int | None]
    ) -> None:
        """Take the limits, and who knows how much of the disk is free, and how much of a blob is written so far."""
        self.limits = limits
        self.staying_bytes = 0
        """What may not leave, as far as is known."""
        self._find_free = find_free
        self._find_written = find_written
        self._blob_bytes = 0
        self._suspended: dict[Digest, int] = {}
        self._coming: dict[Digest, int] = {}
        self._arrived: dict[Digest, int] | None = None
        """What came in while it was being counted."""
        self._broken_off: dict[Digest, int] | None = None
        """What broke off meanwhile."""

    @property
    def stored_bytes(self) -> int:
        """How many bytes are stored, those of downloads that broke off among them."""
        return self._blob_bytes + sum(self._suspended.values())

    @property
    def coming_bytes(self) -> int:
        """How many bytes the blobs will take that are on their way."""
        return sum(max(size, self._find_written(digest) or 0) for digest, size in self._coming.items())

    def expect(self, digest: Digest, size: int) -> None:
        """Note that a blob is about to be written; whatever there is of it already is gone on with."""
        self._coming[digest] = size
        self.drop_suspended(digest)

    def give_up(self, digest: Digest) -> None:
        """Note that a blob is not on its way any more."""
        self._coming.pop(digest, None)

    def add(self, digest: Digest, size: int) -> None:
        """Note that a blob is stored."""
        self._blob_bytes += size
        if self._arrived is not None:
            self._arrived[digest] = size

    def suspend(self, digest: Digest, size: int) -> None:
        """Note that a blob broke off on its way, and how much of it is kept."""
        self._suspended[digest] = size
        if self._broken_off is not None:
            self._broken_off[digest] = size

    def subtract(self, size: int) -> None:
        """Note that some bytes of blobs have left."""
        self._blob_bytes -= size

    def begin_count(self) -> None:
        """Note that somebody begins to look at what is there; it takes a while."""
        self._arrived, self._broken_off = {}, {}

    def end_count(self, blobs: Iterable[StoredBlob], suspended: Iterable[StoredBlob]) -> None:
        """Take what was found, and what came in meanwhile."""
        sizes = {**(self._arrived or {}), **{blob.digest: blob.size for blob in blobs}}
        self._blob_bytes = sum(sizes.values())
        found = {blob.digest: blob.size for blob in suspended}
        self._suspended = found | (self._broken_off or {})
        self._arrived = self._broken_off = None

    def drop_suspended(self, digest: Digest) -> None:
        """Note that a download that broke off was thrown away."""
        self._suspended.pop(digest, None)
        if self._broken_off is not None:
            self._broken_off.pop(digest, None)

    def can_fit(self) -> bool:
        """Tell whether what is on its way has room, once everything has left that may."""
        needed = self.staying_bytes + self.coming_bytes
        most = self.limits.max_bytes
        return (most is None or needed <= most) and needed <= self._disk_bytes()

    def excess(self, share: float = 1.0) -> float:
        """Answer how many bytes have to leave, so that the cache fills no more than this share of its bound.

        Where the disk is so full that it would not do if everything left, nothing leaves for it.
        """
        coming = self.coming_bytes
        demand, most, disk = self.stored_bytes + coming, self.limits.max_bytes, self._disk_bytes()
        too_many = 0.0 if most is None else demand - share * most
        return max(too_many, demand - share * disk if self.staying_bytes + coming <= disk else 0.0)

    def _disk_bytes(self) -> int:
        """Answer how many bytes the cache may take for the disk's sake."""
        written = sum(self._find_written(digest) or 0 for digest in self._coming)
        return self.stored_bytes + written + self._find_free() - self.limits.min_free_bytes

    def __repr__(self) -> str:
        most = "any number" if self.limits.max_bytes is None else self.limits.max_bytes
        return f"<Occupancy: {self.stored_bytes} bytes and {len(self._coming)} blobs on their way, of {most}>"
