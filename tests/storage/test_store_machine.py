"""Any order of taking in, breaking off, going on, committing, removing, reading and crashing, held against a model."""

import asyncio
import shutil
import tempfile
from abc import abstractmethod
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from proxy.oci.digests import Digest
from proxy.oci.errors import BlobUnknown, UpstreamMisbehaved
from proxy.ports import BlobReader, BlobStore, Ingest, StoredBlob
from proxy.storage.disk import DiskBlobStore
from proxy.storage.ingests import THREAD_BYTES
from proxy.storage.memory import MemoryBlobStore

CONTENTS = (b"", b"one", b"two", b"three" * 100, b"large" * (THREAD_BYTES // 4))
DIGESTS = {Digest.of(content): content for content in CONTENTS}


@dataclass(slots=True)
class Taking:
    """An ingest, and what was written to it."""

    digest: Digest
    ingest: Ingest
    written: bytes = b""
    is_open: bool = True


@dataclass(slots=True)
class Reading:
    """A blob that is open, and what is to be read in it, whatever becomes of the store."""

    digest: Digest
    reader: BlobReader
    content: bytes
    stack: ExitStack


@dataclass(slots=True)
class Model:
    """What a store should hold."""

    blobs: dict[Digest, bytes] = field(default_factory=dict)
    suspended: dict[Digest, bytes] = field(default_factory=dict)
    aside: dict[Digest, int] = field(default_factory=dict)
    takings: list[Taking] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)

    def suspend(self, digest: Digest, content: bytes) -> None:
        """The one that came further stays; nothing is nothing."""
        if len(content) > len(self.suspended.get(digest, b"")):
            self.suspended[digest] = content


_digests = st.sampled_from(sorted(DIGESTS))


class StoreMachine(RuleBasedStateMachine):
    """Needs `open_store` and `crash_store`; the rest is the same for every store."""

    takings: "Bundle[Taking]" = Bundle("takings")
    readings: "Bundle[Reading]" = Bundle("readings")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.model = Model()

    @abstractmethod
    def open_store(self) -> BlobStore: ...

    @abstractmethod
    def crash_store(self) -> BlobStore:
        """Let the process end without warning, and start another one; let the model lose what it should."""

    @initialize()
    def open(self) -> None:
        self.store = self.open_store()

    @rule(target=takings, digest=_digests)
    def begin(self, digest: Digest) -> Taking:
        """Where something is suspended, this goes on with it."""
        taking = Taking(digest, self.runner.run(self.store.begin_ingest(digest)), self.model.suspended.pop(digest, b""))
        assert taking.ingest.written == len(taking.written)
        self.model.takings.append(taking)
        return taking

    @rule(taking=takings, fraction=st.floats(0, 1))
    def write_right_bytes(self, taking: Taking, fraction: float) -> None:
        rest = DIGESTS[taking.digest][len(taking.written) :]
        self._write(taking, rest[: round(len(rest) * fraction)])

    @rule(taking=takings, chunk=st.binary(max_size=20))
    def write_any_bytes(self, taking: Taking, chunk: bytes) -> None:
        self._write(taking, chunk)

    def _write(self, taking: Taking, chunk: bytes) -> None:
        if taking.is_open:
            self.runner.run(taking.ingest.write(chunk))
            taking.written += chunk

    @rule(taking=takings)
    def write_the_rest(self, taking: Taking) -> None:
        self._write(taking, DIGESTS[taking.digest][len(taking.written) :])

    @rule(taking=takings, offset=st.integers(0, 2000), size=st.integers(0, 2000))
    def read_what_is_on_its_way(self, taking: Taking, offset: int, size: int) -> None:
        if taking.is_open:
            assert taking.ingest.written == len(taking.written)
            assert taking.ingest.read_at(offset, size) == taking.written[offset : offset + size]
            hasher = taking.digest.hasher()
            hasher.update(taking.written)
            assert taking.ingest.copy_hasher().hexdigest() == hasher.hexdigest()

    @rule(taking=consumes(takings))
    def commit(self, taking: Taking) -> None:
        if not taking.is_open:
            return
        if taking.written == DIGESTS[taking.digest]:
            self.runner.run(taking.ingest.commit())
            self.model.blobs[taking.digest] = taking.written
        else:
            with pytest.raises(UpstreamMisbehaved):
                self.runner.run(taking.ingest.commit())
        self._let_go(taking)

    @rule(taking=consumes(takings))
    def abort(self, taking: Taking) -> None:
        if taking.is_open:
            self._let_go(taking)

    @rule(taking=consumes(takings))
    def suspend(self, taking: Taking) -> None:
        if taking.is_open:
            self.runner.run(taking.ingest.suspend())
            self.model.suspend(taking.digest, taking.written)
            self._let_go(taking)

    def _let_go(self, taking: Taking) -> None:
        self.runner.run(taking.ingest.abort())
        assert taking.ingest.read_at(0, 50) == taking.written[:50]
        taking.ingest.close()
        taking.is_open = False
        self.model.takings.remove(taking)

    @rule(digest=_digests)
    def drop_suspended(self, digest: Digest) -> None:
        self.runner.run(self.store.drop_suspended(digest))
        self.model.suspended.pop(digest, None)

    @rule(digest=_digests)
    def quarantine(self, digest: Digest) -> None:
        self.runner.run(self.store.quarantine(digest))
        if (content := self.model.blobs.pop(digest, None)) is not None:
            self.model.aside[digest] = len(content)

    @rule(digest=_digests)
    def drop_quarantined(self, digest: Digest) -> None:
        self.runner.run(self.store.drop_quarantined(digest))
        self.model.aside.pop(digest, None)

    @rule(digest=_digests)
    def remove(self, digest: Digest) -> None:
        self.runner.run(self.store.remove(digest))
        self.model.blobs.pop(digest, None)

    @rule(target=readings, digest=_digests)
    def begin_to_read(self, digest: Digest) -> Reading | MultipleResults[Reading]:
        if digest not in self.model.blobs:
            return multiple()
        stack = ExitStack()
        reader = stack.enter_context(self.store.open_blob(digest))
        reading = Reading(digest, reader, self.model.blobs[digest], stack)
        self.model.readings.append(reading)
        return reading

    @rule(reading=readings, offset=st.integers(0, 2000), size=st.integers(0, 2000))
    def read_on(self, reading: Reading, offset: int, size: int) -> None:
        if reading in self.model.readings:
            assert reading.reader.read_at(offset, size) == reading.content[offset : offset + size]

    @rule(reading=consumes(readings))
    def end_reading(self, reading: Reading) -> None:
        if reading in self.model.readings:
            self.model.readings.remove(reading)
            reading.stack.close()

    @rule()
    def crash(self) -> None:
        for taking in self.model.takings:
            taking.ingest.close()
            taking.is_open = False
        for reading in self.model.readings:
            reading.stack.close()
        self.model.readings.clear()
        self.store = self.crash_store()
        self.model.takings.clear()

    @invariant()
    def it_holds_what_the_model_holds(self) -> None:
        if not hasattr(self, "store"):
            return
        for digest in DIGESTS:
            expected = self.model.blobs.get(digest)
            assert self.store.find_size(digest) == (None if expected is None else len(expected))
            if expected is None:
                with pytest.raises(BlobUnknown), self.store.open_blob(digest):
                    pass
            else:
                with self.store.open_blob(digest) as reader:
                    assert reader.read_at(0, reader.size + 1) == expected
            assert self.store.is_read(digest) == any(one.digest == digest for one in self.model.readings)

    @invariant()
    def it_lists_what_the_model_holds(self) -> None:
        if not hasattr(self, "store"):
            return
        assert self._listed(self.store.list_blobs()) == _sizes(self.model.blobs)
        assert self._listed(self.store.list_suspended()) == _sizes(self.model.suspended)
        assert self._listed(self.store.list_quarantined()) == self.model.aside

    def _listed(self, listing: Coroutine[object, None, list[StoredBlob]]) -> dict[Digest, int]:
        listed = self.runner.run(listing)
        found = {one.digest: one.size for one in listed}
        assert len(found) == len(listed)
        return found

    def teardown(self) -> None:
        for taking in self.model.takings:
            taking.ingest.close()
        for reading in self.model.readings:
            reading.stack.close()
        self.runner.close()


def _sizes(blobs: Mapping[Digest, bytes]) -> dict[Digest, int]:
    return {digest: len(content) for digest, content in blobs.items()}


class MemoryMachine(StoreMachine):
    def open_store(self) -> BlobStore:
        return MemoryBlobStore()

    def crash_store(self) -> BlobStore:
        """Nothing stays."""
        for known in (self.model.blobs, self.model.suspended, self.model.aside):
            known.clear()
        return self.open_store()


class DiskMachine(StoreMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="polyarch-machine-"))
        self.executor = ThreadPoolExecutor(1)

    def open_store(self) -> BlobStore:
        self.disk = DiskBlobStore(self.folder, self.executor)
        assert self.disk.prepare()
        return self.disk

    def crash_store(self) -> BlobStore:
        """What is committed stays, and of each blob that was on its way in the longest piece."""
        self.disk.close()  # as the kernel does for a process that has ended
        pieces = [(taking.digest, taking.written) for taking in self.model.takings]
        # Of two that are as long as each other, the one that is listed says which it is.
        for digest, content in sorted(pieces, key=lambda piece: len(piece[1])):
            self.model.suspend(digest, content)
        store = self.open_store()
        self._learn_which_piece_stayed(pieces)
        return store

    def _learn_which_piece_stayed(self, pieces: list[tuple[Digest, bytes]]) -> None:
        for path in (self.folder / "ingest").iterdir():
            digest = Digest("sha256", path.name.split(".")[0])
            content = path.read_bytes()
            known = [piece for of, piece in pieces if of == digest] + [self.model.suspended[digest]]
            assert content in known
            assert len(content) == len(self.model.suspended[digest])
            self.model.suspended[digest] = content

    @invariant()
    def no_file_is_there_that_should_not_be(self) -> None:
        if not hasattr(self, "store"):
            return
        blobs = sorted(path.name for path in (self.folder / "blobs/sha256").iterdir())
        assert blobs == sorted(digest.encoded for digest in self.model.blobs)
        partials = list((self.folder / "ingest").iterdir())
        assert len(partials) == len(self.model.takings) + len(self.model.suspended)
        aside = sorted(path.name for path in (self.folder / "quarantine").iterdir())
        assert aside == sorted(digest.encoded for digest in self.model.aside)

    def teardown(self) -> None:
        super().teardown()
        self.disk.close()
        self.executor.shutdown()
        shutil.rmtree(self.folder)


TestMemoryMachine = MemoryMachine.TestCase
TestMemoryMachine.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestDiskMachine = DiskMachine.TestCase
TestDiskMachine.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
