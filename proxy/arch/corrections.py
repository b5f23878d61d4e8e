"""What the operator knows better than an image: the platform that it truly is for.

Image configs and index entries lie often enough (platforms.md §3.4): `balenalib/rpi-*` says amd64, images built under
qemu carry the builder's architecture. A correction says what is to be read instead.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from proxy.oci.manifests import Descriptor
from proxy.oci.platforms import Platform, platform_object


@dataclass(frozen=True, slots=True)
class Correction:
    """One platform that is claimed, and the one that is meant."""

    claimed: Platform | None
    """None for whatever is claimed, nothing included."""
    true: Platform


@dataclass(frozen=True, slots=True)
class Corrections:
    """All corrections for one name; the first that fits a claim holds."""

    items: tuple[Correction, ...] = ()

    def correct(self, claimed: Platform | None) -> Platform | None:
        """Answer the platform that a claim means."""
        for item in self.items:
            if item.claimed is None or (claimed is not None and item.claimed.is_same(claimed)):
                # What is true already is left in its own spelling, and upstream's document as it is.
                return claimed if claimed is not None and item.true.is_same(claimed) else item.true
        return claimed

    def correct_entry(self, entry: Descriptor) -> Descriptor:
        """Answer an entry of an index with the platform that it means; the same entry where that is what it says."""
        if not self.items or not entry.is_runnable:
            return entry
        platform = self.correct(entry.platform)
        if platform is None or platform == entry.platform:
            return entry
        explicit = platform.explicit()
        source = None if entry.source is None else {**entry.source, "platform": platform_object(explicit)}
        return replace(entry, platform=explicit, source=source)

    def __bool__(self) -> bool:
        return bool(self.items)


NO_CORRECTIONS = Corrections()


def join_corrections(several: Iterable[Corrections]) -> Corrections:
    """Answer all of several corrections, in order."""
    return Corrections(tuple(item for one in several for item in one.items))
