"""Programs that use a store or a catalog until they are killed: a power cut for one process.

Each is started by a test as a process of its own, tells what it has done line by line, and never ends by itself.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen
from typing import IO

from proxy.oci.digests import Digest
from proxy.oci.manifests import Descriptor
from proxy.oci.media_types import OCI_MANIFEST
from proxy.ports import Link, TagRecord, TagState
from proxy.storage.catalog import SqliteCatalog
from proxy.storage.disk import DiskBlobStore
from proxy.telemetry.logs import SilentEvents

ROOT = Path(__file__).parents[2]
INGESTED = b"x" * 3_000_000


def numbered(number: int) -> bytes:
    """Answer the content of one of many blobs."""
    return f"blob {number} ".encode() * 5000


def record_of(number: int) -> TagRecord:
    """Answer one of many records."""
    descriptor = Descriptor(OCI_MANIFEST, Digest.of(str(number).encode()), number)
    return TagRecord("docker.io", "library/debian", str(number), TagState.PRESENT, float(number), descriptor)


def link_of(number: int) -> Link:
    """Answer one of many links."""
    return Link("docker.io", "library/debian", Digest.of(str(number).encode()), "arm32v7/debian", is_proven=True)


async def stop_in_an_ingest(folder: Path) -> None:
    """Write some of a blob, and stand still."""
    with ThreadPoolExecutor(1) as executor:
        store = DiskBlobStore(folder, executor)
        store.prepare()
        ingest = await store.begin_ingest(Digest.of(INGESTED))
        await ingest.write(INGESTED[:2_000_000])
        print(ingest.written, flush=True)
        await asyncio.Event().wait()


async def commit_for_ever(folder: Path) -> None:
    """Take in one blob after the other, and tell each that is committed."""
    with ThreadPoolExecutor(1) as executor:
        store = DiskBlobStore(folder, executor)
        store.prepare()
        number = 0
        while True:
            content = numbered(number)
            ingest = await store.begin_ingest(Digest.of(content))
            await ingest.write(content)
            await ingest.commit()
            ingest.close()
            print(number, flush=True)
            number += 1


async def note_for_ever(folder: Path) -> None:
    """Put one record and link after the other, and tell each that is durable."""
    with (
        ThreadPoolExecutor(1) as executor,
        SqliteCatalog(folder / "catalog.sqlite", executor, SilentEvents()) as catalog,
    ):
        number = 0
        while True:
            await catalog.put_tag(record_of(number))
            await catalog.put_links([link_of(number)])
            print(number, flush=True)
            number += 1


PROGRAMS: Mapping[str, Callable[[Path], Awaitable[None]]] = {
    program.__name__: program for program in (stop_in_an_ingest, commit_for_ever, note_for_ever)
}


@dataclass(frozen=True, slots=True)
class Victim:
    """A program that runs and can be killed."""

    process: Popen[str]
    output: IO[str]

    def read_line(self) -> str:
        """Answer the next thing that it tells."""
        line = self.output.readline()
        assert line, "the program ended by itself"
        return line.strip()

    def kill(self) -> list[str]:
        """End it without warning; answer what it had told and nobody had read."""
        self.process.kill()
        rest = self.output.read()
        self.process.wait()
        # What was killed in the middle of a line has not told it.
        return rest.splitlines() if rest.endswith("\n") else rest.splitlines()[:-1]


@contextmanager
def running(program: Callable[[Path], Awaitable[None]], folder: Path) -> Iterator[Victim]:
    """Run a program of PROGRAMS on a folder; it does not outlive the block."""
    command = (sys.executable, "-m", __name__, program.__name__, str(folder))
    with Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Victim(process, process.stdout)
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(PROGRAMS[sys.argv[1]](Path(sys.argv[2])))  # type: ignore[arg-type]  # every program is a coroutine
