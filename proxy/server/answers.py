"""Headers of an answer, from what the use cases say."""

from functools import lru_cache

from proxy.arch.compatibility import rank
from proxy.arch.detection import Detection
from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.manifests import Descriptor
from proxy.oci.references import short_name
from proxy.server.conditions import entity_tag
from proxy.server.documents import Head
from proxy.service.freshness import CacheState
from proxy.service.pull import ManifestAnswer

API_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}
"""Not asked for by the spec; engines up to 20.10 look for it (clients.md §7)."""
MAX_WARNING = 1024
MAX_HEADS = 1024
"""How many heads are remembered, of each kind."""


def content_headers(descriptor: Descriptor) -> dict[str, str]:
    """Write what every manifest and blob answer carries."""
    return {
        "Content-Type": descriptor.media_type,
        "Content-Length": str(descriptor.size),
        "Docker-Content-Digest": str(descriptor.digest),
        "ETag": entity_tag(descriptor.digest),
        **API_VERSION,
    }


def state_headers(state: CacheState, namespace: str) -> dict[str, str]:
    """Write what the cache did, and that a `?ns=` was understood (distribution-spec, main, "Proxying")."""
    return {"Polyarch-Cache": str(state), **({"OCI-Namespace": namespace} if namespace else {})}


@lru_cache(MAX_HEADS)
def manifest_head(media_type: str, digest: Digest, size: int, state: CacheState, namespace: str) -> Head:
    """Write the head of a manifest that was asked for by digest."""
    headers = {**content_headers(Descriptor(media_type, digest, size)), **state_headers(state, namespace)}
    return Head(headers, {"cache": str(state), "digest": str(digest)})


@lru_cache(MAX_HEADS)
def blob_head(digest: Digest, size: int, state: CacheState, namespace: str) -> Head:
    """Write the head of a blob."""
    headers = content_headers(Descriptor(media_types.OCTET_STREAM, digest, size))
    return Head({**headers, "Accept-Ranges": "bytes", **state_headers(state, namespace)}, {"cache": str(state)})


class TagHeads:
    """The heads of resolved tags: while a resolution holds, all clients of a kind are told the same."""

    def __init__(self) -> None:
        """Begin with none."""
        self._told: dict[tuple[object, ...], tuple[object, object, Head]] = {}

    def find(self, answer: ManifestAnswer, detection: Detection, namespace: str, upstream: str) -> Head:
        """Answer the head for a client, written now or before."""
        # By identity, which costs nothing: whatever is remembered is held, so that no other object has its number.
        key = (id(answer.resolution), id(detection), answer.descriptor.digest, answer.state, namespace)
        told = self._told.get(key)
        if told is None:
            if len(self._told) >= MAX_HEADS:
                self._told.clear()
            told = self._told[key] = (answer.resolution, detection, tag_head(answer, detection, namespace, upstream))
        return told[2]

    def __repr__(self) -> str:
        return f"<TagHeads: {len(self._told)}>"


def tag_head(answer: ManifestAnswer, detection: Detection, namespace: str, upstream: str) -> Head:
    """Write the head of a manifest that was asked for by tag."""
    told = resolution_headers(answer, detection)
    headers = {**content_headers(answer.descriptor), **told, **state_headers(answer.state, namespace)}
    resolution = answer.resolution
    name = {"reference": f"{upstream}/{resolution.repository}:{resolution.tag}"} if resolution else {}
    remarks = {
        **name,
        **client_remarks(detection),
        "source": told["Polyarch-Source"],
        "cache": str(answer.state),
        "digest": str(answer.descriptor.digest),
    }
    return Head(headers, remarks)


def client_remarks(detection: Detection) -> dict[str, str | None]:
    """Write who asked, for the log line."""
    platform = detection.platform
    return {"platform": str(platform.explicit()) if platform else None, "evidence": detection.evidence}


def resolution_headers(answer: ManifestAnswer, detection: Detection) -> dict[str, str]:
    """Write how a tag was resolved: for people with curl, and for the clients that print warnings."""
    headers = {"Polyarch-Evidence": detection.evidence}
    if detection.platform is not None:
        headers["Polyarch-Platform"] = str(detection.platform.explicit())
    headers["Polyarch-Source"] = _source(answer)
    warning = _warning(answer, detection)
    if warning:
        headers["Warning"] = f'299 - "{warning[:MAX_WARNING]}"'
    return headers


def _source(answer: ManifestAnswer) -> str:
    choice, resolution = answer.choice, answer.resolution
    if choice is not None and choice.entry is not None:
        entry = choice.entry
        return f"{short_name(entry.repository)}:{entry.tag}@{entry.descriptor.digest}"
    name = f"{short_name(resolution.repository)}:{resolution.tag}" if resolution else ""
    return f"{name}@{answer.descriptor.digest}"


def _warning(answer: ManifestAnswer, detection: Detection) -> str:
    remarks: list[str] = []
    if answer.state is CacheState.STALE:
        remarks.append("upstream cannot be asked: served from the cache, perhaps not the newest")
    entry = answer.choice.entry if answer.choice else None
    if detection.platform is not None and entry is None and answer.resolution and answer.resolution.entries:
        remarks.append(f"nothing here runs on {detection.platform}")
    if detection.platform is not None and entry is not None and entry.platform is not None:
        if entry.alias_of is not None:
            where = f"{short_name(entry.repository)}:{entry.tag}"
            remarks.append(f"no build for {entry.platform.explicit()}: {entry.alias_of} of {where} stands for it")
        elif entry.is_added:
            remarks.append(f"{entry.platform.explicit()} is taken from {short_name(entry.repository)}:{entry.tag}")
        elif rank(detection.platform, entry.platform):
            remarks.append(f"no build for {detection.platform}: {entry.platform.explicit()} runs on it")
    return "; ".join(remarks)
