"""What a binary is built for: the ELF header, and what an ARM binary tells beside it.

Sources: System V gABI, chapter 4 (header, sections, the registry of `e_machine`); ARM IHI 0044 "ELF for the Arm
Architecture" (flags); ARM IHI 0045 "Addenda to the ABI for the Arm Architecture" §3 (build attributes). The bytes are
a stranger's, and may end anywhere: nothing here raises, and what cannot be told is not told.
"""

from dataclasses import dataclass, replace
from struct import Struct
from typing import NamedTuple

from proxy.arch.compatibility import can_run
from proxy.oci.platforms import Platform

MAGIC = b"\x7fELF"
MAX_SECTIONS = 512
"""How many sections are looked at: programs have some thirty."""
MAX_ATTRIBUTES_BYTES = 4096
"""How large a section of ARM attributes may be: they have some fifty bytes."""

EM_ARM = 40
_EM_MIPS = 8
_WORD_BITS = 32
_IDENT_BYTES = 16
_HARD_FLOAT, _SOFT_FLOAT = 0x400, 0x200
_EABI_SHIFT = 24
_MIPS_N32 = 0x20
_SECTION_IS_ATTRIBUTES = 0x70000003
"""SHT_ARM_ATTRIBUTES (ARM IHI 0044, "Section types")."""

_MACHINES = {
    (3, 32, "<"): "386",
    (8, 32, ">"): "mips",
    (8, 32, "<"): "mipsle",
    (8, 64, ">"): "mips64",
    (8, 64, "<"): "mips64le",
    (20, 32, ">"): "ppc",
    (21, 64, ">"): "ppc64",
    (21, 64, "<"): "ppc64le",
    (22, 32, ">"): "s390",
    (22, 64, ">"): "s390x",
    (EM_ARM, 32, "<"): "arm",
    (EM_ARM, 32, ">"): "armbe",
    (43, 64, ">"): "sparc64",
    (62, 64, "<"): "amd64",
    (62, 32, "<"): "amd64",  # x32: an ABI of amd64's
    (183, 64, "<"): "arm64",
    (183, 32, "<"): "arm64",  # ILP32
    (183, 64, ">"): "arm64be",
    (243, 32, "<"): "riscv",
    (243, 64, "<"): "riscv64",
    (258, 64, "<"): "loong64",
}
"""The architecture (as Go and OCI call it) of each machine, word size in bits and byte order."""
_ARCHITECTURES = frozenset(_MACHINES.values())

_CPUS = {
    2: ("v4T", ""),
    3: ("v5T", "v5"),
    4: ("v5TE", "v5"),
    5: ("v5TEJ", "v5"),
    6: ("v6", "v6"),
    7: ("v6KZ", "v6"),
    8: ("v6T2", "v7"),  # Thumb-2, which the ARM11 of a Raspberry Pi 1 does not have
    9: ("v6K", "v6"),
    10: ("v7", "v7"),
    14: ("v8", "v8"),
    18: ("v8.1", "v8"),
    19: ("v8.2", "v8"),
    20: ("v8.3", "v8"),
    22: ("v9", "v8"),
}
"""`Tag_CPU_arch` (IHI 0045 §3.3.5): how it is called, and the OCI variant that it takes; empty where any will do.

Microcontrollers and real-time cores (v6-M, v7E-M, v8-R …) are left out: no image runs on them.
"""
_MICROCONTROLLER = ord("M")
_FPUS = {1: "VFPv1", 2: "VFPv2", 3: "VFPv3", 4: "VFPv3-D16", 5: "VFPv4", 6: "VFPv4-D16", 7: "FP v8", 8: "FP v8-D16"}
"""`Tag_FP_arch` (IHI 0045 §3.3.5): what a binary may use, also where it asks for it only as it runs."""

_TAG_CPU_ARCH, _TAG_CPU_PROFILE, _TAG_FP_ARCH, _TAG_VFP_ARGS = 6, 7, 10, 28
_TAG_COMPATIBILITY = 32
_TEXT_TAGS = frozenset({4, 5})
_SCOPE_IS_FILE = 1


