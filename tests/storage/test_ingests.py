"""What was left half-way: by this process, by ended ones, by hostile ones, by a power cut."""

import asyncio
import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path

import pytest

from proxy.oci.digests import Digest
from proxy.oci.errors import Unavailable, UpstreamMisbehaved
from proxy.ports import Ingest
from proxy.storage.disk import DiskBlobStore
from proxy.storage.ingests import PIECE_BYTES, IngestFolder, digest_named
from tests.contracts.blob_store import CONTENT, DIGEST, put, read, suspended

LARGE = os.urandom(3 * PIECE_BYTES + 17)
LARGE_DIGEST = Digest.of(LARGE)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "cache" / "ingest").mkdir(parents=True)
    return tmp_path / "cache"


@pytest.fixture
def open_store(root: Path, writers: Executor) -> Iterator[Callable[[], DiskBlobStore]]:
    """Opens stores as processes would one after the other, or beside each other."""
    stores: list[DiskBlobStore] = []

    def open_one() -> DiskBlobStore:
        store = DiskBlobStore(root, writers)
        store.prepare()
        stores.append(store)
        return store

    yield open_one
    for store in stores:
        store.close()


def leave(root: Path, content: bytes, *, of: Digest = DIGEST, number: int = 0) -> Path:
    """Leave a file as an ended process would."""
    path = root / "ingest" / f"{of.encoded}.1.{number}"
    path.write_bytes(content)
    return path


def left(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "ingest").iterdir())


async def end(ingest: Ingest, how: str = "abort") -> None:
    await getattr(ingest, how)()
    ingest.close()


async def test_a_piece_that_was_left_is_gone_on_with(root: Path, open_store: Callable[[], DiskBlobStore]) -> None:
    leave(root, LARGE[: 2 * PIECE_BYTES + 5], of=LARGE_DIGEST)
    store = open_store()
    ingest = await store.begin_ingest(LARGE_DIGEST)
    assert ingest.written == 2 * PIECE_BYTES + 5
    assert ingest.read_at(0, 100) == LARGE[:100]
    await ingest.write(LARGE[ingest.written :])
    await end(ingest, "commit")
    assert read(store, LARGE_DIGEST) == LARGE
    assert left(root) == []


async def test_of_several_pieces_the_largest_is_kept(root: Path, open_store: Callable[[], DiskBlobStore]) -> None:
    for number, size in enumerate((3, 9, 0, 5)):
        leave(root, CONTENT[:size], number=number)
    leave(root, b"t", of=Digest.of(b"two"))
    store = open_store()
    assert sorted(await suspended(store)) == sorted([(DIGEST, 9), (Digest.of(b"two"), 1)])
    assert left(root) == sorted([f"{DIGEST.encoded}.1.1", f"{Digest.of(b'two').encoded}.1.0"])


