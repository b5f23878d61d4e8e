"""Holding what is stored against its digests: damaged blobs are put aside, and fetched again if that is wanted."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass

from proxy.oci.digests import Digest
from proxy.oci.errors import BlobDamaged, BlobUnknown, ManifestUnknown, RegistryError
from proxy.oci.manifests import Descriptor
from proxy.oci.references import Reference
from proxy.ports import BlobReader, BlobStore, Inventory, Ledger, Link, Pin, StoredBlob, TagRecord
from proxy.service.eviction import find_needed, find_targets
from proxy.service.holdings import Holding, Holdings
from proxy.service.inspection import OWN_TAGS, reference_of

PARALLEL_BLOBS = 2
"""How many are read at once: more makes an SD card slower, not faster."""
PIECE_BYTES = 1024 * 1024
BATCH_BYTES = 8 * PIECE_BYTES
"""How much one call into a thread reads and hashes."""

Progress = Callable[[int, int], None]
"""Told how many bytes are done, of how many."""
Repair = Callable[[Link, str | None], Awaitable[None]]
"""Fetches the content of a link again into the store; a synthesised index by the tag that is answered with it.
Raises RegistryError where that fails."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A blob that is not what its digest says."""

    digest: Digest
    size: int
    """In bytes, as it was found."""
    references: tuple[Reference, ...]
    """The tags that lead to it."""
    is_repaired: bool = False
    reason: str = ""
    """Why it could not be repaired, if that was tried."""


@dataclass(frozen=True, slots=True)
class Incomplete:
    """A tag of which something is missing that it needs. Platforms that nobody asked for are not missing."""

    reference: Reference
    missing: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found."""

    blobs: int
    """How many were looked at."""
    size: int
    """In bytes."""
    damaged: tuple[Damage, ...]
    incomplete: tuple[Incomplete, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is damaged any more."""
        return all(one.is_repaired for one in self.damaged)


