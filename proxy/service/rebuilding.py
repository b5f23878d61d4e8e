"""The catalog made again out of what is stored, when it was lost or is of a version that knew less.

The tags come out of the layout's own index. Every stored manifest tells what it consists of; and what hangs on a tag
belongs to that tag's repository. Synthesised indexes are known by their beginning: it is what upstream has.
What was known by digest alone cannot be told any more: upstream has to show it once.

Whether upstream ever showed a repository some content is not written in the layout. What anybody can pull is taken as
shown to the repositories whose manifests name it; what came from an upstream that takes credentials is not
(docs/decisions/0002): but for the tagged documents themselves, upstream has to show that again.
"""

import asyncio
import collections
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import BlobDamaged, BlobUnknown, InvalidManifest, RegistryError
from proxy.oci.manifests import MAX_MANIFEST_BYTES, Descriptor, ImageManifest, Index, parse_manifest
from proxy.ports import BlobStore, Catalog, Clock, Events, Ledger, Link, StoredBlob, TagRecord

TAGS_AT_ONCE = 50
BLOBS_AT_ONCE = 200
PUTS_AT_ONCE = 500
BEGIN_BYTES = 64

_T = TypeVar("_T")
Document = Index | ImageManifest


class LostCatalog(Catalog, Ledger, Protocol):
    """A catalog that may know less than the layout holds."""


@dataclass(frozen=True, slots=True)
class RebuildTools:
    """What rebuilding works with."""

    store: BlobStore
    catalog: LostCatalog
    clock: Clock
    events: Events
    private: Collection[str] = ()
    """The upstreams that take credentials."""


@dataclass(slots=True)
class _Found:
    """What was found out and is not written yet."""

    links: list[Link] = field(default_factory=list)
    contents: list[tuple[Digest, tuple[Digest, ...]]] = field(default_factory=list)


async def restore_tags(catalog: Catalog, records: Iterable[TagRecord]) -> None:
    """Put back the tags that a catalog does not know."""
    lost = [one for one in records if catalog.find_tag(one.upstream, one.repository, one.tag) is None]
    for part in _parts(lost, PUTS_AT_ONCE):
        await asyncio.gather(*(catalog.put_tag(record) for record in part))


