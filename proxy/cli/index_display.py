"""What stands under a reference, for people and for scripts: an index entry by entry, or an image."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.cli.tables import Side, format_size, render_table
from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidDigest, InvalidManifest, UpstreamMisbehaved
from proxy.oci.manifests import (
    Descriptor,
    Document,
    ImageManifest,
    Index,
    Schema1Manifest,
    load_object,
    parse_manifest,
)
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference
from proxy.ports import FetchedManifest

_COLUMNS = (("PLATFORM", Side.LEFT), ("DIGEST", Side.LEFT), ("SIZE", Side.RIGHT), ("TYPE", Side.LEFT))
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: an image of an index, or a part of an image."""

    kind: str
    """`image`, `index`, `attestation`, `artifact`; `config`, `layer`."""
    digest: Digest
    media_type: str
    size: int | None
    """None where the document does not tell."""
    platform: Platform | None = None
    attests: Digest | None = None
    shared_by: int = 1
    """How many entries lead to the same content."""

    def __str__(self) -> str:
        if self.attests is not None:
            return f"attestation of {self.attests.encoded[:_DIGITS]}"
        what = f"{_origin_of(self.media_type)}{self.kind}"
        return f"{what}, shared by {self.shared_by}" if self.shared_by > 1 else what


@dataclass(frozen=True, slots=True)
class Shown:
    """What is under a reference."""

    reference: Reference
    found: FetchedManifest
    entries: tuple[Entry, ...]
    platform: Platform | None = None
    """What one image is for, as its config says."""


def parse_shown(found: FetchedManifest) -> Document:
    """Read a document that is to be shown.

    Raises:
        UpstreamMisbehaved: It cannot be read.
    """
    try:
        return parse_manifest(found.content, found.media_type)
    except InvalidManifest as error:
        raise UpstreamMisbehaved(f"{found.digest} cannot be read: {error}") from error


def list_entries(document: Document, content: bytes) -> tuple[Entry, ...]:
    """Answer what a document leads to, in its own order."""
    match document:
        case Index(manifests=manifests):
            counts = Counter(one.digest for one in manifests)
            return tuple(_listed(one, counts[one.digest]) for one in manifests)
        case ImageManifest(config=config, layers=layers):
            parts = [("config", config), *(("layer", one) for one in layers)]
            return tuple(Entry(kind, one.digest, one.media_type, one.size) for kind, one in parts)
        case Schema1Manifest():
            return tuple(Entry("layer", digest, "", None) for digest in _list_old_layers(load_object(content)))
        case _:
            return ()


def read_old_platform(content: bytes) -> Platform | None:
    """Answer what an image of schema 1 says that it is for: it knows architectures, and no more."""
    architecture = load_object(content).get("architecture")
    return Platform("linux", architecture) if isinstance(architecture, str) and architecture else None


def _listed(one: Descriptor, shared_by: int) -> Entry:
    kind = "index" if one.is_index else "image"
    if one.attests is not None:
        kind = "attestation"
    elif not one.is_runnable:
        kind = "artifact"
    return Entry(kind, one.digest, one.media_type, one.size, one.platform, one.attests, shared_by)


def _list_old_layers(fields: Mapping[str, object]) -> Iterator[Digest]:
    """Answer the layers of schema 1, which tells the uppermost first, and some of them often."""
    layers = fields.get("fsLayers")
    for layer in reversed(layers if isinstance(layers, list) else []):
        try:
            yield Digest.parse(str(layer.get("blobSum", "")) if isinstance(layer, dict) else "")
        except InvalidDigest:
            continue


def _origin_of(media_type: str) -> str:
    if media_type in media_types.DOCKER:
        return "Docker "
    return "OCI " if media_type in media_types.MANIFESTS else ""


def as_table(shown: Shown) -> str:
    """Write it for people."""
    found = shown.found
    lines = [str(shown.reference), str(found.digest), f"{found.media_type}, {len(found.content)} bytes"]
    if shown.platform is not None:
        lines.append(str(shown.platform))
    if shown.entries:
        rows = [
            (
                str(one.platform or "-"),
                str(one.digest),
                "-" if one.size is None else format_size(one.size),
                str(one),
            )
            for one in shown.entries
        ]
        lines += ["", render_table(_COLUMNS, rows)]
    return "\n".join(lines)


def as_fields(shown: Shown) -> dict[str, Any]:
    """Write it for scripts."""
    found = shown.found
    return {
        "reference": str(shown.reference),
        "digest": str(found.digest),
        "media_type": found.media_type,
        "size": len(found.content),
        "platform": _text(shown.platform),
        "entries": [
            {
                "kind": one.kind,
                "platform": _text(one.platform),
                "digest": str(one.digest),
                "media_type": one.media_type or None,
                "size": one.size,
                "attests": _text(one.attests),
                "shared_by": one.shared_by,
            }
            for one in shown.entries
        ],
    }


def as_steps(rows: Sequence[tuple[str, str, str, int]]) -> str:
    """Write what was done, or would be: the action, the repository, a tag or digest, and the size of each."""
    columns = (("ACTION", Side.LEFT), ("REPOSITORY", Side.LEFT), ("WHAT", Side.LEFT), ("SIZE", Side.RIGHT))
    return render_table(columns, [(action, where, what, format_size(size)) for action, where, what, size in rows])


def _text(value: Platform | Digest | None) -> str | None:
    return None if value is None else str(value)
