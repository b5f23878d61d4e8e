"""What is in the cache, looked at and removed as keeping house needs it: blobs and what is known of them, in step."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from proxy.oci.digests import Digest
from proxy.oci.errors import Unavailable
from proxy.ports import BlobStore, Clock, Events, Inventory, Ledger, StoredBlob
from proxy.service.occupancy import Occupancy


@dataclass(frozen=True, slots=True)
class HouseTools:
    """What keeping house works with; by default as in a process that serves nobody."""

    store: BlobStore
    ledger: Ledger
    clock: Clock
    events: Events
    find_recent_uses: Callable[[], Mapping[Digest, float]] = dict
    """Answers the uses that the catalog was not told of yet, and what it was told of in the last minutes."""
    find_written: Callable[[Digest], int | None] = lambda _: None
    """Answers how much is written of a blob that is being filled; None where it is not."""
    forget: Callable[[Collection[Digest] | None], None] = lambda _: None
    """Lets whoever has content in memory forget some of it; all of it where none is named."""


class Stock:
    """The blobs of the cache, and how many bytes they are."""

    def __init__(self, tools: HouseTools, occupancy: Occupancy) -> None:
        """Take the store and its catalog, and who counts the bytes."""
        self._tools = tools
        self._occupancy = occupancy

    async def list_blobs(self) -> tuple[list[StoredBlob], list[StoredBlob]]:
        """Answer all blobs, and the downloads that broke off; and count them."""
        self._occupancy.begin_count()
        blobs = await self._tools.store.list_blobs()
        suspended = await self._tools.store.list_suspended()
        self._occupancy.end_count(blobs, suspended)
        return blobs, suspended

    async def take_inventory(self) -> Inventory:
        """Answer what is known of the content. After `list_blobs`: then it is known of all of them where they belong.

        Raises:
            Unavailable: The catalog cannot be read.
        """
        before = dict(self._tools.find_recent_uses())  # what is written down meanwhile may be too late for the catalog
        inventory = await self._tools.ledger.take_inventory()
        return replace(inventory, uses={**inventory.uses, **before, **self._tools.find_recent_uses()})

    def is_busy(self, digest: Digest) -> bool:
        """Tell whether a blob is being read or filled."""
        return self._tools.store.is_read(digest) or self._tools.find_written(digest) is not None

    def is_in_use(self, digest: Digest, since: float) -> bool:
        """Tell whether a blob is being read or filled, or was asked for since some moment."""
        return self.is_busy(digest) or self._tools.find_recent_uses().get(digest, since) > since

    async def remove(self, digest: Digest) -> int:
        """Remove a blob, and answer how many bytes that freed.

        Raises:
            Unavailable: It cannot be removed.
        """
        store = self._tools.store
        size = store.find_size(digest)
        if size is None:
            return 0
        await store.remove(digest)
        if store.find_size(digest) is not None:
            raise Unavailable(f"{digest} cannot be removed from the cache")
        self._occupancy.subtract(size)
        return size

    async def forget(self, digests: Iterable[Digest], since: float | None = None) -> None:
        """Forget what is known of content that was removed, or that nobody needs.

        Where a moment is named, what came back after it stays known: it is stored anew, or was asked for.

        Raises:
            Unavailable: The catalog cannot be written.
        """
        gone = [digest for digest in digests if since is None or not self._is_back(digest, since)]
        if gone:  # from here on nothing can come back until the catalog knows
            self._tools.forget(gone)
            await self._tools.ledger.forget_content(gone)

    def _is_back(self, digest: Digest, since: float) -> bool:
        return self._tools.store.find_size(digest) is not None or self.is_in_use(digest, since)

    async def drop_suspended(self, blob: StoredBlob) -> None:
        """Throw away a download that broke off."""
        await self._tools.store.drop_suspended(blob.digest)
        self._occupancy.drop_suspended(blob.digest)

    def __repr__(self) -> str:
        return f"<Stock: {self._occupancy.stored_bytes} bytes>"
