"""The beginning of a layer, unpacked: from the store if the layer is there, else from upstream, which is then left.

Only what a look takes is fetched. No fill is begun, nothing is stored, and nothing can be held against the digest,
which is that of the whole: whatever is concluded may let a candidate in or leave it out, but whoever pulls it is given
bytes that were verified then.
"""

import asyncio
import sys
import zlib
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, suppress

from proxy.oci.digests import Digest
from proxy.oci.errors import BlobUnknown
from proxy.ports import BlobSource, BlobStore

MAX_PACKED_BYTES = 4 * 1024 * 1024
"""How much of a layer is looked at, as it is stored."""
MAX_UNPACKED_BYTES = 16 * 1024 * 1024
"""How much of it is looked at, unpacked: layers grow to two or three times their size."""
PIECE_BYTES = 256 * 1024
"""How much is unpacked before others get their turn: some milliseconds on a Raspberry Pi."""
PACKED_PIECE_BYTES = 32 * 1024
"""How much is taken apart before others get their turn, though nothing comes of it: a thousand empty gzip members are
in it, and each one copies what is left of it."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_ZSTD_WINDOW_LOG = 23
"""Windows up to 8 MiB, which all but the `ultra` levels keep to: a layer must not say how much memory it takes."""


async def read_prefix(
    store: BlobStore, source: BlobSource, repository: str, digest: Digest
) -> AsyncGenerator[bytes, None]:
    """Hand on the beginning of a layer, unpacked, in pieces of at most `PIECE_BYTES`, for as long as they are taken.

    It ends early where the layer is packed in a way that is not known, or is damaged.

    Raises:
        BlobUnknown: Upstream does not have it.
        BlobDamaged: It is stored, and cannot be read.
        UpstreamError: Upstream does not give it.
    """
    unpacker, left = Unpacker(), MAX_UNPACKED_BYTES
    async with aclosing(_read_packed(store, source, repository, digest)) as chunks:
        async for chunk in chunks:
            for packed in _cut(chunk, PACKED_PIECE_BYTES):
                for piece in unpacker.unpack(packed):
                    yield piece[:left]
                    left -= len(piece)
                    if left <= 0:
                        return
                    await asyncio.sleep(0)  # a megabyte of zeros comes in a kilobyte
                if unpacker.is_over:
                    return
                await asyncio.sleep(0)


async def _read_packed(
    store: BlobStore, source: BlobSource, repository: str, digest: Digest
) -> AsyncGenerator[bytes, None]:
    if store.find_size(digest) is not None:
        with suppress(BlobUnknown), store.open_blob(digest) as reader:  # it may leave at this moment
            for offset in range(0, min(reader.size, MAX_PACKED_BYTES), PIECE_BYTES):
                yield reader.read_at(offset, min(PIECE_BYTES, MAX_PACKED_BYTES - offset))
            return
    left = MAX_PACKED_BYTES
    async with source.open_blob(repository, digest) as stream, aclosing(stream.chunks()) as chunks:
        async for chunk in chunks:
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                return


class Unpacker:
    """Unpacks what comes, in whatever pieces it comes: gzip, zstd where Python has it, or what is not packed.

    What it is told by its first bytes, not by its media type: that one is often wrong.
    """

    def __init__(self) -> None:
        """Wait for the first bytes."""
        self.is_over = False
        """Whether nothing more can be unpacked."""
        self._head = b""
        self._unpack: Callable[[bytes], Iterator[bytes]] | None = None

    def unpack(self, chunk: bytes) -> Iterator[bytes]:
        """Take the next bytes; answers what they hold, in pieces of at most `PIECE_BYTES`."""
        if self._unpack is None:
            self._head += chunk
            if len(self._head) < len(_ZSTD):
                return
            chunk, self._head = self._head, b""
            self._unpack = self._choose(chunk)
        if not self.is_over:
            yield from self._unpack(chunk)

    def _choose(self, head: bytes) -> Callable[[bytes], Iterator[bytes]]:
        if head.startswith(_GZIP):
            return _Gzip(self._end).unpack
        if head.startswith(_ZSTD):
            return _choose_zstd(self._end)
        return _cut

    def _end(self) -> None:
        self.is_over = True


class _Gzip:
    """One gzip member after the other: layers that can be fetched by the file (eStargz) have one for each."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end
        self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def unpack(self, chunk: bytes) -> Iterator[bytes]:
        while chunk:
            try:
                piece = self._member.decompress(chunk, PIECE_BYTES)
            except zlib.error:
                self._end()
                return
            chunk = self._member.unconsumed_tail
            if self._member.eof:
                chunk = self._member.unused_data
                self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
            if piece:
                yield piece


if sys.version_info >= (3, 14):  # pragma: no cover - older ones have no zstd
    from compression.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

    def _choose_zstd(end: Callable[[], None]) -> Callable[[bytes], Iterator[bytes]]:
        """Unpack the first frame: those that come after it begin beyond what is looked at."""
        frame = ZstdDecompressor(options={DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})

        def unpack(chunk: bytes) -> Iterator[bytes]:
            while not frame.eof:
                try:
                    piece = frame.decompress(chunk, PIECE_BYTES)
                except ZstdError:
                    end()
                    return
                chunk = b""
                if piece:
                    yield piece
                if frame.needs_input:
                    return
            end()

        return unpack

else:  # pragma: no cover - newer ones have it

    def _choose_zstd(end: Callable[[], None]) -> Callable[[bytes], Iterator[bytes]]:
        """Unpack nothing: this Python cannot."""
        end()
        return _cut


def _cut(chunk: bytes, length: int = PIECE_BYTES) -> Iterator[bytes]:
    for start in range(0, len(chunk), length):
        yield chunk[start : start + length]
