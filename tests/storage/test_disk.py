import asyncio
import errno
import json
import os
import resource
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.oci.digests import Digest
from proxy.oci.errors import BlobDamaged, BlobUnknown, InvalidDigest, Unavailable
from proxy.ports import BlobStore, Ingest
from proxy.storage import disk as module
from proxy.storage.disk import DiskBlobStore, DiskReader
from proxy.storage.ingests import THREAD_BYTES
from tests.contracts.blob_store import CONTENT, DIGEST, BlobStoreContract, put, read
from tests.storage.programs import INGESTED, commit_for_ever, numbered, running, stop_in_an_ingest
from tests.strategies import any_text, digests


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def disk(root: Path, writers: Executor) -> Iterator[DiskBlobStore]:
    store = DiskBlobStore(root, writers)
    assert store.prepare()
    yield store
    store.close()


class TestDiskBlobStore(BlobStoreContract):
    @pytest.fixture
    def store(self, disk: DiskBlobStore) -> BlobStore:
        return disk


def _tree(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


async def test_the_folder_is_an_oci_image_layout(disk: DiskBlobStore, root: Path) -> None:
    """image-spec, image-layout.md: the layout file, and every blob under its algorithm and digest."""
    await put(disk, CONTENT)
    assert json.loads((root / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    assert _tree(root) == [f"blobs/sha256/{DIGEST.encoded}", "lock", "oci-layout"]
    assert (root / "blobs/sha256" / DIGEST.encoded).read_bytes() == CONTENT


async def test_a_stored_blob_is_not_to_be_written(disk: DiskBlobStore, root: Path) -> None:
    await put(disk, CONTENT)
    assert (root / "blobs/sha256" / DIGEST.encoded).stat().st_mode & 0o777 == 0o444


async def test_a_restart_finds_what_was_stored(disk: DiskBlobStore, root: Path, writers: Executor) -> None:
    await put(disk, CONTENT)
    disk.close()
    again = DiskBlobStore(root, writers)
    assert again.prepare()
    assert read(again, DIGEST) == CONTENT
    again.close()


def test_a_start_leaves_the_layout_file_as_it_is(disk: DiskBlobStore, root: Path) -> None:
    (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0", "by": "somebody else"}')
    disk.prepare()
    assert "somebody else" in (root / "oci-layout").read_text()


async def test_a_start_clears_away_what_nobody_can_go_on_with(root: Path, writers: Executor) -> None:
    (root / "ingest").mkdir(parents=True)
    for name in ("index.json.1.2", f"{DIGEST.encoded[:-1]}.1.0", f"{DIGEST.encoded}.1", "notes.txt"):
        (root / "ingest" / name).write_bytes(b"half")
    (root / "ingest" / f"{DIGEST.encoded}.1.0").touch()
    store = DiskBlobStore(root, writers)
    store.prepare()
    assert await store.list_suspended() == []
    store.close()
    assert list((root / "ingest").iterdir()) == []


async def test_a_second_store_leaves_alone_what_the_first_is_writing(
    disk: DiskBlobStore, root: Path, writers: Executor
) -> None:
    ingest = await disk.begin_ingest(DIGEST)
    await ingest.write(CONTENT)
    second = DiskBlobStore(root, writers)
    assert not second.prepare()
    await ingest.commit()
    ingest.close()
    assert read(second, DIGEST) == CONTENT
    disk.close()
    assert second.prepare()
    second.close()


async def test_the_folder_is_given_up_on_closing_and_closing_twice_is_harmless(root: Path, writers: Executor) -> None:
    store = DiskBlobStore(root, writers)
    store.close()
    assert store.prepare()
    assert store.prepare()
    store.close()
    store.close()


async def test_nothing_but_the_blob_stays_of_an_ingest(disk: DiskBlobStore, root: Path) -> None:
    before = _tree(root)
    for end in ("commit", "abort"):
        ingest = await disk.begin_ingest(DIGEST)
        await ingest.write(CONTENT)
        assert len(list((root / "ingest").iterdir())) == 1
        await getattr(ingest, end)()
        ingest.close()
        assert list((root / "ingest").iterdir()) == []
    assert _tree(root) == sorted([*before, f"blobs/sha256/{DIGEST.encoded}"])


async def test_a_quarantined_blob_is_kept_aside(disk: DiskBlobStore, root: Path) -> None:
    await put(disk, CONTENT)
    await disk.quarantine(DIGEST)
    assert (root / "quarantine" / DIGEST.encoded).read_bytes() == CONTENT
    assert not (root / "blobs/sha256" / DIGEST.encoded).exists()


@pytest.mark.parametrize("size", [THREAD_BYTES - 1, THREAD_BYTES, THREAD_BYTES + 1])
async def test_chunks_around_the_size_of_a_batch_arrive_whole(disk: DiskBlobStore, size: int) -> None:
    content = b"a" * size + b"b" * size
    ingest = await disk.begin_ingest(Digest.of(content))
    await ingest.write(content[:size])
    await ingest.write(content[size:])
    await ingest.commit()
    ingest.close()
    assert read(disk, Digest.of(content)) == content


async def test_an_ingest_that_is_closed_touches_no_file(disk: DiskBlobStore, root: Path) -> None:
    """Its file's number may be another file's by now: a client must not be sent that one, nor may it be written."""
    ingest = await disk.begin_ingest(DIGEST)
    await ingest.write(b"a layer")
    ingest.close()
    with (root / "another").open("w+b") as another:
        another.write(b"the catalog")
        another.flush()
        with pytest.raises(OSError, match="Bad file descriptor"):
            ingest.read_at(0, 5)
        with pytest.raises(Unavailable, match="Bad file descriptor"):
            await ingest.write(b"'s bytes")
        await ingest.abort()
    assert (root / "another").read_bytes() == b"the catalog"


# What a power cut leaves


async def test_what_a_killed_process_was_taking_in_is_gone_on_with(root: Path, writers: Executor) -> None:
    digest = Digest.of(INGESTED)
    with running(stop_in_an_ingest, root) as victim:
        assert victim.read_line() == "2000000"
        beside = DiskBlobStore(root, writers)
        assert not beside.prepare()
        assert await beside.list_suspended() == []  # it is being written: whoever wants it here begins anew
        own = await beside.begin_ingest(digest)
        assert own.written == 0
        await own.abort()
        own.close()
        assert [path.stat().st_size for path in (root / "ingest").iterdir()] == [2_000_000]
        beside.close()
        victim.kill()
    store = DiskBlobStore(root, writers)
    assert store.prepare()
    assert store.find_size(digest) is None
    assert [(one.digest, one.size) for one in await store.list_suspended()] == [(digest, 2_000_000)]
    ingest = await store.begin_ingest(digest)
    assert ingest.written == 2_000_000
    await ingest.write(INGESTED[ingest.written :])
    await ingest.commit()
    ingest.close()
    assert read(store, digest) == INGESTED
    assert _tree(root) == [f"blobs/sha256/{digest.encoded}", "lock", "oci-layout"]
    store.close()


@pytest.mark.parametrize("count", [1, 30])
def test_whatever_was_committed_before_a_kill_is_whole(root: Path, writers: Executor, count: int) -> None:
    with running(commit_for_ever, root) as victim:
        told = [victim.read_line() for _ in range(count)] + victim.kill()
    store = DiskBlobStore(root, writers)
    store.prepare()
    for line in told:
        assert read(store, Digest.of(numbered(int(line)))) == numbered(int(line))
    for path in (root / "blobs/sha256").iterdir():
        assert Digest("sha256", path.name).matches(path.read_bytes())
    assert len(list((root / "ingest").iterdir())) <= 1  # what it was at
    store.close()


# Folders that cannot be used


@pytest.mark.parametrize("in_the_way", [".", "blobs", "blobs/sha256", "ingest", "lock/x", "oci-layout/x"])
def test_a_folder_that_cannot_be_used_is_told(root: Path, writers: Executor, in_the_way: str) -> None:
    """A file where a folder should be, or a folder where a file should be: root is stopped by nothing less."""
    blocked = root / in_the_way
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.touch()
    store = DiskBlobStore(root, writers)
    if in_the_way.startswith("oci-layout"):  # it exists, so it is left as it is
        assert store.prepare()
    else:
        with pytest.raises(Unavailable, match=rf"the cache folder {root} cannot be used: .+"):
            store.prepare()
    store.close()


async def test_an_ingest_that_cannot_begin_is_told(disk: DiskBlobStore, root: Path) -> None:
    shutil.rmtree(root / "ingest")
    with pytest.raises(Unavailable, match="the cache cannot be written: No such file"):
        await disk.begin_ingest(DIGEST)


@contextmanager
def _no_file_above(limit_bytes: int) -> Iterator[None]:
    """Let the kernel end every write at that size, as a full disk does at its own (setrlimit(2), RLIMIT_FSIZE)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


SIZES = pytest.mark.parametrize("size", [THREAD_BYTES // 2 + 7, 3 * THREAD_BYTES], ids=["at-once", "in-a-thread"])


async def _fail_half_way(ingest: Ingest, size: int) -> int:
    """Write until the disk is full in the middle of a chunk; answer how much was written before."""
    with _no_file_above(4 * THREAD_BYTES):
        fitting = 4 * THREAD_BYTES // size
        for _ in range(fitting):
            await ingest.write(b"x" * size)
        with pytest.raises(Unavailable, match="the cache cannot be written: File too large"):
            await ingest.write(b"x" * size)
    assert ingest.written == fitting * size
    assert ingest.read_at(0, 10 * THREAD_BYTES) == b"x" * ingest.written
    return ingest.written


@SIZES
async def test_a_write_that_failed_half_way_can_be_repeated(disk: DiskBlobStore, size: int) -> None:
    content = b"x" * (size * 10)
    ingest = await disk.begin_ingest(Digest.of(content))
    written = await _fail_half_way(ingest, size)
    await ingest.write(content[written:])
    await ingest.commit()
    ingest.close()
    assert read(disk, Digest.of(content)) == content


@SIZES
async def test_what_a_write_left_that_failed_half_way_is_cut_off(disk: DiskBlobStore, size: int) -> None:
    content = b"x" * (4 * THREAD_BYTES // size * size) + b"!"
    ingest = await disk.begin_ingest(Digest.of(content))
    await _fail_half_way(ingest, size)
    await ingest.write(b"!")
    await ingest.commit()
    ingest.close()
    assert read(disk, Digest.of(content)) == content


async def test_a_file_that_somebody_has_cut_is_never_committed(disk: DiskBlobStore, root: Path) -> None:
    ingest = await disk.begin_ingest(DIGEST)
    await ingest.write(CONTENT)
    (path,) = (root / "ingest").iterdir()
    os.truncate(path, 3)
    with pytest.raises(Unavailable, match="has been cut"):
        await ingest.commit()
    await ingest.abort()
    ingest.close()
    assert disk.find_size(DIGEST) is None


async def test_a_commit_that_fails_is_told_and_leaves_nothing(disk: DiskBlobStore, root: Path) -> None:
    ingest = await disk.begin_ingest(DIGEST)
    await ingest.write(CONTENT)
    shutil.rmtree(root / "blobs/sha256")
    with pytest.raises(Unavailable, match="the cache cannot be written: No such file"):
        await ingest.commit()
    await ingest.abort()
    ingest.close()
    assert list((root / "ingest").iterdir()) == []


def test_a_quarantine_that_fails_is_silent(disk: DiskBlobStore, root: Path) -> None:
    """It is on the way of a read: what matters is that the read fails."""
    asyncio.run(put(disk, CONTENT))
    shutil.rmtree(root / "quarantine")
    asyncio.run(disk.quarantine(DIGEST))
    assert disk.find_size(DIGEST) == len(CONTENT)


# Paths


@given(digest=digests)
def test_a_digest_is_a_file_name_within_the_store(digest: Digest) -> None:
    store = DiskBlobStore(Path("/cache"), executor=None)  # type: ignore[arg-type]  # nothing is written
    name = Path(store._name(digest))
    assert name.resolve() == name
    assert name.parent == Path("/cache/blobs") / digest.algorithm
    assert store.find_size(digest) is None
    with pytest.raises(BlobUnknown), store.open_blob(digest):
        pass


@given(text=any_text | st.builds("sha256:{}".format, any_text))
@settings(max_examples=50)
def test_no_other_text_becomes_a_path(text: str) -> None:
    try:
        digest = Digest.parse(text)
    except InvalidDigest:
        return
    assert not set(digest.encoded) - set("0123456789abcdef")


def test_a_store_is_known_by_its_folder(disk: DiskBlobStore, root: Path) -> None:
    assert repr(disk) == f"<DiskBlobStore {root}>"


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that answers EIO")
def test_a_bad_sector_is_told_as_damage() -> None:
    with Path("/proc/self/mem").open("rb", buffering=0) as file:
        reader = DiskReader(cast("BinaryIO", file), DIGEST)
        with pytest.raises(BlobDamaged, match=f"{DIGEST} cannot be read: Input/output error"):
            reader.read_at(0, 100)


def _refuse_to_open(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fail(*_arguments: object, **_named: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module, "open", fail, raising=False)


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES], ids=errno.errorcode.get)
async def test_what_cannot_be_opened_is_damaged(
    disk: DiskBlobStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    await put(disk, CONTENT)
    _refuse_to_open(monkeypatch, number)
    with pytest.raises(BlobDamaged), disk.open_blob(DIGEST):
        pytest.fail("it was opened")
    await disk.quarantine(DIGEST)
    with pytest.raises(BlobUnknown), disk.open_blob(DIGEST):
        pytest.fail("it was opened")
    assert not disk.is_read(DIGEST)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM], ids=errno.errorcode.get)
async def test_where_nothing_can_be_opened_nothing_is_damaged(
    disk: DiskBlobStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    await put(disk, CONTENT)
    _refuse_to_open(monkeypatch, number)
    with pytest.raises(Unavailable) as told, disk.open_blob(DIGEST):
        pytest.fail("it was opened")
    assert not isinstance(told.value, BlobDamaged)


@pytest.fixture
def _often_switched() -> Iterator[None]:
    """Let threads take turns as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_often_switched")
async def test_readers_in_threads_are_counted_too(disk: DiskBlobStore) -> None:
    await put(disk, CONTENT)

    def read_often() -> None:
        for _ in range(3000):
            with disk.open_blob(DIGEST):
                assert disk.is_read(DIGEST)

    with ThreadPoolExecutor(2) as readers:
        for reading in [readers.submit(read_often) for _ in range(2)]:
            reading.result(timeout=60)
    assert not disk.is_read(DIGEST)
