"""What stands under a reference, for people and for scripts: an index entry by entry, or an image."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from proxy.cli.tables import Side, format_size, render_table
from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidManifest, UpstreamMisbehaved
from proxy.oci.manifests import Descriptor, Document, ImageManifest, Index, parse_manifest
from proxy.oci.references import Reference
from proxy.ports import FetchedManifest

_COLUMNS = (("PLATFORM", Side.LEFT), ("DIGEST", Side.LEFT), ("SIZE", Side.RIGHT), ("KIND", Side.LEFT))
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: an image of an index, or a part of an image."""

    descriptor: Descriptor
    kind: str


def read_entries(found: FetchedManifest) -> list[Entry]:
    """Answer what a document leads to.

    Raises:
        UpstreamMisbehaved: It cannot be read.
    """
    try:
        document = parse_manifest(found.content, found.media_type)
    except InvalidManifest as error:
        raise UpstreamMisbehaved(f"{found.digest} cannot be read: {error}") from error
    return list(_entries(document))


def _entries(document: Document) -> list[Entry]:
    match document:
        case Index(manifests=manifests):
            counts = Counter(one.digest for one in manifests)
            return [Entry(one, _kind_of(one, counts)) for one in manifests]
        case ImageManifest(config=config):
            layers = [one for one in document.children if one.digest != config.digest]
            return [Entry(config, "config"), *(Entry(one, "layer") for one in layers)]
        case _:
            return []


def _kind_of(entry: Descriptor, counts: Counter[Digest]) -> str:
    if entry.attests is not None:
        return f"attestation of {_short(entry.attests)}"
    kind = "index" if entry.is_index else "image"
    return f"{kind}, shared by {counts[entry.digest]}" if counts[entry.digest] > 1 else kind


def as_table(name: Reference, found: FetchedManifest, entries: Sequence[Entry]) -> str:
    """Write it for people."""
    head = f"{name}\n{found.digest}\n{found.media_type}, {len(found.content)} bytes"
    rows = [
        (str(one.descriptor.platform or "-"), _short(one.descriptor.digest), format_size(one.descriptor.size), one.kind)
        for one in entries
    ]
    return f"{head}\n\n{render_table(_COLUMNS, rows)}" if rows else head


def as_fields(name: Reference, found: FetchedManifest, entries: Sequence[Entry]) -> dict[str, Any]:
    """Write it for scripts."""
    return {
        "reference": str(name),
        "digest": str(found.digest),
        "media_type": found.media_type,
        "size": len(found.content),
        "entries": [
            {
                "platform": str(one.descriptor.platform) if one.descriptor.platform else None,
                "digest": str(one.descriptor.digest),
                "media_type": one.descriptor.media_type,
                "size": one.descriptor.size,
                "attests": str(one.descriptor.attests) if one.descriptor.attests else None,
            }
            for one in entries
        ],
    }


def _short(digest: Digest) -> str:
    return digest.encoded[:_DIGITS]
