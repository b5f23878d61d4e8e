"""Small disks of the test's own: they become full, have room again, and turn read-only."""

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab import tools
from tests.lab.programs import CommandFailed, run

_PIECES = (1024**2, 4096, 1)


@dataclass(frozen=True, slots=True)
class Disk:
    """A mounted file system."""

    path: Path

    def fill(self) -> None:
        """Leave no room, to the last byte."""
        with (self.path / "filler").open("ab", buffering=0) as filler:
            for size in _PIECES:
                try:
                    while filler.write(bytes(size)) == size:
                        pass
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def clear(self) -> None:
        """Make the room again that `fill` took."""
        (self.path / "filler").unlink()

    async def remount_read_only(self) -> None:
        """Turn it read-only in good order: nobody may have a file open for writing."""
        (await run(tools.require("mount"), "-o", "remount,ro", str(self.path))).check()

    async def break_down(self) -> None:
        """Let the kernel find it broken, and so turn it read-only under the hands of whoever writes (ext4 only)."""
        source = await run(tools.require("findmnt"), "--noheadings", "--output", "SOURCE", str(self.path))
        _report_error(Path(source.check().stdout.strip()).name)


def _report_error(device: str) -> None:
    Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("1")


def _make_file(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


@asynccontextmanager
async def memory_disk(path: Path, *, size: str = "8m") -> AsyncIterator[Disk]:
    """Mount a tmpfs."""
    async with _mounted(path, "-t", "tmpfs", "-o", f"size={size}", "tmpfs"):
        yield Disk(path)


@asynccontextmanager
async def ext4_disk(path: Path, *, size: int = 32 * 1024**2) -> AsyncIterator[Disk]:
    """Mount an ext4 that turns read-only at the first error."""
    image = path.with_suffix(".img")
    _make_file(image, size)
    (await run(tools.require("mkfs.ext4"), "-q", str(image))).check()
    async with _mounted(path, "-o", "loop,errors=remount-ro", str(image)):
        yield Disk(path)


@asynccontextmanager
async def _mounted(path: Path, *arguments: str) -> AsyncIterator[None]:
    tools.require_root()
    (await run(tools.require("mkdir"), str(path))).check()
    try:
        (await run(tools.require("mount"), *arguments, str(path))).check()
    except CommandFailed as failure:
        tools.leave(f"mounting is not permitted here: {failure}")
    try:
        yield
    finally:
        (await run(tools.require("umount"), "--lazy", str(path))).check()
