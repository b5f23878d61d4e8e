"""One blob on its way into the store, and readers of it."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from proxy.oci.digests import Digest
from proxy.oci.ranges import ByteRange
from proxy.service.download import FillPolicy, FillSource
from proxy.service.fill import Fill
from proxy.service.room import Room
from tests.fakes.events import RecordingEvents
from tests.fakes.upstream import FakeUpstream, Kind
from tests.lab.programs import wait_until
from tests.service.bench import FILL_POLICY, PLAIN_POLICY, Bench, Kept, open_bench

REPOSITORY = "library/big"
CHUNK = 1000


def noise(size: int, seed: str = "") -> bytes:
    """Answer bytes that look like nothing, the same ones each time."""
    return hashlib.shake_256(f"noise {seed}".encode()).digest(size)


@dataclass(frozen=True, slots=True)
class Filling:
    """A blob that upstream has, and the proxy has not."""

    bench: Bench
    content: bytes
    digest: Digest

    @property
    def upstream(self) -> FakeUpstream:
        return self.bench.upstream

    @property
    def events(self) -> RecordingEvents:
        return self.bench.events

    @property
    def offsets(self) -> list[int]:
        """Where upstream was asked to begin, request by request."""
        return [one.offset for one in self.upstream.asked if one.kind is Kind.GET_BLOB]

    def join(self, *repositories: str, size: int | None = None) -> Fill:
        """Begin the fill, or join it."""
        sources = [FillSource(self.upstream, repository) for repository in repositories or (REPOSITORY,)]
        return self.bench.fills.join(self.digest, sources, size)

    async def read_all(self) -> bytes:
        """Join the fill, and read it whole."""
        return await read(self.join())

    async def wait_over(self) -> None:
        """Wait until the fill has ended, however it does."""

        async def is_over() -> bool:
            return repr(self.bench.fills) == "<Fills: []>"

        await wait_until(is_over, seconds=10, purpose="the end of the fill")

    @property
    def stored(self) -> bytes | None:
        """What the store has of it."""
        size = self.bench.store.find_size(self.digest)
        if size is None:
            return None
        with self.bench.store.open_blob(self.digest) as reader:
            return reader.read_at(0, size)


async def read(fill: Fill, start: int = 0, stop: int | None = None, *, pieces: list[bytes] | None = None) -> bytes:
    """Follow a fill; `pieces` keeps what was got before an error."""
    got = [] if pieces is None else pieces
    size = await fill.wait_ready()
    end = size if stop is None else stop
    async with aclosing(fill.read(ByteRange(start, end))) as parts:
        async for part in parts:
            got.append(part)
    return b"".join(got)


@asynccontextmanager
async def open_filling(
    content: bytes,
    kept: Kept | None = None,
    *,
    fill_policy: FillPolicy = FILL_POLICY,
    room: Room | None = None,
) -> AsyncIterator[Filling]:
    """Let upstream have a blob."""
    upstream = FakeUpstream()
    upstream.manners.chunk_bytes = CHUNK
    digest = upstream.put_blob(REPOSITORY, content)
    async with open_bench(upstream, kept, policy=PLAIN_POLICY, fill_policy=fill_policy, room=room) as bench:
        yield Filling(bench, content, digest)