@dataclass(frozen=True, slots=True)
class ArmAttributes:
    """What the section `.ARM.attributes` says, as the numbers of IHI 0045; None where it is silent."""

    cpu: int | None = None
    profile: int | None = None
    fpu: int | None = None
    vfp_args: int | None = None

    @property
    def cpu_name(self) -> str:
        """The architecture version, as ARM calls it; empty if it is not told, or none that runs images."""
        return "" if self.profile == _MICROCONTROLLER else _CPUS.get(self.cpu or 0, ("", ""))[0]

    @property
    def variant(self) -> str:
        """The least OCI variant that will do; empty if it is not told, or any will do."""
        return "" if self.profile == _MICROCONTROLLER else _CPUS.get(self.cpu or 0, ("", ""))[1]


@dataclass(frozen=True, slots=True)
class Binary:
    """What an ELF file says of itself."""

    machine: int
    """`e_machine`."""
    bits: int
    """32 or 64."""
    is_little: bool
    kind: int
    """`e_type`: 2 is a program, 3 a program or a library that may lie anywhere."""
    flags: int
    """`e_flags`."""
    attributes: ArmAttributes | None = None
    """Of an ARM binary, where they are at hand: Go's have none, and a file may be cut off before them."""

    @property
    def architecture(self) -> str:
        """The architecture as OCI calls it; empty if it has no name there."""
        bits = 64 if self.machine == _EM_MIPS and self.bits == _WORD_BITS and self.flags & _MIPS_N32 else self.bits
        return _MACHINES.get((self.machine, bits, "<" if self.is_little else ">"), "")

    @property
    def eabi_version(self) -> int:
        """Of an ARM binary, the version of its ABI: 5 is today's, 0 that of before 2008."""
        return self.flags >> _EABI_SHIFT

    @property
    def is_hard_float(self) -> bool:
        """Whether an ARM binary hands numbers over in the registers of an FPU, which must then be there."""
        said = self.attributes is not None and self.attributes.vfp_args == 1
        return self.machine == EM_ARM and bool(said or self.flags & _HARD_FLOAT)

    @property
    def is_soft_float(self) -> bool:
        """Whether an ARM binary says that it does not."""
        return self.machine == EM_ARM and not self.is_hard_float and bool(self.flags & _SOFT_FLOAT)

    @property
    def is_telling(self) -> bool:
        """Whether it says all that a platform is about: without attributes, an ARM binary leaves its variant open."""
        return self.architecture != "arm" or (self.attributes is not None and self.attributes.cpu is not None)

    def __str__(self) -> str:
        if self.architecture != "arm":
            return self.architecture or f"of machine {self.machine}, {self.bits} bit"
        said = self.attributes or ArmAttributes()
        parts = [f"ARM {said.cpu_name}".rstrip(), _FPUS.get(said.fpu or 0, "")]
        parts += ["hard float"] if self.is_hard_float else []
        parts += ["soft float"] if self.is_soft_float else []
        return ", ".join(part for part in parts if part)


class _Layout(NamedTuple):
    header: Struct
    section: Struct


_LAYOUTS = {
    (bits, order): _Layout(Struct(f"{order}HHI{address}{address}{address}IHHHHHH"), Struct(f"{order}II{address * 4}"))
    for bits, address in ((32, "I"), (64, "Q"))
    for order in "<>"
}
"""The header after its 16 bytes of identification, and the beginning of a section header: `sh_name`, `sh_type`,
`sh_flags`, `sh_addr`, `sh_offset`, `sh_size`."""


def parse_binary(content: bytes | bytearray) -> Binary | None:
    """Read what a file is built for, as far as its bytes go; None if it is no ELF file.

    Args:
        content: The file, or its beginning. The ARM attributes stand near the end of a file.
    """
    if len(content) < _IDENT_BYTES or not content.startswith(MAGIC):
        return None
    bits, order = {1: 32, 2: 64}.get(content[4]), {1: "<", 2: ">"}.get(content[5])
    if bits is None or order is None:
        return None
    layout = _LAYOUTS[bits, order]
    if len(content) < _IDENT_BYTES + layout.header.size:
        return None
    kind, machine, _, _, _, sections_at, flags, _, _, _, section_bytes, sections, _ = layout.header.unpack_from(
        content, _IDENT_BYTES
    )
    binary = Binary(machine, bits, order == "<", kind, flags)
    if machine != EM_ARM:
        return binary
    section = _find_attributes(content, layout.section, sections_at, section_bytes, sections)
    return replace(binary, attributes=_parse_attributes(section, order)) if section else binary


