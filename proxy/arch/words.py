"""What people call a platform, and which platform they mean: tables only.

One table for each of those who say so, because the same name means several things, and a person who reads an answer
wants to know whose word it is. `vocabulary.py` reads them. Names that mean another platform elsewhere than here have
their sentence in `TRAPS` (platforms.md §1.1, §4.1, §6).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

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

_WINDOWS: Mapping[str, str] = MappingProxyType(
    {
        "winamd64": "windows/amd64",
        "windows-amd64": "windows/amd64",
        "windows": "windows/amd64",
        "win": "windows/amd64",
        "win64": "windows/amd64",
        "windows-arm64": "windows/arm64",
    }
)
"""`winamd64` is a namespace of Docker's, too, and `windows-amd64` bashbrew's name for it (platforms.md §4.1)."""

_DPKG: Mapping[str, str] = MappingProxyType(
    {
        "amd64": "linux/amd64",
        "amd64v3": "linux/amd64/v3",
        "arm64": "linux/arm64",
        "armel": "linux/arm/v5",
        "armhf": "linux/arm/v7",
        "i386": "linux/386",
        "loong64": "linux/loong64",
        "mips64el": "linux/mips64le",
        "mipsel": "linux/mipsle",
        "ppc64el": "linux/ppc64le",
        "riscv64": "linux/riscv64",
        "s390x": "linux/s390x",
    }
)

_TRIPLETS: Mapping[str, str] = MappingProxyType(
    {
        "aarch64-linux-gnu": "linux/arm64",
        "arm-linux-gnueabi": "linux/arm/v5",
        "arm-linux-gnueabihf": "linux/arm/v7",
        "i386-linux-gnu": "linux/386",
        "i686-linux-gnu": "linux/386",
        "powerpc64le-linux-gnu": "linux/ppc64le",
        "riscv64-linux-gnu": "linux/riscv64",
        "s390x-linux-gnu": "linux/s390x",
        "x86_64-linux-gnu": "linux/amd64",
    }
)

_ALPINE: Mapping[str, str] = MappingProxyType(
    {
        # Alpine's armhf is ARMv6: the one name that the table of dpkg has otherwise.
        "aarch64": "linux/arm64",
        "armv7": "linux/arm/v7",
        "loongarch64": "linux/loong64",
        "ppc64le": "linux/ppc64le",
        "riscv64": "linux/riscv64",
        "s390x": "linux/s390x",
        "x86": "linux/386",
        "x86_64": "linux/amd64",
    }
)

_OTHER_DISTRIBUTIONS: Mapping[str, str] = MappingProxyType(
    {
        "armv6h": "linux/arm/v6",
        "armv6hl": "linux/arm/v6",
        "armv7h": "linux/arm/v7",
        "armv7hl": "linux/arm/v7",
        "raspbian": "linux/arm/v6",
        "x86_64_v2": "linux/amd64/v2",
        "x86_64_v3": "linux/amd64/v3",
        "x86_64_v4": "linux/amd64/v4",
    }
)

_UNAME: Mapping[str, str] = MappingProxyType(
    {
        "aarch64": "linux/arm64",
        "armv5l": "linux/arm/v5",
        "armv5tejl": "linux/arm/v5",
        "armv5tel": "linux/arm/v5",
        "armv6l": "linux/arm/v6",
        "armv7l": "linux/arm/v7",
        "armv8l": "linux/arm/v8",
        "i386": "linux/386",
        "i486": "linux/386",
        "i586": "linux/386",
        "i686": "linux/386",
        "loongarch64": "linux/loong64",
        "ppc64": "linux/ppc64",
        "ppc64le": "linux/ppc64le",
        "riscv64": "linux/riscv64",
        "s390x": "linux/s390x",
        "x86_64": "linux/amd64",
    }
)

_GO: Mapping[str, str] = MappingProxyType(
    {
        "386": "linux/386",
        "amd64": "linux/amd64",
        "arm": "linux/arm/v7",
        "arm64": "linux/arm64",
        "goarm=5": "linux/arm/v5",
        "goarm=6": "linux/arm/v6",
        "goarm=7": "linux/arm/v7",
        "loong64": "linux/loong64",
        "mips64le": "linux/mips64le",
        "mipsle": "linux/mipsle",
        "ppc64": "linux/ppc64",
        "ppc64le": "linux/ppc64le",
        "riscv64": "linux/riscv64",
        "s390x": "linux/s390x",
    }
)
"""GOARCH and GOARM. `arm/6`, `arm/v6`, `arm64/v8.1` and the like are platforms without their `linux/`."""

_LEVELS: Mapping[str, str] = MappingProxyType(
    {f"{name}-v{level}": f"linux/amd64/v{level}" for name in ("x86-64", "x86_64", "amd64") for level in (1, 2, 3, 4)}
)
"""The levels of the x86-64 psABI."""

_BOARDS: Mapping[str, str] = MappingProxyType(
    {
        "rpi": "linux/arm/v6",
        "armv6hf": "linux/arm/v6",
        "armv7hf": "linux/arm/v7",
        "raspberry-pi": "linux/arm/v6",
        "raspberrypi": "linux/arm/v6",
        "raspberrypi0-2w-64": "linux/arm64",
        "raspberry-pi2": "linux/arm/v7",
        "raspberrypi2": "linux/arm/v7",
        "raspberrypi3": "linux/arm/v7",
        "raspberrypi3-64": "linux/arm64",
        "raspberrypi4": "linux/arm/v7",
        "raspberrypi4-64": "linux/arm64",
        "raspberrypi400-64": "linux/arm64",
        "raspberrypi5": "linux/arm64",
        "raspberrypi5-64": "linux/arm64",
        "raspberrypicm4-ioboard": "linux/arm64",
        "fincm3": "linux/arm/v7",
        "beaglebone-black": "linux/arm/v7",
        "intel-nuc": "linux/amd64",
        "generic-aarch64": "linux/arm64",
        "generic-amd64": "linux/amd64",
        "generic-armv7ahf": "linux/arm/v7",
    }
)
"""balena's names of boards and architectures (github.com/balena-io/contracts, `hw.device-type` and `arch.sw`), and
Home Assistant's of the same boards."""

