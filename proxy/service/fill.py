"""Fills: one upstream download for everybody who wants a blob.

A fill belongs to no client. It writes to the store as bytes arrive, hashes as it goes, resumes upstream after a break,
and commits only what has the right size and digest. Readers follow the growing blob at their own pace, from any offset;
a slow or leaving one slows or ends nothing. The last byte is given out only when the whole is verified, so that a body
that turns out wrong is cut visibly short.

Where the store has no room, the fill ends, and its readers go on without it (`service/relay.py`).
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import AbstractContextManager, aclosing, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

from proxy.oci.digests import Digest
from proxy.oci.errors import RegistryError, Unavailable, UpstreamUnreachable
from proxy.oci.ranges import ByteRange
from proxy.ports import BlobSource, BlobStore, Events, Ingest, Readable
from proxy.service.batches import BatchWriter
from proxy.service.caching import Caching
from proxy.service.download import Download, FillPolicy, FillSource
from proxy.service.relay import Relay
from proxy.service.room import NoRoom, Room
from proxy.service.tasks import TaskOwner
from proxy.spending import Traffic

PIECE_BYTES = 1024 * 1024
"""How much a reader takes at once."""


@dataclass(frozen=True, slots=True)
class FillTools:
    """What every fill works with."""

    store: BlobStore
    events: Events
    policy: FillPolicy
    room: Room
    caching: Caching
    traffic: Traffic = field(default_factory=Traffic)
    """Where is counted what arrives."""


class Fill:
    """One download on its way into the store."""

    def __init__(
        self,
        digest: Digest,
        sources: Sequence[FillSource],
        expected_size: int | None,
        tools: FillTools,
        owner: TaskOwner,
    ) -> None:
        """Take the blob's address, the places to try in order, the size that its descriptor told, and its owner."""
        self.digest = digest
        self._tools = tools
        self._owner = owner
        self._sources = sources
        self._download = self._begin_download(sources, expected_size, self._wake)
        self._ingest: Ingest | None = None
        self._relay: Relay | None = None
        self._error: RegistryError | None = None
        self._is_verified = False
        self._is_over = False
        self._is_closed = False
        self._readers = 0
        self._abandoned: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._progress = asyncio.Event()

    @property
    def size(self) -> int | None:
        """The blob's size in bytes, None until it is known."""
        return self._download.size

    @property
    def source(self) -> FillSource | None:
        """The place that has it, once that is known."""
        return self._download.source

    def start(self) -> asyncio.Task[None]:
        """Begin, in a task of the owner's."""
        self._task = self._owner.start(self.run(), name=f"fill {self.digest}")
        self._wait_for_clients()
        return self._task

    async def run(self) -> None:
        """Download, verify, commit. Errors go to the readers."""
        try:
            await self._fill()
        except RegistryError as error:
            self._error = error
            self._tools.events.warn("fill.failed", digest=str(self.digest), reason=error.message)
        except BaseException as error:
            is_end = isinstance(error, asyncio.CancelledError)
            reason = "shutting down" if is_end else "the proxy failed; its log has the reason"
            self._error = self._error or Unavailable(reason)
            raise
        finally:
            await self._end()

    async def wait_ready(self) -> int:
        """Wait until upstream has shown the blob, and answer its size in bytes.

        Raises:
            RegistryError: Nobody has it, or nobody answers.
        """
        self._enter()
        try:
            while True:
                if self._error is not None:
                    raise self._error
                if self.source is not None and (self.size is not None or self._is_verified):
                    return self.size if self.size is not None else self.written
                await self._changed()
        finally:
            self._leave()

    async def follow(self, part: ByteRange) -> AsyncGenerator[tuple[Readable, ByteRange], None]:
        """Follow the blob as it grows: tell what of a part can be read by now, and where, until it was all of it.

        Raises:
            RegistryError: The blob cannot be completed, or is not what its digest says.
        """
        self._enter()
        try:
            with self._open() as readable:
                position = part.start
                while position < part.stop:
                    stop = min(self._readable(), part.stop)
                    if readable is not None and stop > position:
                        yield readable, ByteRange(position, stop)
                        position = stop
                    elif self._error is not None:
                        raise self._error
                    elif self._relay is not None:
                        break
                    else:
                        await self._changed()
            if self._relay is not None and position < part.stop:
                async with aclosing(self._go_on(self._relay, ByteRange(position, part.stop))) as parts:
                    async for one in parts:
                        yield one
        finally:
            self._leave()

    async def read(self, part: ByteRange) -> AsyncGenerator[bytes, None]:
        """Follow the blob as it grows, in pieces of at most PIECE_BYTES.

        Raises:
            RegistryError: As `follow`.
        """
        async with aclosing(self.follow(part)) as parts:
            async for readable, there in parts:
                for offset in range(there.start, there.stop, PIECE_BYTES):
                    yield readable.read_at(offset, min(PIECE_BYTES, there.stop - offset))

    def comes_from(self, upstream: BlobSource, repositories: Collection[str]) -> bool:
        """Tell whether it is fetched from these repositories only, so that its success is theirs."""
        return self._download.comes_from(upstream, repositories)

    async def keep(self) -> AsyncGenerator[int, None]:
        """Wait until the store has the blob, and tell again and again how many bytes of it are written.

        Raises:
            RegistryError: The blob cannot be completed, or is not what its digest says.
            Unavailable: The store cannot keep it.
        """
        self._enter()
        try:
            while not self._is_over:
                yield self.written
                await self._changed()
        finally:
            self._leave()
        if self._error is not None:
            raise self._error
        if not self._is_stored():
            raise Unavailable(f"{self.digest} cannot be kept: there is no room for it, or the disk fails")

    @property
    def has_failed(self) -> bool:
        """Whether nobody who begins to read now will get the whole blob from here."""
        return self._error is not None

    @property
    def readers(self) -> int:
        """How many follow it."""
        return self._readers

    @property
    def written(self) -> int:
        """How many bytes of it are written."""
        return 0 if self._ingest is None else self._ingest.written

    def _readable(self) -> int:
        return self.written if self._is_verified or self._relay is not None else self.written - 1

    async def _fill(self) -> None:
        tools = self._tools
        try:
            await self._reserve()
            ingest = self._ingest = await self._begin()
            await self._take_in(ingest)
            ingest.verify()
            self._is_verified = True
            self._wake()
            await ingest.commit()
        except Unavailable as error:
            await self._do_without(error)
        else:
            tools.caching.works()
            tools.events.note("fill.committed", digest=str(self.digest), bytes=ingest.written)

    async def _reserve(self) -> None:
        if not self._tools.room.reserve(self.digest, self.size):
            raise NoRoom(f"there is no room for {self.digest}: it has {self.size} bytes")
        await self._tools.room.wait()

    async def _begin(self) -> Ingest:
        """Begin to write, or go on with what an earlier fill has left, if that can be a part of the blob."""
        store, download = self._tools.store, self._download
        ingest = self._ingest = await store.begin_ingest(self.digest)
        if ingest.written and (download.size is None or ingest.written >= download.size):
            await download.look()
            assert download.size is not None
            if ingest.written > download.size:
                await ingest.abort()
                ingest.close()
                ingest = await store.begin_ingest(self.digest)
        return ingest

    async def _take_in(self, ingest: Ingest) -> None:
        """Write what arrives: one batch is hashed and written while the next one gathers."""
        is_reserved = self.size is not None
        writer = BatchWriter(ingest, self._wake)
        writing = self._owner.start(writer.run(), name=f"write {self.digest}")
        try:
            async with aclosing(self._download.chunks(ingest.written)) as chunks:
                async for chunk in chunks:
                    if not is_reserved:
                        is_reserved = self.size is not None
                        await self._reserve()
                    await writer.add(chunk)
        except BaseException:
            writer.finish()
            await asyncio.wait([writing])  # whatever it ends with: the reason to stop is this one
            raise
        writer.finish()
        await writing

    async def _do_without(self, reason: Unavailable) -> None:
        """Let the readers go on without the store, from where its bytes end."""
        if isinstance(reason, NoRoom):
            self._tools.events.note("fill.uncached", digest=str(self.digest), reason=reason.message)
        else:
            self._tools.caching.fails(reason.message)
        if self._is_verified:  # readers have it all, even if it cannot be kept
            return
        if self.source is None or self.size is None:
            await self._download.look()
        ingest = self._ingest
        hasher = self.digest.hasher() if ingest is None else ingest.copy_hasher()
        self._relay = Relay(self.written, hasher)

    def _go_on(self, relay: Relay, part: ByteRange) -> AsyncGenerator[tuple[Readable, ByteRange], None]:
        size = self.size
        assert size is not None
        source = [self.source] if self.source else self._sources
        return relay.read(self._begin_download(source, size, _hear_nothing), part, size)

    def _begin_download(self, sources: Sequence[FillSource], size: int | None, found: Callable[[], None]) -> Download:
        policy, events, traffic = self._tools.policy, self._tools.events, self._tools.traffic
        return Download(self.digest, sources, size, policy=policy, events=events, found=found, traffic=traffic)

    def _open(self) -> AbstractContextManager[Readable | None]:
        if self._error is not None:
            raise self._error
        if self._is_closed and self._relay is None:  # it was whole, and let go of, before this reader began
            return self._tools.store.open_blob(self.digest)
        return nullcontext(self._ingest)

    def _enter(self) -> None:
        self._readers += 1
        if self._abandoned is not None:
            self._abandoned.cancel()
            self._abandoned = None

    def _leave(self) -> None:
        self._readers -= 1
        self._close_if_done()
        self._wait_for_clients()

    def _wait_for_clients(self) -> None:
        policy = self._tools.policy
        if self._readers == 0 and not self._is_over and not policy.keep_without_clients and self._task is not None:
            loop = asyncio.get_running_loop()
            self._abandoned = loop.call_later(policy.abandon_seconds, self._abandon)

    def _abandon(self) -> None:
        self._error = Unavailable("every client has left")  # who comes from now on begins anew
        if self._task is not None:
            self._task.cancel()

    async def _end(self) -> None:
        if self._abandoned is not None:
            self._abandoned.cancel()
        suspended = 0
        if self._ingest is not None:
            # What broke off is gone on with by the next fill, after a restart too. What is wrong is not.
            is_sound = self.written > 0 and isinstance(self._error, UpstreamUnreachable | Unavailable)
            await (self._ingest.suspend() if is_sound else self._ingest.abort())
            suspended = self.written if is_sound else 0
        self._tools.room.release(self.digest, self.written if self._is_stored() else 0, suspended=suspended)
        self._is_over = True
        self._wake()
        self._close_if_done()

    def _is_stored(self) -> bool:
        return self._is_verified and self._tools.store.find_size(self.digest) is not None

    def _close_if_done(self) -> None:
        if self._is_over and self._readers == 0 and self._ingest is not None and not self._is_closed:
            self._ingest.close()
            self._is_closed = True
            if self._relay is not None or (self._is_verified and not self._is_stored()):
                # What was written went with the file: who comes now begins at the beginning, and without the store.
                self._ingest, self._relay = None, Relay(0, self.digest.hasher())

    def _wake(self) -> None:
        self._progress.set()
        self._progress = asyncio.Event()

    async def _changed(self) -> None:
        await self._progress.wait()

    def __repr__(self) -> str:
        return f"<Fill {self.digest}: {self.written} of {self.size} bytes, {self._readers} readers>"


