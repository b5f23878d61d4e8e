"""Files that appear whole or not at all, whoever else works in the folder, and whenever the power is cut."""

import asyncio
import itertools
import os
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import BinaryIO, cast

_numbers = itertools.count()


def create_file(folder: Path, stem: str, mode: int = 0o666) -> tuple[Path, BinaryIO]:
    """Make a new file, `<stem>.<pid>.<n>`, unbuffered, to be written and read, by whom the mode and the umask let.

    In containers every process has the same number, those before this one and those beside it: so a name is taken only
    if it is free.
    """
    while True:
        path = folder / f"{stem}.{os.getpid()}.{next(_numbers)}"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        except FileExistsError:
            continue
        return path, cast("BinaryIO", os.fdopen(descriptor, "r+b", buffering=0))


def write_durably(root: Path, name: str, content: bytes, mode: int = 0o666) -> None:
    """Replace a small file of the layout in one step: no power cut and no other writer can halve it."""
    path, file = create_file(root / "ingest", name, mode)
    try:
        with file:
            rest = memoryview(content)
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        path.replace(root / name)
    except OSError:
        path.unlink(missing_ok=True)  # most of all where the disk is full
        raise
    sync_folder(root)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def run_to_the_end(executor: Executor, call: Callable[..., None], *arguments: object) -> None:
    """Run a call in a thread. Whoever is cancelled meanwhile waits for its end: until then the file is the thread's."""
    running = asyncio.get_running_loop().run_in_executor(executor, call, *arguments)
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
