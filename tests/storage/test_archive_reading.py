"""Image archives as they are read: whatever they are."""

import io
import os
import tarfile
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci.layouts import Entry, EntryKind, InvalidArchive
from proxy.storage import archive_reading
from proxy.storage.archive_reading import ArchiveFile, TarReader, clean_name
from tests.storage.tarballs import files_tarball, member, packed, tarball

FILES = {"oci-layout": b"{}", "blobs/sha256/a": b"x" * 1000, "blobs/sha256/b": b"", f"blobs/sha512/{'c' * 128}": b"512"}
FILE, FOLDER, LINK = EntryKind.FILE, EntryKind.FOLDER, EntryKind.LINK


def read(path: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with ArchiveFile(path).open() as reader:
        while (entry := reader.next_entry()) is not None:
            if entry.kind is FILE:
                found[entry.name] = b"".join(iter(lambda: reader.read(7), b""))
                assert len(found[entry.name]) == entry.size
    return found


def entries(content: bytes) -> list[Entry]:
    reader = TarReader(io.BytesIO(content), io.BytesIO(content))
    return list(iter(reader.next_entry, None))


@pytest.fixture
def place(tmp_path: Path) -> Callable[[bytes], Path]:
    def put(content: bytes) -> Path:
        (tmp_path / "archive").write_bytes(content)
        return tmp_path / "archive"

    return put


@pytest.mark.parametrize("pack", [bytes, packed], ids=["plain", "gzip"])
def test_a_tar_file_is_read_name_by_name(place: Callable[[bytes], Path], pack: Callable[[bytes], bytes]) -> None:
    path = place(pack(files_tarball(FILES)))
    assert read(path) == FILES
    assert ArchiveFile(path).size == path.stat().st_size
    assert repr(ArchiveFile(path)) == f"<ArchiveFile {path}>"


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_form_of_tar_is_read(form: int) -> None:
    names = ["short", "d/" * 60 + "long-as-ustar-can-have-it"]
    names += [] if form == tarfile.USTAR_FORMAT else ["n" * 200, "ü/ß"]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name in names:
            header = tarfile.TarInfo(name)
            header.size = 600
            archive.addfile(header, io.BytesIO(b"x" * 600))
    assert entries(buffer.getvalue()) == [Entry(name, FILE, 600) for name in names]


def test_what_is_not_read_is_passed_over() -> None:
    found = entries(files_tarball(FILES))
    assert [(one.name, one.size) for one in found] == [(name, len(content)) for name, content in FILES.items()]


def test_folders_and_links_are_told_as_what_they_are() -> None:
    content = tarball(
        member("a/", kind=tarfile.DIRTYPE),
        member("a/b/layer.tar", kind=tarfile.SYMTYPE, target="../c/layer.tar"),
        member("d", kind=tarfile.LNKTYPE, target="a/b"),
        member("./e//f", b"1"),
    )
    assert entries(content) == [
        Entry("a", FOLDER),
        Entry("a/b/layer.tar", LINK, target="a/c/layer.tar"),
        Entry("d", LINK, target="a/b"),
        Entry("e/f", FILE, 1),
    ]


def test_a_long_link_has_a_record_of_its_own() -> None:
    header = tarfile.TarInfo("l")
    header.type, header.linkname = tarfile.SYMTYPE, "t" * 150
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        assert entries(header.tobuf(form) + bytes(1024)) == [Entry("l", LINK, target="t" * 150)]


def negative() -> bytes:
    """Write a header with a size of -1, as GNU tar's numbers allow it."""
    header = tarfile.TarInfo("a")
    header.size = -1
    return header.tobuf(tarfile.GNU_FORMAT)


HOSTILE = {
    "no tar file": b"hello" * 200,
    "a name that leads out": tarball(member("../../etc/passwd", b"x")),
    "a name that leads out in the middle": tarball(member("a/../../b", b"x")),
    "an absolute name": tarball(member("/etc/passwd", b"x")),
    "a link that leads out": tarball(member("a", kind=tarfile.SYMTYPE, target="../../etc/passwd")),
    "a link that leads to the machine": tarball(member("a", kind=tarfile.SYMTYPE, target="/etc/passwd")),
    "a hard link that leads out": tarball(member("a", kind=tarfile.LNKTYPE, target="../etc/passwd")),
    "a character device": tarball(member("a", kind=tarfile.CHRTYPE)),
    "a block device": tarball(member("a", kind=tarfile.BLKTYPE)),
    "a pipe": tarball(member("a", kind=tarfile.FIFOTYPE)),
    "a sparse file": tarball(member("a", kind=tarfile.GNUTYPE_SPARSE)),
    "a sparse file in a record": tarball(member("h", b"22 GNU.sparse.major=1\n", kind=tarfile.XHDTYPE), member("a")),
    "a record that is none": tarball(member("h", b"99 path=x\n", kind=tarfile.XHDTYPE), member("a")),
    "a record without an end": tarball(member("h", b"9 path=abc", kind=tarfile.XHDTYPE), member("a")),
    "a record without a length": tarball(member("h", b"path=abc\n", kind=tarfile.XHDTYPE), member("a")),
    "a size that is none": tarball(member("h", b"11 size=-1\n", kind=tarfile.XHDTYPE), member("a")),
    "a size beyond reason": tarball(member("h", b"29 size=9999999999999999999\n", kind=tarfile.XHDTYPE), member("a")),
    "a size beyond any integer": tarball(
        member("h", b"5009 size=" + b"9" * 4998 + b"\n", kind=tarfile.XHDTYPE), member("a")
    ),
    "a name beyond reason": tarball(member("h", b"a" * 70_000, kind=tarfile.GNUTYPE_LONGNAME), member("a")),
    "a long name": tarball(member("a" * 1025)),
    "a link to a long name": tarball(member("a", kind=tarfile.SYMTYPE, target="a" * 1025)),
    "a size below nothing": tarball(negative()),
    "cut off in a header": files_tarball(FILES)[:1100],
    "cut off in a file": files_tarball(FILES)[: 512 * 4 + 100],
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_archive_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidArchive) as refused:
        entries(content)
    assert len(str(refused.value).splitlines()) == 1
    assert len(str(refused.value)) < 250


def test_a_file_that_claims_to_be_huge_is_cut_off_and_costs_nothing() -> None:
    header = tarfile.TarInfo("a")
    header.size = 2**60
    tracemalloc.start()
    with pytest.raises(InvalidArchive, match="cut off"):
        entries(header.tobuf(tarfile.GNU_FORMAT) + b"x" * 1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_a_record_that_claims_to_be_huge_costs_nothing() -> None:
    """Python's own tarfile would read all of it at once: a small compressed file becomes gigabytes of memory."""
    header = tarfile.TarInfo("h")
    header.size, header.type = 2**40, tarfile.XHDTYPE
    with pytest.raises(InvalidArchive, match="a name of"):
        entries(header.tobuf(tarfile.GNU_FORMAT))


def test_names_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_reading, "MAX_ENTRIES", 3)
    with pytest.raises(InvalidArchive, match="more than 3 names"):
        entries(files_tarball(FILES))


@pytest.mark.parametrize("length", [-1, -8, -20, 30])
def test_compressed_bytes_that_are_cut_off_are_told(place: Callable[[bytes], Path], length: int) -> None:
    content = tarball(member("a", os.urandom(100_000)))
    with pytest.raises(InvalidArchive, match=r"cut off|damaged"):
        read(place(packed(content)[: 90_000 + length]))


@pytest.mark.parametrize(("begin", "advice"), [(b"\xfd7zXZ\x00", "xz or bzip2"), (b"BZh91A", "xz or bzip2")])
def test_other_compressions_are_told_what_to_do_with(place: Callable[[bytes], Path], begin: bytes, advice: str) -> None:
    with pytest.raises(InvalidArchive, match=advice):
        read(place(begin + bytes(1000)))


def test_zstd_is_read_where_python_can(place: Callable[[bytes], Path]) -> None:
    """Damaged or unreadable: either way it is one line."""
    with pytest.raises(InvalidArchive):
        read(place(b"\x28\xb5\x2f\xfd" + bytes(100)))


def test_what_is_not_there_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidArchive, match="it cannot be read: No such file"):
        read(tmp_path / "nowhere")
    with pytest.raises(InvalidArchive, match="it cannot be read: No such file"):
        assert ArchiveFile(tmp_path / "nowhere").size


