"""What an archive holds, and what of it is taken in: decided before anything is changed.

Everything in an archive is a claim until its bytes were hashed: names of blobs, digests in documents, layers in
configs. Here the hashes are at hand already, and the claims are held against them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from proxy.oci import layouts, media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidManifest
from proxy.oci.layouts import InvalidArchive, SavedImage
from proxy.oci.manifests import MAX_MANIFEST_BYTES, Descriptor, Document, ImageManifest, Index, parse_manifest
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference
from proxy.service.holdings import MAX_INDEX_DEPTH, is_foreign

_T = TypeVar("_T")

MAX_LINKS = 8
"""How many links may lead from a name to a file. Docker wrote one: a layer that is another image's, too."""
MAX_DOCUMENTS_BYTES = 256 * 1024 * 1024
"""How many bytes all documents of an archive may have: they are kept in memory."""

_CONFIG_NAME = re.compile(r"(?:.*[/:])?(?P<encoded>[0-9a-f]{64})(?:\.json)?")


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """One file of an archive, as it was read."""

    digest: Digest
    """Of its bytes: as its name says, where that is a blob's."""
    size: int
    """In bytes."""
    begin: bytes
    """Its first bytes."""
    content: bytes | None = None
    """All of them, where it may be a document."""


@dataclass(slots=True)
class Contents:
    """Everything that an archive holds."""

    files: dict[str, ArchivedFile] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def add_file(self, name: str, file: ArchivedFile) -> None:
        """Add a file. Raises InvalidArchive if the archive has said something else of it before."""
        known = self.files.setdefault(name, file)
        if known.digest != file.digest or name in self.links:
            raise InvalidArchive(f"it holds {name[:100]!r} twice, and not the same")

    def add_link(self, name: str, target: str) -> None:
        """Add a link. Raises InvalidArchive if the archive has said something else of it before."""
        if self.links.setdefault(name, target) != target or name in self.files:
            raise InvalidArchive(f"it holds {name[:100]!r} twice, and not the same")

    def find(self, name: str) -> ArchivedFile | None:
        """Answer a file by its name, or by that of a link to it."""
        for _ in range(MAX_LINKS):
            if name not in self.links:
                break
            name = self.links[name]
        return self.files.get(name)

    def find_blob(self, descriptor: Descriptor) -> ArchivedFile | None:
        """Answer a blob. Raises InvalidArchive if it is not what the descriptor tells."""
        found = self.find(layouts.blob_path(descriptor.digest))
        if found is not None and found.digest != descriptor.digest:
            raise InvalidArchive(f"{descriptor.digest} is not what its name says")
        if found is not None and found.size != descriptor.size:
            raise InvalidArchive(f"{descriptor.digest} has {found.size} bytes, and should have {descriptor.size}")
        return found


@dataclass(frozen=True, slots=True)
class PlannedManifest:
    """A manifest that is taken in."""

    descriptor: Descriptor
    content: bytes
    document: Document


@dataclass(frozen=True, slots=True)
class PlannedImage:
    """What is taken in under one name or several."""

    names: tuple[Reference, ...]
    root: Descriptor
    manifests: tuple[PlannedManifest, ...]
    """The root and all that it leads to, as far as the archive has it."""
    missing: tuple[Descriptor, ...]
    """What its index names, and the archive does not have."""

    @property
    def parts(self) -> dict[Digest, Descriptor]:
        """The configs and layers."""
        images = (one.document for one in self.manifests if isinstance(one.document, ImageManifest))
        return {part.digest: part for image in images for part in image.children}

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """The platforms that the archive has, as far as an index tells them."""
        held = {one.descriptor.digest for one in self.manifests}
        indexes = (one.document for one in self.manifests if isinstance(one.document, Index))
        found = (entry for index in indexes for entry in index.manifests if entry.digest in held)
        return tuple(dict.fromkeys(one.platform for one in found if one.platform is not None and one.is_runnable))


def plan_images(contents: Contents, name: Reference | None) -> list[PlannedImage]:
    """Answer what is taken in of an archive.

    Args:
        contents: What it holds.
        name: What its one image is to be called; None for the names that the archive tells.

    Raises:
        InvalidArchive: It is none, or it is not what it claims to be.
    """
    saved = contents.find(layouts.DOCKER_FILE)
    docker = layouts.parse_docker(_document(saved, layouts.DOCKER_FILE)) if saved else ()
    layout, index = contents.find(layouts.LAYOUT_FILE), contents.find(layouts.INDEX_FILE)
    if layout is not None and index is not None:
        layouts.check_layout(_document(layout, layouts.LAYOUT_FILE))
        named = layouts.parse_index(_document(index, layouts.INDEX_FILE)).manifests
        images = [
            _Walk(contents).plan(root, names) for root, names in _choose(_names_of(named), name, layouts.INDEX_FILE)
        ]
        # Docker Engine 25 wrote image manifests without layers; what it meant is in the other list.
        if not docker or not any(_is_hollow(contents, image) for image in images):
            return images
    if not docker:
        raise InvalidArchive("it is neither an OCI image layout nor what `docker save` writes")
    named_saved = [(one, tuple(map(layouts.parse_archive_reference, one.names))) for one in docker]
    return [_plan_saved(contents, one, names) for one, names in _choose(named_saved, name, layouts.DOCKER_FILE)]


