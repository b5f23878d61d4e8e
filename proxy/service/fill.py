"""Fills: one upstream download for everybody who wants a blob.

A fill belongs to no client. It writes to the store as bytes arrive, hashes as it goes, resumes upstream after a break,
and commits only what has the right size and digest. Readers follow the growing blob at their own pace, from any offset;
a slow or leaving one slows or ends nothing. The last byte is given out only when the whole is verified, so that a body
that turns out wrong is cut visibly short.
"""

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import AbstractContextManager, aclosing, nullcontext
from dataclasses import dataclass
from functools import partial

from proxy.oci.digests import Digest
from proxy.oci.errors import (
    NotFound,
    RegistryError,
    Unavailable,
    UpstreamMisbehaved,
    UpstreamRefused,
    UpstreamUnreachable,
)
from proxy.oci.ranges import ByteRange
from proxy.ports import BlobSource, BlobStore, BlobStream, Clock, Events, Ingest, Readable
from proxy.service.tasks import TaskOwner

BATCH_BYTES = 1024 * 1024
"""How much is gathered before it is written; and how much a reader takes at once."""
FLUSH_SECONDS = 0.1
"""How long bytes of a slow upstream are gathered before readers see them."""


@dataclass(frozen=True, slots=True)
class FillPolicy:
    """How hard a fill tries."""

    resumes: int = 5
    """How often in a row it takes up a broken download, without a byte of progress in between."""
    resume_wait_seconds: float = 0.2
    """The wait before the first resume; it doubles from there on, up to 16 times that."""


@dataclass(frozen=True, slots=True)
class FillSource:
    """Where a blob is to be had."""

    upstream: BlobSource
    repository: str


class Fill:
    """One download on its way into the store."""

    def __init__(
        self,
        digest: Digest,
        sources: Sequence[FillSource],
        expected_size: int | None,
        tools: "FillTools",
        owner: TaskOwner,
    ) -> None:
        """Take the blob's address, the places to try in order, the size that its descriptor told, and its owner."""
        self._owner = owner
        self.digest = digest
        self.size = expected_size
        """The blob's size in bytes, None until upstream tells it."""
        self.source: FillSource | None = None
        """The place that has it, once that is known."""
        self._sources = sources
        self._tools = tools
        self._ingest: Ingest | None = None
        self._error: RegistryError | None = None
        self._is_verified = False
        self._is_over = False
        self._is_closed = False
        self._readers = 0
        self._progress = asyncio.Event()

    async def run(self) -> None:
        """Download, verify, commit. Errors go to the readers."""
        tools = self._tools
        try:
            self._ingest = await tools.store.begin_ingest(self.digest)
            await self._download(self._ingest)
            self._ingest.verify()
            self._is_verified = True
            self._wake()
            await self._ingest.commit()
            tools.events.note("fill.committed", digest=str(self.digest), bytes=self._ingest.written)
        except RegistryError as error:
            self._error = error
            tools.events.warn("fill.failed", digest=str(self.digest), reason=error.message)
        except BaseException as error:
            is_end = isinstance(error, asyncio.CancelledError)
            self._error = Unavailable("shutting down" if is_end else "the proxy failed; its log has the reason")
            raise
        finally:
            await self._end()

    async def wait_ready(self) -> int:
        """Wait until upstream has shown the blob, and answer its size in bytes.

        Raises:
            RegistryError: Nobody has it, or nobody answers.
        """
        while True:
            if self._error is not None:
                raise self._error
            if self.source is not None and (self.size is not None or self._is_verified):
                return self.size if self.size is not None else self._written
            await self._changed()

    async def follow(self, part: ByteRange) -> AsyncGenerator[tuple[Readable, ByteRange], None]:
        """Follow the blob as it grows: tell what of a part can be read by now, and where, until it was all of it.

        Raises:
            RegistryError: The blob cannot be completed, or is not what its digest says.
        """
        self._readers += 1
        try:
            with self._open() as readable:
                position = part.start
                while position < part.stop:
                    stop = min(self._readable(), part.stop)
                    if stop > position:
                        yield readable, ByteRange(position, stop)
                        position = stop
                    elif self._error is not None:
                        raise self._error
                    else:
                        await self._changed()
        finally:
            self._readers -= 1
            self._close_if_done()

    async def read(self, part: ByteRange) -> AsyncGenerator[bytes, None]:
        """Follow the blob as it grows, in pieces of at most BATCH_BYTES.

        Raises:
            RegistryError: As `follow`.
        """
        async with aclosing(self.follow(part)) as parts:
            async for readable, there in parts:
                for offset in range(there.start, there.stop, BATCH_BYTES):
                    yield readable.read_at(offset, min(BATCH_BYTES, there.stop - offset))

    def _open(self) -> AbstractContextManager[Readable]:
        if self._error is not None:
            raise self._error
        if self._is_closed:  # it was whole, and let go of, before this reader began
            return self._tools.store.open_blob(self.digest)
        assert self._ingest is not None
        return nullcontext(self._ingest)

    def comes_from(self, upstream: BlobSource, repositories: Collection[str]) -> bool:
        """Tell whether it is fetched from these repositories only, so that its success is theirs."""
        return all(source.upstream is upstream and source.repository in repositories for source in self._sources)

    @property
    def has_failed(self) -> bool:
        """Whether nobody will get the whole blob from here any more."""
        return self._error is not None

    @property
    def _written(self) -> int:
        return 0 if self._ingest is None else self._ingest.written

    def _readable(self) -> int:
        held_back = 0 if self._is_verified else 1
        return self._written - held_back

    async def _download(self, ingest: Ingest) -> None:
        policy, fruitless = self._tools.policy, 0
        while not self._is_complete(ingest):
            before = ingest.written
            try:
                await self._take_up(ingest)
                self._check_complete(ingest)
            except UpstreamUnreachable as error:
                reason = error.message
                fruitless = 0 if ingest.written > before else fruitless + 1
                if fruitless > policy.resumes or self.source is None:
                    raise
                offset = ingest.written
                self._tools.events.warn("fill.resumed", digest=str(self.digest), offset=offset, reason=reason)
            else:
                return
            await asyncio.sleep(policy.resume_wait_seconds * 2 ** min(fruitless, 4))

    def _is_complete(self, ingest: Ingest) -> bool:
        return self.source is not None and self.size is not None and ingest.written == self.size

    def _check_complete(self, ingest: Ingest) -> None:
        if not self._is_complete(ingest):
            raise UpstreamUnreachable(f"upstream ended {self.digest} after {ingest.written} of {self.size} bytes")

    async def _take_up(self, ingest: Ingest) -> None:
        refusal: RegistryError | None = None
        for source in (self.source,) if self.source else self._sources:
            try:
                async with source.upstream.open_blob(source.repository, self.digest, offset=ingest.written) as stream:
                    self._begin(source, stream)
                    await self._pump(stream, ingest)
                    return
            except (NotFound, UpstreamRefused) as error:
                refusal = error
        assert refusal is not None
        raise refusal

    def _begin(self, source: FillSource, stream: BlobStream) -> None:
        if self.size is not None and stream.size is not None and stream.size != self.size:
            raise UpstreamMisbehaved(f"{self.digest} should have {self.size} bytes, upstream has {stream.size}")
        self.size = self.size if stream.size is None else stream.size
        self.source = source
        self._wake()

    async def _pump(self, stream: BlobStream, ingest: Ingest) -> None:
        batch = _Batch(self._tools.clock)
        skip = ingest.written - stream.offset  # an upstream that ignores Range begins anew
        writing: asyncio.Task[None] | None = None  # one batch is hashed and written while the next one arrives
        try:
            async with aclosing(stream.chunks()) as chunks:
                async for chunk in chunks:
                    skip, fresh = max(0, skip - len(chunk)), chunk[skip:] if skip else chunk
                    if batch.add(fresh):
                        if writing is not None:
                            await writing
                        writing = self._owner.start(self._write(ingest, batch.take()), name=f"write {self.digest}")
        finally:
            if writing is not None:
                await writing
            await self._write(ingest, batch.take())
        if self.size is None:
            self.size = ingest.written

    async def _write(self, ingest: Ingest, content: bytes) -> None:
        if self.size is not None and ingest.written + len(content) > self.size:
            raise UpstreamMisbehaved(f"upstream sent more than the {self.size} bytes of {self.digest}")
        if content:
            await ingest.write(content)
            self._wake()

    async def _end(self) -> None:
        if self._ingest is not None:
            await self._ingest.abort()
        self._is_over = True
        self._wake()
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._is_over and self._readers == 0 and self._ingest is not None:
            self._ingest.close()
            self._is_closed = True

    def _wake(self) -> None:
        self._progress.set()
        self._progress = asyncio.Event()

    async def _changed(self) -> None:
        await self._progress.wait()

    def __repr__(self) -> str:
        return f"<Fill {self.digest}: {self._written} of {self.size} bytes, {self._readers} readers>"