_COMMON: Mapping[str, str] = MappingProxyType(
    {
        "armv5": "linux/arm/v5",
        "armv6": "linux/arm/v6",
        "armv7": "linux/arm/v7",
        "armv8": "linux/arm64",
        "arm-v5": "linux/arm/v5",
        "arm-v6": "linux/arm/v6",
        "arm-v7": "linux/arm/v7",
        "arm-v8": "linux/arm/v8",
        "arm64-v8": "linux/arm64",
        "ia32": "linux/386",
        "loongarch": "linux/loong64",
        "powerpc64le": "linux/ppc64le",
        "riscv": "linux/riscv64",
        "x64": "linux/amd64",
    }
)

TABLES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "the forum proposal": PROPOSAL,
        "Docker's namespaces": OFFICIAL,
        "Docker's namespaces until 2017": FROZEN,
        "Docker on Windows": _WINDOWS,
        "Debian and Ubuntu": _DPKG,
        "GNU triplets": _TRIPLETS,
        "Alpine": _ALPINE,
        "other distributions": _OTHER_DISTRIBUTIONS,
        "uname -m": _UNAME,
        "Go": _GO,
        "x86-64 levels": _LEVELS,
        "balena and Home Assistant": _BOARDS,
        "many people": _COMMON,
    }
)
"""Who says so, and the words that they have. Tables overlap, and never contradict each other."""

WORDS: Mapping[str, Platform] = MappingProxyType(
    {word: Platform.parse(platform).normalised() for table in TABLES.values() for word, platform in table.items()}
)
"""Every word, in lower case, and the platform that it means, in its normal form; the best known first."""


@dataclass(frozen=True, slots=True)
class Trap:
    """What may go wrong with a word, as a person is to read it."""

    words: tuple[str, ...]
    sentence: str


TRAPS: tuple[Trap, ...] = (
    Trap(
        ("armhf",),
        "ARMv7, as for Debian, Ubuntu and containerd; the armhf of Raspbian, Alpine and Home Assistant is ARMv6: say "
        "rpi for that.",
    ),
    Trap(
        ("armel",),
        "ARMv5 with soft float, as for Debian, which made the name; containerd takes it for v6. v5 runs wherever v6 "
        "does, and not the reverse.",
    ),
    Trap(
        ("arm",),
        "Tells no variant, and is taken for v7, as by containerd; a Pi 1 or Zero is rpi, and Arch Linux's arm is v5.",
    ),
    Trap(
        ("rpi", "raspbian"),
        "ARMv6 with hard float, as Raspbian builds it: it runs on every Pi. A Pi 2 or later may say arm7, and a 64-bit "
        "system arm64.",
    ),
    Trap(
        ("arm8", "armv8"),
        "A 64-bit userland; a 32-bit one on an ARMv8 processor is linux/arm/v8, or armv8l.",
    ),
    Trap(
        ("aarch64", "arm64"),
        "A 64-bit userland. uname -m tells of the kernel only: a 32-bit Pi OS under a 64-bit kernel says aarch64, and "
        "is linux/arm/v8; dpkg --print-architecture says armhf.",
    ),
    Trap(
        ("armv8l", "arm-v8"),
        "A 32-bit userland under a 64-bit kernel: it runs v8, v7, v6 and v5 of arm, and never arm64.",
    ),
    Trap(
        ("arm8.1",),
        "A level that no client detects: assign it by a listener or a client rule, or write it into the path.",
    ),
    Trap(
        ("x86-64-v2", "x86-64-v3", "x86-64-v4"),
        "Docker Engine 23 and later and BuildKit detect their level, and choose by it out of an index; to others it "
        "has to be assigned.",
    ),
    Trap(
        ("arm-linux-gnueabihf",),
        "Raspbian (ARMv6) and Debian (ARMv7) share it; it is taken for v7. A Pi 1 or Zero is rpi.",
    ),
    Trap(
        ("raspberrypi3", "raspberrypi4"),
        "The board with a 32-bit system, as for balena and Home Assistant; with a 64-bit one it is raspberrypi3-64 or "
        "raspberrypi4-64.",
    ),
    Trap(("x86", "ia32"), "32-bit; who means a 64-bit machine says x86-64 or amd64."),
    Trap(("ppc64",), "Big-endian, as for Go and uname; nearly all images are for ppc64le, which dpkg calls ppc64el."),
    Trap(
        ("windows", "win", "win64", "winamd64"),
        "A Windows image fits the builds of Windows that it was made for, which no word tells: the client chooses.",
    ),
)
"""The words that mean something else elsewhere, or less than they seem to."""


def find_trap(word: str) -> str:
    """Answer what may go wrong with a word; nothing if nothing is known to."""
    return next((trap.sentence for trap in TRAPS if word in trap.words), "")


def list_origins(word: str) -> tuple[str, ...]:
    """Answer who says a word."""
    return tuple(origin for origin, table in TABLES.items() if word in table)
