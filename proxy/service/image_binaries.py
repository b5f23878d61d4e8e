"""Which binary speaks for an image, looked up in the first megabytes of its layers.

What is found in a layer is remembered by the layer's digest: it never changes. It is remembered for one upstream only,
since a beginning cannot be held against a digest, and one registry must not speak for another's images.
"""

from collections.abc import Sequence
from contextlib import aclosing

import cachetools

from proxy.arch.binaries import MAGIC, parse_binary
from proxy.arch.programs import OTHER, Program, pick_program, rank_path
from proxy.oci.digests import Digest
from proxy.oci.errors import BlobDamaged
from proxy.oci.manifests import Descriptor
from proxy.oci.tars import TarEntry, TarFile, TarWalk
from proxy.ports import BlobSource, BlobStore, Events
from proxy.service.layer_prefix import read_prefix
from proxy.service.stored_blobs import QUARANTINED

MAX_LAYERS = 3
"""How many layers are looked at, from the first on: the system is in the lowest ones."""
MAX_FILE_BYTES = 2 * 1024 * 1024
"""How much of a file is kept: ARM attributes stand near its end. A shell has at most 1.5 MB."""
MAX_REMEMBERED = 10_000
"""How many layers are remembered: some hundred bytes each."""


class ImageBinaries:
    """What is known of the binaries of one upstream's images."""

    def __init__(self, source: BlobSource, store: BlobStore, events: Events) -> None:
        """Take where layers are to be had."""
        self._source = source
        self._store = store
        self._events = events
        self._known: cachetools.LRUCache[Digest, Program | None] = cachetools.LRUCache(MAX_REMEMBERED)

    async def find(self, repository: str, layers: Sequence[Descriptor]) -> Program | None:
        """Answer the program that speaks for an image, or None if none was found.

        The first layer with a program of the system decides; an image that has none is judged by any other program.

        Raises:
            BlobUnknown: Upstream does not have a layer.
            UpstreamError: Upstream does not give a layer.
        """
        others: list[Program] = []
        for layer in layers[:MAX_LAYERS]:
            found = await self._look(repository, layer.digest)
            if found is not None and found.rank < OTHER:
                return found
            others += [found] if found else []
        return pick_program(others)

    async def _look(self, repository: str, digest: Digest) -> Program | None:
        if digest in self._known:
            return self._known[digest]
        try:
            found = await self._read(repository, digest)
        except BlobDamaged as error:
            self._events.warn(QUARANTINED, digest=str(digest), reason=error.message)
            await self._store.quarantine(digest)
            found = await self._read(repository, digest)
        self._known[digest] = found
        return found

    async def _read(self, repository: str, digest: Digest) -> Program | None:
        walk, found = TarWalk(_wanted), list[Program]()
        async with aclosing(read_prefix(self._store, self._source, repository, digest)) as pieces:
            async for piece in pieces:
                found += [program for file in walk.feed(piece) if (program := _parse_program(file))]
                if walk.is_over or any(program.is_final for program in found):
                    break
        found += [program for file in walk.close() if (program := _parse_program(file))]
        return pick_program(found)

    def __repr__(self) -> str:
        return f"<ImageBinaries: {len(self._known)} layers>"


def _wanted(entry: TarEntry) -> int:
    return 0 if rank_path(entry.path, is_executable=entry.is_executable) is None else MAX_FILE_BYTES


def _parse_program(file: TarFile) -> Program | None:
    rank = rank_path(file.entry.path, is_executable=file.entry.is_executable)
    if rank is None or not file.content.startswith(MAGIC):
        return None
    binary = parse_binary(file.content)
    return None if binary is None else Program(file.entry.path, rank, binary)
