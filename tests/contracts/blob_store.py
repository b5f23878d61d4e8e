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

    # One suite, several stores: every subclass runs it, each with a store that lives through all examples.
    @settings(
        max_examples=20,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(chunks=st.lists(st.binary(max_size=200), max_size=8))
    def test_any_split_of_a_blob_is_the_same_blob(self, store: BlobStore, chunks: list[bytes]) -> None:
        content = b"".join(chunks)

        async def take_in() -> None:
            ingest = await store.begin_ingest(Digest.of(content))
            for chunk in chunks:
                await ingest.write(chunk)
            await ingest.commit()
            ingest.close()

        asyncio.run(take_in())
        assert read(store, Digest.of(content)) == content

    def test_it_tells_what_it_is(self, store: BlobStore) -> None:
        assert "object at" not in repr(store)