def contradiction(platform: Platform, binary: Binary) -> str | None:
    """Say why a binary cannot run on a platform; None if it can, or if nobody can tell.

    What a platform runs is what `compatibility.runs` says: a 32-bit binary is no contradiction to arm64. An ARM binary
    whose variant is open, like every one of Go's, contradicts no ARM platform. The kind of FPU is not judged: it tells
    what may be used, also by code that asks for it first (glibc's on Debian says VFPv3 where all else says VFPv3-D16).
    """
    own = platform.normalised()
    if own.architecture not in _ARCHITECTURES:
        return None
    if not _can_run(own, binary):
        return f"{binary}, which {own} cannot run"
    # arm/v5 is what Go calls GOARM=5 and Debian armel: no FPU is promised (platforms.md §6).
    if (own.architecture, own.variant) == ("arm", "v5") and binary.is_hard_float:
        return f"{binary}, and {own} need not have an FPU"
    return None


def _can_run(own: Platform, binary: Binary) -> bool:
    needs = replace(own, architecture=binary.architecture, variant="")
    if binary.architecture == own.architecture and binary.architecture != "arm":
        return True  # of levels like amd64/v3 a binary says nothing here
    if binary.architecture != "arm":
        return can_run(own, needs)
    variant = binary.attributes.variant if binary.attributes else ""
    if not variant and own.architecture == "arm":
        return True
    return can_run(own, replace(needs, variant=variant or "v5"))


def _find_attributes(content: bytes | bytearray, layout: Struct, at: int, step: int, count: int) -> bytes:
    if step < layout.size:
        return b""
    for number in range(min(count, MAX_SECTIONS)):
        position = at + number * step
        if position + layout.size > len(content):
            return b""
        _, kind, _, _, offset, size = layout.unpack_from(content, position)
        if kind == _SECTION_IS_ATTRIBUTES:
            is_whole = size <= MAX_ATTRIBUTES_BYTES and offset + size <= len(content)
            return bytes(content[offset : offset + size]) if is_whole else b""
    return b""


def _parse_attributes(section: bytes, order: str) -> ArmAttributes | None:
    """Read the attributes of a whole file; None if they are not what IHI 0045 §3.2 says they are."""
    word = Struct(f"{order}I")
    if not section.startswith(b"A"):
        return None
    position = 1
    while position + word.size <= len(section):
        (size,) = word.unpack_from(section, position)
        part = section[position + word.size : position + size]
        if size <= word.size or position + size > len(section):
            return None
        vendor, _, rest = part.partition(b"\0")
        if vendor == b"aeabi":
            return _parse_scopes(rest, word)
        position += size
    return None


def _parse_scopes(content: bytes, word: Struct) -> ArmAttributes | None:
    position, head = 0, 1 + word.size
    while position + head <= len(content):
        (size,) = word.unpack_from(content, position + 1)
        if size < head:
            return None
        if content[position] == _SCOPE_IS_FILE:
            values = _parse_values(content[position + head : position + size])
            return ArmAttributes(
                values.get(_TAG_CPU_ARCH),
                values.get(_TAG_CPU_PROFILE),
                values.get(_TAG_FP_ARCH),
                values.get(_TAG_VFP_ARGS),
            )
        position += size
    return None


def _parse_values(content: bytes) -> dict[int, int]:
    """Read pairs of tag and number; those of tag and text are stepped over.

    Above 32 the even tags have numbers and the odd ones texts; below it all but 4 and 5 have numbers; 32 has both.
    """
    found: dict[int, int] = {}
    position = 0
    while position < len(content):
        tag, position = _read_number(content, position)
        is_text = tag in _TEXT_TAGS or (tag > _TAG_COMPATIBILITY and tag % 2 == 1)
        if not is_text:
            value, position = _read_number(content, position)
            found.setdefault(tag, value)
        if is_text or tag == _TAG_COMPATIBILITY:
            end = content.find(b"\0", position)
            position = len(content) if end < 0 else end + 1
    return found


def _read_number(content: bytes, position: int) -> tuple[int, int]:
    """Read a ULEB128 number: seven bits a byte, the lowest first. What is cut off reads as far as it goes."""
    value = shift = 0
    while position < len(content):
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:  # noqa: PLR2004 - the highest bit says that another byte follows
            break
    return value, position
