"""The reference store and catalog: everything in dictionaries, for tests, and to say by example what the ports mean."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from proxy.oci.digests import Digest
from proxy.oci.errors import BlobUnknown, UpstreamMisbehaved
from proxy.ports import BlobReader, Ingest, Link, TagRecord, TagState


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

    def __init__(self, blobs: dict[Digest, bytes], digest: Digest) -> None:
        self._blobs = blobs
        self._digest = digest
        self._content = bytearray()

    @property
    def written(self) -> int:
        """How many bytes are written, and can be read."""
        return len(self._content)

    async def write(self, chunk: bytes, /) -> None:
        """Append bytes."""
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
        self._blobs[self._digest] = bytes(self._content)

    async def abort(self) -> None:
        """Throw away what was written: nothing of it was visible."""

    def close(self) -> None:
        """Let go: there is nothing to let go of."""


class MemoryBlobStore:
    """Blobs in a dictionary."""

    def __init__(self) -> None:
        self._blobs: dict[Digest, bytes] = {}

    def find_size(self, digest: Digest, /) -> int | None:
        """Answer the size of a stored blob in bytes, or None."""
        content = self._blobs.get(digest)
        return None if content is None else len(content)

    @contextmanager
    def open_blob(self, digest: Digest, /) -> Iterator[BlobReader]:
        """Open a stored blob."""
        if digest not in self._blobs:
            raise BlobUnknown(f"{digest} is not stored")
        yield MemoryReader(self._blobs[digest])

    async def begin_ingest(self, digest: Digest, /) -> Ingest:
        """Begin to take in a blob."""
        return MemoryIngest(self._blobs, digest)

    async def quarantine(self, digest: Digest, /) -> None:
        """Take a blob out of the store."""
        self._blobs.pop(digest, None)

    def __repr__(self) -> str:
        return f"<MemoryBlobStore: {len(self._blobs)} blobs>"


class MemoryCatalog:
    """Facts in dictionaries."""

    def __init__(self) -> None:
        self._tags: dict[tuple[str, str, str], TagRecord] = {}
        self._links: dict[tuple[str, str, Digest], Link] = {}

    def find_tag(self, upstream: str, repository: str, tag: str, /) -> TagRecord | None:
        """Answer what is known of a tag."""
        return self._tags.get((upstream, repository, tag))

    async def put_tag(self, record: TagRecord, /) -> None:
        """Remember what upstream said of a tag."""
        self._tags[record.upstream, record.repository, record.tag] = record

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

    def __repr__(self) -> str:
        return f"<MemoryCatalog: {len(self._tags)} tags, {len(self._links)} links>"
