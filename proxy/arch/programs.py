"""Which file of an image speaks for its CPU.

The best in a fixed order decides, not the most: an image has one shell and it has to run, while libraries and tools for
other CPUs come in numbers. The order is also one of how honest the ARM attributes are: a shell holds no code for CPUs
that it asks for first, as libc does (its FPU is then told higher than it needs). Links have no bytes, and speak not.

Images for the Raspberry Pi carry a foreign emulator, so that they build on x86 (`usr/bin/qemu-arm-static` in `resin/`
and `multiarch/`, platforms.md §4.4): whatever is named after QEMU is passed over.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from proxy.arch.binaries import Binary

_ORDER = tuple(
    re.compile(pattern)
    for pattern in (
        r"(usr/)?bin/(sh|ash|bash|busybox|dash)",
        r"(usr/)?lib[^/]*/([^/]+/)?ld(64)?(-[^/]*)?\.so[^/]*",
        r"(usr/)?s?bin/[^/]+",
        r"(usr/)?lib[^/]*/([^/]+/)?libc[-.][^/]*\.?so[^/]*",
    )
)
"""A shell; the loader; any program; libc."""
SHELL = 0
"""The rank of a shell: no other file speaks before it."""
OTHER = len(_ORDER)
"""The rank of any other program: it speaks for an image that has nothing else, made from a single one."""
_FOREIGN = re.compile(r"(.*/)?qemu-[^/]*(/.*)?")
_PATH = re.compile(r"[!-~]{1,200}")
"""What may stand in a trail; no image has its shell anywhere else."""


@dataclass(frozen=True, slots=True)
class Program:
    """A binary of an image, and how well it speaks for it: 0 is best."""

    path: str
    """Without a slash at its beginning."""
    rank: int
    binary: Binary

    @property
    def is_final(self) -> bool:
        """Whether no other file could make us think better of it."""
        return self.rank == SHELL and self.binary.is_telling


def rank_path(path: str, *, is_executable: bool) -> int | None:
    """Answer how well a file speaks for its image, by its name; None if not at all.

    Args:
        path: Where it is in the image, without a slash or dot at its beginning.
        is_executable: Whether it may be executed; libraries need not be.
    """
    if not _PATH.fullmatch(path) or _FOREIGN.fullmatch(path):
        return None
    for rank, pattern in enumerate(_ORDER):
        if pattern.fullmatch(path):
            return rank
    return OTHER if is_executable else None


def pick_program(programs: Iterable[Program]) -> Program | None:
    """Answer the program that speaks for an image, or None if there is none.

    Where the best one leaves something open, the next one of its machine that does not is taken instead.
    """
    ordered = sorted(programs, key=lambda program: program.rank)
    if not ordered:
        return None
    best = ordered[0]
    alike = (program for program in ordered if program.binary.architecture == best.binary.architecture)
    return next((program for program in alike if program.binary.is_telling), best)
