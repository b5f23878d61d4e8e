"""What of a document is at hand: an index, the images that it lists, and the parts that each of them needs.

Belongs here: reading the store by the documents in it, without memory, upstream or side effects. What hangs together
and may leave is in `service/eviction.py`, which goes by the catalog alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import BlobDamaged, BlobUnknown, InvalidManifest
from proxy.oci.manifests import (
    MAX_MANIFEST_BYTES,
    Descriptor,
    Document,
    ImageManifest,
    Index,
    parse_config_platform,
    parse_manifest,
)
from proxy.oci.platforms import Platform
from proxy.ports import BlobStore

MAX_INDEX_DEPTH = 4
"""How deep indexes may be nested; what lies deeper is not looked at. Nobody is known to nest more than two."""
FOREIGN = ("foreign", "nondistributable")
"""Parts of the media types of layers that no registry has to hold (image-spec, layer.md)."""


@dataclass(frozen=True, slots=True)
class HeldDocument:
    """A manifest that is at hand."""

    descriptor: Descriptor
    """Its media type and size are the document's own: who asks by digest need not know them."""
    content: bytes
    document: Document


@dataclass(frozen=True, slots=True)
class HeldImage:
    """An image manifest that something leads to, and what of it is at hand."""

    descriptor: Descriptor
    platform: Platform | None
    """What it was built for: as its index says, else as its config does."""
    manifest: HeldDocument | None
    """None where not even the manifest is at hand."""
    lacking: tuple[Digest, ...]
    """What is needed to run it, and is not at hand."""

    @property
    def is_whole(self) -> bool:
        """Whether it can be run with what is at hand."""
        return not self.lacking

    @property
    def is_runnable(self) -> bool:
        """Tell an image from an attestation or another artifact."""
        return self.descriptor.is_runnable

    @property
    def parts(self) -> tuple[Descriptor, ...]:
        """Its config and layers, as far as they are known."""
        return self.manifest.document.children if self.manifest else ()


@dataclass(frozen=True, slots=True)
class Holding:
    """What is at hand of all that a document leads to."""

    root: HeldDocument | None
    """None where the document itself is not at hand."""
    indexes: tuple[HeldDocument, ...] = ()
    """The indexes, the root first where it is one."""
    images: tuple[HeldImage, ...] = ()
    sizes: dict[Digest, int] = field(default_factory=dict)
    """Everything that is at hand, with its size in bytes."""

    @property
    def whole_images(self) -> tuple[HeldImage, ...]:
        """The images that can be run, by the order of their index; one that stands there under several, once."""
        return _each_once(image for image in self.images if image.is_whole and image.is_runnable)

    @property
    def lacking_images(self) -> tuple[HeldImage, ...]:
        """The images that are known, and not at hand whole; each once."""
        return _each_once(image for image in self.images if not image.is_whole and image.is_runnable)


class Holdings:
    """Looks through a store by its documents."""

    def __init__(self, store: BlobStore) -> None:
        """Take the store to look through."""
        self._store = store

    def find_document(self, descriptor: Descriptor) -> HeldDocument | None:
        """Answer a manifest that is at hand and sound, or None."""
        content = self._read(descriptor.digest)
        if content is None or not descriptor.digest.matches(content):
            return None
        try:
            document = parse_manifest(content, descriptor.media_type)
        except InvalidManifest:
            return None
        found = replace(descriptor, media_type=document.media_type, size=len(content))
        return HeldDocument(found, content, document)

    def look(self, root: Descriptor) -> Holding:
        """Answer what is at hand of a document and all that it leads to."""
        found = self.find_document(root)
        if found is None:
            return Holding(None)
        indexes: list[HeldDocument] = []
        images = list(self._images(found, indexes, 1))
        documents = [*indexes, *(image.manifest for image in images if image.manifest)]
        parts = (part.digest for image in images for part in image.parts)
        known = dict.fromkeys((*(one.descriptor.digest for one in documents), found.descriptor.digest, *parts))
        return Holding(found, tuple(indexes), tuple(images), self._sizes(known))

    def _images(self, found: HeldDocument, indexes: list[HeldDocument], depth: int) -> Iterator[HeldImage]:
        if not isinstance(found.document, Index):
            yield self._image(found.descriptor, found)
            return
        indexes.append(found)
        for child in found.document.manifests:
            if not child.is_index:
                yield self._image(child, self.find_document(child))
            elif depth < MAX_INDEX_DEPTH and child.digest not in {one.descriptor.digest for one in indexes}:
                inner = self.find_document(child)
                if inner is None:
                    yield HeldImage(child, child.platform, None, (child.digest,))
                else:
                    yield from self._images(inner, indexes, depth + 1)

    def _image(self, descriptor: Descriptor, manifest: HeldDocument | None) -> HeldImage:
        if manifest is None:
            return HeldImage(descriptor, descriptor.platform, None, (descriptor.digest,))
        needed = [part for part in manifest.document.children if not is_foreign(part)]
        lacking = tuple(part.digest for part in needed if self._store.find_size(part.digest) is None)
        platform = descriptor.platform or self._config_platform(manifest.document)
        return HeldImage(descriptor, platform, manifest, lacking)

    def _config_platform(self, document: Document) -> Platform | None:
        if not isinstance(document, ImageManifest) or document.config.media_type not in media_types.IMAGE_CONFIGS:
            return None
        content = self._read(document.config.digest)
        try:
            return None if content is None else parse_config_platform(content)
        except InvalidManifest:
            return None

    def _sizes(self, digests: Iterable[Digest]) -> dict[Digest, int]:
        found = ((digest, self._store.find_size(digest)) for digest in digests)
        return {digest: size for digest, size in found if size is not None}

    def _read(self, digest: Digest) -> bytes | None:
        try:
            with self._store.open_blob(digest) as reader:
                return reader.read_at(0, reader.size) if reader.size <= MAX_MANIFEST_BYTES else None
        except (BlobDamaged, BlobUnknown, OSError):
            return None

    def __repr__(self) -> str:
        return f"<Holdings of {self._store!r}>"


def _each_once(images: Iterable[HeldImage]) -> tuple[HeldImage, ...]:
    # The last entry is the image's own: an index lists what is more specific first, and aliases are for such machines.
    return tuple({image.descriptor.digest: image for image in images}.values())


def is_foreign(part: Descriptor) -> bool:
    """Tell a layer that no registry has to hold: an image is whole without it."""
    return any(word in part.media_type for word in FOREIGN)
