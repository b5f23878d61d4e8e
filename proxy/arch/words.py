"""What people call a platform, and which platform they mean.

One table for every place where a platform may be written: settings, flags, paths, Dockerfiles. The traps in it
(platforms.md §1.1, §4.1, §6):

* `armhf` is ARMv7 for Debian and Ubuntu, ARMv6 for Raspbian and Alpine. It means v7 here, as for containerd; a Pi Zero
  must say `rpi` or `arm6`.
* `armel` is ARMv5 soft-float for Debian, which made the name; containerd takes it for v6. It means v5 here, because v5
  runs wherever v6 does and not the reverse.
* `arm8` may mean a 64-bit or a 32-bit userland. It means `linux/arm64` here; the 32-bit one is `linux/arm/v8`.
* `rpi` is "runs on every Raspberry Pi": ARMv6 with hard float, as Raspbian builds it.
"""

import difflib
import re
from collections.abc import Mapping
from types import MappingProxyType

from proxy.oci.errors import InvalidPlatform
from proxy.oci.platforms import Platform

PROPOSAL: Mapping[str, str] = MappingProxyType(
    {
        "arm5": "linux/arm/v5",
        "arm6": "linux/arm/v6",
        "arm7": "linux/arm/v7",
        "arm8": "linux/arm64",
        "arm8.1": "linux/arm64/v8.1",
        "rpi": "linux/arm/v6",
        "x86-64": "linux/amd64",
    }
)
"""The forum proposal's names (the seed post; `arm5` by the same pattern)."""

OFFICIAL: Mapping[str, str] = MappingProxyType(
    {
        "amd64": "linux/amd64",
        "arm32v5": "linux/arm/v5",
        "arm32v6": "linux/arm/v6",
        "arm32v7": "linux/arm/v7",
        "arm64v8": "linux/arm64/v8",
        "i386": "linux/386",
        "mips64le": "linux/mips64le",
        "ppc64le": "linux/ppc64le",
        "riscv64": "linux/riscv64",
        "s390x": "linux/s390x",
    }
)
"""Docker's own architecture namespaces on Docker Hub (bashbrew `architecture/oci-platform.go`; platforms.md §4.1)."""

FROZEN: Mapping[str, str] = MappingProxyType({"armhf": "linux/arm/v7", "aarch64": "linux/arm64/v8"})
"""Docker's namespaces of before 2017, no longer built (platforms.md §4.2). `armel` is left out: it is soft-float v5,
and `arm32v5` replaced it tag by tag."""

_OTHERS: Mapping[str, str] = MappingProxyType(
    {
        # The names of Debian and Ubuntu, as dpkg prints them
        "armel": "linux/arm/v5",
        "arm64": "linux/arm64",
        "ppc64el": "linux/ppc64le",
        "mips64el": "linux/mips64le",
        "loong64": "linux/loong64",
        # Alpine and uname -m
        "x86_64": "linux/amd64",
        "x86": "linux/386",
        "i686": "linux/386",
        "armv5": "linux/arm/v5",
        "armv5l": "linux/arm/v5",
        "armv5tel": "linux/arm/v5",
        "armv6": "linux/arm/v6",
        "armv6l": "linux/arm/v6",
        "armv7": "linux/arm/v7",
        "armv7l": "linux/arm/v7",
        "armv8l": "linux/arm/v8",
        "armv8": "linux/arm64",
        "loongarch64": "linux/loong64",
        # Go: GOARCH, and GOARCH with GOARM
        "arm": "linux/arm/v7",
        "386": "linux/386",
        "armv6hf": "linux/arm/v6",
        "armv7hf": "linux/arm/v7",
        "arm64/v8": "linux/arm64",
        "arm/v5": "linux/arm/v5",
        "arm/v6": "linux/arm/v6",
        "arm/v7": "linux/arm/v7",
        "arm/v8": "linux/arm/v8",
    }
)

WORDS: Mapping[str, Platform] = MappingProxyType(
    {
        word: Platform.parse(platform).normalised()
        for word, platform in {**_OTHERS, **FROZEN, **OFFICIAL, **PROPOSAL}.items()
    }
)
"""Every single word, and the platform that it means."""

_SLUG_OS = "linux-"
_SYSTEMS = frozenset({"linux", "windows", "darwin", "freebsd"})
_ARCHITECTURES = frozenset({platform.architecture for platform in WORDS.values()} | {"mips", "mipsle", "ppc64"})
_VARIANTS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "arm": re.compile(r"v[4-8]"),
        "arm64": re.compile(r"(v8\.[0-9]|v9(\.[0-9])?)?"),
        "amd64": re.compile(r"(v[2-4])?"),
        "386": re.compile(r""),
    }
)
"""The variants that a normal form may have (image-spec, image-index.md, "Platform Variants"; compatibility.py)."""
_ANY_VARIANT = re.compile(r"[a-z0-9]*")


def parse_platform(text: str) -> Platform:
    """Read a platform in any spelling: a word, `os/architecture[/variant]`, or the path form `linux-arm-v6`.

    Raises:
        InvalidPlatform: No spelling that is known, with the nearest ones that are.
    """
    platform = find_platform(text)
    if platform is None:
        near = difflib.get_close_matches(text.strip().lower(), [*WORDS, *_common_triples()], n=2)
        hint = f"; did you mean {' or '.join(near)}?" if near else "; write for example arm7, rpi or linux/arm/v7"
        raise InvalidPlatform(f"unknown platform {text[:80]!r}{hint}")
    return platform


def find_platform(text: str) -> Platform | None:
    """Answer the platform that a text means, in its normal form, or None."""
    lowered = text.strip().lower()
    if lowered in WORDS:
        return WORDS[lowered]
    triple = lowered.replace("-", "/") if lowered.startswith(_SLUG_OS) else lowered
    try:
        platform = Platform.parse(triple).normalised()
    except InvalidPlatform:
        return None
    return platform if _is_machine(platform) else None


def find_path_platform(component: str) -> Platform | None:
    """Answer the platform that a path component means: one of the proposal's words, or the form `linux-arm-v6`.

    Docker's own namespaces (`arm32v7/…`) are none of these: they are repositories, and are asked for as such.
    """
    if component in PROPOSAL or component.startswith(_SLUG_OS):
        return find_platform(component)
    return None


def _is_machine(platform: Platform) -> bool:
    if platform.os not in _SYSTEMS or platform.architecture not in _ARCHITECTURES:
        return False
    return bool(_VARIANTS.get(platform.architecture, _ANY_VARIANT).fullmatch(platform.variant))


def _common_triples() -> list[str]:
    return sorted({str(platform) for platform in WORDS.values()})
