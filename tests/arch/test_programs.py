import pytest

from proxy.arch.binaries import Binary, parse_binary
from proxy.arch.programs import OTHER, SHELL, Program, pick_program, rank_path
from tests.elves import AMD64, ARMHF, GO_ARM, RASPBIAN


def binary(content: bytes) -> Binary:
    found = parse_binary(content)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("path", "rank"),
    [
        ("bin/busybox", SHELL),
        ("usr/bin/dash", SHELL),
        ("lib/ld-musl-armhf.so.1", 1),
        ("lib64/ld-linux-x86-64.so.2", 1),
        ("lib64/ld64.so.2", 1),
        ("usr/lib/arm-linux-gnueabihf/ld-2.31.so", 1),
        ("bin/[", 2),
        ("usr/sbin/zic", 2),
        ("lib/arm-linux-gnueabihf/libc.so.6", 3),
        ("lib/libc-2.19.so", 3),
        ("lib/libcrypt.so.1", None),
        ("usr/bin/qemu-arm-static", None),
        ("usr/libexec/qemu-binfmt/arm-binfmt-P", None),
        ("etc/passwd", None),
        ("bin/a\nline", None),
        ("bin/" + "x" * 200, None),
    ],
)
def test_a_path_speaks_as_well_as_this(path: str, rank: int | None) -> None:
    assert rank_path(path, is_executable=False) == rank


def test_any_other_program_speaks_last() -> None:
    assert rank_path("app", is_executable=True) == OTHER
    assert rank_path("qemu-arm", is_executable=True) is None


def test_the_best_decides_not_the_most() -> None:
    shell = Program("bin/sh", SHELL, binary(RASPBIAN))
    tools = [Program(f"bin/{name}", 2, binary(ARMHF)) for name in "ab"]
    assert pick_program([*tools, shell]) == shell
    assert pick_program([]) is None


def test_what_leaves_its_variant_open_gives_way_to_its_like() -> None:
    shell, tool = Program("bin/sh", SHELL, binary(GO_ARM)), Program("bin/a", 2, binary(ARMHF))
    foreign = Program("bin/b", 2, binary(AMD64))
    assert pick_program([shell, foreign, tool]) == tool
    assert pick_program([shell, foreign]) == shell
    assert not shell.is_final
