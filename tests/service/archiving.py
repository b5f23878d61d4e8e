"""Archives of built images, as the tools of the world write them, and the reading and writing of them."""

import gzip
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from proxy.oci import layouts
from proxy.oci.references import Reference
from proxy.ports import BlobStore
from proxy.service.exporting import Export, Exporting
from proxy.service.freshness import Freshness
from proxy.service.importing import Imported, Importing, ImportTools
from proxy.service.inspection import Inspection
from proxy.storage.archive_reading import ArchiveFile
from proxy.storage.archive_writing import TarWriter
from tests.fakes.clock import ManualClock
from tests.lab.images import Blob, Document, Image, Index
from tests.service.bench import HUB, Kept
from tests.service.stocking import blobs_of
from tests.storage.tarballs import files_tarball

Files = dict[str, bytes]


def ignore(_done: int, _total: int) -> None:
    """Show nobody how far it is."""


def exporting(kept: Kept) -> Exporting:
    """Make the use case over a store and a catalog."""
    return Exporting(kept.store, Inspection(kept.store, kept.catalog, Freshness(), ManualClock()))


async def export(kept: Kept, reference: str, *, one_image: bool = False) -> tuple[Export, bytes]:
    """Export into bytes."""
    planned = await exporting(kept).plan(Reference.parse(reference), None, one_image=one_image)
    return planned, await write(kept, planned)


async def write(kept: Kept, planned: Export) -> bytes:
    """Write an archive into bytes."""
    stream = io.BytesIO()
    writer = TarWriter(stream)
    await exporting(kept).write(planned, writer, ignore)
    writer.finish()
    return stream.getvalue()


def importing(kept: Kept, clock: ManualClock | None = None, *, store: BlobStore | None = None) -> Importing:
    """Make the use case over a store and a catalog."""
    tools = ImportTools(store or kept.store, kept.catalog, kept.catalog, clock or ManualClock(), {HUB, "ghcr.io"})
    return Importing(tools)


async def take_in(kept: Kept, folder: Path, content: bytes, name: str | None = None) -> Imported:
    """Import from bytes."""
    path = folder / f"archive-{hashlib.sha256(content).hexdigest()[:8]}.tar"
    path.write_bytes(content)
    named = None if name is None else Reference.parse(name)
    return await importing(kept).run(ArchiveFile(path), named, ignore)


def blob_files(*blobs: Blob) -> Files:
    """Write blobs as a layout has them."""
    return {f"blobs/{blob.digest.replace(':', '/')}": blob.content for blob in blobs}


def layout_files(named: Mapping[str, Document], images: Sequence[Image] | None = None) -> Files:
    """Write an OCI layout of some documents by their names, with some of their images; all of them if none is named."""
    found: Files = {layouts.LAYOUT_FILE: layouts.layout_content()}
    entries = []
    for name, document in named.items():
        notes = {layouts.IMAGE_NAME: name, layouts.REF_NAME: name.rpartition(":")[2]} if name else {}
        entries.append({**document.manifest.descriptor(), "annotations": notes})
        known = (*document.images, *document.attestations) if isinstance(document, Index) else (document,)
        found |= blob_files(document.manifest)
        for image in known if images is None else images:
            found |= blob_files(*blobs_of(image))
    found[layouts.INDEX_FILE] = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    return found


def saved_files(image: Image, *names: str, uncompressed: bool = True) -> Files:
    """Write an image as `docker save` did before Engine 25: a config, and layers in folders of their own."""
    found: Files = {}
    paths = []
    for number, layer in enumerate(image.layers):
        paths.append(f"{number:064x}/layer.tar")
        found[paths[-1]] = gzip.decompress(layer.content) if uncompressed else layer.content
        found[f"{number:064x}/VERSION"] = b"1.0"
    config = f"{image.config.digest.removeprefix('sha256:')}.json"
    found[config] = image.config.content
    found["manifest.json"] = json.dumps([{"Config": config, "RepoTags": names or None, "Layers": paths}]).encode()
    return found


def archive_of(files: Files) -> bytes:
    """Write a tar file."""
    return files_tarball(files)
