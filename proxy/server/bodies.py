"""Blobs on their way out: from the file by sendfile, or following a fill.

Our own instead of aiohttp's FileResponse, because that overwrites ETag with file times, answers several ranges with
416, looks for `.gz` siblings, and over TLS is eight times slower than reading (protocol_and_perf.md B1).
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import BinaryIO

from aiohttp import web

from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import BlobDamaged, RegistryError
from proxy.oci.ranges import ByteRange
from proxy.ports import BlobStore, Readable
from proxy.service.fill import Fill
from proxy.service.pull import BlobAnswer
from proxy.service.small_blobs import SMALL_BYTES

PIECE_BYTES = 1024 * 1024
CALL_BYTES = 1 << 30
"""How much sendfile(2) is asked for at once: on a 32-bit machine its count is a signed number of 32 bits."""


class BodyCutShort(Exception):
    """A body that had begun was not completed: the connection is closed before its Content-Length."""

    def __init__(self, response: web.StreamResponse, reason: str | None) -> None:
        """Take the answer as far as it was sent, and why no further; None where the client has left."""
        super().__init__(reason)
        self.response = response
        self.reason = reason


class BlobResponse(web.StreamResponse):
    """A blob, or parts of it, on its way out."""

    sent_bytes = 0
    """How much of the blob was sent. What the kernel sends counts once it is through."""


async def send_blob(
    request: web.BaseRequest,
    store: BlobStore,
    answer: BlobAnswer,
    ranges: Sequence[ByteRange],
    headers: Mapping[str, str],
) -> web.StreamResponse:
    """Send a blob, or the parts of it that were asked for.

    Raises:
        BodyCutShort: It could not be completed.
    """
    if len(ranges) > 1:
        return await _send_parts(request, store, answer, ranges, headers)
    part = ranges[0] if ranges else ByteRange(0, answer.size)
    length = {"Content-Length": str(part.size)}
    if ranges:
        length["Content-Range"] = part.content_range(answer.size)
    response = BlobResponse(status=206 if ranges else 200, headers={**headers, **length})
    if answer.fill is not None:
        with _body_of(response, request):
            await response.prepare(request)
            await _send_following(request, response, answer.fill, part)
            await response.write_eof()
        return response
    async with _put_aside_if_damaged(store, answer.digest):
        with store.open_blob(answer.digest) as reader, _body_of(response, request):
            await response.prepare(request)
            await _send(request, response, reader, part)
            await response.write_eof()
    return response


async def _send(request: web.BaseRequest, response: BlobResponse, reader: Readable, part: ByteRange) -> None:
    """Send what is there: by the kernel, but for small parts and through TLS."""
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client has left")
    is_plain = transport.get_extra_info("sslcontext") is None
    if reader.file is None or not is_plain or part.size <= SMALL_BYTES:  # by the kernel would cost more
        await _send_pieces(response, reader, part)
    else:
        await _send_by_kernel(transport, response, reader, reader.file, part)


async def _send_by_kernel(
    transport: asyncio.WriteTransport, response: BlobResponse, reader: Readable, file: BinaryIO, part: ByteRange
) -> None:
    """Send by sendfile(2); never by asyncio's stand-in, which reads from the position that all readers share."""
    loop = asyncio.get_running_loop()
    for offset in range(part.start, part.stop, CALL_BYTES):
        size = min(CALL_BYTES, part.stop - offset)
        try:
            sent = await loop.sendfile(transport, file, offset, size, fallback=False)
        except asyncio.SendfileNotAvailableError:  # told before anything of this call was sent
            await _send_pieces(response, reader, ByteRange(offset, part.stop))
            return
        response.sent_bytes += sent
        _check_whole(sent, size)


async def _send_pieces(response: BlobResponse, reader: Readable, part: ByteRange) -> None:
    for offset in range(part.start, part.stop, PIECE_BYTES):
        size = min(PIECE_BYTES, part.stop - offset)
        content = reader.read_at(offset, size)
        _check_whole(len(content), size)
        await response.write(content)
        response.sent_bytes += size


def _check_whole(got: int, wanted: int) -> None:
    if got != wanted:
        raise BlobDamaged("the cached blob has become shorter than it was")


@asynccontextmanager
async def _put_aside_if_damaged(store: BlobStore, digest: Digest) -> AsyncIterator[None]:
    """Put a blob aside that turns out damaged while it is sent: whoever asks next has it fetched anew."""
    try:
        yield
    except (BlobDamaged, BodyCutShort) as error:
        if isinstance(error, BlobDamaged) or isinstance(error.__cause__, BlobDamaged):
            await store.quarantine(digest)
        raise


async def _send_following(request: web.BaseRequest, response: BlobResponse, fill: Fill, part: ByteRange) -> None:
    async with aclosing(fill.follow(part)) as parts:
        async for readable, there in parts:
            await _send(request, response, readable, there)


def part_response(content: bytes, part: ByteRange, headers: Mapping[str, str]) -> web.Response:
    """Answer a part of a blob that is at hand as a whole."""
    own = {"Content-Length": str(part.size), "Content-Range": part.content_range(len(content))}
    return web.Response(status=206, body=content[part.start : part.stop], headers={**headers, **own})


@contextmanager
def _body_of(response: web.StreamResponse, request: web.BaseRequest) -> Iterator[None]:
    """Close the connection if the body of a response fails, whatever the reason.

    Nothing else may be written to it: an error's envelope would be taken for a part of the blob.
    """
    try:
        yield
    except ConnectionError as error:
        raise BodyCutShort(response, None) from error
    except Exception as error:
        if request.transport is not None:
            request.transport.close()
        reason = error.message if isinstance(error, RegistryError) else repr(error)
        raise BodyCutShort(response, reason) from error


async def _send_parts(
    request: web.BaseRequest,
    store: BlobStore,
    answer: BlobAnswer,
    ranges: Sequence[ByteRange],
    headers: Mapping[str, str],
) -> web.StreamResponse:
    """Send several ranges as `multipart/byteranges` (RFC 9110 §14.6)."""
    boundary = secrets.token_hex(16)
    heads = [_part_head(boundary, part, answer.size) for part in ranges]
    tail = f"\r\n--{boundary}--\r\n".encode()
    size = sum(len(head) for head in heads) + sum(part.size for part in ranges) + len(tail)
    own = {"Content-Type": f"multipart/byteranges; boundary={boundary}", "Content-Length": str(size)}
    response = BlobResponse(status=206, headers={**headers, **own})
    with _body_of(response, request):
        await response.prepare(request)
        for head, part in zip(heads, ranges, strict=True):
            await response.write(head)
            if answer.fill is not None:
                await _send_following(request, response, answer.fill, part)
            else:
                async with _put_aside_if_damaged(store, answer.digest):
                    with store.open_blob(answer.digest) as reader:
                        await _send_pieces(response, reader, part)
        await response.write(tail)
        await response.write_eof()
    return response


def _part_head(boundary: str, part: ByteRange, total: int) -> bytes:
    return (
        f"\r\n--{boundary}\r\nContent-Type: {media_types.OCTET_STREAM}\r\n"
        f"Content-Range: {part.content_range(total)}\r\n\r\n"
    ).encode()
