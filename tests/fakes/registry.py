"""A registry in memory that can be pushed to: the `Destination` port, and the reading of what was pushed."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from proxy.oci import manifests
from proxy.oci.digests import Digest
from proxy.oci.errors import BlobUnknown, ManifestUnknown, UpstreamMisbehaved, UpstreamRefused, UpstreamUnreachable
from proxy.oci.manifests import Descriptor, ImageManifest, parse_manifest
from proxy.ports import BlobStream, FetchedManifest, Reading
from tests.lab.images import Document, Index


@dataclass
class Held:
    """What one repository has."""

    manifests: dict[Digest, FetchedManifest] = field(default_factory=dict)
    tags: dict[str, Digest] = field(default_factory=dict)
    blobs: dict[Digest, bytes] = field(default_factory=dict)


class MemoryBlobStream:
    """A blob that is at hand, in pieces."""

    def __init__(self, content: bytes, offset: int) -> None:
        self.size: int | None = len(content)
        self.offset = offset
        self._content = content

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        for position in range(self.offset, len(self._content), 100_000):
            yield self._content[position : position + 100_000]


class MemoryRegistry:
    """A registry in memory. Takes no manifest without its blobs, as a real one."""

    def __init__(self) -> None:
        self.repositories: dict[str, Held] = {}
        self.steps: list[tuple[str, str, str]] = []
        """What was put in: `mount`, `blob`, `manifest` or `tag`, the repository, and the digest or tag."""
        self.can_mount = True
        self.is_read_only = False
        self.breaks_after: int | None = None
        """After how many steps it answers nobody any more."""

    def fill(self, repository: str, *documents: Document, tag: str | None = None) -> None:
        """Put documents into a repository, as if they had been pushed; the last one under a tag, if one is named."""
        held = self.repositories.setdefault(repository, Held())
        for document in documents:
            if isinstance(document, Index):
                self.fill(repository, *document.images, *document.attestations)
            else:
                held.blobs |= {Digest.parse(blob.digest): blob.content for blob in (document.config, *document.layers)}
            manifest = document.manifest
            found = FetchedManifest(manifest.content, manifest.media_type, Digest.parse(manifest.digest))
            held.manifests[found.digest] = found
            if tag is not None:
                held.tags[tag] = found.digest

    def tags(self) -> dict[str, Digest]:
        """Answer all tags, by their names."""
        return {
            f"{name}:{tag}": digest for name, held in self.repositories.items() for tag, digest in held.tags.items()
        }

    async def head_manifest(self, repository: str, target: str | Digest, /) -> Descriptor:
        return (await self.fetch_manifest(repository, target)).descriptor

    async def fetch_manifest(self, repository: str, target: str | Digest, /) -> FetchedManifest:
        self._check_alive()
        held = self.repositories.get(repository, Held())
        digest = target if isinstance(target, Digest) else held.tags.get(target)
        if digest is None or digest not in held.manifests:
            raise ManifestUnknown(f"{repository} has no manifest {target}")
        return held.manifests[digest]

    async def head_blob(self, repository: str, digest: Digest, /) -> int:
        return len(self._blob(repository, digest))

    @asynccontextmanager
    async def open_blob(self, repository: str, digest: Digest, /, *, offset: int = 0) -> AsyncIterator[BlobStream]:
        yield MemoryBlobStream(self._blob(repository, digest), offset)

    async def has_blob(self, repository: str, digest: Digest, /) -> bool:
        self._check_alive()
        return digest in self.repositories.get(repository, Held()).blobs

    async def mount_blob(self, repository: str, digest: Digest, source: str, /) -> bool:
        self._check_writable(repository)
        found = self.repositories.get(source, Held()).blobs.get(digest)
        if found is None or not self.can_mount:
            return False
        self._step("mount", repository, str(digest))
        self._held(repository).blobs[digest] = found
        return True

    async def push_blob(self, repository: str, digest: Digest, size: int, read: Reading, /) -> None:
        self._check_writable(repository)
        content = b"".join([chunk async for chunk in read()])
        if not digest.matches(content) or len(content) != size:
            raise UpstreamMisbehaved(f"the registry does not take blob {digest}: DIGEST_INVALID")
        self._step("blob", repository, str(digest))
        self._held(repository).blobs[digest] = content

    async def push_manifest(self, repository: str, target: str | Digest, content: bytes, media_type: str, /) -> None:
        self._check_writable(repository)
        held, digest = self._held(repository), Digest.of(content)
        document = parse_manifest(content, media_type)
        needed = document.children if isinstance(document, ImageManifest) else ()
        lacking = [blob.digest for blob in needed if blob.digest not in held.blobs]
        if isinstance(document, manifests.Index):
            lacking += [one.digest for one in document.manifests if one.digest not in held.manifests]
        if lacking:
            raise UpstreamMisbehaved(f"the registry does not take manifest {target}: it lacks {lacking[0]}")
        self._step("manifest" if isinstance(target, Digest) else "tag", repository, str(target))
        held.manifests[digest] = FetchedManifest(content, media_type, digest)
        if not isinstance(target, Digest):
            held.tags[target] = digest

    def _held(self, repository: str) -> Held:
        return self.repositories.setdefault(repository, Held())

    def _blob(self, repository: str, digest: Digest) -> bytes:
        self._check_alive()
        found = self.repositories.get(repository, Held()).blobs.get(digest)
        if found is None:
            raise BlobUnknown(f"{repository} has no blob {digest}")
        return found

    def _step(self, *step: str) -> None:
        self._check_alive()
        kind, repository, what = step
        self.steps.append((kind, repository, what))

    def _check_alive(self) -> None:
        if self.breaks_after is not None and len(self.steps) >= self.breaks_after:
            raise UpstreamUnreachable("the registry is gone")

    def _check_writable(self, repository: str) -> None:
        self._check_alive()
        if self.is_read_only:
            raise UpstreamRefused(f"the registry does not let us write to {repository}")

    def __repr__(self) -> str:
        return f"<MemoryRegistry: {', '.join(self.tags())}>"
