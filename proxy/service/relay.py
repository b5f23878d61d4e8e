"""Serving without the store: where a blob cannot be kept, each reader gets a download of its own.

That costs upstream a download a reader, and is better than nothing: a full disk stops no pull.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import BinaryIO

from proxy.oci.digests import Hasher
from proxy.oci.errors import UpstreamMisbehaved
from proxy.oci.ranges import ByteRange
from proxy.ports import Readable
from proxy.service.download import Download


class Piece:
    """Bytes of a blob that are in memory only, read by their place in the blob."""

    file: BinaryIO | None = None

    def __init__(self, start: int, content: bytes) -> None:
        self._start = start
        self._content = content

    def read_at(self, offset: int, size: int, /) -> bytes:
        """Read up to `size` bytes from an offset of the blob."""
        begin = offset - self._start
        return self._content[begin : begin + size]


@dataclass(frozen=True, slots=True)
class Relay:
    """From where on a blob is not in the store, and the hash of what is before that."""

    offset: int
    hasher: Hasher

    async def read(
        self, download: Download, part: ByteRange, size: int
    ) -> AsyncGenerator[tuple[Readable, ByteRange], None]:
        """Hand on a part of the blob as it arrives; what completes a whole one, only if it has the right digest.

        A part that does not begin where the store's bytes end cannot be held against the digest here: it is to whoever
        asked for it.

        Raises:
            RegistryError: It cannot be completed, or is not what its digest says.
        """
        hasher = self.hasher.copy() if part.start == self.offset else None
        position = part.start
        async with aclosing(download.chunks(position)) as chunks:
            async for chunk in chunks:
                stop = min(position + len(chunk), part.stop)
                if hasher is not None:
                    hasher.update(chunk)
                    if position + len(chunk) == size and hasher.hexdigest() != download.digest.encoded:
                        raise UpstreamMisbehaved(f"upstream sent {size} bytes that are not {download.digest}")
                yield Piece(position, chunk), ByteRange(position, stop)
                position = stop
                if position == part.stop:
                    return
