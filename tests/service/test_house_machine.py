"""Any order of taking in, tagging, reading, filling, pinning, evicting, purging, sweeping and crashing."""

import asyncio
import shutil
import tempfile
from abc import abstractmethod
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from proxy.oci.digests import Digest
from proxy.oci.errors import Pinned
from proxy.ports import BlobReader, Ingest, Inventory, Pin
from proxy.service.eviction import Image, find_images, find_pinned
from proxy.service.housekeeping import GRACE_SECONDS, Removed
from proxy.storage.catalog import SqliteCatalog
from proxy.storage.disk import DiskBlobStore
from proxy.telemetry.logs import SilentEvents
from tests.service.bench import Kept
from tests.service.house import HUB, REPOSITORY, House, blob

TAGS = ("jessie", "sid", "8")
LAYERS = {
    name: blob(name, size) for name, size in (("base", 300), ("one", 50), ("two", 80), ("three", 10), ("none", 0))
}
MANIFESTS = {name: blob(name, 20) for name in ("m1", "m2", "m3", "m4")}
INDEXES = {name: blob(name, 30) for name in ("i1", "i2")}
CONTENTS = {Digest.of(content): content for content in (*LAYERS.values(), *MANIFESTS.values(), *INDEXES.values())}

tags = st.sampled_from(TAGS)


@dataclass(slots=True)
class Before:
    """What there was before something was removed."""

    stored: set[Digest]
    inventory: Inventory
    images: list[Image]