class _Walk:
    """One way from a root to all that it leads to."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._manifests: dict[Digest, PlannedManifest] = {}
        self._missing: dict[Digest, Descriptor] = {}

    def plan(self, root: Descriptor, names: tuple[Reference, ...]) -> PlannedImage:
        """Answer what is taken in of a root."""
        if not self._add(root, 0):
            raise InvalidArchive(f"{layouts.INDEX_FILE} names {root.digest}, which is not in it")
        found = self._manifests[root.digest].descriptor
        return PlannedImage(names, found, tuple(self._manifests.values()), tuple(self._missing.values()))

    def _add(self, descriptor: Descriptor, depth: int) -> bool:
        if descriptor.digest in self._manifests:
            return True
        file = self._contents.find_blob(descriptor)
        if file is None:
            return False
        if depth > MAX_INDEX_DEPTH:
            raise InvalidArchive(f"it holds indexes that are nested deeper than {MAX_INDEX_DEPTH}")
        content = _document(file, str(descriptor.digest))
        document = _parse(content, descriptor)
        found = Descriptor(document.media_type, descriptor.digest, len(content), descriptor.platform)
        self._manifests[descriptor.digest] = PlannedManifest(found, content, document)
        if isinstance(document, Index):
            for child in document.manifests:
                if not self._add(child, depth + 1):
                    self._missing[child.digest] = child
        else:
            self._check_parts(descriptor.digest, document)
        return True

    def _check_parts(self, digest: Digest, document: Document) -> None:
        for part in document.children:
            if self._contents.find_blob(part) is None and not is_foreign(part):
                raise InvalidArchive(f"{part.digest} is not in it, which the image {digest} needs")


def _parse(content: bytes, descriptor: Descriptor) -> Document:
    try:
        document = parse_manifest(content, descriptor.media_type)
    except InvalidManifest as error:
        raise InvalidArchive(f"{descriptor.digest} cannot be used: {error}") from error
    if document.media_type in media_types.SCHEMA1:
        raise InvalidArchive(f"{descriptor.digest} is an image of a form that no engine runs any more (schema 1)")
    return document


def _names_of(entries: Iterable[Descriptor]) -> list[tuple[Descriptor, tuple[Reference, ...]]]:
    """Answer the names of each document: an entry has one at most, but a document may have several entries."""
    found: dict[Digest, tuple[Descriptor, tuple[Reference, ...]]] = {}
    for entry in entries:
        first, names = found.get(entry.digest, (entry, ()))
        name = layouts.parse_name(entry)
        found[entry.digest] = (first, names if name is None else (*names, name))
    return list(found.values())


def _choose(
    images: list[tuple[_T, tuple[Reference, ...]]], name: Reference | None, file: str
) -> list[tuple[_T, tuple[Reference, ...]]]:
    """Answer the images that are taken in, each with its names."""
    if not images:
        raise InvalidArchive(f"{file} names no image")
    if name is not None:
        if len(images) > 1:
            raise InvalidArchive(f"it holds {len(images)} images, and --as can name one only")
        return [(images[0][0], (name,))]
    named = [(image, names) for image, names in images if names]
    if not named:
        raise InvalidArchive("nothing in it says what it is called; name it with --as NAME:TAG")
    return named


def _is_hollow(contents: Contents, image: PlannedImage) -> bool:
    """Tell an image manifest that has fewer layers than its config."""
    for one in image.manifests:
        if isinstance(one.document, ImageManifest) and one.document.config.media_type in media_types.IMAGE_CONFIGS:
            config = contents.find_blob(one.document.config)
            diff_ids = layouts.parse_diff_ids(config.content) if config and config.content else None
            if diff_ids is not None and len(one.document.layers) < len(diff_ids):
                return True
    return False


def _plan_saved(contents: Contents, saved: SavedImage, names: tuple[Reference, ...]) -> PlannedImage:
    """Answer what is taken in of an image that came without a manifest: one is made for it."""
    config = contents.find(_inside(saved.config))
    if config is None:
        raise InvalidArchive(f"{saved.config[:100]!r} is not in it, the config of an image")
    content = _document(config, saved.config)
    claimed = _CONFIG_NAME.fullmatch(saved.config)
    if claimed and claimed["encoded"] != config.digest.encoded:
        raise InvalidArchive(f"{saved.config[:100]!r} is not what its name says")
    diff_ids = layouts.parse_diff_ids(content)
    if diff_ids is None or len(diff_ids) != len(saved.layers):
        raise InvalidArchive(
            f"it holds {len(saved.layers)} layers of an image whose config tells {len(diff_ids or ())}"
        )
    layers = [_saved_layer(contents, name, diff_id) for name, diff_id in zip(saved.layers, diff_ids, strict=True)]
    made = layouts.image_content(Descriptor(media_types.OCI_CONFIG, config.digest, config.size), layers)
    root = Descriptor(media_types.OCI_MANIFEST, Digest.of(made), len(made))
    return PlannedImage(names, root, (PlannedManifest(root, made, _parse(made, root)),), ())


def _saved_layer(contents: Contents, name: str, diff_id: Digest) -> Descriptor:
    file = contents.find(_inside(name))
    if file is None:
        raise InvalidArchive(f"{name[:100]!r} is not in it, a layer of an image")
    media_type = layouts.layer_media_type(file.begin)
    if media_type == layouts.LAYER and file.digest != diff_id:
        raise InvalidArchive(f"{name[:100]!r} is not the layer that its image's config tells")
    return Descriptor(media_type, file.digest, file.size)


def _inside(name: str) -> str:
    return name.removeprefix("./")


def _document(file: ArchivedFile, name: str) -> bytes:
    if file.content is None:
        raise InvalidArchive(f"{name[:100]} is no JSON, or has more than {MAX_MANIFEST_BYTES} bytes")
    return file.content
