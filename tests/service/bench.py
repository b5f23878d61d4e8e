"""The use cases put together over fakes, as the wiring puts them together over the real things."""

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from proxy.arch.candidates import official_templates
from proxy.arch.choice import Asker
from proxy.arch.detection import Detection
from proxy.arch.resolution import Policy
from proxy.oci.digests import Digest
from proxy.oci.platforms import Platform
from proxy.ports import BlobStore
from proxy.service.caching import Caching
from proxy.service.download import FillPolicy
from proxy.service.fill import Fills, FillTools
from proxy.service.freshness import Freshness
from proxy.service.listing import Listings
from proxy.service.lookups import Lookups, LookupTools
from proxy.service.manifests import Manifests
from proxy.service.pull import Puller, PullTools
from proxy.service.recency import Recency
from proxy.service.resolver import Resolver, ResolverTools
from proxy.service.room import EndlessRoom, Room
from proxy.service.tally import Tally
from proxy.service.tasks import SingleFlight, TaskOwner
from proxy.storage.catalog import SqliteCatalog
from proxy.storage.disk import DiskBlobStore
from proxy.storage.memory import MemoryBlobStore, MemoryCatalog
from proxy.telemetry.logs import SilentEvents
from tests.fakes.clock import ManualClock
from tests.fakes.events import RecordingEvents
from tests.fakes.upstream import FakeUpstream
from tests.lab.images import Blob, Image, build_image

HUB = "docker.io"
AMD64, ARM64, ARM_V7, ARM_V6 = "linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6"
FLEET = tuple(Platform.parse(text) for text in (AMD64, ARM64, ARM_V7, ARM_V6))
HUB_POLICY = Policy(FLEET, official_templates())
PLAIN_POLICY = Policy(FLEET)
"""No candidates: every document is upstream's own."""

DEBIAN = "library/debian"
SOURCES = {AMD64: DEBIAN, ARM64: "arm64v8/debian", ARM_V7: "arm32v7/debian", ARM_V6: "arm32v6/debian"}
"""Where the builds of `debian:jessie` are."""


@cache
def jessie(platform: str) -> Image:
    """Answer the build of `debian:jessie` for a platform."""
    return build_image(platform, label="jessie")


def publish_jessie(upstream: FakeUpstream, *platforms: str) -> None:
    """Put `debian:jessie` where Docker Hub has it: one image under `library`, the others in the arch namespaces."""
    for platform in platforms or SOURCES:
        upstream.push(f"{SOURCES[platform]}:jessie", jessie(platform))


def address(blob: Blob) -> Digest:
    """Answer the address of a built blob as a value."""
    return Digest.parse(blob.digest)


def asker(platform: str | None = None, *accepted: str, wants_manifest: bool = False) -> Asker:
    """Make a client of a platform."""
    known = None if platform is None else Platform.parse(platform)
    return Asker(Detection(known, "user-agent" if known else "none"), frozenset(accepted), wants_manifest)


async def put_blob(store: BlobStore, content: bytes) -> Digest:
    """Put content into a store, as if it had been there before; answer its address."""
    digest = Digest.of(content)
    ingest = await store.begin_ingest(digest)
    await ingest.write(content)
    await ingest.commit()
    ingest.close()
    return digest


@dataclass(frozen=True, slots=True)
class Kept:
    """What outlives the process."""

    store: BlobStore = field(default_factory=MemoryBlobStore)
    catalog: MemoryCatalog | SqliteCatalog = field(default_factory=MemoryCatalog)


@contextmanager
def kept_on_disk(folder: Path) -> Iterator[Kept]:
    """Open the real store and catalog."""
    with ThreadPoolExecutor(2) as writers, ThreadPoolExecutor(1) as scribe:
        store = DiskBlobStore(folder, writers)
        store.prepare()
        try:
            with SqliteCatalog(folder / "catalog.sqlite", scribe, SilentEvents()) as catalog:
                yield Kept(store, catalog)
        finally:
            store.close()


FILL_POLICY = FillPolicy(resume_wait_seconds=0)


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything that runs for one upstream, and the fakes around it."""

    upstream: FakeUpstream
    store: BlobStore
    catalog: MemoryCatalog | SqliteCatalog
    clock: ManualClock
    events: RecordingEvents
    owner: TaskOwner
    manifests: Manifests
    fills: Fills
    lookups: Lookups
    resolver: Resolver
    listings: Listings
    puller: Puller
    tally: Tally


@asynccontextmanager
async def open_bench(
    upstream: FakeUpstream,
    kept: Kept | None = None,
    *,
    clock: ManualClock | None = None,
    policy: Policy = HUB_POLICY,
    freshness: Freshness | None = None,
    memory_bytes: int = 1024 * 1024,
    name: str = HUB,
    fill_policy: FillPolicy = FILL_POLICY,
    room: Room | None = None,
) -> AsyncIterator[Bench]:
    """Start the use cases; end and await all their tasks on leaving."""
    clock, events, freshness = clock or ManualClock(), RecordingEvents(), freshness or Freshness()
    store, catalog = (kept or Kept()).store, (kept or Kept()).catalog
    async with AsyncExitStack() as stack:
        owner = await stack.enter_async_context(TaskOwner(events))
        caching = Caching(events)
        manifests = Manifests(store, catalog, events, caching, memory_bytes=memory_bytes)
        fills = Fills(FillTools(store, events, fill_policy, room or EndlessRoom(), caching), owner)
        tools = LookupTools(
            catalog, store, manifests, fills, clock, events, flights=SingleFlight(owner), fetches=SingleFlight(owner)
        )
        lookups = Lookups(name, upstream, freshness, tools)
        resolver = Resolver(lookups, policy, ResolverTools(catalog, manifests, clock, events, SingleFlight(owner)))
        listings = Listings(name, upstream, manifests, catalog, freshness, clock)
        tally = Tally()
        pull = PullTools(catalog, store, manifests, fills, events, owner, tally, Recency(catalog, clock).note)
        puller = Puller(name, upstream, lookups, resolver, listings, pull)
        yield Bench(
            upstream, store, catalog, clock, events, owner, manifests, fills, lookups, resolver, listings, puller, tally
        )
    assert upstream.open_streams == 0, "a stream from upstream was left open"