class HouseMachine(RuleBasedStateMachine):
    """Needs `open_kept` and `crash_kept`; the rest is the same for every store and catalog."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.readers = ExitStack()
        self.reading: dict[Digest, BlobReader] = {}
        self.filling: dict[Digest, Ingest] = {}

    @abstractmethod
    def open_kept(self) -> Kept: ...

    @abstractmethod
    def crash_kept(self) -> Kept:
        """Let the process end without warning, and start another one."""

    @initialize(pinned=st.none() | tags, missing=st.sampled_from(sorted(LAYERS)))
    def open(self, pinned: str | None, missing: str) -> None:
        self.house = House(self.open_kept())
        self.runner.run(self.house.kept.catalog.finish_rebuild())
        for name, layers in (("m1", "base one"), ("m2", "base two"), ("m3", "two three none"), ("m4", "three")):
            self.take_in(MANIFESTS[name], [Digest.of(LAYERS[layer]) for layer in layers.split()])
            self.use(Digest.of(MANIFESTS[name]))
        self.take_in(INDEXES["i1"], [Digest.of(MANIFESTS[name]) for name in ("m1", "m4")])
        for tag, name in zip(TAGS, ("m1", "m2", "m3"), strict=True):
            self.tag(tag, name, is_answered=name == "m1")
        self.runner.run(self.house.kept.store.remove(Digest.of(LAYERS[missing])))
        if pinned is not None:
            self.pin(pinned)

    # What clients and upstream do.

    @rule(name=st.sampled_from(sorted(MANIFESTS)), layers=st.frozensets(st.sampled_from(sorted(LAYERS)), min_size=1))
    def take_in_an_image(self, name: str, layers: frozenset[str]) -> None:
        known = self.inventory().contents.get(Digest.of(MANIFESTS[name]))
        parts = known or [Digest.of(LAYERS[layer]) for layer in sorted(layers)]  # a digest has one content for ever
        self.take_in(MANIFESTS[name], parts)

    @rule(name=st.sampled_from(sorted(INDEXES)), images=st.frozensets(st.sampled_from(sorted(MANIFESTS)), min_size=1))
    def take_in_an_index(self, name: str, images: frozenset[str]) -> None:
        known = self.inventory().contents.get(Digest.of(INDEXES[name]))
        self.take_in(INDEXES[name], known or [Digest.of(MANIFESTS[image]) for image in sorted(images)])

    def take_in(self, content: bytes, parts: "list[Digest] | tuple[Digest, ...]") -> None:
        digest, catalog = self.store(content), self.house.kept.catalog
        self.runner.run(catalog.put_contents(digest, parts))
        self.runner.run(self.house.link(digest, *parts))
        for part in parts:
            if part not in self.filling and CONTENTS[part] in LAYERS.values():
                self.store(CONTENTS[part])

    def store(self, content: bytes) -> Digest:
        digest, store = Digest.of(content), self.house.kept.store
        if store.find_size(digest) is None:
            ingest = self.runner.run(store.begin_ingest(digest))
            self.runner.run(ingest.write(content[ingest.written :]))
            self.runner.run(ingest.commit())
            ingest.close()
        return digest

    @rule(tag=tags, name=st.sampled_from(sorted(MANIFESTS | INDEXES)), is_answered=st.booleans())
    def tag(self, tag: str, name: str, *, is_answered: bool) -> None:
        digest = Digest.of((MANIFESTS | INDEXES)[name])
        answer = Digest.of(INDEXES["i1"]) if is_answered else None
        if all(self.house.kept.store.find_size(one) is not None for one in (digest, answer) if one is not None):
            self.runner.run(self.house.tag(tag, digest, answer=answer))

    @rule(digest=st.sampled_from(sorted(CONTENTS)))
    def use(self, digest: Digest) -> None:
        self.runner.run(self.house.use(digest))

    @rule(choice=st.integers(0, 20))
    def begin_to_read(self, choice: int) -> None:
        stored = sorted(one for one in CONTENTS if self.house.kept.store.find_size(one) is not None)
        digest = stored[choice % len(stored)] if stored else None
        if digest is not None and digest not in self.reading:
            self.reading[digest] = self.readers.enter_context(self.house.kept.store.open_blob(digest))

    @rule()
    def end_all_reading(self) -> None:
        for digest, reader in self.reading.items():
            assert reader.read_at(0, 1000) == CONTENTS[digest]
        self.readers.close()
        self.reading.clear()

    @rule(digest=st.sampled_from(sorted(map(Digest.of, LAYERS.values()))))
    def begin_to_fill(self, digest: Digest) -> None:
        if digest not in self.filling and self.house.kept.store.find_size(digest) is None:
            self.filling[digest] = self.runner.run(self.house.kept.store.begin_ingest(digest))
            self.house.filling[digest] = 0

    @rule(is_whole=st.booleans())
    def end_all_filling(self, *, is_whole: bool) -> None:
        for digest, ingest in self.filling.items():
            rest = CONTENTS[digest][ingest.written :]
            self.runner.run(ingest.write(rest if is_whole else rest[: len(rest) // 2]))
            self.runner.run(ingest.commit() if is_whole else ingest.suspend())
            ingest.close()
        self.filling.clear()
        self.house.filling.clear()

    # What the operator does.

    @rule(tag=tags)
    def pin(self, tag: str) -> None:
        self.runner.run(self.house.pin(tag))

    @rule(tag=tags)
    def unpin(self, tag: str) -> None:
        self.runner.run(self.house.kept.catalog.remove_pin(Pin(HUB, REPOSITORY, tag)))

    @rule()
    def evict_all(self) -> None:
        self.evict_down_to(0.0)

    @rule(share=st.sampled_from((0.0, 0.5, 0.9)))
    def evict_some(self, share: float) -> None:
        self.evict_down_to(share)

    def evict_down_to(self, share: float) -> None:
        before = self.look()
        bound = int(share * sum(len(CONTENTS[digest]) for digest in before.stored))
        keeper = self.house.keeper(max_bytes=bound)
        removed = self.runner.run(keeper.evict())
        made = set(before.inventory.answers.values())
        after = self.check_removed(before, removed, keeper.occupancy.stored_bytes, not_whole=made)
        assert self.reading.keys() & before.stored <= after
        for digest in self.filling:
            parents = {parent for parent, parts in before.inventory.contents.items() if digest in parts}
            assert not parents & before.stored or parents & after, "who is being filled has left"
        if removed.images == 0:
            assert after == before.stored
        if sum(len(CONTENTS[digest]) for digest in after) > bound:
            self.check_nobody_else_could_leave(after, made)

    def check_nobody_else_could_leave(self, after: set[Digest], made: set[Digest]) -> None:
        pinned, busy = find_pinned(self.inventory()) | made, {*self.reading, *self.filling}
        images = self.look().images
        in_use = [image for image in images if busy & {*image.members, *image.missing}]
        held = pinned.union(*(image.members for image in in_use))  # who is in use keeps what others share with it
        for image in images:
            assert image in in_use or not {
                member for member in image.members if member not in held and CONTENTS[member]
            }

    @rule(tag=st.none() | tags | st.sampled_from(sorted(CONTENTS)).map(str))
    def purge(self, tag: str | None) -> None:
        before, keeper = self.look(), self.house.keeper()
        pinned = {pin.target for pin in before.inventory.pins}
        if tag in pinned:
            with pytest.raises(Pinned):
                self.runner.run(keeper.purge(HUB, REPOSITORY, tag))
            return
        removed = self.runner.run(keeper.purge(HUB, REPOSITORY, tag))
        after = self.check_removed(before, removed, keeper.occupancy.stored_bytes)
        named = {record.tag for record in self.inventory().tags}
        assert tag not in named
        if tag is None:
            assert named <= pinned
            assert after <= find_pinned(before.inventory) | self.unlinked(before)

    def unlinked(self, before: Before) -> set[Digest]:
        linked = {link.digest for link in self.runner.run(self.house.kept.catalog.list_links())}
        return {member for image in before.images if image.root not in linked for member in image.members}

    @rule()
    def collect_garbage(self) -> None:
        self.house.clock.tick(2 * GRACE_SECONDS)
        before, keeper = self.look(), self.house.keeper()
        removed = self.runner.run(keeper.collect_garbage())
        after = self.check_removed(before, removed, keeper.occupancy.stored_bytes)
        for record in self.inventory().tags:
            assert record.descriptor is not None
            if record.descriptor.digest in before.stored:
                assert record.descriptor.digest in after
        assert self.runner.run(self.house.keeper().collect_garbage()).blobs == 0

    @rule()
    def crash(self) -> None:
        self.end_all_reading()
        for ingest in self.filling.values():
            ingest.close()
        self.filling.clear()
        self.house.filling.clear()
        self.house.kept = self.crash_kept()

    # What always holds.

    def inventory(self) -> Inventory:
        return self.runner.run(self.house.kept.catalog.take_inventory())

    def look(self) -> Before:
        blobs, inventory = self.runner.run(self.house.kept.store.list_blobs()), self.inventory()
        return Before({one.digest for one in blobs}, inventory, find_images(inventory, blobs))

    def check_removed(
        self, before: Before, removed: Removed, counted: int, *, not_whole: Collection[Digest] = ()
    ) -> set[Digest]:
        """Answer what is left, once it is clear that nothing left which had to stay, and that the sums are right."""
        blobs = self.runner.run(self.house.kept.store.list_blobs())
        after = {one.digest for one in blobs}
        suspended = self.runner.run(self.house.kept.store.list_suspended())
        assert after <= before.stored
        assert find_pinned(before.inventory) & before.stored <= after
        for image in before.images:
            if image.root in after and image.root not in not_whole:
                assert set(image.members) <= after, "an image that stayed is not whole"
        assert counted == sum(one.size for one in (*blobs, *suspended))
        assert removed.blobs == len(before.stored - after) or not all(CONTENTS[one] for one in before.stored - after)
        gone = before.stored - after
        for record in self.inventory().tags:
            assert record.descriptor is None or record.descriptor.digest not in gone
        assert gone.isdisjoint(self.inventory().contents)
        return after

    @precondition(lambda self: hasattr(self, "house"))
    @invariant()
    def whatever_is_found_is_what_it_is_called(self) -> None:
        for digest, content in CONTENTS.items():
            if self.house.kept.store.find_size(digest) is not None:
                with self.house.kept.store.open_blob(digest) as reader:
                    assert reader.read_at(0, reader.size + 1) == content

    def teardown(self) -> None:
        self.readers.close()
        for ingest in self.filling.values():
            ingest.close()
        self.runner.close()


class MemoryMachine(HouseMachine):
    def open_kept(self) -> Kept:
        return Kept()

    def crash_kept(self) -> Kept:
        return self.house.kept


class DiskMachine(HouseMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="polyarch-machine-"))
        self.process = ExitStack()

    def open_kept(self) -> Kept:
        writers = self.process.enter_context(ThreadPoolExecutor(1))
        scribe = self.process.enter_context(ThreadPoolExecutor(1))
        store = DiskBlobStore(self.folder, writers)
        assert store.prepare()
        self.process.callback(store.close)
        return Kept(
            store, self.process.enter_context(SqliteCatalog(self.folder / "catalog.sqlite", scribe, SilentEvents()))
        )

    def crash_kept(self) -> Kept:
        self.process.close()
        return self.open_kept()

    def teardown(self) -> None:
        super().teardown()
        self.process.close()
        shutil.rmtree(self.folder)


TestMemoryMachine = MemoryMachine.TestCase
TestMemoryMachine.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestDiskMachine = DiskMachine.TestCase
TestDiskMachine.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
