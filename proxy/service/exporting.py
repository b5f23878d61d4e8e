"""Images out of the cache into an archive: an OCI image layout that `docker load` takes, too."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from proxy.arch.compatibility import pick_best
from proxy.oci import layouts, media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import BlobUnknown, ManifestUnknown, Unavailable
from proxy.oci.manifests import Descriptor, ImageManifest
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference
from proxy.ports import BlobReader, BlobStore
from proxy.service.holdings import HeldDocument, HeldImage, Holding, Holdings, is_foreign
from proxy.service.inspection import Inspection

PIECE_BYTES = 1024 * 1024
BATCH_PIECES = 8
"""How many pieces one call into a thread reads, hashes and writes."""

Progress = Callable[[int, int], None]
"""Told how many bytes are done, of how many."""


class ArchiveWriter(Protocol):
    """An archive on its way out, name by name."""

    def add_folder(self, name: str, /) -> None:
        """Add a folder."""

    def begin_file(self, name: str, size: int, /) -> None:
        """Begin a file of so many bytes, all of which have to be written before the next one begins."""

    def write(self, content: bytes, /) -> None:
        """Write bytes of the file that was begun."""


@dataclass(frozen=True, slots=True)
class Export:
    """What goes into an archive."""

    reference: Reference
    root: Descriptor
    """The index or the image that the archive is of."""
    platforms: tuple[Platform | None, ...]
    """Those that are in it."""
    missing_platforms: tuple[Platform | None, ...]
    """Those that its index names, and that are not at hand."""
    documents: Mapping[str, bytes]
    """The files that are made for it."""
    blobs: Mapping[Digest, int]
    """What is taken from the store, with its size in bytes."""

    @property
    def size(self) -> int:
        """How many bytes the blobs have."""
        return sum(self.blobs.values())

    @property
    def is_for_docker(self) -> bool:
        """Whether an engine can load it that knows nothing of OCI layouts."""
        return layouts.DOCKER_FILE in self.documents


class Exporting:
    """Writes what is cached into archives."""

    def __init__(self, store: BlobStore, inspection: Inspection) -> None:
        """Take the store, and who knows what is in it."""
        self._store = store
        self._inspection = inspection
        self._holdings = Holdings(store)

    async def plan(self, reference: Reference, platform: Platform | None, *, one_image: bool) -> Export:
        """Answer what goes into an archive of a reference.

        Args:
            reference: What a client would ask the proxy for.
            platform: The one whose image is wanted; None for what there is.
            one_image: Whether the archive has to be of one image, for engines that know no indexes.

        Raises:
            ManifestUnknown: It is not at hand, or not for the platform, or for more than one.
        """
        found = await self._inspection.find(reference)
        holding = self._holdings.look(found) if found else Holding(None)
        if holding.root is None:
            raise ManifestUnknown(f"{reference} is not cached; pull it through the proxy first")
        if platform is not None:
            return self._image_export(reference, _pick(reference, holding, platform))
        if not holding.whole_images:
            raise ManifestUnknown(f"no image of {reference} is cached whole; pull it through the proxy first")
        if one_image:
            if len(holding.whole_images) > 1:
                raise ManifestUnknown(f"{reference} is cached for {_names(holding.whole_images)}: choose by --platform")
            return self._image_export(reference, holding.whole_images[0])
        return self._whole_export(reference, holding.root, holding)

    async def write(self, export: Export, writer: ArchiveWriter, progress: Progress) -> None:
        """Write an archive; the same bytes for the same content.

        Raises:
            Unavailable: A blob is damaged, or left the cache meanwhile.
        """
        blobs = {layouts.blob_path(digest): digest for digest in export.blobs}
        for folder in sorted({"blobs", *(name.rpartition("/")[0] for name in blobs)}):
            writer.add_folder(folder)
        written = 0
        for name in sorted((*blobs, *export.documents)):
            if name in blobs:
                async for count in self._copy(blobs[name], name, export.blobs[blobs[name]], writer):
                    written += count
                    progress(written, export.size)
            else:
                writer.begin_file(name, len(export.documents[name]))
                writer.write(export.documents[name])

    async def _copy(self, digest: Digest, name: str, size: int, writer: ArchiveWriter) -> AsyncIterator[int]:
        """Copy a blob, held against its digest on the way; tell how many bytes were written, again and again."""
        hasher = digest.hasher()

        def copy(reader: BlobReader, offset: int) -> int:
            before = offset
            for _ in range(BATCH_PIECES):
                piece = reader.read_at(offset, min(PIECE_BYTES, size - offset))
                hasher.update(piece)
                writer.write(piece)
                offset += len(piece)
                if not piece:
                    break
            return offset - before

        writer.begin_file(name, size)
        offset = 0
        try:
            with self._store.open_blob(digest) as reader:
                while count := await asyncio.to_thread(copy, reader, offset):
                    offset += count
                    yield count
        except BlobUnknown as error:
            raise Unavailable(f"{digest} left the cache meanwhile; try again") from error
        if hasher.hexdigest() != digest.encoded:
            raise Unavailable(f"{digest} is damaged; `polyarch cache verify --repair` fetches it again")

    def _whole_export(self, reference: Reference, root: HeldDocument, holding: Holding) -> Export:
        wanted = holding.whole_images
        present = {image.descriptor.digest for image in wanted}
        beside = (image for image in holding.images if image.is_whole and image.descriptor.attests in present)
        blobs = self._blobs_of((*wanted, *beside))
        for document in holding.indexes:
            blobs[document.descriptor.digest] = len(document.content)
        documents = self._documents(reference, root.descriptor, wanted)
        missing = tuple(image.platform for image in holding.lacking_images)
        return Export(reference, root.descriptor, _platforms(wanted), missing, documents, blobs)

    def _image_export(self, reference: Reference, image: HeldImage) -> Export:
        assert image.manifest is not None
        root = image.manifest.descriptor
        documents = self._documents(reference, root, (image,))
        return Export(reference, root, (image.platform,), (), documents, self._blobs_of((image,)))

    def _blobs_of(self, images: Iterable[HeldImage]) -> dict[Digest, int]:
        parts = [part for image in images for part in (image.descriptor, *image.parts)]
        found = {part.digest: self._store.find_size(part.digest) for part in parts}
        return {digest: size for digest, size in found.items() if size is not None}

    def _documents(self, reference: Reference, root: Descriptor, images: tuple[HeldImage, ...]) -> dict[str, bytes]:
        is_one = len(images) == 1
        platform = images[0].platform if is_one and images[0].descriptor.digest == root.digest else None
        documents = {
            layouts.LAYOUT_FILE: layouts.layout_content(),
            layouts.INDEX_FILE: layouts.index_content(root, platform, _named(reference, root)),
        }
        document = images[0].manifest.document if is_one and images[0].manifest else None
        if isinstance(document, ImageManifest) and _is_loadable(document):
            layers = [layer.digest for layer in document.layers]
            documents[layouts.DOCKER_FILE] = layouts.docker_content(document.config.digest, layers, reference)
            repositories = layouts.repositories_content(layers, reference)
            if repositories is not None:
                documents[layouts.REPOSITORIES_FILE] = repositories
        return documents

    def __repr__(self) -> str:
        return f"<Exporting from {self._store!r}>"


def _is_loadable(document: ImageManifest) -> bool:
    is_image = document.config.media_type in media_types.IMAGE_CONFIGS
    return is_image and not any(is_foreign(layer) for layer in document.layers)


def _named(reference: Reference, root: Descriptor) -> Reference:
    """Answer the name for an archive: by digest, it is that of what is in it."""
    if isinstance(reference.target, Digest):
        return Reference(reference.registry, reference.repository, root.digest)
    return reference


def _pick(reference: Reference, holding: Holding, platform: Platform) -> HeldImage:
    """Answer the image that a machine of some platform would run."""
    images = [image for image in holding.images if image.is_runnable]
    position = pick_best(platform, [image.platform for image in images])
    if position is not None and images[position].is_whole:
        return images[position]
    state = "is not cached whole" if position is not None else "has nothing that runs there"
    there = f"; there is {_names(holding.whole_images)}" if holding.whole_images else ""
    raise ManifestUnknown(f"{reference} for {platform} {state}{there}")


def _names(images: Iterable[HeldImage]) -> str:
    return ", ".join(str(image.platform or "an unknown platform") for image in images)


def _platforms(images: Iterable[HeldImage]) -> tuple[Platform | None, ...]:
    return tuple(dict.fromkeys(image.platform for image in images))
