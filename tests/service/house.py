"""A cache to keep house in: images of a few bytes, in a store and a catalog, under names."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from proxy.oci.digests import Digest
from proxy.oci.manifests import Descriptor
from proxy.oci.media_types import OCI_INDEX, OCI_MANIFEST
from proxy.ports import Link, Pin, TagRecord, TagState
from proxy.service.housekeeping import Housekeeper
from proxy.service.occupancy import Limits
from proxy.service.stock import HouseTools
from tests.fakes.clock import ManualClock
from tests.fakes.events import RecordingEvents
from tests.service.bench import Kept, put_blob

LATER = 4_000_000_000.0
"""After whatever is stored on a real disk now."""
HUB, REPOSITORY = "docker.io", "library/debian"


def blob(name: str, size: int = 100) -> bytes:
    """Make content of a size that is told from other content by its name."""
    return name.encode().ljust(size, b".")


def digest_of(name: str, size: int = 100) -> Digest:
    """Answer the address of such content."""
    return Digest.of(blob(name, size))


@dataclass(slots=True)
class House:
    """A cache, and who keeps it."""

    kept: Kept = field(default_factory=Kept)
    clock: ManualClock = field(default_factory=lambda: ManualClock(LATER))
    events: RecordingEvents = field(default_factory=RecordingEvents)
    fresh: dict[Digest, float] = field(default_factory=dict)
    """Uses that are not written down yet."""
    filling: dict[Digest, int] = field(default_factory=dict)
    """What is being filled, and how much of it is written."""
    forgotten: list[set[Digest] | None] = field(default_factory=list)
    """What memory was told to forget."""

    @property
    def stored(self) -> set[Digest]:
        """What is stored of everything that was ever put."""
        return {digest for digest in self._known if self.kept.store.find_size(digest) is not None}

    _known: set[Digest] = field(default_factory=set)

    def keeper(self, max_bytes: int | None = None, *, min_free_bytes: int = 0) -> Housekeeper:
        """Make who keeps it."""
        tools = HouseTools(
            self.kept.store,
            self.kept.catalog,
            self.clock,
            self.events,
            lambda: self.fresh,
            self.filling.get,
            lambda digests: self.forgotten.append(None if digests is None else set(digests)),
        )
        return Housekeeper(tools, Limits(max_bytes, min_free_bytes))

    async def put(self, name: str, size: int = 100) -> Digest:
        """Store some content."""
        digest = await put_blob(self.kept.store, blob(name, size))
        self._known.add(digest)
        return digest

    async def put_image(self, name: str, *parts: Digest | str, size: int = 100, repository: str = REPOSITORY) -> Digest:
        """Store a manifest, and what it needs so far as it is named by text; link it all to a repository."""
        children = [await self.put(part) if isinstance(part, str) else part for part in parts]
        digest = await self.put(name, size)
        await self.kept.catalog.put_contents(digest, children)
        await self.link(digest, *children, repository=repository)
        return digest

    async def link(self, *digests: Digest, repository: str = REPOSITORY, origin: str | None = None) -> None:
        """Link some content to a repository."""
        where = repository if origin is None else origin
        links = [Link(HUB, repository, digest, where, OCI_MANIFEST, 100, is_proven=True) for digest in digests]
        await self.kept.catalog.put_links(links)

    async def tag(
        self, tag: str, digest: Digest, *, repository: str = REPOSITORY, answer: Digest | None = None
    ) -> None:
        """Let a tag lead to a document, and perhaps be answered with another one."""
        found = Descriptor(OCI_INDEX, digest, 100)
        await self.kept.catalog.put_tag(TagRecord(HUB, repository, tag, TagState.PRESENT, self.clock.now(), found))
        if answer is not None:
            await self.kept.catalog.put_answer(HUB, repository, tag, answer)

    async def pin(self, target: str, *, repository: str = REPOSITORY) -> None:
        """Pin a tag or a digest."""
        await self.kept.catalog.put_pin(Pin(HUB, repository, target))

    async def use(self, *digests: Digest) -> None:
        """Let time pass, and some content be asked for."""
        self.clock.tick(1)
        await self.kept.catalog.put_uses(dict.fromkeys(digests, self.clock.now()))

    async def use_in_order(self, images: Iterable[Digest]) -> None:
        """Let images be asked for, one after the other."""
        for image in images:
            await self.use(image)
