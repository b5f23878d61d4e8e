"""One cached image, down to where the build for each platform came from."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from proxy.arch.compatibility import can_run
from proxy.oci.digests import Digest
from proxy.oci.errors import ManifestUnknown
from proxy.oci.manifests import Descriptor
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference
from proxy.ports import BlobStore, Catalog, Inventory, Ledger, TagRecord
from proxy.service.holdings import HeldImage, Holdings
from proxy.service.inspection import Inspection, ListedImage, reference_of


class Source(StrEnum):
    """How a build came into an index."""

    UPSTREAM = "upstream"
    """Upstream's own tag has it."""
    ADDED = "added"
    """It was found in another place."""
    ALIAS = "alias"
    """It stands there for a further platform: stored once, it is fit for several."""


@dataclass(frozen=True, slots=True)
class DetailedBuild:
    """The build for one platform."""

    platform: Platform | None
    digest: Digest
    size: int
    """Of its manifest, config and layers, in bytes; of the manifest alone while no more is known."""
    is_whole: bool
    """Whether all of it is at hand."""
    source: Source
    origin: str | None
    """Where an added build is from: `docker.io/arm32v7/debian:jessie`; without its tag where none leads to it now."""
    shared_with: tuple[Platform, ...]
    """The further platforms that the same image stands for."""


@dataclass(frozen=True, slots=True)
class DetailedImage:
    """A cached image."""

    listed: ListedImage
    builds: tuple[DetailedBuild, ...]
    """By the order of its index."""


class ImageDetails:
    """Looks at single images; changes nothing, and asks nobody."""

    def __init__(self, store: BlobStore, catalog: Catalog, ledger: Ledger, inspection: Inspection) -> None:
        """Take what the cache consists of."""
        self._catalog = catalog
        self._ledger = ledger
        self._inspection = inspection
        self._holdings = Holdings(store)

    async def show(self, reference: Reference) -> DetailedImage:
        """Answer a tag as it is cached.

        Raises:
            ManifestUnknown: It is not.
        """
        inventory = await self._ledger.take_inventory()
        record = next((one for one in inventory.tags if reference_of(one) == reference), None)
        if record is None or record.descriptor is None:
            raise ManifestUnknown(f"{reference} is not cached under that tag")
        listed = self._inspection.describe(record, record.descriptor, inventory)
        own = _runnable(self._holdings.look(record.descriptor).images)
        shown = own
        if listed.answer is not None:
            shown = _runnable(self._holdings.look(Descriptor("", listed.answer, 0)).images)
        return DetailedImage(listed, tuple(self._detail(one, shown, own, record, inventory) for one in shown))

    def _detail(
        self,
        image: HeldImage,
        shown: Sequence[HeldImage],
        own: Sequence[HeldImage],
        record: TagRecord,
        inventory: Inventory,
    ) -> DetailedBuild:
        digest = image.descriptor.digest
        alike = [one for one in shown if one.descriptor.digest == digest]
        is_own = digest in {one.descriptor.digest for one in own}
        if is_own:
            is_listed = len(alike) == 1 or image.platform in {one.platform for one in own}
            source = Source.UPSTREAM if is_listed else Source.ALIAS
        else:
            source = Source.ADDED if image is _original(alike) else Source.ALIAS
        return DetailedBuild(
            platform=image.platform,
            digest=digest,
            size=image.descriptor.size + sum(part.size for part in image.parts),
            is_whole=image.is_whole,
            source=source,
            origin=None if is_own else self._find_origin(digest, record, inventory),
            shared_with=tuple(one.platform for one in alike if one.platform and one.platform != image.platform),
        )

    def _find_origin(self, digest: Digest, record: TagRecord, inventory: Inventory) -> str | None:
        link = self._catalog.find_link(record.upstream, record.repository, digest)
        if link is None or not link.origin:
            return None
        tags = [
            one.tag
            for one in inventory.tags
            if (one.upstream, one.repository) == (record.upstream, link.origin)
            and one.descriptor is not None
            and digest in {one.descriptor.digest, *inventory.contents.get(one.descriptor.digest, ())}
        ]
        name = f"{record.upstream}/{link.origin}"
        return f"{name}:{min(tags, key=lambda tag: (tag != record.tag, tag))}" if tags else name

    def __repr__(self) -> str:
        return f"<ImageDetails of {self._holdings!r}>"


def _original(alike: Sequence[HeldImage]) -> HeldImage:
    """Answer the entry of an image for what it was built for: of all that it stands for, what the others run."""
    platforms = [one.platform for one in alike if one.platform]
    fit = (one for one in alike if one.platform and all(can_run(other, one.platform) for other in platforms))
    return next(fit, alike[0])


def _runnable(images: Sequence[HeldImage]) -> list[HeldImage]:
    return [image for image in images if image.is_runnable]
