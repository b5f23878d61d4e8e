"""What the use cases need from the world, each need as a small protocol.

Every port has one contract suite under `tests/contracts/`, run over each implementation, the real ones and the fakes.
Anything that can fail says so by the errors of `oci/errors.py`; no other exception crosses a port.
"""

from proxy.ports.blobs import BlobReader, BlobStore, Ingest, Readable, StoredBlob
from proxy.ports.catalogs import Catalog, Diary, DiaryKeeper, Inventory, Ledger, Link, Pin, TagRecord, TagState
from proxy.ports.registries import (
    BlobSource,
    BlobStream,
    Destination,
    FetchedManifest,
    Listing,
    ManifestSource,
    Quota,
    Reading,
    TagPage,
    Upstream,
)
from proxy.ports.world import Clock, Events

__all__ = [
    "BlobReader",
    "BlobSource",
    "BlobStore",
    "BlobStream",
    "Catalog",
    "Clock",
    "Destination",
    "Diary",
    "DiaryKeeper",
    "Events",
    "FetchedManifest",
    "Ingest",
    "Inventory",
    "Ledger",
    "Link",
    "Listing",
    "ManifestSource",
    "Pin",
    "Quota",
    "Readable",
    "Reading",
    "StoredBlob",
    "TagPage",
    "TagRecord",
    "TagState",
    "Upstream",
]
