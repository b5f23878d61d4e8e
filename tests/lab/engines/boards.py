"""The machines that an engine may believe to be on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Board:
    """A machine, as an engine sees it."""

    debian_architecture: str
    """Whose packages the engine is taken from; `amd64` is the machine's own engine."""
    kernel_release: str = ""
    """What `uname -r` says there, and so what stands in the User-Agent."""
    cpu_info: str = ""
    """`/proc/cpuinfo` there: an ARM engine finds its variant in it."""


# Board revisions and serial numbers are left out; the engine reads "CPU architecture" and "model name" only.
_ARM11 = """\
processor\t: 0
model name\t: ARMv6-compatible processor rev 7 (v6l)
CPU implementer\t: 0x41
CPU architecture: 7
"""
_CORTEX = """\
processor\t: 0
model name\t: ARMv7 Processor rev 5 (v7l)
CPU implementer\t: 0x41
CPU architecture: 7
"""
_CORTEX_A53 = """\
processor\t: 0
model name\t: ARMv7 Processor rev 4 (v7l)
CPU implementer\t: 0x41
CPU architecture: 7
"""
_CORTEX_64 = """\
processor\t: 0
CPU implementer\t: 0x41
CPU architecture: 8
"""

PC = Board("amd64")
PI_ZERO = Board("armhf", "6.1.21+", _ARM11)
PI_2 = Board("armhf", "6.1.21-v7+", _CORTEX)
PI_3 = Board("armhf", "6.1.21-v7+", _CORTEX_A53)
"""A 64-bit processor under a 32-bit kernel, which takes it for ARMv7."""
PI_4_32BIT = Board("armhf", "6.1.21-v8+", _CORTEX_64)
"""A 32-bit userland on a 64-bit kernel, as Raspberry Pi OS has it since 2023."""
ARM64_SERVER = Board("arm64", "6.1.0-13-arm64", _CORTEX_64)
