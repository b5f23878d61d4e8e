"""Small blobs in memory: image configs, most of them, which every pull asks for.

Opening a file costs more than sending some kilobytes does. Nothing is decided here about who may have a blob: whoever
asks has been told that it is stored, and that it is his.
"""

from collections.abc import Collection

import cachetools

from proxy.oci.digests import Digest
from proxy.ports import BlobStore, Events
from proxy.service.stored_blobs import read_sound

SMALL_BYTES = 64 * 1024
"""Up to here a blob is kept in memory, and sent in one write."""
ENTRY_BYTES = 512
"""What an entry costs beside its content: a layer may be as short as 32 bytes."""


class SmallBlobs:
    """The most recent small blobs."""

    def __init__(self, store: BlobStore, events: Events, *, memory_bytes: int) -> None:
        """Take the store, and how much memory to use."""
        self._store = store
        self._events = events
        self._memory: cachetools.LRUCache[Digest, bytes] = cachetools.LRUCache(
            memory_bytes, getsizeof=lambda content: len(content) + ENTRY_BYTES
        )

    async def find(self, digest: Digest) -> bytes | None:
        """Answer the content of a blob that is stored, and small.

        What is read from the disk is held against its digest; what is not what it should be, or cannot be read, is put
        aside. Answers None then, and where the blob is large, or has left the store meanwhile.
        """
        found = self._memory.get(digest)
        if found is not None:
            return found
        content = await read_sound(self._store, self._events, digest, SMALL_BYTES)
        if content is None:
            return None
        if len(content) + ENTRY_BYTES <= self._memory.maxsize:
            self._memory[digest] = content
        return content

    def forget(self, digests: Collection[Digest] | None) -> None:
        """Let go of blobs that have left the store; of all if none is named."""
        for digest in list(self._memory) if digests is None else digests:
            self._memory.pop(digest, None)

    def __repr__(self) -> str:
        return f"<SmallBlobs: {len(self._memory)} in memory>"
