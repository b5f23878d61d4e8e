"""The reference store and catalog: everything in dictionaries, for tests, and to say by example what the ports mean."""

import collections
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO

from proxy.oci.digests import Digest, Hasher
from proxy.oci.errors import BlobUnknown, UpstreamMisbehaved
from proxy.ports import BlobReader, Ingest, Inventory, Link, Pin, StoredBlob, TagRecord, TagState


class MemoryReader:
    """A stored blob, open for reading."""

    file: BinaryIO | None = None

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.size = len(content)

    def read_at(self, offset: int, size: int, /) -> bytes:
        """Read up to `size` bytes from an offset."""
        return self._content[offset : offset + size]


class MemoryIngest:
    """A blob on its way in."""

    file: BinaryIO | None = None

    def __init__(self, store: "MemoryBlobStore", digest: Digest) -> None:
        self._store = store
        self._digest = digest
        self._content = bytearray(store.suspended.pop(digest, b""))
        self._is_over = False

    @property
    def written(self) -> int:
        """How many bytes are written, and can be read."""
        return len(self._content)

    async def write(self, *chunks: bytes) -> None:
        """Append bytes."""
        for chunk in chunks:
            self._content += chunk

    def read_at(self, offset: int, size: int, /) -> bytes:
        """Read up to `size` of the bytes written so far."""
        return bytes(self._content[offset : offset + size])

    def verify(self) -> None:
        """Hold the written bytes against the digest."""
        if not self._digest.matches(bytes(self._content)):
            raise UpstreamMisbehaved(f"upstream sent {self.written} bytes that are not {self._digest}")

    async def commit(self) -> None:
        """Make the blob visible if it is what its digest says."""
        self.verify()
        self._is_over = True
        self._store.blobs[self._digest] = bytes(self._content)

    async def abort(self) -> None:
        """Throw away what was written: nothing of it was visible."""
        self._is_over = True

    async def suspend(self) -> None:
        """Keep what was written, for the next ingest of the same blob."""
        if not self._is_over and len(self._content) > len(self._store.suspended.get(self._digest, b"")):
            self._store.suspended[self._digest] = bytes(self._content)
        self._is_over = True

    def copy_hasher(self) -> Hasher:
        """Answer the hash of what is written so far."""
        hasher = self._digest.hasher()
        hasher.update(self._content)
        return hasher

    def close(self) -> None:
        """Let go: there is nothing to let go of."""


class MemoryBlobStore:
    """Blobs in a dictionary."""

    def __init__(self) -> None:
        self.blobs: dict[Digest, bytes] = {}
        self.suspended: dict[Digest, bytes] = {}
        self.quarantined: dict[Digest, bytes] = {}
        self._readers: collections.Counter[Digest] = collections.Counter()

    def find_size(self, digest: Digest, /) -> int | None:
        """Answer the size of a stored blob in bytes, or None."""
        content = self.blobs.get(digest)
        return None if content is None else len(content)

    @contextmanager
    def open_blob(self, digest: Digest, /) -> Iterator[BlobReader]:
        """Open a stored blob."""
        if digest not in self.blobs:
            raise BlobUnknown(f"{digest} is not stored")
        self._readers[digest] += 1
        try:
            yield MemoryReader(self.blobs[digest])
        finally:
            self._readers[digest] -= 1

    async def begin_ingest(self, digest: Digest, /) -> Ingest:
        """Begin to take in a blob, or go on where a suspended ingest of it ended."""
        return MemoryIngest(self, digest)

    async def quarantine(self, digest: Digest, /) -> None:
        """Take a blob out of the store, and keep it aside."""
        if digest in self.blobs:
            self.quarantined[digest] = self.blobs.pop(digest)

    async def remove(self, digest: Digest, /) -> None:
        """Take a blob out of the store."""
        self.blobs.pop(digest, None)

    async def list_blobs(self) -> list[StoredBlob]:
        """Answer all stored blobs; a dictionary has no times."""
        return [StoredBlob(digest, len(content), 0.0) for digest, content in self.blobs.items()]

    async def list_suspended(self) -> list[StoredBlob]:
        """Answer the suspended ingests."""
        return [StoredBlob(digest, len(content), 0.0) for digest, content in self.suspended.items()]

    async def drop_suspended(self, digest: Digest, /) -> None:
        """Throw a suspended ingest away."""
        self.suspended.pop(digest, None)

    async def list_quarantined(self) -> list[StoredBlob]:
        """Answer what was put aside."""
        return [StoredBlob(digest, len(content), 0.0) for digest, content in self.quarantined.items()]

    async def drop_quarantined(self, digest: Digest, /) -> None:
        """Throw away what was put aside."""
        self.quarantined.pop(digest, None)

    def is_read(self, digest: Digest, /) -> bool:
        """Tell whether a stored blob is open for reading here."""
        return self._readers[digest] > 0

    def free_bytes(self) -> int:
        """Answer how many bytes could still be written: as many as a process can count."""
        return sys.maxsize

    def __repr__(self) -> str:
        return f"<MemoryBlobStore: {len(self.blobs)} blobs>"


