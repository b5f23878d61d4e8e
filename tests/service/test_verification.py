"""Holding what is stored against its digests."""

from dataclasses import dataclass, field

import pytest

from proxy.oci.digests import Digest
from proxy.oci.errors import ManifestUnknown, UpstreamUnreachable
from proxy.oci.references import Reference
from proxy.ports import Link
from proxy.service.verification import BATCH_BYTES, Verification
from tests.fakes.store import FailingBlobStore
from tests.lab.images import Blob, build_index
from tests.service.bench import AMD64, ARM64, ARM_V7, DEBIAN, HUB, Kept, address, jessie, put_blob
from tests.service.stocking import stock

INDEX = build_index([jessie(AMD64), jessie(ARM_V7)])
LAYER = jessie(ARM_V7).layers[0]


@dataclass
class Repairs:
    """An upstream that has some content."""

    store: FailingBlobStore
    contents: dict[Digest, bytes] = field(default_factory=dict)
    asked: list[tuple[Link, str | None]] = field(default_factory=list)
    is_down: bool = False

    async def __call__(self, link: Link, tag: str | None) -> None:
        self.asked.append((link, tag))
        if self.is_down:
            raise UpstreamUnreachable("upstream is down")
        if link.digest in self.contents:
            self.store.blobs[link.digest] = self.contents[link.digest]


@pytest.fixture
def store() -> FailingBlobStore:
    return FailingBlobStore()


@pytest.fixture
async def kept(store: FailingBlobStore) -> Kept:
    kept = Kept(store)
    await stock(kept, INDEX, "jessie")
    return kept


def ignore(_done: int, _total: int) -> None: ...


async def test_what_is_sound_stays(kept: Kept, store: FailingBlobStore) -> None:
    before = dict(store.blobs)
    verified = await Verification(store, kept.catalog).run(None, ignore)
    assert (verified.blobs, verified.size) == (len(before), sum(map(len, before.values())))
    assert (verified.damaged, verified.incomplete, verified.is_sound) == ((), (), True)
    assert store.blobs == before
    assert kept.catalog.read_revision() == 0
    assert repr(Verification(store, kept.catalog)) == f"<Verification of {store!r}>"


async def test_what_is_damaged_is_put_aside_and_everybody_is_told(kept: Kept, store: FailingBlobStore) -> None:
    store.put_broken(address(LAYER), b"something else")
    verified = await Verification(store, kept.catalog).run(None, ignore)
    (damage,) = verified.damaged
    assert (damage.digest, damage.size, damage.is_repaired) == (address(LAYER), 14, False)
    assert damage.references == (Reference.parse("debian:jessie"),)
    assert not verified.is_sound
    assert address(LAYER) not in store.blobs
    assert kept.catalog.read_revision() == 1
    assert kept.catalog.find_tag(HUB, DEBIAN, "jessie") is not None  # the way back is not forgotten


async def test_what_was_mended_while_it_was_read_is_not_put_aside(kept: Kept, store: FailingBlobStore) -> None:
    store.put_broken(address(LAYER), b"something else")
    store.mended[address(LAYER)] = LAYER.content
    verified = await Verification(store, kept.catalog).run(None, ignore)
    assert verified.is_sound
    assert store.blobs[address(LAYER)] == LAYER.content


async def test_what_left_meanwhile_is_not_damaged(kept: Kept, store: FailingBlobStore) -> None:
    store.vanishing.add(address(LAYER))
    assert (await Verification(store, kept.catalog).run(None, ignore)).is_sound


async def test_progress_ends_at_the_end_and_never_goes_back(kept: Kept, store: FailingBlobStore) -> None:
    for size in (2 * BATCH_BYTES + 5, BATCH_BYTES, 0):
        await put_blob(store, b"x" * size)
    told: list[tuple[int, int]] = []
    verified = await Verification(store, kept.catalog).run(None, lambda done, total: told.append((done, total)))
    assert {total for _, total in told} == {verified.size}
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == verified.size
    assert len(told) > verified.blobs


async def test_only_what_a_reference_needs_is_looked_at(kept: Kept, store: FailingBlobStore) -> None:
    stray = await put_blob(store, b"nobody's")
    store.put_broken(stray, b"broken")
    verification = Verification(store, kept.catalog)
    verified = await verification.run(Reference.parse("debian:jessie"), ignore)
    assert (verified.blobs, verified.is_sound) == (len(store.blobs) - 1, True)
    image = Reference.parse(f"debian@{jessie(ARM_V7).manifest.digest}")
    assert (await verification.run(image, ignore)).blobs == 3


@pytest.mark.parametrize("text", ["debian:wheezy", f"debian@{Digest.of(b'never')}"])
async def test_what_is_not_cached_is_an_error(kept: Kept, text: str) -> None:
    with pytest.raises(ManifestUnknown, match="is not cached"):
        await Verification(kept.store, kept.catalog).run(Reference.parse(text), ignore)


async def test_an_image_without_one_of_its_layers_is_told_of(kept: Kept, store: FailingBlobStore) -> None:
    await store.remove(address(LAYER))
    verified = await Verification(store, kept.catalog).run(None, ignore)
    (incomplete,) = verified.incomplete
    assert (str(incomplete.reference), incomplete.missing) == ("docker.io/library/debian:jessie", (address(LAYER),))
    assert verified.is_sound


async def test_a_platform_that_nobody_asked_for_is_not_missing(kept: Kept, store: FailingBlobStore) -> None:
    for blob in (jessie(ARM_V7).manifest, LAYER):
        await store.remove(address(blob))
    assert (await Verification(store, kept.catalog).run(None, ignore)).incomplete == ()


