"""What the API tells of things: the shape of each, and things written in it."""

from typing import Any

from proxy.ports import Quota, TagRecord
from proxy.server.endpoints import COUNT, FLAG, NUMBER, TEXT, Schema, fields, list_of, optional
from proxy.server.listed import format_moment
from proxy.service.fill import Fill
from proxy.service.housekeeping import Removed
from proxy.service.image_details import DetailedBuild
from proxy.service.inspection import reference_of
from proxy.service.tally import Kind, Tally
from proxy.service.verification import Damage

_QUOTA = optional(fields(limit=COUNT, remaining=COUNT, window_seconds=COUNT))
_STATES = ("hit", "miss", "revalidated", "stale")
_COUNTS = fields(**dict.fromkeys(_STATES, COUNT))
UPSTREAM = fields(name=TEXT, quota=_QUOTA)
_FILL = fields(digest=TEXT, repository=optional(TEXT), written=COUNT, size=optional(COUNT), readers=COUNT)
STATUS = fields(
    version=TEXT,
    started_at=optional(TEXT),
    uptime_seconds=NUMBER,
    owns_cache=FLAG,
    offline=FLAG,
    fleet=list_of(TEXT),
    cache=fields(
        directory=TEXT,
        stored_bytes=COUNT,
        max_bytes=optional(COUNT),
        free_bytes=COUNT,
        min_free_bytes=COUNT,
        pinned_bytes=COUNT,
    ),
    upstreams=list_of(UPSTREAM),
    answers=fields(tag=_COUNTS, manifest=_COUNTS, blob=_COUNTS),
    bytes=fields(served=COUNT, fetched=COUNT),
    fills=list_of(_FILL),
)
_IMAGE: dict[str, Schema] = dict(  # noqa: C408 - as `fields` is written, which it becomes
    reference=TEXT,
    digest=TEXT,
    media_type=TEXT,
    answer=optional(TEXT),
    platforms=list_of(optional(TEXT)),
    missing_platforms=list_of(optional(TEXT)),
    size=COUNT,
    used_at=optional(TEXT),
    checked_at=optional(TEXT),
    fresh=FLAG,
    pinned=FLAG,
)
_BUILD = fields(
    platform=optional(TEXT),
    digest=TEXT,
    size=COUNT,
    whole=FLAG,
    source=TEXT,
    origin=optional(TEXT),
    shared_with=list_of(TEXT),
)
IMAGE = fields(**_IMAGE)
IMAGE_DETAIL = fields(**_IMAGE, builds=list_of(_BUILD), trail=list_of(TEXT))
TAG = fields(reference=TEXT, digest=TEXT, checked_at=optional(TEXT))
_EVIDENCE = fields(evidence=TEXT, shown=optional(TEXT), platform=optional(TEXT))
WHOAMI = fields(
    platform=optional(TEXT),
    evidence=TEXT,
    answer=TEXT,
    answer_evidence=TEXT,
    runs=list_of(TEXT),
    considered=list_of(_EVIDENCE),
    engine=optional(fields(product=TEXT, version=TEXT)),
    address=TEXT,
    listener=TEXT,
    upstream=TEXT,
    hint=TEXT,
)
EXPLANATION = fields(
    reference=TEXT,
    platform=optional(TEXT),
    evidence=TEXT,
    considered=list_of(_EVIDENCE),
    listener=TEXT,
    answer=TEXT,
    answer_evidence=TEXT,
    media_type=TEXT,
    digest=TEXT,
    size=COUNT,
    image=TEXT,
    image_platform=optional(TEXT),
    cache=TEXT,
    warning=TEXT,
    pick={"type": "null"},
    trail=list_of(TEXT),
)
DAMAGE = fields(digest=TEXT, size=COUNT, references=list_of(TEXT), repaired=FLAG, reason=optional(TEXT))
REMOVED = fields(bytes=COUNT, blobs=COUNT, tags=COUNT)


def answer_fields(tally: Tally) -> dict[str, dict[str, int]]:
    """Answer how many answers of each kind came from where."""
    counts = {(str(kind), str(state)): count for (kind, state), count in tally.counts.items()}
    return {str(kind): {state: counts.get((str(kind), state), 0) for state in _STATES} for kind in Kind}


def quota_fields(quota: Quota | None) -> dict[str, int] | None:
    """Answer what is told of a pull allowance; nothing where an upstream has none."""
    if quota is None:
        return None
    return {"limit": quota.limit, "remaining": quota.remaining, "window_seconds": quota.window_seconds}


def fill_fields(fill: Fill) -> dict[str, Any]:
    """Answer what is told of a download."""
    return {
        "digest": str(fill.digest),
        "repository": fill.source.repository if fill.source else None,
        "written": fill.written,
        "size": fill.size,
        "readers": fill.readers,
    }


def tag_fields(record: TagRecord) -> dict[str, Any]:
    """Answer what is told of a tag that is known."""
    return {
        "reference": str(reference_of(record)),
        "digest": str(record.descriptor.digest) if record.descriptor else "",
        "checked_at": format_moment(record.checked_at),
    }


def build_fields(build: DetailedBuild) -> dict[str, Any]:
    """Answer what is told of the build for a platform."""
    return {
        "platform": str(build.platform) if build.platform else None,
        "digest": str(build.digest),
        "size": build.size,
        "whole": build.is_whole,
        "source": str(build.source),
        "origin": build.origin,
        "shared_with": [str(platform) for platform in build.shared_with],
    }


def damage_fields(damage: Damage) -> dict[str, Any]:
    """Answer what is told of a damaged blob."""
    return {
        "digest": str(damage.digest),
        "size": damage.size,
        "references": [str(name) for name in damage.references],
        "repaired": damage.is_repaired,
        "reason": damage.reason or None,
    }


def removed_fields(removed: Removed) -> dict[str, int]:
    """Answer what is told of what has left."""
    return {"bytes": removed.size, "blobs": removed.blobs, "tags": removed.tags}
