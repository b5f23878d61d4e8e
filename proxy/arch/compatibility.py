"""What a machine of a platform can run: an ordered list, best first.

The order is containerd's (`containerd/platforms` `compare.go`, re-computed in platforms.md §1.2), because Docker
Engine, containerd and BuildKit will choose from our index by it. Matching and ranking are then one look into the list:

>>> [str(platform) for platform in runs(Platform.parse("linux/arm/v7"))]
['linux/arm/v7', 'linux/arm/v6', 'linux/arm/v5']
>>> [str(platform) for platform in runs(Platform.parse("linux/amd64/v2"))]
['linux/amd64/v2', 'linux/amd64', 'linux/386']
>>> [str(platform) for platform in runs(Platform.parse("linux/arm64"))]
['linux/arm64', 'linux/arm/v8', 'linux/arm/v7', 'linux/arm/v6', 'linux/arm/v5']
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from proxy.oci.platforms import Platform

_ARM = ("v8", "v7", "v6", "v5")
_AMD64_LEVEL = re.compile(r"v([2-4])")
_ARM64_LEVEL = re.compile(r"v(?:8\.([1-9])|9(?:\.([0-7]))?)")
_HIGHEST_V8_MINOR = 9
_V8_MINORS_AHEAD_OF_V9 = 5
"""ARMv9.N contains ARMv8.(N+5) (containerd/platforms `compare.go`)."""


@lru_cache(maxsize=1024)
def runs(platform: Platform) -> tuple[Platform, ...]:
    """Answer what a machine of this platform can run, best first, each in its normal form.

    The machine's own platform comes first. An arm64 level that no ARM architecture has (`v8.10`) runs nothing that we
    could name: the list is then empty, as it is for containerd.
    """
    own = platform.normalised()
    match own.architecture:
        case "amd64":
            pairs = _amd64(own.variant)
        case "arm":
            pairs = _arm(own.variant)
        case "arm64":
            pairs = _arm64(own.variant)
        case _:
            pairs = [(own.architecture, own.variant)]
    return tuple(replace(own, architecture=architecture, variant=variant) for architecture, variant in pairs)


def can_run(machine: Platform, image: Platform) -> bool:
    """Tell whether a machine can run an image, by their platforms."""
    return rank(machine, image) is not None


def rank(machine: Platform, image: Platform) -> int | None:
    """Answer how well an image fits a machine: 0 is exact, higher is less specific, None does not run.

    Windows builds and required OS features are compared as far as they are known: an image that needs a feature fits
    no machine that did not name it (containerd/platforms ≥ 1.0.0-rc.3).
    """
    if not set(image.os_features) <= set(machine.os_features):
        return None
    bare = replace(image.normalised(), os_version=machine.os_version, os_features=machine.os_features)
    order = runs(machine)
    return order.index(bare) if bare in order else None


def pick_best(machine: Platform, images: Sequence[Platform | None]) -> int | None:
    """Answer the position of the image that fits a machine best, the first among equals, or None.

    An image without a platform is a last resort, as it is for containerd.
    """
    ranked = [(rank(machine, image), position) for position, image in enumerate(images) if image is not None]
    fitting = [(value, position) for value, position in ranked if value is not None]
    if fitting:
        return min(fitting)[1]
    return next((position for position, image in enumerate(images) if image is None), None)


def _amd64(variant: str) -> list[tuple[str, str]]:
    found = _AMD64_LEVEL.fullmatch(variant)
    levels = range(int(found[1]), 1, -1) if found else ()
    own = [] if found or not variant else [("amd64", variant)]
    return own + [("amd64", f"v{level}") for level in levels] + [("amd64", ""), ("386", "")]


def _arm(variant: str) -> list[tuple[str, str]]:
    if variant not in _ARM:
        return [("arm", variant)]
    return [("arm", other) for other in _ARM[_ARM.index(variant) :]]


def _arm64(variant: str) -> list[tuple[str, str]]:
    below = [("arm64", ""), *_arm("v8")]
    if not variant:
        return below
    found = _ARM64_LEVEL.fullmatch(variant)
    if not found:
        return []
    minors: list[str] = []
    highest = int(found[1] or 0)
    if variant.startswith("v9"):
        nine = int(found[2] or 0)
        minors = [f"v9.{minor}" for minor in range(nine, 0, -1)] + ["v9"]
        highest = min(nine + _V8_MINORS_AHEAD_OF_V9, _HIGHEST_V8_MINOR)
    minors += [f"v8.{minor}" for minor in range(highest, 0, -1)]
    return [("arm64", minor) for minor in minors] + below