@dataclass(frozen=True, slots=True)
class FillTools:
    """What every fill works with."""

    store: BlobStore
    clock: Clock
    events: Events
    policy: FillPolicy


class _Batch:
    """Gathers chunks until they are worth a write."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._chunks: list[bytes] = []
        self._size = 0
        self._since = clock.monotonic()

    def add(self, chunk: bytes) -> bool:
        self._chunks.append(chunk)
        self._size += len(chunk)
        return self._size >= BATCH_BYTES or self._clock.monotonic() - self._since >= FLUSH_SECONDS

    def take(self) -> bytes:
        content = b"".join(self._chunks)
        self._chunks, self._size, self._since = [], 0, self._clock.monotonic()
        return content


class Fills:
    """The fills that are under way."""

    def __init__(self, tools: FillTools, owner: TaskOwner) -> None:
        """Take what fills work with, and who owns them."""
        self._tools = tools
        self._owner = owner
        self._running: dict[Digest, Fill] = {}

    def find(self, digest: Digest) -> Fill | None:
        """Answer the fill of a blob that is under way, or None. One that has failed is none: the next try is clean."""
        fill = self._running.get(digest)
        return None if fill is None or fill.has_failed else fill

    def join(
        self,
        digest: Digest,
        sources: Sequence[FillSource],
        expected_size: int | None,
    ) -> Fill:
        """Answer the fill of a blob, beginning one if there is none."""
        fill = self.find(digest)
        if fill is None:
            fill = self._running[digest] = Fill(digest, sources, expected_size, self._tools, self._owner)
            task = self._owner.start(fill.run(), name=f"fill {digest}")
            task.add_done_callback(partial(self._forget, fill))
        return fill

    def _forget(self, fill: Fill, _task: asyncio.Task[None]) -> None:
        if self._running.get(fill.digest) is fill:
            del self._running[fill.digest]

    def __repr__(self) -> str:
        return f"<Fills: {list(self._running.values())}>"