async def test_a_tag_without_its_document_is_told_of(kept: Kept, store: FailingBlobStore) -> None:
    await store.remove(address(INDEX.manifest))
    (incomplete,) = (await Verification(store, kept.catalog).run(None, ignore)).incomplete
    assert incomplete.missing == (address(INDEX.manifest),)


async def test_damage_is_repaired_a_manifest_before_what_it_leads_to(kept: Kept, store: FailingBlobStore) -> None:
    manifest = jessie(ARM_V7).manifest
    repairs = Repairs(store, {address(blob): blob.content for blob in (manifest, LAYER)})
    for blob in (LAYER, manifest):
        store.put_broken(address(blob), b"something else")
    verified = await Verification(store, kept.catalog, repairs).run(None, ignore)
    assert verified.is_sound
    assert [one.is_repaired for one in verified.damaged] == [True, True]
    assert [link.digest for link, _ in repairs.asked] == [address(manifest), address(LAYER)]
    assert store.blobs[address(LAYER)] == LAYER.content


async def test_a_synthesised_index_is_repaired_by_its_tag(store: FailingBlobStore) -> None:
    kept = Kept(store)
    await stock(kept, jessie(AMD64), "jessie")
    made = await put_blob(store, INDEX.manifest.content)
    await kept.catalog.put_links([Link(HUB, DEBIAN, made, "", INDEX.manifest.media_type, 1, is_proven=True)])
    await kept.catalog.put_answer(HUB, DEBIAN, "jessie", made)
    store.put_broken(made, b"something else")
    repairs = Repairs(store, {made: INDEX.manifest.content})
    assert (await Verification(store, kept.catalog, repairs).run(None, ignore)).is_sound
    assert [(link.digest, tag) for link, tag in repairs.asked] == [(made, "jessie")]


async def test_each_repository_that_has_it_is_asked_until_one_gives_it(kept: Kept, store: FailingBlobStore) -> None:
    await stock(kept, jessie(ARM_V7), "jessie", repository="arm32v7/debian")
    store.put_broken(address(LAYER), b"something else")
    repairs = Repairs(store)
    (damage,) = (await Verification(store, kept.catalog, repairs).run(None, ignore)).damaged
    assert len(repairs.asked) == 2
    assert (damage.is_repaired, damage.reason) == (False, f"{HUB}/arm32v7/debian has something else now")


async def test_an_upstream_that_is_down_is_the_reason(kept: Kept, store: FailingBlobStore) -> None:
    store.put_broken(address(LAYER), b"something else")
    repairs = Repairs(store, is_down=True)
    (damage,) = (await Verification(store, kept.catalog, repairs).run(None, ignore)).damaged
    assert damage.reason == "upstream is down"


async def test_what_nothing_leads_to_cannot_be_repaired(kept: Kept, store: FailingBlobStore) -> None:
    stray = await put_blob(store, b"nobody's")
    store.put_broken(stray, b"broken")
    (damage,) = (await Verification(store, kept.catalog, Repairs(store)).run(None, ignore)).damaged
    assert (damage.references, damage.reason) == ((), "nobody knows where it came from")


class StubbornStore(FailingBlobStore):
    """A store that nothing can be taken out of, unless somebody else mends it at that moment."""

    def __init__(self, mended: bytes | None = None) -> None:
        super().__init__()
        self._replacement = mended

    async def quarantine(self, digest: Digest, /) -> None:
        if self._replacement is not None:
            self.blobs[digest] = self._replacement


async def test_what_cannot_be_put_aside_is_not_called_repaired() -> None:
    store = StubbornStore()
    kept = Kept(store)
    await stock(kept, INDEX, "jessie")
    store.put_broken(address(LAYER), b"something else")
    repairs = Repairs(store, {address(LAYER): LAYER.content})
    (damage,) = (await Verification(store, kept.catalog, repairs).run(None, ignore)).damaged
    assert (damage.is_repaired, repairs.asked) == (False, [])
    assert damage.reason == "it cannot be put aside; is the cache folder read-only?"


async def test_what_a_server_has_fetched_again_meanwhile_is_repaired() -> None:
    store = StubbornStore(LAYER.content)
    kept = Kept(store)
    await stock(kept, INDEX, "jessie")
    store.put_broken(address(LAYER), b"something else")
    verified = await Verification(store, kept.catalog).run(None, ignore)
    assert verified.is_sound
    assert [one.digest for one in verified.damaged] == [address(LAYER)]


@pytest.mark.parametrize("blob", [LAYER, INDEX.manifest, jessie(ARM_V7).manifest], ids=["layer", "index", "manifest"])
async def test_a_disk_that_cannot_read_a_blob_has_damaged_it(kept: Kept, store: FailingBlobStore, blob: Blob) -> None:
    store.unreadable.add(address(blob))
    (damage,) = (await Verification(store, kept.catalog).run(None, ignore)).damaged
    assert damage.digest == address(blob)
    assert store.find_size(address(blob)) is None


async def test_our_own_book_keeping_is_verified_and_not_named(kept: Kept, store: FailingBlobStore) -> None:
    await stock(kept, jessie(ARM64), "@referrers/x")
    store.put_broken(address(jessie(ARM64).layers[0]), b"something else")
    (damage,) = (await Verification(store, kept.catalog).run(None, ignore)).damaged
    assert damage.references == ()
