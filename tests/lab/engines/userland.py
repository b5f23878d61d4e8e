"""The ARM engine and its libraries, unpacked once from Debian's own packages into the lab's cache."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab import tools
from tests.lab.programs import CommandFailed, run

# What dockerd is linked with and what it calls; `--no-install-recommends` of apt would bring five times as much.
_PACKAGES = (
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
)
# Folders that the engine writes to or that are mounted over; each engine brings its own.
_MOUNT_POINTS = ("dev", "etc", "host", "lab", "old", "proc", "run", "sys", "tmp", "var")


async def provide_userland(architecture: str, *, cache: Path = tools.CACHE) -> Path:
    """Return the folder with the engine for a Debian architecture, fetching it the first time."""
    folder = cache / f"engine-{architecture}"
    with _locked(cache / f"engine-{architecture}.lock"):
        if not folder.exists():
            draft = cache / f"engine-{architecture}.draft"
            shutil.rmtree(draft, ignore_errors=True)
            await _download(architecture, draft / "apt")
            await _unpack(draft / "apt", draft / "root")
            (draft / "root").rename(folder)
            shutil.rmtree(draft)
    return folder


async def _download(architecture: str, folder: Path) -> None:
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
                *_PACKAGES,
                seconds=300,
            )
        ).check()
    except CommandFailed as failure:
        tools.leave(f"the {architecture} engine can't be fetched: {failure}")


async def _unpack(apt: Path, root: Path) -> None:
    dpkg = tools.require("dpkg")
    for package in sorted((apt / "debs").glob("*.deb")):
        (await run(dpkg, "-x", str(package), str(root))).check()
    for name in _MOUNT_POINTS:
        (root / name).mkdir(exist_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
