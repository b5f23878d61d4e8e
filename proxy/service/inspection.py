"""What is in the cache, for people: the tags with what is held of them, and where the bytes are."""

import collections
import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass

from proxy.oci.digests import Digest
from proxy.oci.layouts import familiar_name
from proxy.oci.manifests import Descriptor
from proxy.oci.platforms import Platform
from proxy.oci.references import DOCKER_HUB, Reference
from proxy.ports import BlobStore, Clock, Inventory, Ledger, Pin, TagRecord
from proxy.service.eviction import find_needed
from proxy.service.freshness import Freshness
from proxy.service.holdings import HeldImage, Holdings

OWN_TAGS = "@"
"""How the names of tags begin that are our own book-keeping: no tag of a registry can."""


@dataclass(frozen=True, slots=True)
class ListedImage:
    """A tag that is known, or a pinned digest, and what is held of it."""

    reference: Reference
    digest: Digest
    """What is under it upstream."""
    media_type: str
    answer: Digest | None
    """The synthesised index that it is answered with, if there is one."""
    platforms: tuple[Platform | None, ...]
    """The platforms that are at hand whole, in the order of the index; None for an image that tells none."""
    missing_platforms: tuple[Platform | None, ...]
    """Those that are known, and not at hand whole."""
    size: int
    """How many bytes of it are held; what it shares with others is counted for each of them."""
    used_at: float | None
    """The last use of any of it: wall clock, in seconds since 1970; None where it never was."""
    checked_at: float | None
    """When upstream was last asked; None for a digest, which needs no asking."""
    is_fresh: bool
    """Whether it is served without asking upstream."""
    is_pinned: bool


@dataclass(frozen=True, slots=True)
class RepositoryUsage:
    """What the tags of one repository hold."""

    name: str
    tags: int
    """How many there are."""
    size: int
    """In bytes; what its tags share is counted once."""
    own_size: int
    """How much of that no other repository holds."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Where the bytes are."""

    size: int
    """All blobs, in bytes."""
    blobs: int
    """How many there are."""
    shared_size: int
    """What several repositories hold."""
    unreferenced_size: int
    """What no tag leads to."""
    repositories: tuple[RepositoryUsage, ...]


