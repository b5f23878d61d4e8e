"""Warm jobs as a server tells of them (`proxy/server/warm_api.py`)."""

from collections.abc import Mapping
from typing import Any

from proxy.oci.digests import Digest

NAME = "docker.io/library/debian:jessie"
SPENT = {"requests": 9, "tokens": 1, "pulls": 2, "blob_bytes": 70}


def part_of(content: bytes, size: int, found: int, state: str = "miss") -> dict[str, Any]:
    """Tell of a config or a layer."""
    return {"digest": str(Digest.of(content)), "size": size, "found": found, "written": found, "state": state}


def order_of(
    state: str, *parts: Mapping[str, Any], reference: str = NAME, error: str | None = None, seconds: float = 0.0
) -> dict[str, Any]:
    """Tell of an image; it is planned if it has parts."""
    return {
        "reference": reference,
        "platforms": ["linux/amd64", "linux/arm/v6"],
        "state": state,
        "error": error,
        "size": sum(part["size"] for part in parts),
        "written": sum(part["written"] for part in parts),
        "missing": ["linux/arm/v6"],
        "root": str(Digest.of(b"root")) if parts else None,
        "images": [{"platform": "linux/amd64", "digest": str(Digest.of(b"image"))}],
        "to_fetch": sum(part["size"] - part["found"] for part in parts),
        "seconds": seconds,
        "spent": SPENT,
        "parts": parts,
    }


def job_of(*orders: Mapping[str, Any], state: str = "running", is_dry: bool = False) -> dict[str, Any]:
    """Tell of a job."""
    return {"id": "job-1", "state": state, "dry_run": is_dry, "orders": orders, "cost": None, "spent": SPENT}
