"""Any order of taking in, committing, aborting, crashing, reading and quarantining, held against a dictionary."""

import asyncio
import shutil
import tempfile
from abc import abstractmethod
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from proxy.oci.digests import Digest
from proxy.oci.errors import BlobUnknown, UpstreamMisbehaved
from proxy.ports import BlobStore, Ingest
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
class Model:
    """What a store should hold."""

    blobs: dict[Digest, bytes] = field(default_factory=dict)
    takings: list[Taking] = field(default_factory=list)


class StoreMachine(RuleBasedStateMachine):
    """Needs `open_store` and `crash_store`; the rest is the same for every store."""

    takings: "Bundle[Taking]" = Bundle("takings")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.model = Model()

    @abstractmethod
    def open_store(self) -> BlobStore: ...

    @abstractmethod
    def crash_store(self) -> BlobStore:
        """Let the process end without warning, and start another one."""

    @initialize()
    def open(self) -> None:
        self.store = self.open_store()

    @rule(target=takings, digest=st.sampled_from(sorted(DIGESTS)))
    def begin(self, digest: Digest) -> Taking:
        taking = Taking(digest, self.runner.run(self.store.begin_ingest(digest)))
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

    def _let_go(self, taking: Taking) -> None:
        self.runner.run(taking.ingest.abort())
        assert taking.ingest.read_at(0, 50) == taking.written[:50]
        taking.ingest.close()
        taking.is_open = False
        self.model.takings.remove(taking)

    @rule(digest=st.sampled_from(sorted(DIGESTS)))
    def quarantine(self, digest: Digest) -> None:
        self.runner.run(self.store.quarantine(digest))
        self.model.blobs.pop(digest, None)

    @rule()
    def crash(self) -> None:
        for taking in self.model.takings:
            self.runner.run(taking.ingest.abort())  # what is left by others than suspended ingests
            taking.ingest.close()
            taking.is_open = False
        self.model.takings.clear()
        self.store = self.crash_store()

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

    def teardown(self) -> None:
        for taking in self.model.takings:
            taking.ingest.close()
        self.runner.close()


class MemoryMachine(StoreMachine):
    def open_store(self) -> BlobStore:
        return MemoryBlobStore()

    def crash_store(self) -> BlobStore:
        self.model.blobs.clear()
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
        self.disk.close()  # as the kernel does for a process that has ended
        return self.open_store()

    @invariant()
    def no_file_is_there_that_should_not_be(self) -> None:
        if not hasattr(self, "store"):
            return
        blobs = sorted(path.name for path in (self.folder / "blobs/sha256").iterdir())
        assert blobs == sorted(digest.encoded for digest in self.model.blobs)
        assert len(list((self.folder / "ingest").iterdir())) == len(self.model.takings)
        for path in (self.folder / "quarantine").iterdir():
            assert Digest("sha256", path.name) in DIGESTS

    def teardown(self) -> None:
        super().teardown()
        self.disk.close()
        self.executor.shutdown()
        shutil.rmtree(self.folder)


TestMemoryMachine = MemoryMachine.TestCase
TestMemoryMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestDiskMachine = DiskMachine.TestCase
TestDiskMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