class Fills:
    """The fills that are under way."""

    def __init__(self, tools: FillTools, owner: TaskOwner) -> None:
        """Take what fills work with, and who owns them."""
        self._tools = tools
        self._owner = owner
        self._running: dict[Digest, Fill] = {}

    def change(self, policy: FillPolicy) -> None:
        """Take another policy, for fills to come."""
        self._tools = replace(self._tools, policy=policy)

    @property
    def running(self) -> int:
        """How many there are."""
        return len(self._running)

    def find(self, digest: Digest) -> Fill | None:
        """Answer the fill of a blob that is under way, or None. One that has failed is none: the next try is clean."""
        fill = self._running.get(digest)
        return None if fill is None or fill.has_failed else fill

    def list_running(self) -> list[Fill]:
        """Answer all that are under way."""
        return [fill for fill in self._running.values() if not fill.has_failed]

    def find_written(self, digest: Digest) -> int | None:
        """Answer how many bytes of a blob are written that is being filled, or None if it is not."""
        fill = self.find(digest)
        return None if fill is None else fill.written

    def join(self, digest: Digest, sources: Sequence[FillSource], expected_size: int | None) -> Fill:
        """Answer the fill of a blob, beginning one if there is none."""
        fill = self.find(digest)
        if fill is not None:
            self._tools.traffic.fills_joined += 1
        else:
            self._tools.traffic.fills_started += 1
            fill = self._running[digest] = Fill(digest, sources, expected_size, self._tools, self._owner)
            fill.start().add_done_callback(partial(self._forget, fill))
        return fill

    def _forget(self, fill: Fill, _task: asyncio.Task[None]) -> None:
        if self._running.get(fill.digest) is fill:
            del self._running[fill.digest]

    def __repr__(self) -> str:
        return f"<Fills: {list(self._running.values())}>"


def _hear_nothing() -> None:
    """Hear what nobody waits for."""
