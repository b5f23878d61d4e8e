"""Headers of an answer, from what the use cases say."""

from proxy.arch.compatibility import rank
from proxy.arch.detection import Detection
from proxy.oci.manifests import Descriptor
from proxy.oci.references import short_name
from proxy.service.freshness import CacheState
from proxy.service.pull import ManifestAnswer

API_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}
"""Not asked for by the spec; engines up to 20.10 look for it (clients.md §7)."""
MAX_WARNING = 1024


def content_headers(descriptor: Descriptor) -> dict[str, str]:
    """Write what every manifest and blob answer carries."""
    digest = str(descriptor.digest)
    return {
        "Content-Type": descriptor.media_type,
        "Content-Length": str(descriptor.size),
        "Docker-Content-Digest": digest,
        "ETag": f'"{digest}"',
        **API_VERSION,
    }


def resolution_headers(answer: ManifestAnswer, detection: Detection) -> dict[str, str]:
    """Write how a tag was resolved: for people with curl, and for the clients that print warnings."""
    headers = {"Polyarch-Cache": str(answer.state), "Polyarch-Evidence": detection.evidence}
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
        if entry.is_added:
            remarks.append(f"{entry.platform.explicit()} is taken from {short_name(entry.repository)}:{entry.tag}")
        elif rank(detection.platform, entry.platform):
            remarks.append(f"no build for {detection.platform}: {entry.platform.explicit()} runs on it")
    return "; ".join(remarks)