@given(st.binary(max_size=3000))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with suppress(InvalidArchive):
        entries(content)


@given(st.integers(0, 4 * 512 - 1), st.integers(1, 255))
def test_any_damage_is_read_or_refused(position: int, change: int) -> None:
    content = bytearray(files_tarball(FILES))
    content[position] ^= change
    with suppress(InvalidArchive):
        entries(bytes(content))


@given(st.text(alphabet="ab./\0", max_size=12))
def test_a_clean_name_leads_nowhere_else(name: str) -> None:
    try:
        found = clean_name(name)
    except InvalidArchive:
        return
    assert not found.startswith("/")
    assert ".." not in found.split("/")
    assert clean_name(found) == found


# Folders


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    root = tmp_path / "layout"
    for name, content in {**FILES, "index.json": b"{}", "other/file": b"1", "lock": b""}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def test_of_a_layout_only_what_belongs_to_one_is_read(layout: Path) -> None:
    assert read(layout) == {**FILES, "index.json": b"{}"}
    assert ArchiveFile(layout).size == sum(map(len, FILES.values())) + 2


def test_an_unpacked_docker_save_is_read_whole(layout: Path) -> None:
    (layout / "oci-layout").unlink()
    (layout / "manifest.json").write_bytes(b"[]")
    assert read(layout).keys() >= {"manifest.json", "other/file", "lock"}


