"""What the use cases need from the world, each need as a small protocol.

Every port has one contract suite under `tests/contracts/`, run over each implementation, the real ones and the fakes.
Anything that can fail says so by the errors of `oci/errors.py`; no other exception crosses a port.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import BinaryIO, Protocol

from proxy.oci.digests import Digest, Hasher
from proxy.oci.manifests import Descriptor


class Clock(Protocol):
    """Time, as an argument."""

    def now(self) -> float:
        """Answer the wall clock, in seconds since 1970."""

    def monotonic(self) -> float:
        """Answer a clock that never jumps, in seconds."""


class Events(Protocol):
    """Where happenings are told: logs, later metrics."""

    def note(self, event: str, /, **fields: object) -> None:
        """Tell that something happened as it should."""

    def warn(self, event: str, /, **fields: object) -> None:
        """Tell that something happened that an operator may want to know."""


@dataclass(frozen=True, slots=True)
class FetchedManifest:
    """A manifest as upstream sent it, its digest computed from the bytes; for schema 1 perhaps from its payload."""

    content: bytes
    media_type: str
    digest: Digest

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor that leads to these bytes."""
        return Descriptor(self.media_type, self.digest, len(self.content))


@dataclass(frozen=True, slots=True)
class TagPage:
    """One page of a tag list; `last` continues it, None where it ends."""

    tags: tuple[str, ...]
    last: str | None


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left of an upstream's pull allowance, by its last answer (protocol_and_perf.md A2)."""

    limit: int
    remaining: int
    window_seconds: int


class BlobStream(Protocol):
    """A blob on its way from upstream."""

    size: int | None
    """The size of the whole blob in bytes, as far as upstream told it."""
    offset: int
    """Where in the blob the stream begins: what was asked for, or 0 where upstream ignored it."""

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """Hand on whatever arrives.

        Raises:
            UpstreamUnreachable: The stream broke off or stalled.
        """


class ManifestSource(Protocol):
    """The manifests of an upstream. All methods raise ManifestUnknown and UpstreamError."""

    async def head_manifest(self, repository: str, target: str | Digest, /) -> Descriptor:
        """Ask what is under a tag or digest, without fetching it: free of Docker Hub's pull quota."""

    async def fetch_manifest(self, repository: str, target: str | Digest, /) -> FetchedManifest:
        """Fetch a manifest, its bytes checked against the digest where one was named."""


class BlobSource(Protocol):
    """The blobs of an upstream. All methods raise BlobUnknown and UpstreamError."""

    async def head_blob(self, repository: str, digest: Digest, /) -> int:
        """Ask for the size of a blob, in bytes."""

    def open_blob(
        self, repository: str, digest: Digest, /, *, offset: int = 0
    ) -> AbstractAsyncContextManager[BlobStream]:
        """Begin to fetch a blob, from some offset if upstream can. The bytes are not verified here."""


class Listing(Protocol):
    """The lists of an upstream. All methods raise NameUnknown and UpstreamError."""

    async def list_tags(self, repository: str, /, *, limit: int | None, last: str | None) -> TagPage:
        """Fetch one page of a repository's tags, after `last`."""

    async def fetch_referrers(self, repository: str, digest: Digest, /) -> FetchedManifest:
        """Fetch the index of what refers to a manifest; raises ManifestUnknown where upstream has no such API."""


class Upstream(ManifestSource, BlobSource, Listing, Protocol):
    """A registry that we pull from."""

    @property
    def quota(self) -> Quota | None:
        """What is left of the pull allowance, if upstream told it."""


class TagState(StrEnum):
    """What upstream last said of a tag."""

    PRESENT = "present"
    ABSENT = "absent"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class TagRecord:
    """What is known of a tag, and since when."""

    upstream: str
    repository: str
    tag: str
    state: TagState
    checked_at: float
    """Wall clock, in seconds since 1970."""
    descriptor: Descriptor | None = None
    """Where the state is PRESENT: what is under the tag."""


