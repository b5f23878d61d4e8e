"""An upstream in memory: the `Upstream` port, with whatever an upstream may do to us at the touch of a button."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from proxy.oci.digests import Digest
from proxy.oci.errors import (
    BlobUnknown,
    ManifestUnknown,
    NameUnknown,
    NotFound,
    RegistryError,
    UpstreamMisbehaved,
    UpstreamRefused,
    UpstreamSilent,
    UpstreamUnreachable,
)
from proxy.oci.manifests import MAX_MANIFEST_BYTES, Descriptor
from proxy.oci.schema1 import is_payload_digest
from proxy.ports import BlobStream, FetchedManifest, Quota, TagPage
from tests.lab.images import Blob, Document, Image, Index


class Kind(StrEnum):
    """The kinds of request that are counted, held and failed."""

    HEAD_MANIFEST = "head-manifest"
    GET_MANIFEST = "get-manifest"
    HEAD_BLOB = "head-blob"
    GET_BLOB = "get-blob"
    TAGS = "tags"
    REFERRERS = "referrers"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    kind: Kind
    repository: str
    target: str = ""
    """A tag or a digest."""
    offset: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.repository} {self.target}".rstrip()


@dataclass(slots=True)
class Manners:
    """How blobs are sent. Positions are counted from the beginning of the blob."""

    chunk_bytes: int = 64 * 1024
    breaks_at: list[int] = field(default_factory=list)
    """Every position breaks one stream that reaches it, in order."""
    ends_early_at: int | None = None
    """Streams end here as if this were the end."""
    pauses_at: int | None = None
    """Streams stand still here until `resume` is set."""
    resume: asyncio.Event = field(default_factory=asyncio.Event)
    ignores_range: bool = False
    hides_size: bool = False
    announces: int | None = None
    """A size that is told instead of the true one."""
    sends: bytes | None = None
    """Bytes that are sent instead of the true ones."""


@dataclass(slots=True)
class Repository:
    """What is under one name."""

    tags: dict[str, Digest] = field(default_factory=dict)
    manifests: dict[Digest, FetchedManifest] = field(default_factory=dict)
    blobs: dict[Digest, bytes] = field(default_factory=dict)
    referrers: dict[Digest, FetchedManifest] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Failure:
    error: RegistryError
    kind: Kind | None
    repository: str | None

    def strikes(self, asked: Asked) -> bool:
        return self.kind in {None, asked.kind} and self.repository in {None, asked.repository}


class FakeBlobStream:
    """The `BlobStream` port, from bytes at hand."""

    def __init__(self, content: bytes, offset: int, size: int | None, manners: Manners) -> None:
        self.size = size
        self.offset = offset
        self._content = content
        self._manners = manners

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        position = self.offset
        end = len(self._content) if self._manners.ends_early_at is None else self._manners.ends_early_at
        while True:
            await self._meet_trouble(position)
            if position >= end:
                return
            stop = min([position + self._manners.chunk_bytes, end, *self._stops_after(position)])
            yield self._content[position:stop]
            position = stop

    async def _meet_trouble(self, position: int) -> None:
        manners = self._manners
        if manners.breaks_at and position >= manners.breaks_at[0]:
            manners.breaks_at.pop(0)
            raise UpstreamUnreachable(f"the stream broke at {position}")
        if manners.pauses_at is not None and position >= manners.pauses_at:
            await manners.resume.wait()

    def _stops_after(self, position: int) -> list[int]:
        marks = [*self._manners.breaks_at[:1], *([] if self._manners.pauses_at is None else [self._manners.pauses_at])]
        return [mark for mark in marks if mark > position]


class FakeUpstream:
    """A registry in memory."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.quota: Quota | None = None
        self.denied: set[str] = set()
        """Repositories that are not shown to us."""
        self.hides_absent = False
        """Whether an absent repository is refused instead of unknown, as Docker Hub does it."""
        self.has_referrers = True
        """Whether there is a referrers API."""
        self.manners = Manners()
        self.open_streams = 0
        """Blob streams that were opened and not yet closed."""
        self.asked: list[Asked] = []
        self._failures: list[_Failure] = []
        self._holds: dict[Kind, asyncio.Event] = {}
        self._news = asyncio.Event()

    # What there is

    def push(self, name: str, document: Document) -> None:
        """Put an image, or an index with all that it lists, under `repository:tag`."""
        repository, _, tag = name.rpartition(":")
        images = (*document.images, *document.attestations) if isinstance(document, Index) else (document,)
        for image in images:
            self._put_image(repository, image)
        self.put_manifest(repository, document.manifest.content, document.manifest.media_type, tag=tag)

    def put_manifest(
        self, repository: str, content: bytes, media_type: str, *, tag: str = "", digest: Digest | None = None
    ) -> Digest:
        """Put a document of any kind into a repository, and under a tag; under a false digest, if one is given."""
        address = digest or Digest.of(content)
        home = self._home(repository)
        home.manifests[address] = FetchedManifest(content, media_type, address)
        if tag:
            home.tags[tag] = address
        return address

    def put_blob(self, repository: str, content: bytes, *, digest: Digest | None = None) -> Digest:
        """Put a blob into a repository; under another digest than its own, if it shall be a false one."""
        address = digest or Digest.of(content)
        self._home(repository).blobs[address] = content
        return address

    def put_referrers(self, repository: str, subject: Digest, content: bytes, media_type: str) -> None:
        """Let the referrers API answer this for a manifest."""
        self._home(repository).referrers[subject] = FetchedManifest(content, media_type, Digest.of(content))

    def remove(self, repository: str) -> None:
        """Take a repository away."""
        del self.repositories[repository]

    # What goes wrong

    def fail(self, error: RegistryError, *, kind: Kind | None = None, repository: str | None = None) -> None:
        """Answer every matching request with an error, until `recover`."""
        self._failures.append(_Failure(error, kind, repository))

    def go_offline(self) -> None:
        """Give no answer at all, until `recover`."""
        self.fail(UpstreamSilent("the upstream cannot be asked now: gone"))

    def recover(self) -> None:
        """Fail nobody any more."""
        self._failures.clear()

    def hold(self, kind: Kind) -> asyncio.Event:
        """Let requests of a kind wait until the event is set."""
        return self._holds.setdefault(kind, asyncio.Event())

    # What was asked

    def count(self, kind: Kind | None = None, repository: str | None = None) -> int:
        """Answer how many matching requests there were."""
        return sum(kind in {None, one.kind} and repository in {None, one.repository} for one in self.asked)

    @property
    def counts(self) -> dict[str, int]:
        """How many requests there were of each kind that was asked."""
        return dict(Counter(str(one.kind) for one in self.asked))

    def forget(self) -> None:
        """Forget what was asked."""
        self.asked.clear()

    async def wait_asked(self, kind: Kind, *, count: int = 1) -> None:
        """Wait until so many requests of a kind came in, answered or not."""
        while self.count(kind) < count:
            await self._news.wait()

    # The port

    async def head_manifest(self, repository: str, target: str | Digest, /) -> Descriptor:
        await self._admit(Asked(Kind.HEAD_MANIFEST, repository, str(target)), ManifestUnknown)
        return self._manifest(repository, target).descriptor

    async def fetch_manifest(self, repository: str, target: str | Digest, /) -> FetchedManifest:
        await self._admit(Asked(Kind.GET_MANIFEST, repository, str(target)), ManifestUnknown)
        found = self._manifest(repository, target)
        if len(found.content) > MAX_MANIFEST_BYTES:
            raise UpstreamMisbehaved(f"a manifest of {len(found.content)} bytes")
        if not found.digest.matches(found.content) and not is_payload_digest(found.digest, found.content):
            raise UpstreamMisbehaved(f"{len(found.content)} bytes that are not {found.digest}")
        return found

    async def head_blob(self, repository: str, digest: Digest, /) -> int:
        await self._admit(Asked(Kind.HEAD_BLOB, repository, str(digest)), BlobUnknown)
        size = len(self._blob(repository, digest))
        return size if self.manners.announces is None else self.manners.announces

    @asynccontextmanager
    async def open_blob(self, repository: str, digest: Digest, /, *, offset: int = 0) -> AsyncIterator[BlobStream]:
        await self._admit(Asked(Kind.GET_BLOB, repository, str(digest), offset), BlobUnknown)
        content, manners = self._blob(repository, digest), self.manners
        if offset and offset >= len(content) and not manners.ignores_range:
            raise UpstreamMisbehaved("upstream answered 416, which has no meaning here")
        size = len(content) if manners.announces is None else manners.announces
        body = content if manners.sends is None else manners.sends
        start = 0 if manners.ignores_range else offset
        self.open_streams += 1
        try:
            yield FakeBlobStream(body, start, None if manners.hides_size else size, manners)
        finally:
            self.open_streams -= 1

    async def list_tags(self, repository: str, /, *, limit: int | None, last: str | None) -> TagPage:
        await self._admit(Asked(Kind.TAGS, repository, last or ""), NameUnknown)
        after = sorted(tag for tag in self.repositories[repository].tags if last is None or tag > last)
        tags = tuple(after if limit is None else after[:limit])
        return TagPage(tags, tags[-1] if tags and len(tags) < len(after) else None)

    async def fetch_referrers(self, repository: str, digest: Digest, /) -> FetchedManifest:
        await self._admit(Asked(Kind.REFERRERS, repository, str(digest)), ManifestUnknown)
        found = self.repositories[repository].referrers.get(digest)
        if found is None or not self.has_referrers:
            raise ManifestUnknown(f"{repository} has no referrers API")
        return found

    def __repr__(self) -> str:
        return f"<FakeUpstream: {sorted(self.repositories)}, asked {self.counts}>"

    async def _admit(self, asked: Asked, absent: type[NotFound]) -> None:
        self.asked.append(asked)
        self._news.set()
        self._news = asyncio.Event()
        if asked.kind in self._holds:
            await self._holds[asked.kind].wait()
        for failure in self._failures:
            if failure.strikes(asked):
                raise failure.error
        is_absent = asked.repository not in self.repositories
        if asked.repository in self.denied or (is_absent and self.hides_absent):
            raise UpstreamRefused(f"{asked.repository} is not shown: absent, or private")
        if is_absent:
            raise absent(f"there is no {asked.repository}")

    def _manifest(self, repository: str, target: str | Digest) -> FetchedManifest:
        home = self.repositories[repository]
        digest = target if isinstance(target, Digest) else home.tags.get(target)
        found = None if digest is None else home.manifests.get(digest)
        if found is None:
            raise ManifestUnknown(f"{repository} has no manifest {target}")
        return found

    def _blob(self, repository: str, digest: Digest) -> bytes:
        content = self.repositories[repository].blobs.get(digest)
        if content is None:
            raise BlobUnknown(f"{repository} has no blob {digest}")
        return content

    def _home(self, repository: str) -> Repository:
        return self.repositories.setdefault(repository, Repository())

    def _put_image(self, repository: str, image: Image) -> None:
        self.put_manifest(repository, image.manifest.content, image.manifest.media_type)
        for blob in (image.config, *image.layers):
            self.put_blob(repository, blob.content)


def digest_of(blob: Blob) -> Digest:
    """Answer the address of a built blob as a value."""
    return Digest.parse(blob.digest)
