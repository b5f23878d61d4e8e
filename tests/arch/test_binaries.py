from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.arch.binaries import EM_ARM, MAX_SECTIONS, ArmAttributes, Binary, contradiction, parse_binary
from proxy.oci.platforms import Platform
from tests import elves
from tests.arch.worlds import linux
from tests.elves import AMD64, ARM, ARM64, ARMEL, ARMHF, EABI5, GO_ARM, RASPBIAN, V5TE, V6, V7, V8, arm, build_elf

CACHE = Path(__file__).parents[1] / "lab" / ".cache"


def read(content: bytes) -> Binary:
    binary = parse_binary(content)
    assert binary is not None
    return binary


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param(AMD64, "amd64", id="x86-64"),
        pytest.param(build_elf(62), "amd64", id="x32"),
        pytest.param(build_elf(3), "386", id="i386"),
        pytest.param(ARM64, "arm64", id="aarch64"),
        pytest.param(build_elf(183, bits=64, order=">"), "arm64be", id="aarch64-big"),
        pytest.param(build_elf(8, order=">"), "mips", id="mips"),
        pytest.param(build_elf(8), "mipsle", id="mipsle"),
        pytest.param(build_elf(8, bits=64), "mips64le", id="mips64le"),
        pytest.param(build_elf(8, flags=0x20), "mips64le", id="mips-n32"),
        pytest.param(build_elf(21, bits=64, order=">"), "ppc64", id="ppc64"),
        pytest.param(build_elf(21, bits=64), "ppc64le", id="ppc64le"),
        pytest.param(build_elf(22, bits=64, order=">"), "s390x", id="s390x"),
        pytest.param(build_elf(243, bits=64), "riscv64", id="riscv64"),
        pytest.param(build_elf(258, bits=64), "loong64", id="loong64"),
        pytest.param(build_elf(42), "of machine 42, 32 bit", id="sh4"),
        pytest.param(ARMEL, "ARM v5TE, soft float", id="debian-armel"),
        pytest.param(RASPBIAN, "ARM v6KZ, VFPv2, hard float", id="raspbian"),
        pytest.param(ARMHF, "ARM v7, VFPv3-D16, hard float", id="debian-armhf"),
        pytest.param(arm(V8), "ARM v8, hard float", id="armv8"),
        pytest.param(GO_ARM, "ARM", id="go"),
        pytest.param(build_elf(ARM, flags=EABI5, attributes={6: 10, 7: ord("M")}), "ARM", id="cortex-m"),
        pytest.param(build_elf(ARM, flags=EABI5, attributes={6: 10, 28: 1}), "ARM v7, hard float", id="by-attribute"),
    ],
)
def test_a_binary_reads_as_what_it_is(content: bytes, text: str) -> None:
    assert str(read(content)) == text


def test_attributes_are_read_in_both_byte_orders() -> None:
    for order in "<>":
        binary = read(build_elf(ARM, order=order, flags=EABI5, attributes={6: 7, 7: 65, 10: 2, 28: 1}))
        assert binary.attributes == ArmAttributes(7, 65, 2, 1)
        assert binary.eabi_version == 5
    assert read(build_elf(ARM, order=">")).architecture == "armbe"


@pytest.mark.parametrize(
    ("platform", "content", "runs"),
    [
        ("arm/v7", ARMHF, True),
        ("arm/v6", ARMHF, False),
        ("arm/v5", ARMHF, False),
        ("arm/v8", ARMHF, True),
        ("arm64", ARMHF, True),  # containerd: arm64 runs arm/v8 and below
        ("amd64", ARMHF, False),
        ("arm/v6", RASPBIAN, True),
        ("arm/v7", RASPBIAN, True),
        ("arm/v5", RASPBIAN, False),
        ("arm/v5", ARMEL, True),
        ("arm/v6", ARMEL, True),
        ("arm/v7", ARMEL, True),
        ("arm/v5", arm(V5TE), False),  # hard float: no FPU is promised there
        ("arm/v6", arm(V6), True),
        ("arm/v6", arm(8), False),  # v6T2
        ("arm/v5", arm(2, is_hard=False), True),  # v4T
        ("arm/v7", arm(V8), False),
        ("arm64", arm(V8), True),
        ("arm/v5", GO_ARM, True),
        ("arm64", GO_ARM, True),
        ("amd64", GO_ARM, False),
        ("arm/v7", ARM64, False),
        ("arm/v8", ARM64, False),
        ("arm64", ARM64, True),
        ("arm64/v8.1", ARM64, True),
        ("arm/v6", AMD64, False),
        ("amd64", AMD64, True),
        ("amd64/v3", AMD64, True),
        ("386", AMD64, False),
        ("amd64", build_elf(3), True),
        ("ppc64le", build_elf(21, bits=64), True),
        ("ppc64le", build_elf(21, bits=64, order=">"), False),
        ("riscv64", build_elf(243, bits=64), True),
        ("riscv64/rva20u64", build_elf(243, bits=64), True),
        ("arm/v7", build_elf(42), False),
        ("wasm", AMD64, True),  # nobody can tell
    ],
)
def test_a_binary_contradicts_what_cannot_run_it(platform: str, content: bytes, runs: bool) -> None:  # noqa: FBT001
    against = contradiction(linux(platform), read(content))
    assert (against is None) is runs


