"""Registries: where content comes from, and where it is published."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from proxy.oci.digests import Digest
from proxy.oci.manifests import Descriptor


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


Reading = Callable[[], AsyncGenerator[bytes, None]]
"""Begins to read some content, from its beginning, as often as it is called."""


class Destination(ManifestSource, Protocol):
    """A registry that we push to (distribution-spec 1.1.1, "Push").

    All methods raise UpstreamRefused where we may not, and the other errors of an upstream.
    """

    async def has_blob(self, repository: str, digest: Digest, /) -> bool:
        """Tell whether a repository has a blob."""

    async def mount_blob(self, repository: str, digest: Digest, source: str, /) -> bool:
        """Let a repository have a blob of another one; tell whether that was done. If not, it is to be pushed."""

    async def push_blob(self, repository: str, digest: Digest, size: int, read: Reading, /) -> None:
        """Push a blob of `size` bytes; what breaks off is begun again, so it may be read several times."""

    async def push_manifest(self, repository: str, target: str | Digest, content: bytes, media_type: str, /) -> None:
        """Push a manifest under a tag, or by its digest alone."""
