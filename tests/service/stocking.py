"""Images put into a store and its catalog, as if they had been pulled."""

from collections.abc import Iterable

from proxy.oci.manifests import Descriptor, parse_manifest
from proxy.ports import Link, TagRecord, TagState
from proxy.service.caching import Caching
from proxy.service.manifests import Manifests, StoredManifest
from tests.fakes.events import RecordingEvents
from tests.lab.images import Blob, Document, Image, Index
from tests.service.bench import DEBIAN, HUB, Kept, address, put_blob


def describe(blob: Blob) -> Descriptor:
    """Answer the descriptor of a built blob."""
    return Descriptor(blob.media_type, address(blob), len(blob.content))


def blobs_of(image: Image) -> tuple[Blob, ...]:
    """Answer everything that an image consists of."""
    return (image.manifest, image.config, *image.layers)


async def stock(
    kept: Kept,
    document: Document,
    tag: str,
    *,
    repository: str = DEBIAN,
    images: Iterable[Image] | None = None,
    checked_at: float = 1_700_000_000.0,
) -> None:
    """Put a document under a tag, with some of its images; all of them, if none are named."""
    events = RecordingEvents()
    manifests = Manifests(kept.store, kept.catalog, events, Caching(events), memory_bytes=0)
    known = (*document.images, *document.attestations) if isinstance(document, Index) else (document,)
    for blob in (
        document.manifest,
        *(blob for image in (known if images is None else images) for blob in blobs_of(image)),
    ):
        await put_blob(kept.store, blob.content)
        if "manifest" in blob.media_type or "index" in blob.media_type:
            parsed = parse_manifest(blob.content, blob.media_type)
            await manifests.link(HUB, repository, repository, StoredManifest(blob.content, address(blob), parsed))
        else:
            await kept.catalog.put_links(
                [Link(HUB, repository, address(blob), repository, blob.media_type, len(blob.content), is_proven=True)]
            )
    found = describe(document.manifest)
    await kept.catalog.put_tag(TagRecord(HUB, repository, tag, TagState.PRESENT, checked_at, found))