@dataclass(frozen=True, slots=True)
class Link:
    """That a repository may show some content, and where upstream that content is to be had."""

    upstream: str
    repository: str
    """The repository that clients ask for."""
    digest: Digest
    origin: str
    """The repository to fetch it from; empty for a synthesised index, which no upstream has."""
    media_type: str = ""
    size: int | None = None
    """In bytes, as the descriptor said that led here."""
    is_proven: bool = False
    """Whether upstream showed this content under the origin. A manifest may name what its repository does not hold:
    such a link says where to ask, but opens nothing that is in the cache already."""


class Catalog(Protocol):
    """The facts beside the blobs. Reads are quick and inline; a write is durable once awaited."""

    def find_tag(self, upstream: str, repository: str, tag: str, /) -> TagRecord | None:
        """Answer what is known of a tag."""

    async def put_tag(self, record: TagRecord, /) -> None:
        """Remember what upstream said of a tag."""

    def find_link(self, upstream: str, repository: str, digest: Digest, /) -> Link | None:
        """Answer the link of a repository to some content, if there is one."""

    async def put_links(self, links: Iterable[Link], /) -> None:
        """Remember links; one that is not proven never replaces one that is."""

    def list_tags(self, upstream: str | None = None, repository: str | None = None, /) -> list[TagRecord]:
        """Answer the tags known to be PRESENT, of one upstream and repository or of all, in order of their names."""

    async def put_contents(self, parent: Digest, children: Iterable[Digest], /) -> None:
        """Remember what a manifest needs to be whole, beside what is known of that already."""

    async def put_answer(self, upstream: str, repository: str, tag: str, digest: Digest | None, /) -> None:
        """Remember the synthesised index that a tag is answered with; None for upstream's own document."""


@dataclass(frozen=True, slots=True, order=True)
class Pin:
    """A tag, or a digest as text, whose content stays, whatever else has to leave."""

    upstream: str
    repository: str
    target: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """What is known of the content, all of it at one moment."""

    tags: tuple[TagRecord, ...] = ()
    """Those that are PRESENT, in order of their names."""
    answers: Mapping[tuple[str, str, str], Digest] = field(default_factory=dict)
    """The synthesised indexes, by upstream, repository and tag."""
    contents: Mapping[Digest, tuple[Digest, ...]] = field(default_factory=dict)
    """What each manifest needs to be whole."""
    uses: Mapping[Digest, float] = field(default_factory=dict)
    """The last use of some content: wall clock, in seconds since 1970."""
    pins: frozenset[Pin] = frozenset()


class Ledger(Protocol):
    """The catalog as housekeeping needs it. Everything here may take its time, and is durable once awaited."""

    @property
    def needs_rebuild(self) -> bool:
        """Whether it was begun anew, or by a version that knew less: the store may hold more than it tells."""

    async def finish_rebuild(self) -> None:
        """Remember that it knows all that can be found out. Raises Unavailable if that cannot be written."""

    async def take_inventory(self) -> Inventory:
        """Answer everything that is known of the content."""

    async def list_links(self) -> list[Link]:
        """Answer all links, in no particular order."""

    async def put_uses(self, uses: Mapping[Digest, float], /) -> None:
        """Remember last uses; an earlier one never replaces a later one."""

    async def put_pin(self, pin: Pin, /) -> None:
        """Remember a pin."""

    async def remove_pin(self, pin: Pin, /) -> bool:
        """Forget a pin; answers whether there was one."""

    async def forget_content(self, digests: Collection[Digest], /) -> None:
        """Forget content that has left the store: uses, what it consisted of, the tags and answers that led to it.

        Links stay that tell another origin than the repository's own name: nobody could tell that anew for a digest.
        """

    async def forget_tag(self, upstream: str, repository: str, tag: str, /) -> None:
        """Forget a tag and its answer."""

    async def forget_absent(self, before: float, /) -> None:
        """Forget what upstream said before a moment not to have, or not to show, under tags that lead nowhere else."""

    def read_revision(self) -> int:
        """Answer how often content was taken away behind the back of whoever else has the catalog open."""

    async def raise_revision(self) -> None:
        """Tell whoever else has the catalog open that content was taken away, or came in."""

    def watch_tags(self, callback: Callable[[], None], /) -> None:
        """Be called back whenever the tags that are PRESENT may have changed."""