class Rebuilding:
    """Finds out what a catalog should know: once, then it is of no more use."""

    def __init__(self, tools: RebuildTools) -> None:
        """Take the store to look through, and the catalog, which has its tags already."""
        self._tools = tools
        self._seen: set[Digest] = set()
        """The documents that hang on a tag."""
        self._private: set[Digest] = set()
        """What hangs on a tag of an upstream that takes credentials."""
        self._holders: dict[tuple[str, Digest], list[TagRecord]] = collections.defaultdict(list)
        """The tags that a manifest hangs on, by its upstream."""
        self._bases: dict[Digest, list[tuple[TagRecord, tuple[Digest, ...]]]] = collections.defaultdict(list)
        """What upstream has under each tag, by the first image of it."""
        self._answers: dict[tuple[str, str, str], tuple[float, Digest]] = {}
        self._damaged: dict[Digest, str] = {}
        """What cannot be read, and why: to be put aside."""

    async def run(self) -> None:
        """Find out, and write it down; what can be served is served meanwhile."""
        try:
            await self._run()
        except RegistryError as error:
            self._tools.events.warn("catalog.not_rebuilt", reason=error.message)

    async def _run(self) -> None:
        tools, began = self._tools, self._tools.clock.monotonic()
        tags = sorted(tools.catalog.list_tags(), key=lambda record: record.upstream not in tools.private)
        for tagged in _parts(tags, TAGS_AT_ONCE):
            await self._write(await asyncio.to_thread(self._look_at_tags, tagged))
        blobs = [blob for blob in await tools.store.list_blobs() if self._is_unseen(blob)]
        for part in _parts(blobs, BLOBS_AT_ONCE):
            await self._write(await asyncio.to_thread(self._look_at_blobs, part))
        for (upstream, repository, tag), (_, digest) in self._answers.items():
            await tools.catalog.put_answer(upstream, repository, tag, digest)
        await tools.catalog.finish_rebuild()
        seconds = round(tools.clock.monotonic() - began, 3)
        if self._seen:
            tools.events.note("catalog.rebuilt", tags=len(tags), documents=len(self._seen), seconds=seconds)

    def _is_unseen(self, blob: StoredBlob) -> bool:
        return blob.size <= MAX_MANIFEST_BYTES and blob.digest not in self._seen

    def _look_at_tags(self, records: Iterable[TagRecord]) -> _Found:
        found = _Found()
        for record in records:
            if record.descriptor is None:
                continue
            found.links += self._look_at_tree(record.descriptor, record, record.repository, found)
            document = self._read(record.descriptor)
            if document is not None:
                base = _entries(document) if isinstance(document, Index) else (record.descriptor.digest,)
                for first in base[:1]:
                    self._bases[first].append((record, base))
        return found

    def _look_at_tree(self, root: Descriptor, record: TagRecord, origin: str, found: _Found) -> Iterator[Link]:
        """Look at all that hangs on a document, and tell how it is linked to the repository of a tag."""
        upstream, repository = record.upstream, record.repository
        for one, document in self._walk(root):
            is_shown = one.digest == root.digest == record.descriptor.digest if record.descriptor else False
            yield Link(
                *(upstream, repository, one.digest, origin, one.media_type, one.size),
                is_proven=is_shown or self._is_open(upstream, one.digest),
            )
            if document is not None:
                self._seen.add(one.digest)
                self._holders[upstream, one.digest].append(record)
                found.contents.append((one.digest, tuple(child.digest for child in document.children)))

    def _is_open(self, upstream: str, digest: Digest) -> bool:
        if upstream in self._tools.private:
            self._private.add(digest)
        return digest not in self._private and self._tools.store.find_size(digest) is not None

    def _look_at_blobs(self, blobs: Iterable[StoredBlob]) -> _Found:
        found = _Found()
        for blob in blobs:
            document = self._read(Descriptor("", blob.digest, blob.size))
            if document is None:
                continue
            self._seen.add(blob.digest)
            found.contents.append((blob.digest, tuple(child.digest for child in document.children)))
            if isinstance(document, Index):
                self._look_at_index(blob, document, found)
        return found

    def _look_at_index(self, blob: StoredBlob, index: Index, found: _Found) -> None:
        """Look whether an index that no tag leads to was synthesised for one, and from what."""
        entries = _entries(index)
        for record, base in self._bases.get(entries[0], ()) if entries else ():
            if len(base) < len(entries) and entries[: len(base)] == base:
                self._remember_answer(record, blob)
                name = (record.upstream, record.repository, blob.digest)
                found.links.append(Link(*name, "", index.media_type, blob.size, is_proven=True))
                found.contents += [(blob.digest, (record.descriptor.digest,))] if record.descriptor else []
                for added in index.manifests[len(base) :]:
                    self._look_at_addition(added, record, blob.digest, found)

    def _look_at_addition(self, added: Descriptor, record: TagRecord, index: Digest, found: _Found) -> None:
        for holder in self._holders.get((record.upstream, added.digest), ()):
            if holder.repository != record.repository and holder.descriptor is not None:
                found.contents.append((index, (holder.descriptor.digest,)))
                found.links += self._look_at_tree(added, record, holder.repository, _Found())
                return

    def _remember_answer(self, record: TagRecord, blob: StoredBlob) -> None:
        name, answer = (record.upstream, record.repository, record.tag), (blob.stored_at, blob.digest)
        self._answers[name] = max(answer, self._answers.get(name, answer))

    def _walk(self, root: Descriptor) -> Iterator[tuple[Descriptor, Document | None]]:
        waiting, seen = [root], {root.digest}
        for one in waiting:  # it grows meanwhile
            document = self._read(one) if one.media_type in media_types.MANIFESTS else None
            yield one, document
            for child in document.children if document is not None else ():
                if child.digest not in seen:
                    seen.add(child.digest)
                    waiting.append(child)

    def _read(self, descriptor: Descriptor) -> Document | None:
        """Read a document if it is stored, and sound, and one; layers are told by their first bytes."""
        size = self._tools.store.find_size(descriptor.digest)
        if size is None or size > MAX_MANIFEST_BYTES:
            return None
        try:
            with self._tools.store.open_blob(descriptor.digest) as reader:
                if not reader.read_at(0, BEGIN_BYTES).lstrip().startswith(b"{"):
                    return None
                content = reader.read_at(0, reader.size)
            if not descriptor.digest.matches(content):
                return None
            document = parse_manifest(content, descriptor.media_type)
        except (BlobUnknown, InvalidManifest):
            return None
        except BlobDamaged as error:
            self._damaged[descriptor.digest] = error.message
            return None
        return document if isinstance(document, Index | ImageManifest) else None

    async def _write(self, found: _Found) -> None:
        await self._put_aside()
        catalog = self._tools.catalog
        for part in _parts(found.contents, PUTS_AT_ONCE):
            await asyncio.gather(*(catalog.put_contents(parent, children) for parent, children in part))
        await catalog.put_links([link for link in found.links if self._is_news(link)])

    async def _put_aside(self) -> None:
        """Put aside what could not be read."""
        while self._damaged:
            digest, reason = self._damaged.popitem()
            self._tools.events.warn("blob.quarantined", digest=str(digest), reason=reason)
            await self._tools.store.quarantine(digest)

    def _is_news(self, link: Link) -> bool:
        known = self._tools.catalog.find_link(link.upstream, link.repository, link.digest)
        return known is None or (link.is_proven and not known.is_proven)

    def __repr__(self) -> str:
        return f"<Rebuilding: {len(self._seen)} documents>"


def _entries(index: Index) -> tuple[Digest, ...]:
    return tuple(entry.digest for entry in index.manifests)


def _parts(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
