"""ELF files built by hand: a header, and for ARM the attributes that a linker would leave."""

import struct
from collections.abc import Mapping

ARM, AARCH64, X86_64, I386, MIPS, PPC64, S390, RISCV = 40, 183, 62, 3, 8, 21, 22, 243
EABI5, HARD, SOFT = 0x5000000, 0x400, 0x200
CPU_ARCH, PROFILE, FP_ARCH, VFP_ARGS = 6, 7, 10, 28
V5TE, V6, V6KZ, V7, V8 = 4, 6, 7, 10, 14


def uleb(number: int) -> bytes:
    """Write a number as ARM IHI 0045 has it."""
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F)
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def build_attributes(values: Mapping[int, int], *, order: str = "<", cpu_name: str = "any") -> bytes:
    """Build a section `.ARM.attributes`, a name and what an unknown vendor says included."""
    written = b"\x05" + cpu_name.encode() + b"\0" + b"".join(uleb(tag) + uleb(value) for tag, value in values.items())
    written += uleb(32) + uleb(1) + b"gnu\0" + uleb(67) + b"2.09\0" + uleb(70) + uleb(300)
    scope = b"\x01" + struct.pack(f"{order}I", 5 + len(written)) + written
    other = b"\x02" + struct.pack(f"{order}I", 6) + b"\0"  # says something of a single section
    parts = ((b"gnu\0", b""), (b"aeabi\0", other + scope))
    return b"A" + b"".join(struct.pack(f"{order}I", 4 + len(v) + len(body)) + v + body for v, body in parts)


def build_elf(
    machine: int,
    *,
    bits: int = 32,
    order: str = "<",
    flags: int = 0,
    attributes: Mapping[int, int] | None = None,
    section: bytes = b"",
    padding: int = 0,
) -> bytes:
    """Build a program: header, some code, the section with ARM attributes if there are any, the section headers."""
    address = "I" if bits == 32 else "Q"
    header, entry = struct.Struct(f"{order}HHI{address * 3}IHHHHHH"), struct.Struct(f"{order}II{address * 4}IIII")
    content = section or (b"" if attributes is None else build_attributes(attributes, order=order))
    at = 16 + header.size + padding
    sections = [(0, 0, 0, 0, 0, 0, 0, 0, 0, 0), (1, 0x70000003, 0, 0, at, len(content), 0, 0, 1, 0)] if content else []
    ident = b"\x7fELF" + bytes([1 if bits == 32 else 2, 1 if order == "<" else 2, 1]).ljust(12, b"\0")
    begin = at + len(content) if sections else 0
    written = header.pack(2, machine, 1, 0, 0, begin, flags, 0, 0, 0, entry.size if sections else 0, len(sections), 0)
    return ident + written + b"\x90" * padding + content + b"".join(entry.pack(*one) for one in sections)


def arm(cpu: int, *, is_hard: bool = True, fpu: int = 0, padding: int = 0) -> bytes:
    """Build an ARM program as a distribution's compiler leaves it."""
    values = {CPU_ARCH: cpu, FP_ARCH: fpu, **({VFP_ARGS: 1} if is_hard else {})}
    return build_elf(ARM, flags=EABI5 | (HARD if is_hard else SOFT), attributes=values, padding=padding)


AMD64 = build_elf(X86_64, bits=64)
ARM64 = build_elf(AARCH64, bits=64)
GO_ARM = build_elf(ARM, flags=EABI5 | 2)
"""What Go's linker writes, whatever GOARM says: no attributes, and neither hard nor soft float."""
ARMEL = arm(V5TE, is_hard=False)
RASPBIAN = arm(V6KZ, fpu=2)
ARMHF = arm(V7, fpu=4)
