"""Stores with a will of their own."""

from proxy.oci.digests import Digest
from proxy.storage.memory import MemoryBlobStore


class StubbornStore(MemoryBlobStore):
    """A store that nothing can be removed from, as on a read-only disk."""

    def __init__(self) -> None:
        super().__init__()
        self.is_stubborn = True

    async def remove(self, digest: Digest, /) -> None:
        if not self.is_stubborn:
            await super().remove(digest)
