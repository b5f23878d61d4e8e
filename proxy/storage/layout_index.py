"""The cache folder's `index.json`: the tags that are at hand, so that any OCI tool can read the folder as it is.

image-spec, image-layout.md: one descriptor a tag, named by the annotation `org.opencontainers.image.ref.name`. The file
is written a moment after tags have changed, and at the end, unless it says so already: a flash card wears out. It is a
view for others, and nothing here is learnt from it.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from proxy.oci import media_types
from proxy.oci.errors import Unavailable
from proxy.ports import BlobStore, TagRecord
from proxy.storage.durable import write_durably

INDEX_FILE = "index.json"
REF_NAME = "org.opencontainers.image.ref.name"
SETTLE_SECONDS = 2.0
"""How long changes are gathered before the file is written anew."""


class TagSource(Protocol):
    """As much of a catalog as the file is made of."""

    async def take_tags(self) -> list[TagRecord]:
        """Answer the tags known to be PRESENT."""

    def watch_tags(self, callback: Callable[[], None], /) -> None:
        """Be called back whenever they may have changed."""


class LayoutIndex:
    """Keeps `index.json` in step with the tags of a catalog, as long as it is open."""

    def __init__(
        self,
        root: Path,
        catalog: TagSource,
        store: BlobStore,
        executor: Executor,
        *,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        """Take the layout's folder, the catalog that knows the tags, and the store that has the content."""
        self._root = root
        self._catalog = catalog
        self._store = store
        self._executor = executor
        self._settle_seconds = settle_seconds
        self._changed = asyncio.Event()
        self._closing = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._changed.set()  # a process that was killed may have left the file behind the catalog
        self._catalog.watch_tags(self._changed.set)
        self._writer = asyncio.get_running_loop().create_task(self._write_on_change(), name="layout index")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._writer is not None
        self._closing.set()
        self._changed.set()
        await self._writer

    async def _write_on_change(self) -> None:
        is_last = False
        while not is_last:
            await self._changed.wait()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), self._settle_seconds)
            is_last = self._closing.is_set()
            self._changed.clear()
            await self._write()

    async def _write(self) -> None:
        with contextlib.suppress(OSError, Unavailable):  # no reason to stop; the next write makes up for it
            tags = await self._catalog.take_tags()
            # In a thread: 10,000 tags take a fifth of a second to look for and to put down.
            await asyncio.get_running_loop().run_in_executor(self._executor, self._write_down, tags)

    def _write_down(self, tags: list[TagRecord]) -> None:
        content = _write_document(self._list_entries(tags))
        if not self._says_so_already(content):
            write_durably(self._root, INDEX_FILE, content)

    def _says_so_already(self, content: bytes) -> bool:
        # What was written last is not to be trusted: another process may have written the file since.
        try:
            return (self._root / INDEX_FILE).read_bytes() == content
        except OSError:  # it is not there yet, or cannot be read
            return False

    def _list_entries(self, tags: list[TagRecord]) -> Iterator[dict[str, object]]:
        for record in tags:
            found = record.descriptor
            if found is None or record.tag.startswith("@") or self._store.find_size(found.digest) is None:
                continue
            name = f"{record.upstream}/{record.repository}:{record.tag}"
            yield {
                "mediaType": found.media_type,
                "digest": str(found.digest),
                "size": found.size,
                "annotations": {REF_NAME: name},
            }

    def __repr__(self) -> str:
        return f"<LayoutIndex {self._root}>"


def _write_document(entries: Iterable[dict[str, object]]) -> bytes:
    """Write an index with a line for each entry.

    Entry by entry: as a whole, indented, it would be put down by Python's own code, which takes ten times as long; and
    meanwhile requests wait for the interpreter.
    """
    head = json.dumps({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX})
    lines = ",\n".join(map(json.dumps, entries))
    return f'{head[:-1]}, "manifests": [\n{lines}\n]}}\n'.encode()