HOSTILE = {
    "other bytes": b"x" * len(CONTENT),
    "larger than the blob": CONTENT + b"!",
    "much larger": b"x" * (2 * PIECE_BYTES),
    "torn: it ends in zeros": CONTENT[:5] + b"\0" * (len(CONTENT) - 5),
    "torn: there is nothing but zeros": b"\0" * len(CONTENT),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
async def test_a_piece_of_anything_else_never_becomes_visible(
    root: Path, open_store: Callable[[], DiskBlobStore], content: bytes
) -> None:
    leave(root, content)
    store = open_store()
    ingest = await store.begin_ingest(DIGEST)
    assert ingest.written == len(content)
    await ingest.write(CONTENT[ingest.written :])
    with pytest.raises(UpstreamMisbehaved):
        await ingest.commit()
    await end(ingest)
    assert store.find_size(DIGEST) is None
    assert left(root) == []
    again = await store.begin_ingest(DIGEST)
    assert again.written == 0
    await again.write(CONTENT)
    await end(again, "commit")
    assert read(store, DIGEST) == CONTENT


async def test_a_whole_blob_that_was_left_needs_nothing_more(
    root: Path, open_store: Callable[[], DiskBlobStore]
) -> None:
    """Its process ended between the last byte and the renaming: it may be read-only by then."""
    leave(root, CONTENT).chmod(0o444)
    store = open_store()
    ingest = await store.begin_ingest(DIGEST)
    await end(ingest, "commit")
    assert read(store, DIGEST) == CONTENT
    assert store.path_of(DIGEST).stat().st_mode & 0o777 == 0o444


async def test_what_was_resumed_is_as_read_only_as_any_blob(
    root: Path, open_store: Callable[[], DiskBlobStore]
) -> None:
    leave(root, CONTENT[:3]).chmod(0o666)
    store = open_store()
    ingest = await store.begin_ingest(DIGEST)
    await ingest.write(CONTENT[3:])
    await end(ingest, "commit")
    assert store.path_of(DIGEST).stat().st_mode & 0o777 == 0o444


FOREIGN = (
    "index.json.1.2",
    "notes.txt",
    DIGEST.encoded,
    f"{DIGEST.encoded}.1",
    f"{DIGEST.encoded[:-1]}.1.0",
    f"{DIGEST.encoded[:-1]}g.1.0",
    f"{DIGEST.encoded}.1.0.part",
    f"{DIGEST.encoded.upper()}.1.0",
)


async def test_files_of_others_are_cleared_away_and_folders_let_alone(
    root: Path, open_store: Callable[[], DiskBlobStore], tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(CONTENT)
    for name in FOREIGN:
        (root / "ingest" / name).write_bytes(b"x")
    (root / "ingest" / f"{DIGEST.encoded}.1.7").symlink_to(elsewhere)
    (root / "ingest" / f"{DIGEST.encoded}.1.8").symlink_to(tmp_path / "nowhere")
    os.mkfifo(root / "ingest" / f"{DIGEST.encoded}.1.9")
    (root / "ingest" / f"{DIGEST.encoded}.2.0").mkdir()
    (root / "ingest" / "a folder").mkdir()
    store = open_store()
    assert await suspended(store) == []
    assert left(root) == [f"{DIGEST.encoded}.2.0", "a folder"]
    assert elsewhere.read_bytes() == CONTENT


async def test_looking_through_the_folder_again_keeps_what_is_suspended_and_under_way(
    root: Path, open_store: Callable[[], DiskBlobStore]
) -> None:
    store = open_store()
    one = await store.begin_ingest(DIGEST)
    await one.write(CONTENT[:4])
    two = await store.begin_ingest(LARGE_DIGEST)
    await two.write(LARGE[:4])
    await end(one, "suspend")
    assert store.prepare()
    assert await suspended(store) == [(DIGEST, 4)]
    await two.write(LARGE[4:])
    await end(two, "commit")
    assert read(store, LARGE_DIGEST) == LARGE


# Several processes


async def test_a_new_owner_lets_alone_what_a_living_process_writes(
    root: Path, open_store: Callable[[], DiskBlobStore]
) -> None:
    """The owner ends, a third process owns the folder now; the second is still at work."""
    first, second = open_store(), open_store()
    ingest = await second.begin_ingest(DIGEST)
    await ingest.write(CONTENT[:4])
    empty = await second.begin_ingest(LARGE_DIGEST)
    first.close()
    third = open_store()
    assert await suspended(third) == []
    own = await third.begin_ingest(DIGEST)
    assert own.written == 0
    await ingest.write(CONTENT[4:])
    await end(ingest, "commit")
    await empty.write(LARGE)
    await end(empty, "commit")
    await end(own)
    assert read(third, DIGEST) == CONTENT
    assert read(third, LARGE_DIGEST) == LARGE


async def test_one_of_two_processes_goes_on_with_what_both_know_of(
    root: Path, open_store: Callable[[], DiskBlobStore]
) -> None:
    first, second = open_store(), open_store()
    broken_off = await second.begin_ingest(DIGEST)
    await broken_off.write(CONTENT[:4])
    await end(broken_off, "suspend")
    first.close()
    third = open_store()
    assert await suspended(second) == await suspended(third) == [(DIGEST, 4)]
    one, other = await third.begin_ingest(DIGEST), await second.begin_ingest(DIGEST)
    assert (one.written, other.written) == (4, 0)
    for ingest in (one, other):
        await ingest.write(CONTENT[ingest.written :])
        await end(ingest, "commit")
    assert read(second, DIGEST) == read(third, DIGEST) == CONTENT
    assert left(root) == []


async def test_what_another_process_has_gone_on_with_and_committed_is_begun_anew(
    root: Path, open_store: Callable[[], DiskBlobStore]
) -> None:
    first, second = open_store(), open_store()
    broken_off = await second.begin_ingest(DIGEST)
    await broken_off.write(CONTENT)
    await end(broken_off, "suspend")
    first.close()
    third = open_store()
    await end(await third.begin_ingest(DIGEST), "commit")
    late = await second.begin_ingest(DIGEST)
    assert late.written == 0
    await late.write(b"not at all what is stored")
    await end(late)
    assert read(third, DIGEST) == CONTENT


async def test_a_name_that_a_process_of_the_same_number_took_is_let_alone(
    root: Path, open_store: Callable[[], DiskBlobStore]
) -> None:
    """In containers every process has the number 1."""
    store = open_store()
    probe = await store.begin_ingest(DIGEST)
    (name,) = left(root)
    stem, pid, number = name.rsplit(".", 2)
    for taken in range(int(number) + 1, int(number) + 5):
        (root / "ingest" / f"{stem}.{pid}.{taken}").write_bytes(b"theirs")
    ingest = await store.begin_ingest(DIGEST)
    await ingest.write(CONTENT)
    await end(ingest, "commit")
    await end(probe)
    assert [path.read_bytes() for path in (root / "ingest").iterdir()] == [b"theirs"] * 4


# What vanishes or changes meanwhile


@pytest.mark.parametrize("became", ["nothing", "a folder", "a symlink", "a file that is locked"])
async def test_a_piece_that_is_no_longer_there_is_begun_anew(
    root: Path, open_store: Callable[[], DiskBlobStore], tmp_path: Path, became: str
) -> None:
    path = leave(root, CONTENT[:4])
    store = open_store()
    (tmp_path / "elsewhere").write_bytes(CONTENT[:4])
    with (tmp_path / "elsewhere").open("rb") as locked:
        if became != "a file that is locked":
            path.unlink()
        match became:
            case "a folder":
                path.mkdir()
            case "a symlink":
                path.symlink_to(tmp_path / "elsewhere")
            case "a file that is locked":
                os.link(path, tmp_path / "same")
                locked = (tmp_path / "same").open("rb")  # noqa: PLW2901 - closed below
                fcntl.flock(locked, fcntl.LOCK_EX)
        ingest = await store.begin_ingest(DIGEST)
        assert ingest.written == 0
        await ingest.write(CONTENT)
        await end(ingest, "commit")
        locked.close()
    assert read(store, DIGEST) == CONTENT
    assert (tmp_path / "elsewhere").read_bytes() == CONTENT[:4]


async def test_a_piece_that_cannot_be_read_is_thrown_away(
    root: Path, open_store: Callable[[], DiskBlobStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk has a bad sector."""
    leave(root, CONTENT[:4])
    store = open_store()
    with monkeypatch.context() as patched:

        def fail(*_arguments: object) -> bytes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        patched.setattr("proxy.storage.ingests.os.pread", fail)
        ingest = await store.begin_ingest(DIGEST)
    assert ingest.written == 0
    await end(ingest)
    assert left(root) == []


async def test_where_the_folder_is_gone_it_is_told(root: Path, open_store: Callable[[], DiskBlobStore]) -> None:
    leave(root, CONTENT[:4]).rename(root / "away")
    store = open_store()
    (root / "ingest").rmdir()
    with pytest.raises(Unavailable, match="the cache cannot be written: No such file"):
        await store.begin_ingest(DIGEST)


# Suspending


async def test_of_two_that_break_off_the_one_is_kept_that_came_further(
    root: Path, open_store: Callable[[], DiskBlobStore]
) -> None:
    store = open_store()
    for order in ((4, 9), (9, 4)):
        ingests = [await store.begin_ingest(DIGEST), await store.begin_ingest(DIGEST)]
        for ingest, size in zip(ingests, order, strict=True):
            await ingest.write(CONTENT[:size])
        for ingest in ingests:
            await end(ingest, "suspend")
        assert await suspended(store) == [(DIGEST, 9)]
        assert len(left(root)) == 1
        await store.drop_suspended(DIGEST)
        assert left(root) == []


async def test_nothing_is_kept_of_an_ingest_that_took_nothing(
    root: Path, open_store: Callable[[], DiskBlobStore]
) -> None:
    store = open_store()
    await end(await store.begin_ingest(DIGEST), "suspend")
    assert await suspended(store) == []
    assert left(root) == []


async def test_who_still_reads_what_was_suspended_reads_on_while_another_goes_on_with_it(
    open_store: Callable[[], DiskBlobStore],
) -> None:
    store = open_store()
    first = await store.begin_ingest(DIGEST)
    await first.write(CONTENT[:4])
    await first.suspend()
    second = await store.begin_ingest(DIGEST)
    assert second.written == 4
    await second.write(CONTENT[4:])
    assert first.read_at(0, 100) == CONTENT[:4]
    await end(second, "commit")
    assert first.read_at(0, 100) == CONTENT[:4]
    first.close()
    assert read(store, DIGEST) == CONTENT


# The loop goes on


@pytest.fixture
def may_read(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Nothing can be read in a thread before this is set."""
    may_read, pread = threading.Event(), os.pread

    def slow(*arguments: int) -> bytes:
        if threading.current_thread() is not threading.main_thread():
            may_read.wait(20)
        return pread(*arguments)

    monkeypatch.setattr(os, "pread", slow)
    yield may_read
    may_read.set()


async def test_taking_up_a_large_piece_holds_up_nobody(
    root: Path, open_store: Callable[[], DiskBlobStore], may_read: threading.Event
) -> None:
    """Neither the loop nor the threads that others write in, of which there are fewer than pieces."""
    contents = [bytes([number]) * PIECE_BYTES for number in range(5)]
    for content in contents:
        leave(root, content[:-1], of=Digest.of(content))
    store = open_store()
    beginning = [asyncio.ensure_future(store.begin_ingest(Digest.of(content))) for content in contents]
    async with asyncio.timeout(10):
        await put(store, LARGE)
    assert not any(one.done() for one in beginning)
    may_read.set()
    for ingest in await asyncio.gather(*beginning):
        assert ingest.written == PIECE_BYTES - 1
        await end(ingest)


async def test_who_is_cancelled_while_a_piece_is_taken_up_leaves_it_for_the_next(
    root: Path, open_store: Callable[[], DiskBlobStore], may_read: threading.Event
) -> None:
    leave(root, LARGE[:PIECE_BYTES], of=LARGE_DIGEST)
    store = open_store()
    beginning = asyncio.ensure_future(store.begin_ingest(LARGE_DIGEST))
    await asyncio.sleep(0)
    beginning.cancel()
    await asyncio.sleep(0)
    may_read.set()
    with pytest.raises(asyncio.CancelledError):
        await beginning
    assert await suspended(store) == [(LARGE_DIGEST, PIECE_BYTES)]
    ingest = await store.begin_ingest(LARGE_DIGEST)
    assert ingest.written == PIECE_BYTES
    await end(ingest)


# Durability


async def test_a_commit_makes_all_of_a_resumed_file_durable(
    root: Path, open_store: Callable[[], DiskBlobStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsync(2) takes a file's pages whoever wrote them; the name is durable once its folder is."""
    leave(root, CONTENT[:4])
    store = open_store()
    synced: list[tuple[int, str]] = []
    real = os.fsync

    def note(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((os.fstat(descriptor).st_size if path.is_file() else 0, str(path.relative_to(root))))
        real(descriptor)

    monkeypatch.setattr("proxy.storage.durable.os.fsync", note)
    ingest = await store.begin_ingest(DIGEST)
    await ingest.write(CONTENT[4:])
    await end(ingest, "commit")
    assert synced == [(len(CONTENT), f"ingest/{DIGEST.encoded}.1.0"), (0, "blobs/sha256")]


def test_the_folder_tells_what_it_is(root: Path, writers: Executor) -> None:
    assert repr(IngestFolder(root, writers, lambda _: root)) == f"<IngestFolder {root}: 0 suspended>"


async def test_an_ingest_tells_what_it_is(open_store: Callable[[], DiskBlobStore]) -> None:
    ingest = await open_store().begin_ingest(DIGEST)
    assert repr(ingest).startswith(f"<DiskIngest {DIGEST.encoded}.")
    await end(ingest)


@pytest.mark.parametrize("name", ["", "x" * 64, "a" * 63, "A" * 64, "a" * 100, "../" + "a" * 61])
def test_no_other_name_is_a_digest_s(name: str) -> None:
    assert digest_named(name) is None


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_pieces_of_every_algorithm_are_gone_on_with(
    root: Path, open_store: Callable[[], DiskBlobStore], algorithm: str
) -> None:
    hasher = Digest(algorithm, "0" * {"sha256": 64, "sha512": 128}[algorithm]).hasher()
    hasher.update(CONTENT)
    digest = Digest(algorithm, hasher.hexdigest())
    leave(root, CONTENT[:4], of=digest)
    store = open_store()
    assert await suspended(store) == [(digest, 4)]
    await put_rest(store, digest)
    assert read(store, digest) == CONTENT


async def put_rest(store: DiskBlobStore, digest: Digest) -> None:
    ingest = await store.begin_ingest(digest)
    await ingest.write(CONTENT[ingest.written :])
    await end(ingest, "commit")


async def test_a_blob_that_came_in_otherwise_leaves_the_piece_where_it_is(
    root: Path, open_store: Callable[[], DiskBlobStore]
) -> None:
    store = open_store()
    one, two = await store.begin_ingest(DIGEST), await store.begin_ingest(DIGEST)
    await one.write(CONTENT[:4])
    await end(one, "suspend")
    await two.write(CONTENT)
    await end(two, "commit")
    assert await suspended(store) == [(DIGEST, 4)]
    await store.drop_suspended(DIGEST)
    assert left(root) == []
    await put(store, CONTENT)
