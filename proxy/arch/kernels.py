"""Which ARM a Docker Engine runs on, told from the kernel release in its User-Agent.

dockerd says `arch/arm` and never the variant. On a Raspberry Pi the kernel's flavour tells it, because each flavour is
built for one generation of boards. One row a flavour, first match wins (platforms.md §5.2 and §5.3, clients.md §1.2).
"""

import re
from dataclasses import dataclass

FLOOR = "v6"
"""What an arm userland is taken for when nothing tells: v6 runs on every ARM since 2002, but for a few of v5 whose
kernels tell it, while v7 on a v6 board dies with SIGILL (moby#37647)."""


@dataclass(frozen=True, slots=True)
class KernelRow:
    """One flavour of kernel, and the variant of a 32-bit userland on it."""

    pattern: re.Pattern[str]
    variant: str
    seen_on: str


def _row(pattern: str, variant: str, seen_on: str) -> KernelRow:
    return KernelRow(re.compile(pattern), variant, seen_on)


ROWS: tuple[KernelRow, ...] = (
    _row(
        r"-v8([-_]16k)?(-rt)?\+?$",
        "v8",
        "32-bit userland on a 64-bit kernel: Pi 3, 4, 5 until bullseye, rpi-update, HypriotOS, Yocto",
    ),
    _row(r"rpi-(v8|2712)(-rt)?$", "v8", "32-bit userland on a 64-bit kernel: Pi OS bookworm and trixie"),
    _row(r"-arm64$", "v8", "Debian's 64-bit kernel under a 32-bit userland"),
    _row(r"rpi-v7l?$", "v7", "Pi 2, 3, 4: Pi OS bookworm and trixie"),
    _row(r"-v7l?\+?$", "v7", "Pi 2, 3, 4: Pi OS until bullseye, HypriotOS, Yocto"),
    _row(r"rpi-v6$", "v6", "Pi 1, Zero: Pi OS bookworm and trixie"),
    _row(r"-hypriotos\+?$", "v6", "Pi 1, Zero: HypriotOS"),
    _row(r"^[0-9]+(\.[0-9]+){1,2}\+$", "v6", "Pi 1, Zero, CM1: Raspbian and Pi OS until bullseye"),
    _row(r"-haos-raspi$", "v6", "Home Assistant OS: one name for all boards"),
    _row(r"-raspi2?$", "v7", "Ubuntu, whose armhf port starts at v7"),
    _row(r"-rpi[24]$", "v7", "Alpine's armv7 kernels, Ubuntu's first Pi 2 kernel"),
    _row(r"-armmp(-lpae)?$", "v7", "Debian's armhf kernel"),
    _row(r"-(marvell|kirkwood|orion5x)$", "v5", "Debian's armel kernels for network storage of 2008"),
)


def find_variant(kernel_release: str) -> str | None:
    """Answer the variant that a kernel release tells of a 32-bit ARM userland, or None if it tells nothing."""
    return next((row.variant for row in ROWS if row.pattern.search(kernel_release)), None)