def test_another_folder_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(InvalidArchive, match="neither oci-layout nor"):
        read(tmp_path)


def test_a_link_within_the_folder_is_followed_and_no_other(layout: Path, tmp_path: Path) -> None:
    (layout / "blobs/sha256/d").symlink_to("a")
    assert read(layout)["blobs/sha256/d"] == FILES["blobs/sha256/a"]
    (tmp_path / "secret").write_bytes(b"secret")
    (layout / "blobs/sha256/e").symlink_to("../../../secret")
    with pytest.raises(InvalidArchive, match="blobs/sha256/e leads out of it"):
        read(layout)


def test_a_pipe_in_a_folder_is_not_waited_for(layout: Path) -> None:
    os.mkfifo(layout / "blobs/sha256/pipe")
    with pytest.raises(InvalidArchive, match="blobs/sha256/pipe is no file"):
        read(layout)


def test_a_folder_s_names_are_counted(layout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_reading, "MAX_ENTRIES", 3)
    with pytest.raises(InvalidArchive, match="more than 3 names"):
        read(layout)


def test_what_is_told_of_all_names_tells_none() -> None:
    content = tarball(member("h", b"15 path=global\n", kind=tarfile.XGLTYPE), member("a", b"1"))
    assert entries(content) == [Entry("a", FILE, 1)]


def test_a_record_tells_the_size_of_what_follows() -> None:
    content = member("h", b"9 size=4\n", kind=tarfile.XHDTYPE) + member("a")[:512] + b"1234".ljust(512) + bytes(1024)
    assert entries(content) == [Entry("a", FILE, 4)]


def test_readers_tell_what_they_read(layout: Path) -> None:
    content = files_tarball(FILES)
    assert repr(TarReader(io.BytesIO(content), io.BytesIO(content))) == "<TarReader: 0 names, 0 bytes>"
    with ArchiveFile(layout).open() as reader:
        assert repr(reader) == f"<FolderReader {layout}>"


def test_an_archive_is_checked_by_its_beginning(place: Callable[[bytes], Path]) -> None:
    ArchiveFile(place(files_tarball(FILES)[:600])).check()
    with pytest.raises(InvalidArchive):
        ArchiveFile(place(b"hello" * 200)).check()
