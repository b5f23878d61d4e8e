"""Image archives as they are written."""

import io
import tarfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from proxy.oci.errors import InvalidSetting, Unavailable
from proxy.storage.archive_writing import (
    ArchiveWriter,
    FolderWriter,
    TarWriter,
    writing_folder,
    writing_stream,
    writing_tar,
)
from tests.storage.tarballs import unpack

Writing = Callable[[Path], AbstractContextManager[ArchiveWriter]]
FILES = {"blobs/a": b"x" * 1000, "blobs/b": b"", "blobs/c": b"y" * 512, "n" * 141: b"long"}
TARGETS = [pytest.param(writing_tar, id="tar"), pytest.param(writing_folder, id="folder")]


def write(writer: ArchiveWriter) -> None:
    writer.add_folder("blobs")
    for name, content in FILES.items():
        writer.begin_file(name, len(content))
        writer.write(content[:300])
        writer.write(content[300:])


def write_in_vain(writing: Writing, path: Path) -> None:
    with writing(path) as writer:
        write(writer)
        raise ZeroDivisionError


def read(path: Path) -> dict[str, bytes]:
    if path.is_dir():
        return {one.relative_to(path).as_posix(): one.read_bytes() for one in path.rglob("*") if one.is_file()}
    return unpack(path.read_bytes())


@pytest.mark.parametrize("writing", TARGETS)
def test_it_is_there_when_it_is_whole(tmp_path: Path, writing: Writing) -> None:
    path = tmp_path / "out"
    with writing(path) as writer:
        write(writer)
        assert not path.exists()
    assert read(path) == FILES
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("writing", TARGETS)
def test_what_goes_wrong_leaves_nothing_behind(tmp_path: Path, writing: Writing) -> None:
    with pytest.raises(ZeroDivisionError):
        write_in_vain(writing, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("writing", TARGETS)
def test_where_nothing_can_be_written_is_told(tmp_path: Path, writing: Writing) -> None:
    with pytest.raises(Unavailable, match="cannot be written: No such file or directory"):
        writing(tmp_path / "nowhere" / "out").__enter__()


def test_a_tar_file_is_replaced_only_by_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"before")
    with pytest.raises(ZeroDivisionError):
        write_in_vain(writing_tar, path)
    assert path.read_bytes() == b"before"
    with writing_tar(path) as writer:
        write(writer)
    assert unpack(path.read_bytes()) == FILES


def test_a_device_stays_a_device() -> None:
    with writing_tar(Path("/dev/null")) as writer:
        write(writer)
    assert Path("/dev/null").is_char_device()


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"before")
    (tmp_path / "link").symlink_to("target")
    with writing_tar(tmp_path / "link") as writer:
        write(writer)
    assert (tmp_path / "link").is_symlink()
    assert unpack((tmp_path / "target").read_bytes()) == FILES


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with writing_folder(tmp_path / "out") as writer:  # an empty one will do
        write(writer)
    with pytest.raises(InvalidSetting, match="out is not empty"):
        writing_folder(tmp_path / "out").__enter__()
    assert read(tmp_path / "out") == FILES


def test_a_stream_is_the_same_tar_file(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with writing_stream(stream) as writer:
        write(writer)
    with writing_tar(tmp_path / "out") as writer:
        write(writer)
    assert stream.getvalue() == (tmp_path / "out").read_bytes()


def test_nobody_can_tell_who_wrote_it_and_when() -> None:
    stream = io.BytesIO()
    with writing_stream(stream) as writer:
        write(writer)
    with tarfile.open(fileobj=io.BytesIO(stream.getvalue())) as archive:
        members = archive.getmembers()
    assert {(one.mtime, one.uid, one.gid, one.uname, one.gname) for one in members} == {(0, 0, 0, "", "")}
    assert {one.mode for one in members} == {0o755, 0o444}


def test_they_tell_where_they_write(tmp_path: Path) -> None:
    assert repr(FolderWriter(tmp_path)) == f"<FolderWriter to {tmp_path}>"
    assert repr(TarWriter(io.BytesIO())).startswith("<TarWriter to <_io.BytesIO")
