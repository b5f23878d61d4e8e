"""One index from several repositories: upstream's entries untouched and first, then the added ones.

The result depends on nothing but its parts: no clock, no client, no name of ours. Two proxies that saw the same
upstream answers write the same bytes, and so the same digest, which clients pin and ask for again.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.manifests import (
    MAX_DESCRIPTORS,
    MAX_MANIFEST_BYTES,
    REFERENCE_DIGEST,
    REFERENCE_TYPE,
    Descriptor,
    Index,
)
from proxy.oci.platforms import Platform, platform_object


@dataclass(frozen=True, slots=True)
class Addition:
    """An image that is offered for a platform, and the attestations that travel with it."""

    platform: Platform
    descriptor: Descriptor
    attestations: tuple[Descriptor, ...] = ()


@dataclass(frozen=True, slots=True)
class Synthesis:
    """A synthesised index, ready to be stored and served."""

    content: bytes
    media_type: str
    digest: Digest
    manifests: tuple[Descriptor, ...]

    @property
    def is_servable(self) -> bool:
        """Tell whether it keeps the limits that clients, and we, set to an index."""
        return len(self.content) <= MAX_MANIFEST_BYTES and len(self.manifests) <= MAX_DESCRIPTORS


def synthesise(
    base: Index | Descriptor | None, additions: Sequence[Addition], annotations: Mapping[str, str] | None = None
) -> Synthesis:
    """Write the index that holds upstream's images and the added ones.

    Args:
        base: What upstream has under the tag: its index, the descriptor of its single image (with the platform that
            its config tells), or nothing.
        additions: The added images, in the order in which they shall stand.
        annotations: What the index is to say of itself, beside what upstream's does.

    The type is a Docker manifest list where every child is of a Docker type, since clients before 18.06 know no other;
    else an OCI index, and so where there are annotations, which a Docker list has no place for. An added image that
    already stands there for the same platform is not repeated.
    """
    upstream = _upstream_entries(base)
    added = list(_added_entries(upstream, additions))
    attestations = [
        descriptor
        for addition in additions
        for descriptor in addition.attestations
        if addition.descriptor.digest in {entry.digest for entry in added}
    ]
    entries = (*upstream, *added, *_without_repeats(upstream, attestations))
    is_docker = all(entry.media_type in media_types.DOCKER for entry in entries) and not annotations
    media_type = media_types.DOCKER_LIST if is_docker else media_types.OCI_INDEX
    fields: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [_descriptor_object(entry) for entry in entries],
    }
    said = {**((base.annotations if isinstance(base, Index) else None) or {}), **(annotations or {})}
    if said and not is_docker:
        fields["annotations"] = said
    content = json.dumps(fields, indent=2).encode()  # ASCII, since a lone surrogate in an annotation has no UTF-8
    return Synthesis(content, media_type, Digest.of(content), entries)


def _upstream_entries(base: Index | Descriptor | None) -> tuple[Descriptor, ...]:
    if base is None:
        return ()
    return base.manifests if isinstance(base, Index) else (base,)


def _added_entries(upstream: Sequence[Descriptor], additions: Sequence[Addition]) -> Iterable[Descriptor]:
    seen = {(entry.digest, entry.platform.normalised()) for entry in upstream if entry.platform}
    for addition in additions:
        key = (addition.descriptor.digest, addition.platform.normalised())
        if key not in seen:
            seen.add(key)
            found = addition.descriptor
            yield Descriptor(found.media_type, found.digest, found.size, addition.platform.explicit())


def _without_repeats(upstream: Sequence[Descriptor], others: Iterable[Descriptor]) -> Iterable[Descriptor]:
    seen = {entry.digest for entry in upstream}
    for other in others:
        if other.digest not in seen:
            seen.add(other.digest)
            yield other


def _descriptor_object(entry: Descriptor) -> Mapping[str, object]:
    if entry.source is not None:
        return entry.source
    fields: dict[str, object] = {
        "mediaType": entry.media_type,
        "digest": str(entry.digest),
        "size": entry.size,
    }
    if entry.platform is not None:
        fields["platform"] = platform_object(entry.platform)
    if entry.attests is not None:
        fields["annotations"] = {REFERENCE_DIGEST: str(entry.attests), REFERENCE_TYPE: "attestation-manifest"}
    return fields
