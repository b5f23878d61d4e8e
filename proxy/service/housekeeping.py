"""The cache kept within its bounds: so many bytes at most, and so many left free on its disk.

Fills say what they are about to write, and hear whether it can ever fit. Whatever has to leave for it leaves in the
background: first what broke off half-way, then the images that were used least recently (`service/eviction.py`).
Pinned content stays, and so does what is being read or filled.

What an operator wants gone leaves here too. Nothing needs to be in the process that serves: another one may keep house
in the same folder, and tells it by the catalog's revision.
"""

import asyncio
import contextlib
import math
from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from proxy.oci.digests import Digest
from proxy.oci.errors import RegistryError, Unavailable
from proxy.ports import Inventory, StoredBlob
from proxy.service.eviction import (
    Departure,
    find_garbage,
    find_images,
    find_needed,
    find_pinned,
    find_purged,
    find_purged_names,
    find_targets,
    find_unknown,
    map_names,
    plan_eviction,
)
from proxy.service.occupancy import LOW_WATER, Limits, Occupancy
from proxy.service.stock import HouseTools, Stock

POLL_SECONDS = 1.0
"""How often it is looked whether another process kept house, or filled the disk."""
COUNT_SECONDS = 3600.0
"""How often everything is counted anew: what no fill brought in is known only then."""
REST = 10.0
"""How long nothing is tried again after a run that made no room at all: as many times what it took."""
MAX_WAIT_SECONDS, WAIT_STEP_SECONDS = 2.0, 0.02
"""How long a download waits at most for others to leave: it is better a little over the bound than not at all."""
FEW_IMAGES = 16
"""After how many images that left the catalog is told: until then it knows of content that is not there any more."""
GRACE_SECONDS = 3600.0
"""How young content is left alone that nothing leads to: whoever brings it in may not have linked it yet."""
SUSPENDED_SECONDS = 24 * 3600.0
"""How long a download that broke off is kept for the next one to go on with."""
ABSENT_SECONDS = 7 * 24 * 3600.0
"""How long it is remembered that upstream does not have a tag: much longer than it is believed."""
QUARANTINE_SECONDS = 7 * 24 * 3600.0
"""How long what was not what its digest says is kept for somebody to look at."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What has left."""

    size: int = 0
    """In bytes, of all of it."""
    blobs: int = 0
    images: int = 0
    """How many images were evicted."""
    tags: int = 0
    """How many tags were purged."""
    suspended: int = 0
    """How many downloads that had broken off."""
    quarantined: int = 0
    """How many blobs that had been put aside."""
    forgotten: int = 0
    """How much content that is not there anything was still known of."""