def test_a_contradiction_says_why() -> None:
    assert contradiction(linux("arm/v6"), read(arm(V7))) == "ARM v7, hard float, which linux/arm/v6 cannot run"
    assert contradiction(linux("arm/v5"), read(arm(V5TE))) == (
        "ARM v5TE, hard float, and linux/arm/v5 need not have an FPU"
    )


@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(content: bytes) -> None:
    parse_binary(content)


@given(st.sampled_from([AMD64, ARM64, ARMHF, GO_ARM]), st.data())
def test_a_binary_may_be_cut_and_damaged_anywhere(content: bytes, data: st.DataObject) -> None:
    cut = bytearray(content[: data.draw(st.integers(0, len(content)))])
    for _ in range(data.draw(st.integers(0, 4)) if cut else 0):
        cut[data.draw(st.integers(0, len(cut) - 1))] = data.draw(st.integers(0, 255))
    binary = parse_binary(cut)
    if binary is not None:
        assert str(binary)
        for platform in ("arm/v5", "arm/v6", "arm64", "amd64"):
            contradiction(linux(platform), binary)


@given(st.binary(max_size=120))
def test_any_section_of_attributes_can_be_read(section: bytes) -> None:
    for content in (section, b"A" + section, b"A\xff\0\0\0aeabi\0" + section):
        assert read(build_elf(ARM, section=content or b"?")).machine == EM_ARM


def test_what_is_cut_off_before_its_attributes_tells_its_flags() -> None:
    binary = read(ARMHF[:60])
    assert (str(binary), binary.is_telling, binary.attributes) == ("ARM, hard float", False, None)


def test_attributes_that_are_too_many_or_too_large_are_left() -> None:
    assert read(build_elf(ARM, section=b"A" * 5000)).attributes is None
    many = bytearray(build_elf(ARM, attributes={6: 10}))
    many[48:50] = (0xFFFF).to_bytes(2, "little")
    many[32:36] = (16).to_bytes(4, "little")
    assert MAX_SECTIONS < 0xFFFF
    read(bytes(many))


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"#!/bin/sh\n" * 9, b"\x7fELF\x03\x01".ljust(99), ARMHF[:51]])
def test_what_is_no_elf_file_is_none(content: bytes) -> None:
    assert parse_binary(content) is None


def test_another_system_is_judged_by_its_machine() -> None:
    assert contradiction(Platform("freebsd", "amd64"), read(AMD64)) is None
    assert contradiction(Platform("freebsd", "amd64"), read(ARM64)) is not None


@pytest.mark.lab
@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("engine-armhf/lib/arm-linux-gnueabihf/ld-linux-armhf.so.3", "ARM v7, VFPv3-D16, hard float"),
        ("engine-armhf/lib/arm-linux-gnueabihf/libc.so.6", "ARM v7, VFPv3, hard float"),
        ("engine-armhf/usr/sbin/runc", "ARM v7, VFPv3-D16, hard float"),
        ("engine-arm64/lib/aarch64-linux-gnu/libc.so.6", "arm64"),
    ],
)
def test_debian_s_own_binaries_read_as_readelf_reads_them(path: str, text: str) -> None:
    if not (CACHE / path).exists():
        pytest.skip("the ARM engines are not in the lab's cache")
    assert str(read((CACHE / path).read_bytes())) == text
    assert elves.ARM == EM_ARM


@pytest.mark.parametrize(
    "scopes",
    [
        pytest.param(b"\x01\x04\0\0\0", id="smaller-than-its-own-head"),
        pytest.param(b"\x02\x06\0\0\0\0", id="of-a-single-section-only"),
        pytest.param(b"", id="none"),
    ],
)
def test_attributes_that_say_nothing_of_the_file_are_none(scopes: bytes) -> None:
    part = b"aeabi\0" + scopes
    section = b"A" + (4 + len(part)).to_bytes(4, "little") + part
    assert read(build_elf(ARM, section=section)).attributes is None


def test_a_number_that_is_cut_off_reads_as_far_as_it_goes() -> None:
    part = b"aeabi\0" + b"\x01\x07\0\0\0" + b"\x06\x8a"
    section = b"A" + (4 + len(part)).to_bytes(4, "little") + part
    assert read(build_elf(ARM, section=section)).attributes == ArmAttributes(cpu=10)


def test_sections_of_which_none_holds_attributes_tell_nothing() -> None:
    content = ARMHF.replace((0x70000003).to_bytes(4, "little"), (1).to_bytes(4, "little"))
    assert read(content).attributes is None
