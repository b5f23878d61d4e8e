"""Folders of programs with their libraries, unpacked once from Debian's own packages into the lab's cache."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab import tools
from tests.lab.programs import CommandFailed, run

# Folders that programs write to or that are mounted over; whoever runs it brings its own.
_MOUNT_POINTS = ("dev", "etc", "host", "lab", "old", "proc", "run", "sys", "tmp", "var")


@dataclass(frozen=True, slots=True)
class Userland:
    """What a folder is to hold; `--no-install-recommends` of apt would bring five times as much."""

    name: str
    packages: tuple[str, ...]


ENGINE = Userland(
    "engine",
    (
        "docker.io",
        "runc",
        "libbtrfs0",
        "libc6",
        "libcap2",
        "libdevmapper1.02.1",
        "libgcc-s1",
        "libgcrypt20",
        "libgpg-error0",
        "liblz4-1",
        "liblzma5",
        "libpcre2-8-0",
        "libseccomp2",
        "libselinux1",
        "libsystemd0",
        "libudev1",
        "libzstd1",
    ),
)
"""A Docker Engine: what dockerd is linked with and what it calls."""

PYTHON = Userland(
    "python",
    (
        "busybox-static",
        "libatomic1",
        "libbz2-1.0",
        "libc6",
        "libcrypt1",
        "libexpat1",
        "libffi8",
        "libgcc-s1",
        "liblzma5",
        "libpython3.11-minimal",
        "libpython3.11-stdlib",
        "libsqlite3-0",
        "libssl3",
        "libuuid1",
        "python3-distutils",
        "python3-lib2to3",
        "python3-pip",
        "python3.11",
        "python3.11-minimal",
        "zlib1g",
    ),
)
"""A Python with pip, and a shell."""


async def provide_userland(architecture: str, userland: Userland = ENGINE, *, cache: Path = tools.CACHE) -> Path:
    """Return the folder with a userland for a Debian architecture, fetching it the first time."""
    name = f"{userland.name}-{architecture}"
    folder = cache / name
    with locked(cache / f"{name}.lock"):
        if not folder.exists():
            draft = cache / f"{name}.draft"
            shutil.rmtree(draft, ignore_errors=True)
            await _download(architecture, userland, draft / "apt")
            await _unpack(draft / "apt", draft / "root")
            (draft / "root").rename(folder)
            shutil.rmtree(draft)
    return folder


async def _download(architecture: str, userland: Userland, folder: Path) -> None:
    apt = tools.require("apt-get")
    for part in ("lists/partial", "cache/archives/partial", "debs"):
        (folder / part).mkdir(parents=True)
    settings = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "root",
        "Dir::Cache": str(folder / "cache"),
        "Dir::State::lists": str(folder / "lists"),
        "Dir::State::status": "/dev/null",
    }
    options = [f"-o{name}={value}" for name, value in settings.items()]
    # One list of a mirror that is out of step is no failure: the download says what is really missing.
    await run(apt, *options, "update", seconds=300)
    try:
        (
            await run(
                tools.require("sh"),
                "-c",
                'cd "$0" && exec "$@"',
                str(folder / "debs"),
                apt,
                *options,
                "--quiet",
                "download",
                *userland.packages,
                seconds=300,
            )
        ).check()
    except CommandFailed as failure:
        tools.leave(f"the {architecture} {userland.name} can't be fetched: {failure}")


async def _unpack(apt: Path, root: Path) -> None:
    dpkg = tools.require("dpkg")
    for package in sorted((apt / "debs").glob("*.deb")):
        (await run(dpkg, "-x", str(package), str(root))).check()
    for name in _MOUNT_POINTS:
        (root / name).mkdir(exist_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other test runs from what this one makes meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