class Housekeeper:
    """Keeps the cache within its bounds, and clears away what is not wanted."""

    def __init__(self, tools: HouseTools, limits: Limits) -> None:
        """Take the store and its catalog, and how large the cache may become."""
        self.occupancy = Occupancy(limits, tools.store.free_bytes, tools.find_written)
        self._tools = tools
        self._stock = Stock(tools, self.occupancy)
        self._revision: int | None = None
        self._counted_at = self._tidied_at = -math.inf
        self._is_in_doubt = False
        self._is_short = False
        self._stuck: set[Digest] = set()
        """What did not leave with its images when it should have, and is not tried again as long as others can."""
        self._resting_until = -math.inf
        self._is_running = False
        self._is_failing = False
        self._woken = asyncio.Event()
        self._looked = asyncio.Event()
        """Set, and replaced, whenever what was necessary is done."""
        self._at_work = asyncio.Lock()

    def reserve(self, digest: Digest, size: int | None, /) -> bool:
        """Make room for a blob that is about to be written, and tell whether it can ever fit."""
        self.occupancy.expect(digest, size or 0)
        can_fit = self.occupancy.can_fit()
        if not can_fit:
            self.occupancy.give_up(digest)
            self._is_in_doubt = True  # what stayed, as far as is known here, need not do so any more
        if not can_fit or self.occupancy.excess() > 0:
            self._woken.set()
        return can_fit

    async def wait(self) -> None:
        """Wait until what has to leave has left, or nothing more can; never long, and not where nobody keeps house."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MAX_WAIT_SECONDS):
                while self._may_make_room() and self.occupancy.excess() > 0:
                    self._woken.set()
                    await self._looked.wait()
                    if self._is_resting():
                        await asyncio.sleep(WAIT_STEP_SECONDS)  # what is in use now may not be so in a moment

    def _may_make_room(self) -> bool:
        return self._is_running and not self._is_failing and self.occupancy.can_fit()

    def release(self, digest: Digest, stored: int, /, *, suspended: int = 0) -> None:
        """Hear that a blob was written, and takes so many bytes now, or none; or broke off, and so many are kept."""
        self.occupancy.give_up(digest)
        if suspended:
            self.occupancy.suspend(digest, suspended)
        self.note_stored(digest, stored)

    def note_stored(self, digest: Digest, size: int) -> None:
        """Hear that some content came in."""
        if size:
            self.occupancy.add(digest, size)
        if self.occupancy.excess() > 0:
            self._woken.set()

    async def run(self) -> None:
        """Keep house until cancelled."""
        self._is_running = True
        try:
            while True:
                await self._look_after_or_tell()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), POLL_SECONDS)
                self._woken.clear()
        finally:
            self._is_running = False
            self._looked.set()

    async def _look_after_or_tell(self) -> None:
        began = self._tools.clock.monotonic()
        try:
            await self.look_after()
        except RegistryError as error:
            self._is_failing = True
            self._rest(began, at_least=POLL_SECONDS)
            self._tools.events.warn("cache.not_kept", reason=error.message)
        self._looked.set()
        self._looked = asyncio.Event()

    async def look_after(self) -> None:
        """Do whatever has become necessary."""
        began = self._tools.clock.monotonic()
        revision = self._tools.ledger.read_revision()
        if revision != self._revision or began - self._counted_at >= COUNT_SECONDS:
            self._forget_all_since(revision)
            await self.count()
            self._revision, self._counted_at = revision, began
        if self._tools.ledger.needs_rebuild:  # nobody knows yet what belongs together
            self._resting_until = began + POLL_SECONDS
        if not self._is_resting() and (self._is_in_doubt or self.occupancy.excess() > 0):
            self._is_in_doubt = False
            evicted = await self.evict()
            self._is_failing = False
            if not evicted.size:
                self._rest(began)
            elif self.occupancy.excess() > 0:  # more came in meanwhile
                self._woken.set()
        await self._tidy_now_and_then(began)

    async def _tidy_now_and_then(self, moment: float) -> None:
        if not self._tools.ledger.needs_rebuild and moment - self._tidied_at >= COUNT_SECONDS:
            self._tidied_at = moment
            await self.tidy()

    def _rest(self, began: float, *, at_least: float = 0.0) -> None:
        """Try nothing again for a while: what was tried since then made no room."""
        self._resting_until = (now := self._tools.clock.monotonic()) + max(at_least, REST * (now - began))

    def _is_resting(self) -> bool:
        return self._tools.clock.monotonic() < self._resting_until

    async def count(self) -> None:
        """Count what is stored, and throw away what broke off long ago."""
        async with self._at_work:
            _, suspended = await self._stock.list_blobs()
            for blob in self._older(suspended, SUSPENDED_SECONDS):
                await self._stock.drop_suspended(blob)

    async def tidy(self) -> None:
        """Forget what was asked for in vain, and throw away what was put aside long ago."""
        now = self._tools.clock.now()
        async with self._at_work:
            for blob in self._older(await self._tools.store.list_quarantined(), QUARANTINE_SECONDS):
                await self._tools.store.drop_quarantined(blob.digest)
            await self._tools.ledger.forget_absent(now - ABSENT_SECONDS)
            blobs = await self._tools.store.list_blobs()
            inventory = await self._stock.take_inventory()
            recent = {digest for digest, moment in inventory.uses.items() if moment >= now - GRACE_SECONDS}
            unknown = await asyncio.to_thread(find_unknown, inventory, blobs)
            await self._stock.forget([digest for digest in unknown if digest not in recent], now)

    async def evict(self) -> Removed:
        """Let leave what has to, so that the cache is some way below its bounds."""
        async with self._at_work:
            since = self._tools.clock.now()
            blobs, suspended = await self._stock.list_blobs()
            inventory = await self._stock.take_inventory()
            # What was synthesised is nowhere else: nobody could pull it again by the digest that they know.
            kept = find_pinned(inventory) | set(inventory.answers.values())
            self.occupancy.staying_bytes = sum(blob.size for blob in blobs if blob.digest in kept)
            wanted = math.ceil(self.occupancy.excess(LOW_WATER)) if self.occupancy.excess() > 0 else 0
            dropped: list[int] = []
            for blob in sorted(suspended, key=lambda one: (one.stored_at, one.digest)):
                if sum(dropped) < wanted:
                    await self._stock.drop_suspended(blob)
                    dropped.append(blob.size)
            departures = await self._decide(inventory, blobs, wanted - sum(dropped), kept)
            evicted = await self._part_with(departures, since)
        self._tell_short()
        return self._tell(replace(evicted, suspended=len(dropped), size=evicted.size + sum(dropped)))

    async def purge(self, upstream: str, repository: str, target: str | None = None) -> Removed:
        """Forget a tag, or a digest and the tags that lead to it, or all of a repository; and remove the content.

        What a pin holds stays, and what another image or tag holds; but the builds that an image was synthesised from
        leave with it, under whatever tags they were found.

        Raises:
            Pinned: It is for something that is pinned.
            Unavailable: The cache cannot be read or written.
        """
        self._check_known()
        async with self._at_work:
            blobs, inventory = (await self._stock.list_blobs())[0], await self._stock.take_inventory()
            images = await asyncio.to_thread(find_images, inventory, blobs)
            names = find_purged_names(inventory, upstream, repository, target)
            targets = find_targets(inventory, names)
            if target is None:
                targets |= await self._find_unnamed(upstream, repository) & {image.root for image in images}
            others = find_targets(inventory, map_names(inventory).keys() - names)
            kept = find_pinned(inventory) | set(find_needed(inventory.contents, others & targets))
            leaving = find_purged(images, targets, inventory.contents, kept=kept)
            tags = [name for name in names if ":" not in name.target]
            for name in tags:
                await self._tools.ledger.forget_tag(name.upstream, name.repository, name.target)
            removed = await self._clear(leaving, leaving)
        return replace(removed, tags=len(tags))

    async def collect_garbage(self, *, dry_run: bool = False) -> Removed:
        """Remove what nobody can ask for, and forget what is known of content that is not there.

        Raises:
            Unavailable: The cache cannot be read or written.
        """
        store, ledger = self._tools.store, self._tools.ledger
        self._check_known()
        async with self._at_work:
            blobs, suspended = await self._stock.list_blobs()
            inventory, links = await self._stock.take_inventory(), await ledger.list_links()
            before = self._tools.clock.now() - GRACE_SECONDS
            garbage = await asyncio.to_thread(find_garbage, inventory, links, blobs, before)
            broken_off = self._older(suspended, SUSPENDED_SECONDS)
            aside = self._older(await store.list_quarantined(), QUARANTINE_SECONDS)
            if not dry_run:
                await self._clear(garbage.blobs, (*garbage.blobs, *garbage.forgotten))
                for blob in broken_off:
                    await self._stock.drop_suspended(blob)
                for blob in aside:
                    await store.drop_quarantined(blob.digest)
        sizes = {blob.digest: blob.size for blob in blobs}
        freed = [sizes[digest] for digest in garbage.blobs] + [blob.size for blob in (*broken_off, *aside)]
        return Removed(
            size=sum(freed),
            blobs=len(garbage.blobs),
            suspended=len(broken_off),
            quarantined=len(aside),
            forgotten=len(garbage.forgotten),
        )

    async def _decide(
        self, inventory: Inventory, blobs: list[StoredBlob], wanted_bytes: int, kept: AbstractSet[Digest]
    ) -> list[Departure]:
        """Answer who leaves; what was stuck is tried again where nobody else can."""
        found = await asyncio.to_thread(self._plan, inventory, blobs, wanted_bytes, kept | self._stuck)
        if found or not self._stuck:
            return found
        self._stuck.clear()
        return await asyncio.to_thread(self._plan, inventory, blobs, wanted_bytes, kept)

    def _plan(
        self, inventory: Inventory, blobs: list[StoredBlob], wanted_bytes: int, kept: AbstractSet[Digest]
    ) -> list[Departure]:
        if wanted_bytes <= 0:
            return []
        images, sizes = find_images(inventory, blobs), {blob.digest: blob.size for blob in blobs}
        return plan_eviction(images, sizes, wanted_bytes, kept=kept, is_busy=self._stock.is_busy)

    async def _part_with(self, departures: Iterable[Departure], since: float) -> Removed:
        """Remove what leaves, but for what somebody has come to use since it was decided.

        Raises:
            Unavailable: Nothing that should leave can be removed; or the catalog cannot be written.
        """
        images, sizes, gone = 0, dict[Digest, int](), list[Digest]()
        kept, failures = set[Digest](), list[Unavailable]()
        try:
            for departure in departures:
                if any(self._stock.is_in_use(one, since) for one in (*departure.leaving, *departure.forgotten)):
                    kept.update(departure.image.members, departure.image.missing)
                    continue
                try:
                    for digest in departure.leaving:
                        if digest not in kept:
                            sizes[digest] = await self._stock.remove(digest)
                            gone.append(digest)
                except Unavailable as error:
                    failures.append(error)
                    for held in (kept, self._stuck):
                        held.update(departure.image.members, departure.image.missing)
                    continue
                gone += [digest for digest in departure.forgotten if digest not in kept]
                images += 1
                if images % FEW_IMAGES == 0:
                    leaving, gone = gone, []
                    await self._stock.forget(leaving, since)
                await asyncio.sleep(0)
        finally:
            await self._stock.forget(gone, since)
        self._tell_stuck(failures, is_all=not sizes)
        return Removed(size=sum(sizes.values()), blobs=len(sizes), images=images)

    def _tell_stuck(self, failures: list[Unavailable], *, is_all: bool) -> None:
        if failures and is_all:
            raise failures[0]
        if failures:
            self._tools.events.warn("cache.stuck", reason=failures[0].message, images=len(failures))

    async def _find_unnamed(self, upstream: str, repository: str) -> set[Digest]:
        """Answer what a repository alone is linked to: under a tag that has moved, or under none."""
        own, others = set[Digest](), set[Digest]()
        for link in await self._tools.ledger.list_links():
            (own if (link.upstream, link.repository) == (upstream, repository) else others).add(link.digest)
        return own - others

    async def _clear(self, digests: Iterable[Digest], forgotten: Collection[Digest]) -> Removed:
        """Remove what is not wanted, and tell whoever else has the cache open."""
        sizes = [await self._stock.remove(digest) for digest in digests]
        await self._stock.forget(forgotten)
        await self._tools.ledger.raise_revision()
        return Removed(size=sum(sizes), blobs=sum(size > 0 for size in sizes))

    def _older(self, blobs: Iterable[StoredBlob], seconds: float) -> list[StoredBlob]:
        latest = self._tools.clock.now() - seconds
        return [blob for blob in blobs if blob.stored_at < latest]

    def _check_known(self) -> None:
        if self._tools.ledger.needs_rebuild:
            raise Unavailable("the catalog was lost: the next server on this cache finds out what belongs together")

    def _forget_all_since(self, revision: int) -> None:
        """Let nobody remember content that another process may have taken away."""
        if self._revision not in {None, revision}:
            self._tools.forget(None)

    def _tell(self, evicted: Removed) -> Removed:
        if evicted.images or evicted.suspended:
            self._tools.events.note(
                "cache.evicted",
                images=evicted.images,
                blobs=evicted.blobs,
                suspended=evicted.suspended,
                bytes=evicted.size,
                left=self.occupancy.stored_bytes,
            )
        return evicted

    def _tell_short(self) -> None:
        is_short = not self.occupancy.can_fit()
        if is_short and not self._is_short:
            self._tools.events.warn(
                "cache.short",
                reason="nothing new can be kept: too much is pinned, or others have filled the disk",
                stored=self.occupancy.stored_bytes,
                pinned=self.occupancy.staying_bytes,
                free=self._tools.store.free_bytes(),
            )
        self._is_short = is_short

    def __repr__(self) -> str:
        return f"<Housekeeper: {self.occupancy!r}>"
