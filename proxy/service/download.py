"""A blob on its way from upstream: taken up again where it breaks off, from whichever place has it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass

from proxy.oci.digests import Digest
from proxy.oci.errors import NotFound, RegistryError, UpstreamMisbehaved, UpstreamRefused, UpstreamUnreachable
from proxy.ports import BlobSource, BlobStream, Events
from proxy.spending import SPENDING, Traffic


@dataclass(frozen=True, slots=True)
class FillPolicy:
    """How hard a download is tried, and for whom it goes on."""

    resumes: int = 5
    """How often in a row it is taken up, without a byte of progress in between."""
    resume_wait_seconds: float = 0.2
    """The wait before the first resume; it doubles from there on, up to 16 times that."""
    keep_without_clients: bool = True
    """Whether a fill goes on when every client has left."""
    abandon_seconds: float = 5.0
    """How long one that does not go on waits for another client first."""


@dataclass(frozen=True, slots=True)
class FillSource:
    """Where a blob is to be had."""

    upstream: BlobSource
    repository: str


class Download:
    """One download, from some offset to the end."""

    def __init__(
        self,
        digest: Digest,
        sources: Sequence[FillSource],
        size: int | None,
        *,
        policy: FillPolicy,
        events: Events,
        found: Callable[[], None],
        traffic: Traffic,
    ) -> None:
        """Take the blob's address, the places to try in order, its size if that is known, and whom to call back.

        `found` is called once upstream has shown the blob: `source` and `size` are set then, as far as it told them.
        """
        self.digest = digest
        self.size = size
        self.source: FillSource | None = None
        self._sources = sources
        self._policy = policy
        self._events = events
        self._found = found
        self._traffic = traffic

    def comes_from(self, upstream: BlobSource, repositories: Collection[str]) -> bool:
        """Tell whether it is fetched from these repositories only, so that its success is theirs."""
        return all(source.upstream is upstream and source.repository in repositories for source in self._sources)

    async def look(self) -> None:
        """Let upstream tell the source and the size, without the blob.

        Raises:
            RegistryError: Nobody has it, or nobody answers.
        """
        refusal: RegistryError | None = None
        for source in (self.source,) if self.source else self._sources:
            try:
                size = await source.upstream.head_blob(source.repository, self.digest)
            except (NotFound, UpstreamRefused) as error:
                refusal = error
            else:
                self._settle(source, size)
                return
        assert refusal is not None
        raise refusal

    async def chunks(self, offset: int) -> AsyncGenerator[bytes, None]:
        """Hand on what arrives, from an offset to the end of the blob, across breaks.

        Raises:
            RegistryError: Nobody has it, or it cannot be completed, or it is not as large as it should be.
        """
        position, fruitless, spending = offset, 0, SPENDING.get()
        while not self._is_complete(position):
            before = position
            try:
                async with self._take_up(position) as stream, aclosing(stream.chunks()) as chunks:
                    skip = position - stream.offset  # an upstream that ignores Range begins anew
                    async for chunk in chunks:
                        fresh = chunk[skip:] if skip else chunk
                        skip -= len(chunk) - len(fresh)
                        position += len(fresh)
                        self._check_bound(position)
                        self._traffic.fetched_bytes += len(chunk)
                        if spending is not None:
                            spending.blob_bytes += len(chunk)
                        if fresh:
                            yield fresh
                self._check_complete(position)
            except UpstreamUnreachable as error:
                fruitless = 0 if position > before else fruitless + 1
                if fruitless > self._policy.resumes or self.source is None:
                    raise
                self._events.warn("fill.resumed", digest=str(self.digest), offset=position, reason=error.message)
            else:
                return
            await asyncio.sleep(self._policy.resume_wait_seconds * 2 ** min(fruitless, 4))

    @asynccontextmanager
    async def _take_up(self, position: int) -> AsyncIterator[BlobStream]:
        refusal: RegistryError | None = None
        for source in (self.source,) if self.source else self._sources:
            async with AsyncExitStack() as stack:
                opening = source.upstream.open_blob(source.repository, self.digest, offset=position)
                try:
                    stream = await stack.enter_async_context(opening)
                except (NotFound, UpstreamRefused) as error:
                    refusal = error
                    continue
                self._settle(source, stream.size)
                yield stream
                return
        assert refusal is not None
        raise refusal

    def _check_bound(self, position: int) -> None:
        if self.size is not None and position > self.size:
            raise UpstreamMisbehaved(f"upstream sent more than the {self.size} bytes of {self.digest}")

    def _settle(self, source: FillSource, size: int | None) -> None:
        if self.size is not None and size is not None and size != self.size:
            raise UpstreamMisbehaved(f"{self.digest} should have {self.size} bytes, upstream has {size}")
        self.size = self.size if size is None else size
        self.source = source
        self._found()

    def _is_complete(self, position: int) -> bool:
        return self.source is not None and self.size is not None and position == self.size

    def _check_complete(self, position: int) -> None:
        if self.size is None:
            self.size = position
        if not self._is_complete(position):
            raise UpstreamUnreachable(f"upstream ended {self.digest} after {position} of {self.size} bytes")

    def __repr__(self) -> str:
        return f"<Download of {self.digest}: {self.size} bytes>"
