"""An OCI image layout on disk as a source of images (image-spec, image-layout.md): what builders write.

Read only, and as it is: whoever takes content from it holds that against its digest.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from proxy.oci.digests import Digest
from proxy.oci.errors import BlobDamaged, BlobUnknown, InvalidManifest, InvalidSetting, ManifestUnknown
from proxy.oci.manifests import MAX_MANIFEST_BYTES, Descriptor, Index, parse_manifest
from proxy.oci.media_types import OCI_INDEX
from proxy.ports import BlobStream, FetchedManifest

PIECE_BYTES = 1024 * 1024


class LayoutSource:
    """The `ManifestSource` and `BlobSource` ports over a folder. Repositories mean nothing here."""

    def __init__(self, folder: Path) -> None:
        """Take the folder: the one that `index.json` is in."""
        self._folder = folder

    def list_manifests(self) -> tuple[Descriptor, ...]:
        """Answer what the layout's index lists.

        Raises:
            InvalidSetting: There is no such layout.
        """
        try:
            found = parse_manifest((self._folder / "index.json").read_bytes(), OCI_INDEX)
        except (OSError, InvalidManifest) as error:
            raise InvalidSetting(f"{self._folder} is no OCI image layout: {error}") from error
        return found.manifests if isinstance(found, Index) else ()

    async def head_manifest(self, repository: str, target: str | Digest, /) -> Descriptor:
        """Answer the descriptor of a manifest."""
        return (await self.fetch_manifest(repository, target)).descriptor

    async def fetch_manifest(self, _repository: str, target: str | Digest, /) -> FetchedManifest:
        """Read a manifest by its digest."""
        try:
            path = self._path_of(target) if isinstance(target, Digest) else None
            content = path.read_bytes() if path and path.stat().st_size <= MAX_MANIFEST_BYTES else b""
        except OSError as error:
            raise ManifestUnknown(f"{self._folder} has no manifest {target}") from error
        if not isinstance(target, Digest) or not target.matches(content):
            raise ManifestUnknown(f"{self._folder} has no manifest {target}")
        return FetchedManifest(content, _media_type_of(content), target)

    async def head_blob(self, _repository: str, digest: Digest, /) -> int:
        """Answer the size of a blob, in bytes."""
        try:
            return self._path_of(digest).stat().st_size
        except OSError as error:
            raise BlobUnknown(f"{self._folder} has no blob {digest}") from error

    @asynccontextmanager
    async def open_blob(self, repository: str, digest: Digest, /, *, offset: int = 0) -> AsyncIterator[BlobStream]:
        """Begin to read a blob."""
        size = await self.head_blob(repository, digest)
        yield _FileStream(self._path_of(digest), size, offset)

    def _path_of(self, digest: Digest) -> Path:
        return self._folder / "blobs" / digest.algorithm / digest.encoded

    def __repr__(self) -> str:
        return f"<LayoutSource {self._folder}>"


class _FileStream:
    def __init__(self, path: Path, size: int, offset: int) -> None:
        self._path = path
        self.size: int | None = size
        self.offset = offset

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        # Reading is inline: the page cache has what a builder has just written.
        try:
            with self._path.open("rb") as file:
                file.seek(self.offset)
                while chunk := file.read(PIECE_BYTES):
                    yield chunk
        except OSError as error:
            raise BlobDamaged(f"{self._path} cannot be read: {error.strerror}") from error


def _media_type_of(content: bytes) -> str:
    """Answer what a document says of itself, or shows by its form."""
    try:
        return parse_manifest(content, "").media_type
    except InvalidManifest as error:
        raise ManifestUnknown(f"what is there is no manifest: {error}") from error
