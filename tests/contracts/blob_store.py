"""The contract of `BlobStore`, `BlobReader` and `Ingest`."""

import asyncio
import hashlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.oci.digests import Digest
from proxy.oci.errors import BlobUnknown, UpstreamMisbehaved
from proxy.ports import BlobStore

CONTENT = b"a layer's bytes"
DIGEST = Digest.of(CONTENT)
MIB = 1024 * 1024


async def put(store: BlobStore, content: bytes, digest: Digest | None = None) -> Digest:
    """Take in a whole blob; answer its digest."""
    address = digest or Digest.of(content)
    ingest = await store.begin_ingest(address)
    await ingest.write(content)
    await ingest.commit()
    ingest.close()
    return address


def read(store: BlobStore, digest: Digest) -> bytes:
    """Read a whole blob."""
    with store.open_blob(digest) as reader:
        return reader.read_at(0, reader.size)


async def suspend(store: BlobStore, content: bytes, *, of: Digest = DIGEST) -> None:
    """Let an ingest break off after some bytes."""
    ingest = await store.begin_ingest(of)
    await ingest.write(content)
    await ingest.suspend()
    ingest.close()


async def suspended(store: BlobStore) -> list[tuple[Digest, int]]:
    """Answer what is suspended, and how much of it there is."""
    return sorted((one.digest, one.size) for one in await store.list_suspended())


