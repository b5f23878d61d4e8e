"""The cache folder's `index.json`: the tags that are at hand, so that any OCI tool can read the folder as it is.

image-spec, image-layout.md: one descriptor a tag, named by the annotation `org.opencontainers.image.ref.name`. The file
is written a moment after tags have changed, and at the end; it is a view for others, and nothing here is read from it.
"""

import asyncio
import contextlib
import json
from collections.abc import Iterable
from concurrent.futures import Executor
from pathlib import Path
from types import TracebackType
from typing import Self

from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import Unavailable
from proxy.ports import BlobStore, Catalog, Link, TagRecord, TagState
from proxy.storage.disk import write_durably

INDEX_FILE = "index.json"
REF_NAME = "org.opencontainers.image.ref.name"
SETTLE_SECONDS = 2.0
"""How long changes are gathered before the file is written anew."""


class LayoutIndex:
    """A catalog that keeps `index.json` in step with the tags that pass through it."""

    def __init__(
        self,
        root: Path,
        catalog: Catalog,
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
        self._writer = asyncio.get_running_loop().create_task(self._write_on_change(), name="layout index")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._writer is not None
        self._closing.set()
        self._changed.set()
        await self._writer

    def find_tag(self, upstream: str, repository: str, tag: str, /) -> TagRecord | None:
        """Answer what is known of a tag."""
        return self._catalog.find_tag(upstream, repository, tag)

    async def put_tag(self, record: TagRecord, /) -> None:
        """Remember what upstream said of a tag; `index.json` follows."""
        known = self._catalog.find_tag(record.upstream, record.repository, record.tag)
        await self._catalog.put_tag(record)
        if TagState.PRESENT in {record.state, known and known.state}:
            self._changed.set()

    def find_link(self, upstream: str, repository: str, digest: Digest, /) -> Link | None:
        """Answer the link of a repository to some content, if there is one."""
        return self._catalog.find_link(upstream, repository, digest)

    async def put_links(self, links: Iterable[Link], /) -> None:
        """Remember links; one that is not proven never replaces one that is."""
        await self._catalog.put_links(links)

    def list_tags(self, upstream: str | None = None, repository: str | None = None, /) -> list[TagRecord]:
        """Answer the tags known to be PRESENT, in order of their names."""
        return self._catalog.list_tags(upstream, repository)

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
            content = json.dumps(self._build(), indent=1).encode()
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._executor, write_durably, self._root, INDEX_FILE, content)

    def _build(self) -> dict[str, object]:
        manifests: list[dict[str, object]] = []
        for record in self._catalog.list_tags(None):
            found = record.descriptor
            if found is None or record.tag.startswith("@") or self._store.find_size(found.digest) is None:
                continue
            name = f"{record.upstream}/{record.repository}:{record.tag}"
            manifests.append(
                {
                    "mediaType": found.media_type,
                    "digest": str(found.digest),
                    "size": found.size,
                    "annotations": {REF_NAME: name},
                }
            )
        return {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": manifests}

    def __repr__(self) -> str:
        return f"<LayoutIndex {self._root}>"