class MemoryCatalog:
    """Facts in dictionaries."""

    def __init__(self) -> None:
        self.needs_rebuild = False
        self._tags: dict[tuple[str, str, str], TagRecord] = {}
        self._links: dict[tuple[str, str, Digest], Link] = {}
        self._answers: dict[tuple[str, str, str], Digest] = {}
        self._contents: dict[Digest, set[Digest]] = {}
        self._uses: dict[Digest, float] = {}
        self._pins: set[Pin] = set()
        self._revision = 0
        self._watchers: list[Callable[[], None]] = []

    def find_tag(self, upstream: str, repository: str, tag: str, /) -> TagRecord | None:
        """Answer what is known of a tag."""
        return self._tags.get((upstream, repository, tag))

    async def put_tag(self, record: TagRecord, /) -> None:
        """Remember what upstream said of a tag."""
        self._tags[record.upstream, record.repository, record.tag] = record
        self._tell_watchers()

    def find_link(self, upstream: str, repository: str, digest: Digest, /) -> Link | None:
        """Answer the link of a repository to some content, if there is one."""
        return self._links.get((upstream, repository, digest))

    async def put_links(self, links: Iterable[Link], /) -> None:
        """Remember links; one that is not proven never replaces one that is."""
        for link in links:
            key = (link.upstream, link.repository, link.digest)
            known = self._links.get(key)
            if link.is_proven or known is None or not known.is_proven:
                self._links[key] = link

    def list_tags(self, upstream: str | None = None, repository: str | None = None, /) -> list[TagRecord]:
        """Answer the tags known to be PRESENT, in order of their names."""
        return [
            record
            for (of_upstream, of_repository, _), record in sorted(self._tags.items())
            if record.state is TagState.PRESENT
            and upstream in {None, of_upstream}
            and repository in {None, of_repository}
        ]

    async def take_tags(self) -> list[TagRecord]:
        """Answer the tags known to be PRESENT, in order of their names."""
        return self.list_tags()

    async def put_contents(self, parent: Digest, children: Iterable[Digest], /) -> None:
        """Remember what a manifest needs to be whole."""
        self._contents.setdefault(parent, set()).update(children)

    async def put_answer(self, upstream: str, repository: str, tag: str, digest: Digest | None, /) -> None:
        """Remember the synthesised index that a tag is answered with; None for upstream's own document."""
        if digest is None:
            self._answers.pop((upstream, repository, tag), None)
        else:
            self._answers[upstream, repository, tag] = digest

    async def take_inventory(self) -> Inventory:
        """Answer everything that is known of the content."""
        contents = {parent: tuple(sorted(children)) for parent, children in self._contents.items() if children}
        return Inventory(
            tuple(self.list_tags()), dict(self._answers), contents, dict(self._uses), frozenset(self._pins)
        )

    async def list_links(self) -> list[Link]:
        """Answer all links."""
        return list(self._links.values())

    async def put_uses(self, uses: Mapping[Digest, float], /) -> None:
        """Remember last uses; an earlier one never replaces a later one."""
        for digest, moment in uses.items():
            self._uses[digest] = max(moment, self._uses.get(digest, moment))

    async def put_pin(self, pin: Pin, /) -> None:
        """Remember a pin."""
        self._pins.add(pin)

    async def remove_pin(self, pin: Pin, /) -> bool:
        """Forget a pin."""
        was_there = pin in self._pins
        self._pins.discard(pin)
        return was_there

    async def forget_content(self, digests: Collection[Digest], /) -> None:
        """Forget content that has left the store."""
        for digest in digests:
            self._contents.pop(digest, None)
            self._uses.pop(digest, None)
        gone = [key for key, one in self._tags.items() if one.descriptor and one.descriptor.digest in digests]
        for key in gone:
            del self._tags[key]
        for answer in [key for key, digest in self._answers.items() if digest in digests]:
            del self._answers[answer]
        for name in [key for key, one in self._links.items() if one.digest in digests and one.origin == one.repository]:
            del self._links[name]
        self._tell_watchers()

    async def forget_tag(self, upstream: str, repository: str, tag: str, /) -> None:
        """Forget a tag and its answer."""
        self._tags.pop((upstream, repository, tag), None)
        self._answers.pop((upstream, repository, tag), None)
        self._tell_watchers()

    async def forget_absent(self, before: float, /) -> None:
        """Forget what upstream said before a moment not to have, or not to show, under tags that lead nowhere else."""
        known = {tag for *_, tag in self._answers} | {one.tag for one in self.list_tags()}
        for key, record in list(self._tags.items()):
            if record.checked_at < before and record.tag not in known:
                del self._tags[key]

    async def finish_rebuild(self) -> None:
        """Remember that it knows all that can be found out."""
        self.needs_rebuild = False

    def read_revision(self) -> int:
        """Answer how often content was taken away behind somebody's back."""
        return self._revision

    async def raise_revision(self) -> None:
        """Tell whoever else has the catalog open that content was taken away, or came in."""
        self._revision += 1

    def watch_tags(self, callback: Callable[[], None], /) -> None:
        """Be called back whenever the tags that are PRESENT may have changed."""
        self._watchers.append(callback)

    def _tell_watchers(self) -> None:
        for tell in self._watchers:
            tell()

    def __repr__(self) -> str:
        return f"<MemoryCatalog: {len(self._tags)} tags, {len(self._links)} links>"