class Verification:
    """Verifies a store."""

    def __init__(
        self,
        store: BlobStore,
        ledger: Ledger,
        repair: Repair | None = None,
        forget: Callable[[Collection[Digest]], None] = lambda _: None,
    ) -> None:
        """Take what the cache consists of, who fetches content again, and who has it forgotten that is in memory."""
        self._store = store
        self._ledger = ledger
        self._repair = repair
        self._forget = forget
        self._holdings = Holdings(store)

    async def run(self, reference: Reference | None, progress: Progress, *, repairs: bool = True) -> Verified:
        """Verify all blobs, or those that a reference leads to, and put aside what is damaged.

        Args:
            reference: What to verify; None for everything.
            progress: Told how far it is.
            repairs: Whether what is damaged is fetched again, where there is somebody to do that.

        Raises:
            ManifestUnknown: Nothing is cached under the reference.
        """
        inventory, blobs = await self._ledger.take_inventory(), await self._store.list_blobs()
        if reference is not None:
            wanted = set(self._needed_by(reference, inventory))
            blobs = [blob for blob in blobs if blob.digest in wanted]
        incomplete = self._find_incomplete(inventory, reference)
        broken = await self._hash_all(blobs, progress)
        damaged = await self._put_aside(broken, inventory, self._repair if repairs else None) if broken else []
        return Verified(len(blobs), sum(blob.size for blob in blobs), tuple(damaged), tuple(incomplete))

    def _needed_by(self, reference: Reference, inventory: Inventory) -> list[Digest]:
        name = Pin(reference.registry, reference.repository, str(reference.target))
        targets = find_targets(inventory, {name})
        if not any(self._store.find_size(target) is not None for target in targets):
            raise ManifestUnknown(f"{reference} is not cached; `polyarch cache ls` shows what is")
        return find_needed(inventory.contents, targets)

    def _find_incomplete(self, inventory: Inventory, reference: Reference | None) -> list[Incomplete]:
        found = []
        for record in inventory.tags:
            name = reference_of(record)
            if record.descriptor is None or record.tag.startswith(OWN_TAGS) or reference not in {None, name}:
                continue
            try:
                missing = _missing(record.descriptor, self._holdings.look(record.descriptor))
            except BlobDamaged:  # it is found, and told, when all are read
                continue
            if missing:
                found.append(Incomplete(name, missing))
        return found

    async def _hash_all(self, blobs: list[StoredBlob], progress: Progress) -> list[StoredBlob]:
        total, done = sum(blob.size for blob in blobs), 0
        broken: list[StoredBlob] = []
        waiting = iter(sorted(blobs, key=lambda blob: blob.digest))

        def count(read: int) -> None:
            nonlocal done
            done += read
            progress(min(done, total), total)

        async def work() -> None:
            for blob in waiting:
                # Twice before it is called damaged: somebody may have mended it while it was read.
                is_sound = await self._is_sound(blob.digest, count) or await self._is_sound(blob.digest, _ignore)
                broken.extend(() if is_sound else (blob,))

        async with asyncio.TaskGroup() as group:
            for _ in range(PARALLEL_BLOBS):
                group.create_task(work())
        return sorted(broken, key=lambda blob: blob.digest)

    async def _is_sound(self, digest: Digest, count: Callable[[int], None]) -> bool:
        hasher = digest.hasher()

        def feed(reader: BlobReader, offset: int) -> int:
            """Read and hash a batch; less than that is the end."""
            read = 0
            while read < BATCH_BYTES and (piece := reader.read_at(offset + read, PIECE_BYTES)):
                hasher.update(piece)
                read += len(piece)
            return read

        try:
            with self._store.open_blob(digest) as reader:
                offset, read = 0, BATCH_BYTES
                while read == BATCH_BYTES:
                    read = await asyncio.to_thread(feed, reader, offset)
                    offset += read
                    count(read)
        except BlobUnknown:  # it left meanwhile
            return True
        except BlobDamaged:  # the disk cannot read it
            return False
        return hasher.hexdigest() == digest.encoded

    async def _put_aside(self, broken: list[StoredBlob], inventory: Inventory, repair: Repair | None) -> list[Damage]:
        for blob in broken:
            await self._store.quarantine(blob.digest)
        self._forget([blob.digest for blob in broken])
        await self._ledger.raise_revision()
        references = _references(inventory, {blob.digest for blob in broken})
        links = await self._ledger.list_links() if repair else []
        damaged = []
        # A manifest before what it leads to: its links may be what tells where the rest is.
        for blob in sorted(broken, key=lambda one: one.digest not in inventory.contents):
            names = references.get(blob.digest, ())
            if self._store.find_size(blob.digest) is None:
                own = [link for link in links if link.digest == blob.digest]
                reason = await self._mend(blob.digest, own, inventory, repair) if repair else ""
            else:  # a server has fetched it again meanwhile, or it cannot be moved
                is_sound = await self._is_sound(blob.digest, _ignore)
                reason = None if is_sound else "it cannot be put aside; is the cache folder read-only?"
            damaged.append(Damage(blob.digest, blob.size, names, is_repaired=reason is None, reason=reason or ""))
        return damaged

    async def _mend(self, digest: Digest, links: Iterable[Link], inventory: Inventory, repair: Repair) -> str | None:
        """Fetch some content again; answer why it could not be done, or None."""
        reason = "nobody knows where it came from"
        answered = {made: tag for (_, _, tag), made in inventory.answers.items()}
        for link in links:
            try:
                await repair(link, None if link.origin else answered.get(digest))
            except RegistryError as error:
                reason = error.message
            else:
                reason = f"{link.upstream}/{link.repository} has something else now"
            if self._store.find_size(digest) is not None:
                return None
        return reason

    def __repr__(self) -> str:
        return f"<Verification of {self._store!r}>"


def _references(inventory: Inventory, digests: Collection[Digest]) -> dict[Digest, tuple[Reference, ...]]:
    """Answer the tags that lead to some content."""
    found: dict[Digest, tuple[Reference, ...]] = {}
    for record in inventory.tags:
        if not record.tag.startswith(OWN_TAGS):
            for digest in find_needed(inventory.contents, _targets(record, inventory)):
                if digest in digests:
                    found[digest] = (*found.get(digest, ()), reference_of(record))
    return found


def _targets(record: TagRecord, inventory: Inventory) -> list[Digest]:
    answer = inventory.answers.get((record.upstream, record.repository, record.tag))
    found = [record.descriptor.digest] if record.descriptor else []
    return [*found, answer] if answer else found


def _missing(root: Descriptor, holding: Holding) -> tuple[Digest, ...]:
    if holding.root is None:
        return (root.digest,)
    begun = (image for image in holding.images if image.manifest is not None and image.is_runnable)
    return tuple(dict.fromkeys(digest for image in begun for digest in image.lacking))


def _ignore(_read: int) -> None:
    """Count nothing: it was counted before."""
