"""A password in a file that changes under us."""

from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.upstream.authorization import Credentials
from proxy.upstream.password_files import PasswordFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("  first\n")
    return path


def _replace(path: Path) -> None:
    fresh = path.with_name("fresh")
    fresh.write_text("other\n")
    fresh.replace(path)


def _rewrite(path: Path) -> None:
    path.write_text("other, and longer\n")


def _relink(path: Path) -> None:
    """As Kubernetes does it, with a folder behind a link."""
    _replace(path)
    fresh = path.with_name("..data")
    path.rename(fresh)
    path.symlink_to(fresh)


def test_a_password_is_what_stands_in_the_file(path: Path) -> None:
    file = PasswordFile(path)
    assert [file.read(), file.read()] == ["first", "first"]
    assert repr(file) == f"<PasswordFile {path}>"


@pytest.mark.parametrize("change", [_replace, _rewrite, _relink])
def test_a_password_that_changes_is_read_again(path: Path, change: Callable[[Path], None]) -> None:
    file = PasswordFile(path)
    before = Credentials("AWS", "", current=file.read).basic
    change(path)
    assert file.read().startswith("other")
    assert Credentials("AWS", "", current=file.read).basic != before


@pytest.mark.parametrize(
    "spoil",
    [Path.unlink, lambda path: path.write_text(""), lambda path: path.write_bytes(b"\xff")],
    ids=["gone", "empty", "no-text"],
)
def test_the_last_password_counts_while_there_is_no_other(path: Path, spoil: Callable[[Path], object]) -> None:
    file = PasswordFile(path)
    spoil(path)
    assert file.read() == "first"
    _replace(path)
    assert file.read() == "other"


def test_a_password_that_was_never_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="password"):
        PasswordFile(tmp_path / "password")
