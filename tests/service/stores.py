"""Stores with a will of their own."""

from proxy.oci.digests import Digest
from proxy.storage.memory import MemoryBlobStore


class StubbornStore(MemoryBlobStore):
    """A store that nothing can be removed from, as on a read-only disk; or some content only."""

    def __init__(self, *stuck: Digest) -> None:
        super().__init__()
        self.is_stubborn = True
        self.stuck = stuck

    async def remove(self, digest: Digest, /) -> None:
        if not self.is_stubborn or (self.stuck and digest not in self.stuck):
            await super().remove(digest)