class Inspection:
    """Looks at a cache, and changes nothing."""

    def __init__(self, store: BlobStore, ledger: Ledger, freshness: Freshness, clock: Clock) -> None:
        """Take what the cache consists of, and how long a tag is believed."""
        self._store = store
        self._ledger = ledger
        self._freshness = freshness
        self._clock = clock
        self._holdings = Holdings(store)

    async def list_images(
        self, pattern: str | None = None, *, after: str = "", limit: int | None = None
    ) -> list[ListedImage]:
        """Answer the tags that are known, in order of their names, as far as they fit a pattern.

        Args:
            pattern: A shell pattern of the reference, or of its short form; a name without a wildcard stands for its
                repository with all tags, or for one tag.
            after: The reference after which to begin; it need not be there.
            limit: How many at most.
        """
        inventory = await self._ledger.take_inventory()
        return [self.describe(*one, inventory) for one in _select(inventory, pattern, after)[:limit]]

    async def list_tags(
        self, pattern: str | None = None, *, after: str = "", limit: int | None = None
    ) -> list[TagRecord]:
        """Answer the tags that are known, as `list_images` does, without a look at what is held of them."""
        selected = _select(await self._ledger.take_inventory(), pattern, after)
        return [record for record, _ in selected[:limit]]

    async def measure(self) -> Usage:
        """Answer where the bytes are."""
        inventory, blobs = await self._ledger.take_inventory(), await self._store.list_blobs()
        held: dict[str, set[Digest]] = {}
        tags: collections.Counter[str] = collections.Counter()
        for record in inventory.tags:
            name = f"{record.upstream}/{record.repository}"
            held.setdefault(name, set()).update(_needed(record, inventory))
            tags[name] += not record.tag.startswith(OWN_TAGS)
        sizes = {blob.digest: blob.size for blob in blobs}
        holders = collections.Counter(digest for digests in held.values() for digest in digests)

        def size_of(digests: Iterable[Digest]) -> int:
            return sum(sizes.get(digest, 0) for digest in digests)

        return Usage(
            size=sum(sizes.values()),
            blobs=len(sizes),
            shared_size=size_of(digest for digest, count in holders.items() if count > 1),
            unreferenced_size=size_of(sizes.keys() - holders.keys()),
            repositories=tuple(
                RepositoryUsage(
                    name, tags[name], size_of(held[name]), size_of(one for one in held[name] if holders[one] == 1)
                )
                for name in sorted(held)
            ),
        )

    async def is_cached(self, reference: Reference) -> bool:
        """Tell whether something is held of a reference."""
        found = await self.find(reference)
        return found is not None and self._holdings.look(found).root is not None

    async def find(self, reference: Reference) -> Descriptor | None:
        """Answer what a client of the proxy gets for a reference, by what is known: the synthesised index, if any."""
        if isinstance(reference.target, Digest):
            size = self._store.find_size(reference.target)
            return None if size is None else Descriptor("", reference.target, size)
        inventory = await self._ledger.take_inventory()
        for record in inventory.tags:
            if reference_of(record) == reference and record.descriptor is not None:
                return self._answered(record, inventory) or record.descriptor
        return None

    def describe(self, record: TagRecord, found: Descriptor, inventory: Inventory) -> ListedImage:
        """Answer what is held of a tag, and of what was found under it."""
        answer = self._answered(record, inventory)
        holding = self._holdings.look(answer or found)
        held = {*holding.sizes, *_needed(record, inventory)}
        names = {record.tag, str(found.digest), *([str(answer.digest)] if answer else [])}
        return ListedImage(
            reference=reference_of(record),
            digest=found.digest,
            media_type=found.media_type,
            answer=answer.digest if answer else None,
            platforms=_platforms(holding.whole_images),
            missing_platforms=_platforms(holding.lacking_images),
            size=sum(self._store.find_size(digest) or 0 for digest in held),
            used_at=max((inventory.uses[digest] for digest in held if digest in inventory.uses), default=None),
            checked_at=record.checked_at,
            is_fresh=self._freshness.remaining(record, self._clock.now()) > 0,
            is_pinned=any(Pin(record.upstream, record.repository, name) in inventory.pins for name in names),
        )

    def _answered(self, record: TagRecord, inventory: Inventory) -> Descriptor | None:
        answer = inventory.answers.get((record.upstream, record.repository, record.tag))
        size = None if answer is None else self._store.find_size(answer)
        if answer is None or size is None:
            return None
        # What was made of the tag before it moved stays for whoever pinned it, but is the answer no more.
        made_of = inventory.contents.get(answer)
        is_current = record.descriptor is None or not made_of or record.descriptor.digest in made_of
        return Descriptor("", answer, size) if is_current else None

    def __repr__(self) -> str:
        return f"<Inspection of {self._store!r}>"


def reference_of(record: TagRecord) -> Reference:
    """Answer the reference that a tag is known by."""
    return Reference(record.upstream, record.repository, record.tag)


def _select(inventory: Inventory, pattern: str | None, after: str) -> list[tuple[TagRecord, Descriptor]]:
    """Answer the tags that something is under, in order of their names, and what that is."""
    found: dict[str, tuple[TagRecord, Descriptor]] = {}
    matches = None if pattern is None else compile_pattern(pattern)
    for record in inventory.tags:
        reference = reference_of(record)
        is_meant = str(reference) > after and (matches is None or fits(reference, matches))
        if is_meant and record.descriptor is not None and not record.tag.startswith(OWN_TAGS):
            found[str(reference)] = (record, record.descriptor)
    return [found[name] for name in sorted(found)]


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Make a shell pattern one to be matched by `fits`. `fnmatch` itself would remember every pattern of everybody."""
    return re.compile(fnmatch.translate(pattern))


def fits(reference: Reference, pattern: re.Pattern[str]) -> bool:
    """Tell whether a reference fits a pattern, by its whole name or by its short one, with or without its tag."""
    whole = f"{reference.registry}/{reference.repository}"
    short = familiar_name(reference)
    names = [whole, short] + ([reference.repository] if reference.registry == DOCKER_HUB else [])
    tagged = [f"{name}:{reference.target}" for name in names]
    return any(pattern.match(name) for name in (*names, *tagged))


def _needed(record: TagRecord, inventory: Inventory) -> list[Digest]:
    answer = inventory.answers.get((record.upstream, record.repository, record.tag))
    roots = (record.descriptor.digest if record.descriptor else None, answer)
    return find_needed(inventory.contents, (root for root in roots if root is not None))


def _platforms(images: Iterable[HeldImage]) -> tuple[Platform | None, ...]:
    return tuple(dict.fromkeys(image.platform for image in images))
