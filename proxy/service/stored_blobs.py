"""Blobs that are small enough to be at hand whole: read from the store, and written to it.

What cannot be read, or is not what its digest says, is told and put aside. Whoever asks goes on as if it was not
stored, and fetches it again.
"""

from proxy.oci.digests import Digest
from proxy.oci.errors import BlobDamaged, BlobUnknown
from proxy.ports import BlobStore, Events

QUARANTINED = "blob.quarantined"
"""The event that tells that a blob was put aside."""


async def read_stored(
    store: BlobStore, events: Events, digest: Digest, limit: int, event: str = QUARANTINED
) -> bytes | None:
    """Read a blob as it is stored, not held against its digest; what cannot be read is put aside.

    Args:
        store: Where it may be.
        events: Who is told.
        digest: Its address.
        limit: The most to read, in bytes: a larger one is left where it is.
        event: What it is called in the log that a blob was put aside.

    Returns:
        Its content; None where it is not stored, too large, or was put aside.
    """
    try:
        with store.open_blob(digest) as reader:
            return reader.read_at(0, reader.size) if reader.size <= limit else None
    except BlobUnknown:
        return None
    except BlobDamaged as error:
        events.warn(event, digest=str(digest), reason=error.message)
        await store.quarantine(digest)
        return None


async def read_sound(
    store: BlobStore, events: Events, digest: Digest, limit: int, event: str = QUARANTINED
) -> bytes | None:
    """Read a blob as `read_stored` does, and put aside what is not what its digest says, too."""
    content = await read_stored(store, events, digest, limit, event)
    if content is None or digest.matches(content):
        return content
    events.warn(event, digest=str(digest), bytes=len(content))
    await store.quarantine(digest)
    return None


async def write_whole(store: BlobStore, digest: Digest, content: bytes) -> None:
    """Store content that is at hand as a whole, and known to be good; nothing happens if it is stored already.

    Raises:
        Unavailable: The store cannot be written.
    """
    if store.find_size(digest) is not None:
        return
    await store.drop_suspended(digest)  # the whole is at hand: no part of it is gone on with
    ingest = await store.begin_ingest(digest)
    try:
        await ingest.write(content)
        await ingest.commit()
    finally:
        await ingest.abort()
        ingest.close()
