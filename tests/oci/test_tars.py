import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci.tars import BLOCK_BYTES, MAX_ENTRIES, MAX_NAME_BYTES, TarEntry, TarFile, TarWalk

LONG = "/".join(["a" * 45] * 5)


def everything(entry: TarEntry) -> int:
    return entry.size


def build(*files: tuple[str, bytes], form: int = tarfile.USTAR_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def walk(content: bytes, step: int = 1000, limit: int = 1 << 30) -> list[TarFile]:
    walker = TarWalk(lambda entry: min(entry.size, limit))
    found = [file for at in range(0, len(content), step) for file in walker.feed(content[at : at + step])]
    return [*found, *walker.close()]


def names(files: list[TarFile]) -> list[str]:
    return [file.entry.path for file in files]


FILES = (("./bin/sh", b"x" * 700), ("empty", b""), (LONG, b"long"), ("last", b"y" * BLOCK_BYTES))


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("step", [1, 511, 512, 100_000])
def test_an_archive_is_read_in_any_pieces(form: int, step: int) -> None:
    found = walk(build(*FILES, form=form), step)
    assert [(file.entry.path, file.content) for file in found] == [
        ("bin/sh", b"x" * 700),
        (LONG, b"long"),
        ("last", b"y" * BLOCK_BYTES),
    ]
    assert all(file.entry.is_executable for file in found)


@given(st.integers(0, len(build(*FILES))), st.integers(1, 2000))
def test_an_archive_may_end_anywhere(end: int, step: int) -> None:
    whole = {file.entry.path: file.content for file in walk(build(*FILES))}
    for file in walk(build(*FILES)[:end], step):
        assert whole[file.entry.path].startswith(file.content)


@given(st.binary(max_size=3000), st.integers(1, 700))
def test_any_bytes_can_be_walked(content: bytes, step: int) -> None:
    walk(content, step)


@given(st.data())
def test_an_archive_may_be_damaged_anywhere(data: st.DataObject) -> None:
    content = bytearray(build(*FILES, form=tarfile.PAX_FORMAT))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    walk(bytes(content))


def test_no_more_is_kept_than_is_wanted() -> None:
    assert [file.content for file in walk(build(*FILES), limit=5)] == [b"x" * 5, b"long", b"y" * 5]


def test_a_file_is_answered_when_enough_of_it_came() -> None:
    walker = TarWalk(lambda entry: 10)
    assert names(list(walker.feed(build(("a", b"x" * 5000))[:600]))) == ["a"]


def test_links_and_folders_have_no_content() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE):
            entry = tarfile.TarInfo("bin/sh")
            entry.type, entry.linkname, entry.size = kind, "busybox", 0
            archive.addfile(entry)
        archive.addfile(tarfile.TarInfo("none"))
    assert walk(buffer.getvalue() + build(("a", b"a"))) == []


def forge(size: bytes, kind: bytes = b"0", name: bytes = b"bin/sh") -> bytes:
    block = bytearray(name.ljust(100, b"\0") + b"0000755\0".ljust(24, b"0") + size.ljust(12, b"\0")).ljust(512, b"\0")
    block[156:157] = kind
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(b"77777777777", id="huge"),
        pytest.param(b"\x80" + b"\0" * 10 + b"\x05", id="binary"),
        pytest.param(b"\x80" + b"\0" * 3 + b"\x3f" + b"\xff" * 7, id="huge-binary"),
    ],
)
def test_a_size_is_believed_as_far_as_there_is_content(size: bytes) -> None:
    (found,) = walk(forge(size) + b"abcde".ljust(512, b"\0"), limit=5)
    assert found.content == b"abcde"


@pytest.mark.parametrize("size", [b"-1", b"\xff" * 12, b"8", b"\x80" + b"\xff" * 11, b"\xc0" + b"\0" * 11])
def test_a_size_that_is_none_ends_the_walk(size: bytes) -> None:
    walker = TarWalk(everything)
    assert list(walker.feed(forge(size) + build(("a", b"a")))) == []
    assert walker.is_over


def test_a_name_that_is_too_long_ends_the_walk() -> None:
    for kind in (b"L", b"x"):
        walker = TarWalk(everything)
        assert list(walker.feed(forge(b"%o" % (MAX_NAME_BYTES + 1), kind) + b"n" * 9999)) == []
        assert walker.is_over


def test_a_pax_header_tells_size_and_path() -> None:
    records = b"16 path=bin/ash\n9 size=3\n"
    header = forge(b"%o" % len(records), b"x") + records.ljust(512, b"\0")
    (found, other) = walk(header + forge(b"0") + b"abc".ljust(512, b"\0") + build(("b", b"b")))
    assert (found.entry.path, found.content, other.entry.path) == ("bin/ash", b"abc", "b")
    for wrong in (b"99 path=x\n", b"path=x\n", b"0 path=x\n", b"9 size=x\n"):
        header = forge(b"%o" % len(wrong), b"x") + wrong.ljust(512, b"\0")
        assert names(walk(header + build(("b", b"b")))) == ["b"]


def test_a_global_header_and_a_long_link_stand_between() -> None:
    between = forge(b"5", b"K") + b"where".ljust(512, b"\0") + forge(b"3", b"g") + b"abc".ljust(512, b"\0")
    name = forge(b"7", b"L") + b"bin/ash".ljust(512, b"\0")
    assert names(walk(name + between + build(("b", b"b")))) == ["bin/ash"]


def test_too_many_entries_end_the_walk() -> None:
    walker = TarWalk(everything)
    block = forge(b"0")
    for _ in range(MAX_ENTRIES + 1):
        assert list(walker.feed(block)) == []
    assert walker.is_over