class BlobStoreContract:
    """Needs a fixture `store`: an empty BlobStore."""

    def test_what_was_never_taken_in_is_not_there(self, store: BlobStore) -> None:
        assert store.find_size(DIGEST) is None
        with pytest.raises(BlobUnknown, match=str(DIGEST)), store.open_blob(DIGEST):
            pass

    async def test_a_committed_blob_is_found_and_read(self, store: BlobStore) -> None:
        await put(store, CONTENT)
        assert store.find_size(DIGEST) == len(CONTENT)
        assert read(store, DIGEST) == CONTENT

    async def test_an_empty_blob_is_a_blob(self, store: BlobStore) -> None:
        empty = await put(store, b"")
        assert store.find_size(empty) == 0
        assert read(store, empty) == b""

    @pytest.mark.parametrize(
        ("offset", "size", "expected"),
        [
            pytest.param(0, 1, b"a", id="first"),
            pytest.param(2, 5, b"layer", id="middle"),
            pytest.param(10, 100, b"bytes", id="beyond-the-end"),
            pytest.param(len(CONTENT), 1, b"", id="at-the-end"),
            pytest.param(len(CONTENT) + 7, 1, b"", id="after-the-end"),
            pytest.param(3, 0, b"", id="nothing"),
        ],
    )
    async def test_any_part_can_be_read_before_and_after_the_commit(
        self, store: BlobStore, offset: int, size: int, expected: bytes
    ) -> None:
        ingest = await store.begin_ingest(DIGEST)
        await ingest.write(CONTENT)
        assert ingest.read_at(offset, size) == expected
        await ingest.commit()
        ingest.close()
        with store.open_blob(DIGEST) as reader:
            assert reader.size == len(CONTENT)
            assert reader.read_at(offset, size) == expected

    async def test_the_open_file_is_the_blob_where_there_is_one(self, store: BlobStore) -> None:
        await put(store, CONTENT)
        with store.open_blob(DIGEST) as reader:
            assert reader.file is None or reader.file.read() == CONTENT

    async def test_the_open_file_grows_with_the_blob_and_may_be_moved_in(self, store: BlobStore) -> None:
        """sendfile(2) moves the file's own position; what is written must not follow it."""
        ingest = await store.begin_ingest(DIGEST)
        for part in (CONTENT[:5], CONTENT[5:]):
            await ingest.write(part)
            if ingest.file is not None:
                ingest.file.seek(0)
                assert ingest.file.read(2) == CONTENT[:2]
        await ingest.commit()
        ingest.close()
        assert read(store, DIGEST) == CONTENT

    async def test_a_growing_blob_can_be_read_but_not_found(self, store: BlobStore) -> None:
        ingest = await store.begin_ingest(DIGEST)
        assert (ingest.written, ingest.read_at(0, 10)) == (0, b"")
        for position in range(len(CONTENT)):
            await ingest.write(CONTENT[position : position + 1])
            assert ingest.written == position + 1
            assert ingest.read_at(0, 1000) == CONTENT[: position + 1]
            assert store.find_size(DIGEST) is None
        ingest.verify()
        assert store.find_size(DIGEST) is None
        await ingest.abort()
        ingest.close()

    @pytest.mark.parametrize("sent", [b"", CONTENT[:-1], CONTENT + b"!", CONTENT.upper()], ids=repr)
    async def test_bytes_that_are_not_the_digest_s_never_become_visible(self, store: BlobStore, sent: bytes) -> None:
        ingest = await store.begin_ingest(DIGEST)
        await ingest.write(sent)
        with pytest.raises(UpstreamMisbehaved, match=str(DIGEST)):
            ingest.verify()
        with pytest.raises(UpstreamMisbehaved, match=f"{len(sent)} bytes"):
            await ingest.commit()
        await ingest.abort()
        ingest.close()
        assert store.find_size(DIGEST) is None

    async def test_an_aborted_blob_is_gone_but_for_who_reads_it(self, store: BlobStore) -> None:
        ingest = await store.begin_ingest(DIGEST)
        await ingest.write(CONTENT)
        await ingest.abort()
        await ingest.abort()
        assert store.find_size(DIGEST) is None
        assert ingest.read_at(0, 100) == CONTENT
        ingest.close()

    async def test_an_abort_after_the_commit_does_nothing(self, store: BlobStore) -> None:
        ingest = await store.begin_ingest(DIGEST)
        await ingest.write(CONTENT)
        await ingest.commit()
        await ingest.abort()
        assert ingest.read_at(0, 100) == CONTENT
        ingest.close()
        assert read(store, DIGEST) == CONTENT

    async def test_what_failed_once_can_be_taken_in_again(self, store: BlobStore) -> None:
        ingest = await store.begin_ingest(DIGEST)
        await ingest.write(b"wrong")
        await ingest.abort()
        ingest.close()
        await put(store, CONTENT)
        assert read(store, DIGEST) == CONTENT

    async def test_two_ingests_of_one_blob_do_not_disturb_each_other(self, store: BlobStore) -> None:
        one, two = await store.begin_ingest(DIGEST), await store.begin_ingest(DIGEST)
        await one.write(CONTENT)
        await two.write(CONTENT[:5])
        await one.commit()
        await two.write(CONTENT[5:])
        assert two.read_at(0, 100) == CONTENT
        await two.commit()
        for ingest in (one, two):
            await ingest.abort()
            ingest.close()
        assert read(store, DIGEST) == CONTENT

    async def test_the_abort_of_one_ingest_leaves_the_other_alone(self, store: BlobStore) -> None:
        one, two = await store.begin_ingest(DIGEST), await store.begin_ingest(DIGEST)
        await one.write(b"wrong")
        await two.write(CONTENT)
        await one.abort()
        one.close()
        await two.commit()
        two.close()
        assert read(store, DIGEST) == CONTENT

    async def test_large_chunks_arrive_whole(self, store: BlobStore) -> None:
        content = hashlib.shake_256(b"large").digest(3 * MIB + 17)
        ingest = await store.begin_ingest(Digest.of(content))
        for chunk in (content[: 2 * MIB], content[2 * MIB : 2 * MIB + 3], content[2 * MIB + 3 :]):
            await ingest.write(chunk)
        assert ingest.read_at(2 * MIB - 1, 5) == content[2 * MIB - 1 : 2 * MIB + 4]
        await ingest.commit()
        ingest.close()
        assert read(store, Digest.of(content)) == content

    async def test_many_blobs_are_taken_in_side_by_side(self, store: BlobStore) -> None:
        contents = [str(number).encode() * 1000 for number in range(20)]
        await asyncio.gather(*(put(store, content) for content in contents))
        assert [read(store, Digest.of(content)) for content in contents] == contents

    @pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
    async def test_a_blob_is_kept_under_the_digest_that_it_came_by(self, store: BlobStore, algorithm: str) -> None:
        digest = Digest(algorithm, hashlib.new(algorithm, CONTENT).hexdigest())
        await put(store, CONTENT, digest)
        other = {"sha256": "sha512", "sha512": "sha256"}[algorithm]
        assert read(store, digest) == CONTENT
        assert store.find_size(Digest(other, hashlib.new(other, CONTENT).hexdigest())) is None

    async def test_a_quarantined_blob_is_no_longer_found(self, store: BlobStore) -> None:
        await put(store, CONTENT)
        await store.quarantine(DIGEST)
        assert store.find_size(DIGEST) is None
        with pytest.raises(BlobUnknown), store.open_blob(DIGEST):
            pass
        await put(store, CONTENT)
        assert read(store, DIGEST) == CONTENT

    async def test_a_quarantine_of_what_is_not_there_does_nothing(self, store: BlobStore) -> None:
        await store.quarantine(DIGEST)
        assert store.find_size(DIGEST) is None

    async def test_what_was_put_aside_can_be_thrown_away(self, store: BlobStore) -> None:
        await put(store, CONTENT)
        assert await store.list_quarantined() == []
        await store.quarantine(DIGEST)
        (aside,) = await store.list_quarantined()
        assert (aside.digest, aside.size) == (DIGEST, len(CONTENT))
        await put(store, CONTENT)
        for _ in range(2):
            await store.drop_quarantined(DIGEST)
            assert await store.list_quarantined() == []
        assert read(store, DIGEST) == CONTENT

    async def test_who_reads_a_blob_keeps_it_while_it_is_replaced(self, store: BlobStore) -> None:
        await put(store, CONTENT)
        with store.open_blob(DIGEST) as reader:
            await store.quarantine(DIGEST)
            assert reader.read_at(0, 100) == CONTENT
            await put(store, CONTENT)
            assert reader.read_at(0, 100) == CONTENT

    async def test_a_suspended_ingest_is_gone_on_with(self, store: BlobStore) -> None:
        first = await store.begin_ingest(DIGEST)
        await first.write(CONTENT[:5])
        await first.suspend()
        first.close()
        assert store.find_size(DIGEST) is None
        assert await suspended(store) == [(DIGEST, 5)]
        second = await store.begin_ingest(DIGEST)
        assert (second.written, second.read_at(0, 100)) == (5, CONTENT[:5])
        assert await suspended(store) == []
        await second.write(CONTENT[5:])
        assert second.read_at(3, 5) == CONTENT[3:8]
        await second.commit()
        second.close()
        assert read(store, DIGEST) == CONTENT

    async def test_an_ingest_may_be_suspended_again_and_again(self, store: BlobStore) -> None:
        for position in range(len(CONTENT)):
            ingest = await store.begin_ingest(DIGEST)
            assert ingest.written == position
            await ingest.write(CONTENT[position : position + 1])
            await ingest.suspend()
            ingest.close()
        ingest = await store.begin_ingest(DIGEST)
        await ingest.commit()
        ingest.close()
        assert read(store, DIGEST) == CONTENT

    async def test_a_suspended_ingest_is_gone_on_with_once(self, store: BlobStore) -> None:
        await suspend(store, CONTENT[:5])
        one, two = await store.begin_ingest(DIGEST), await store.begin_ingest(DIGEST)
        assert (one.written, two.written) == (5, 0)
        for ingest in (one, two):
            await ingest.write(CONTENT[ingest.written :])
            await ingest.commit()
            ingest.close()
        assert read(store, DIGEST) == CONTENT

    async def test_of_two_suspended_ingests_the_longer_one_stays(self, store: BlobStore) -> None:
        for sizes in ((5, 9), (9, 5)):
            ingests = [await store.begin_ingest(DIGEST), await store.begin_ingest(DIGEST)]
            for ingest, size in zip(ingests, sizes, strict=True):
                await ingest.write(CONTENT[:size])
            for ingest in ingests:
                await ingest.suspend()
                ingest.close()
            assert await suspended(store) == [(DIGEST, 9)]
            await store.drop_suspended(DIGEST)

    async def test_a_suspended_ingest_that_is_dropped_is_begun_anew(self, store: BlobStore) -> None:
        await suspend(store, CONTENT[:5])
        for _ in range(2):
            await store.drop_suspended(DIGEST)
            assert await suspended(store) == []
        ingest = await store.begin_ingest(DIGEST)
        assert ingest.written == 0
        await ingest.abort()
        ingest.close()

    async def test_an_ingest_that_took_nothing_leaves_nothing(self, store: BlobStore) -> None:
        await suspend(store, b"")
        assert await suspended(store) == []

    @pytest.mark.parametrize("then", ["abort", "suspend"])
    async def test_whatever_follows_a_suspension_does_nothing(self, store: BlobStore, then: str) -> None:
        ingest = await store.begin_ingest(DIGEST)
        await ingest.write(CONTENT[:5])
        await ingest.suspend()
        await getattr(ingest, then)()
        assert ingest.read_at(0, 100) == CONTENT[:5]
        ingest.close()
        assert await suspended(store) == [(DIGEST, 5)]

    @pytest.mark.parametrize("before", ["abort", "commit"])
    async def test_a_suspension_of_what_is_over_does_nothing(self, store: BlobStore, before: str) -> None:
        ingest = await store.begin_ingest(DIGEST)
        await ingest.write(CONTENT)
        await getattr(ingest, before)()
        await ingest.suspend()
        ingest.close()
        assert await suspended(store) == []
        assert store.find_size(DIGEST) == (len(CONTENT) if before == "commit" else None)

    async def test_what_was_suspended_and_is_wrong_is_found_out_and_begun_anew(self, store: BlobStore) -> None:
        await suspend(store, b"wrong")
        ingest = await store.begin_ingest(DIGEST)
        await ingest.write(CONTENT[5:])
        with pytest.raises(UpstreamMisbehaved, match=str(DIGEST)):
            ingest.verify()
        with pytest.raises(UpstreamMisbehaved):
            await ingest.commit()
        await ingest.abort()
        ingest.close()
        assert store.find_size(DIGEST) is None
        await put(store, CONTENT)
        assert read(store, DIGEST) == CONTENT

    async def test_the_hash_of_what_is_written_can_be_gone_on_with_by_others(self, store: BlobStore) -> None:
        await suspend(store, CONTENT[:3])
        ingest = await store.begin_ingest(DIGEST)
        await ingest.write(CONTENT[3:5])
        hasher = ingest.copy_hasher()
        assert hasher.hexdigest() == hashlib.sha256(CONTENT[:5]).hexdigest()
        await ingest.write(b"something else")
        hasher.update(CONTENT[5:])
        assert hasher.hexdigest() == DIGEST.encoded
        await ingest.abort()
        ingest.close()

    async def test_a_blob_that_is_removed_is_gone_but_for_who_reads_it(self, store: BlobStore) -> None:
        await put(store, CONTENT)
        with store.open_blob(DIGEST) as reader:
            for _ in range(2):
                await store.remove(DIGEST)
                assert store.find_size(DIGEST) is None
                with pytest.raises(BlobUnknown), store.open_blob(DIGEST):
                    pass
            assert reader.read_at(0, 100) == CONTENT
        assert await store.list_blobs() == await store.list_quarantined() == []
        await put(store, CONTENT)
        assert read(store, DIGEST) == CONTENT

    async def test_a_removal_leaves_what_is_on_its_way_in(self, store: BlobStore) -> None:
        ingest = await store.begin_ingest(DIGEST)
        await ingest.write(CONTENT)
        await store.remove(DIGEST)
        await ingest.commit()
        ingest.close()
        assert read(store, DIGEST) == CONTENT

    async def test_all_blobs_are_listed_and_nothing_else(self, store: BlobStore) -> None:
        sizes = {await put(store, content): len(content) for content in (b"", CONTENT, b"x" * 1000)}
        long = Digest("sha512", hashlib.sha512(CONTENT).hexdigest())
        sizes[await put(store, CONTENT, long)] = len(CONTENT)
        aside = await put(store, b"broken")
        await store.quarantine(aside)
        await suspend(store, b"half", of=Digest.of(b"half a blob"))
        growing = await store.begin_ingest(Digest.of(b"growing"))
        await growing.write(b"grow")
        listed = await store.list_blobs()
        assert {one.digest: one.size for one in listed} == sizes
        assert len(listed) == len(sizes)
        assert all(store.find_size(one.digest) == one.size for one in listed)
        await growing.abort()
        growing.close()

    async def test_who_reads_is_known_while_they_read(self, store: BlobStore) -> None:
        await put(store, CONTENT)
        assert not store.is_read(DIGEST)
        with store.open_blob(DIGEST):
            with store.open_blob(DIGEST):
                pass
            assert store.is_read(DIGEST)
            assert not store.is_read(Digest.of(b"another"))
        told = [store.is_read(DIGEST)]
        with pytest.raises(RuntimeError), store.open_blob(DIGEST):
            raise RuntimeError
        with pytest.raises(BlobUnknown), store.open_blob(Digest.of(b"another")):
            pass
        assert [*told, store.is_read(DIGEST), store.is_read(Digest.of(b"another"))] == [False] * 3

    def test_there_is_room(self, store: BlobStore) -> None:
        assert store.free_bytes() > 0

    # One suite, several stores: every subclass runs it, each with a store that lives through all examples.
    @settings(
        max_examples=20,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(chunks=st.lists(st.binary(max_size=200), max_size=8), breaks_off=st.booleans())
    def test_any_split_of_a_blob_is_the_same_blob(
        self, store: BlobStore, chunks: list[bytes], *, breaks_off: bool
    ) -> None:
        content = b"".join(chunks)

        async def take_in() -> None:
            ingest = await store.begin_ingest(Digest.of(content))
            for chunk in chunks:
                await ingest.write(chunk)
                if breaks_off:
                    await ingest.suspend()
                    ingest.close()
                    ingest = await store.begin_ingest(Digest.of(content))
            await ingest.commit()
            ingest.close()

        asyncio.run(take_in())
        assert read(store, Digest.of(content)) == content

    def test_it_tells_what_it_is(self, store: BlobStore) -> None:
        assert "object at" not in repr(store)