@dataclass(frozen=True, slots=True)
class Diary:
    """What is remembered of standing orders."""

    begun: Mapping[str, float] = field(default_factory=dict)
    """When each was begun last, by its key: wall clock, in seconds since 1970."""
    pins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The tags that were pinned for each pattern."""


class DiaryKeeper(Protocol):
    """Where it is remembered. What cannot be written is told, and forgotten with the next restart."""

    def read(self) -> Diary:
        """Answer what is remembered, from memory."""

    async def write(self, diary: Diary, /) -> None:
        """Remember this instead."""


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob as housekeeping sees it."""

    digest: Digest
    size: int
    """In bytes."""
    stored_at: float
    """Wall clock, in seconds since 1970."""


class Readable(Protocol):
    """Bytes that can be read from any offset."""

    @property
    def file(self) -> BinaryIO | None:
        """The open file, for the kernel's sendfile, which may move its position; None where there are no files."""

    def read_at(self, offset: int, size: int, /) -> bytes:
        """Read up to `size` bytes from an offset, as far as there are some."""


class BlobReader(Readable, Protocol):
    """A stored blob, open for reading: `read_at` raises BlobDamaged where the disk cannot read it."""

    @property
    def size(self) -> int:
        """Its size in bytes."""


class Ingest(Readable, Protocol):
    """A blob on its way into the store: written, then committed or aborted, and readable meanwhile."""

    @property
    def written(self) -> int:
        """How many bytes are written, and can be read."""

    async def write(self, *chunks: bytes) -> None:
        """Append bytes. Raises Unavailable if the store has no room; `written` tells what it still took."""

    def verify(self) -> None:
        """Hold the written bytes against the digest. Raises UpstreamMisbehaved if they are not what it says."""

    async def commit(self) -> None:
        """Make the blob visible, durably. Raises UpstreamMisbehaved as `verify`, and Unavailable if the disk fails."""

    async def abort(self) -> None:
        """Throw away what was written. Does nothing after `commit`, `abort` or `suspend`."""

    async def suspend(self) -> None:
        """Keep what was written, for the next ingest of the same blob to go on with, after a restart too.

        Does nothing after `commit`, `abort` or `suspend`.
        """

    def copy_hasher(self) -> Hasher:
        """Answer the hash of what is written so far, for who goes on without the store."""

    def close(self) -> None:
        """Let go of the file, once the last reader has left."""


class BlobStore(Protocol):
    """Content by its address. What is found here was verified when it came in."""

    def find_size(self, digest: Digest, /) -> int | None:
        """Answer the size of a stored blob in bytes, or None if it is not stored."""

    def open_blob(self, digest: Digest, /) -> AbstractContextManager[BlobReader]:
        """Open a stored blob.

        Raises:
            BlobUnknown: It is not stored.
            BlobDamaged: It is stored, and cannot be opened, here or while it is read: it belongs into quarantine.
            Unavailable: Nothing can be opened now.
        """

    async def begin_ingest(self, digest: Digest, /) -> Ingest:
        """Begin to take in a blob, or go on where a suspended ingest of it ended: `written` tells where.

        Raises:
            Unavailable: The store cannot be written.
        """

    async def quarantine(self, digest: Digest, /) -> None:
        """Take a blob that is not what its digest says, or cannot be read, out of the store, and keep it aside."""

    async def remove(self, digest: Digest, /) -> None:
        """Take a blob out of the store; who reads it goes on reading. Does nothing where it is not stored."""

    async def list_blobs(self) -> list[StoredBlob]:
        """Answer all stored blobs, in no particular order."""

    async def list_suspended(self) -> list[StoredBlob]:
        """Answer the suspended ingests: how much of each is there, and since when."""

    async def drop_suspended(self, digest: Digest, /) -> None:
        """Throw a suspended ingest away. Does nothing where there is none."""

    async def list_quarantined(self) -> list[StoredBlob]:
        """Answer what was put aside, and since when."""

    async def drop_quarantined(self, digest: Digest, /) -> None:
        """Throw away what was put aside. Does nothing where there is none."""

    def is_read(self, digest: Digest, /) -> bool:
        """Tell whether a stored blob is open for reading here."""

    def free_bytes(self) -> int:
        """Answer how many bytes could still be written."""
