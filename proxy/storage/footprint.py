"""What a cache folder holds beside its blobs, measured from outside: another process may be at work in it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from proxy.storage.disk import LAYOUT_FILE


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes on the disk that are no blobs."""

    partial_size: int
    """Of downloads that are under way, or broke off."""
    quarantined_size: int
    """Of what was found damaged."""
    catalog_size: int
    """Of the catalog's file and its log."""


def is_cache(root: Path) -> bool:
    """Tell whether a folder is a cache, or at least an OCI image layout."""
    return (root / LAYOUT_FILE).is_file()


def measure(root: Path, catalog_file: str) -> Footprint:
    """Answer what there is now; what vanishes meanwhile counts for nothing."""
    return Footprint(
        _sum((root / "ingest").glob("*")),
        _sum((root / "quarantine").glob("*")),
        _sum(root.glob(f"{catalog_file}*")),
    )


def _sum(paths: Iterable[Path]) -> int:
    return sum(map(_size, paths))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
