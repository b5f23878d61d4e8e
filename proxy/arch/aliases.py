"""One image under several platforms: for clients that match exactly, and for images that are fit for several.

An alias is an entry more for an image that the index has already: the same digest, another platform. Two words make
them. The operator's, per image (the forum proposal's TAGARCH): `also_runs_on`. And the index's own: containerd from 2.1
on takes its own platform or nothing (platforms.md §3.1), so an `arm/v7` node finds no `arm/v6` image, which it could
run. Aliases of that kind never cross an architecture: podman does not run ARM images on arm64 by itself, and on some
64-bit machines they do not run.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import StrEnum

from proxy.arch.compatibility import rank
from proxy.arch.entries import Entry
from proxy.arch.image_rules import SharedImage
from proxy.oci.platforms import Platform


class AliasMode(StrEnum):
    """Where an index names, for a platform without a build of its own, the best image that runs there."""

    NEVER = "never"
    MISSING = "missing"
    """In an index that is put together anyway: upstream's own documents stay untouched."""
    EXACT = "exact"
    """In every index, though it has to be put together for that alone."""


def list_shared(offered: Sequence[Entry], shared: Iterable[SharedImage]) -> list[Entry]:
    """Answer the aliases that the operator's rules make; a build of a platform's own goes before."""
    taken = _platforms_of(offered)
    found: list[Entry] = []
    for rule in shared:
        image = next((one for one in offered if one.platform and one.platform.is_same(rule.platform)), None)
        for platform in rule.also if image is not None else ():
            if image is not None and platform.normalised() not in taken:
                taken.add(platform.normalised())
                found.append(_alias(image, platform))
    return found


_V7, _V8 = Platform("linux", "arm", "v7"), Platform("linux", "arm", "v8")
"""A 32-bit userland under a 64-bit kernel, as on most Pis since 2023, is v8 to itself (platforms.md §1.4). Nobody
builds for it, so no builds are looked for; but who has v7 machines in the fleet has those, too."""


def list_nearest(fleet: Iterable[Platform], offered: Sequence[Entry]) -> list[Entry]:
    """Answer an alias for every platform of the fleet without an entry, as far as something of its kind runs there."""
    taken = _platforms_of(offered)
    found: list[Entry] = []
    whole = [one.normalised() for one in fleet]
    for platform in [*whole, *([_V8] if _V7 in whole and _V8 not in whole else [])]:
        image = None if platform.normalised() in taken else _find_nearest(platform, offered)
        if image is not None:
            found.append(_alias(image, platform))
    return found


def _find_nearest(platform: Platform, offered: Sequence[Entry]) -> Entry | None:
    ranked: list[tuple[int, int]] = []
    for position, entry in enumerate(offered):
        own = entry.platform.normalised() if entry.platform else None
        if own is not None and own.architecture == platform.normalised().architecture:
            value = rank(platform, own)
            ranked += [] if value is None else [(value, position)]
    return offered[min(ranked)[1]] if ranked else None


def _alias(image: Entry, platform: Platform) -> Entry:
    return replace(image, platform=platform.normalised(), is_added=True, alias_of=image.image_platform)


def _platforms_of(offered: Iterable[Entry]) -> set[Platform]:
    return {one.platform.normalised() for one in offered if one.platform}
