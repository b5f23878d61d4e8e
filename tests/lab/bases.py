"""Base images out of Debian's own packages: a Python and a shell, for builds that run without Docker Hub.

What they need of Python packages is fetched beforehand into a folder, so that a build asks nobody.
"""

import gzip
import io
import json
import shutil
import sys
import tarfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.lab import tools
from tests.lab.engines.userland import PYTHON, locked, provide_userland
from tests.lab.images import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Blob, Image, Platform, digest_of
from tests.lab.programs import CommandFailed, run

_PROJECT = Path(__file__).parents[2] / "pyproject.toml"
_BUILD_BACKEND = ("hatchling",)
# Where Debian's folders are not enough: pip's temporary files, and what a runtime mounts over.
_FOLDERS = {"dev": 0o755, "etc": 0o755, "proc": 0o755, "run": 0o755, "sys": 0o755, "tmp": 0o1777, "var": 0o755}
_LINKS = {
    **dict.fromkeys(("bin/sh", "bin/mkdir"), "busybox"),
    **dict.fromkeys(("usr/bin/python", "usr/bin/python3"), "python3.11"),
}
_FILES = {"etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n", "etc/group": b"root:x:0:\n"}
_UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/lintian")


@dataclass(frozen=True, slots=True)
class Machine:
    """A processor in the words of Debian, of images and of wheels."""

    debian: str
    platform: str
    wheels: tuple[str, ...]
    """The tags of binary wheels that its Python takes."""
    from_source: tuple[str, ...] = ()
    """Packages without a wheel for it, which are built there."""
    processor: str = ""
    """What qemu-user is to be, where it could do more than the machine: it refuses instructions that this has not."""


PC = Machine("amd64", "linux/amd64", ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"))
PI = Machine(
    "armhf",
    "linux/arm/v7",
    ("manylinux_2_36_armv7l", "manylinux_2_31_armv7l", "manylinux_2_17_armv7l"),
    from_source=("pyyaml",),
)
ARM_SERVER = Machine(
    "arm64", "linux/arm64", ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
)
PI_ZERO = Machine("armel", "linux/arm/v6", ("linux_armv6l",), from_source=("pyyaml",), processor="arm1176")
"""Debian's armhf needs ARMv7; its armel is of ARMv5, and runs here. Of wheels, PyPI has those of pure Python for it."""
_TO_BUILD = ("setuptools", "wheel", "cython")


async def build_python_base(machine: Machine) -> Image:
    """Build an image that has Python 3.11, pip and a shell: what there is of `python:3.13-alpine` in Debian."""
    tar = _pack(await provide_userland(machine.debian, PYTHON))
    environment = ["PATH=/usr/local/bin:/usr/bin:/bin"]
    environment += [f"QEMU_CPU={machine.processor}"] if machine.processor else []
    config = {
        **Platform.parse(machine.platform).as_json(),
        "config": {"Cmd": ["python3"], "Env": environment},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(tar)]},
    }
    configuration = Blob.of(OCI_CONFIG, json.dumps(config).encode())
    layer = Blob.of(OCI_LAYER, gzip.compress(tar, compresslevel=1, mtime=0))
    content = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": configuration.descriptor(),
        "layers": [layer.descriptor()],
    }
    manifest = Blob.of(OCI_MANIFEST, json.dumps(content).encode())
    return Image(Platform.parse(machine.platform), manifest, configuration, (layer,))


async def provide_wheels(machine: Machine, *, cache: Path = tools.CACHE) -> Path:
    """Return the folder of all that an install of polyarch takes on a machine, fetching it the first time.

    pip finds it where this machine's own pip is told to look. A changed dependency is another folder.
    """
    dependencies = tomllib.loads(_PROJECT.read_text())["project"]["dependencies"]
    name = f"wheels-{machine.debian}-{digest_of(json.dumps(dependencies).encode())[7:19]}"
    with locked(cache / f"{name}.lock"):
        if not (cache / name).exists():
            draft = cache / f"{name}.draft"
            shutil.rmtree(draft, ignore_errors=True)
            await _download(machine, dependencies, draft)
            draft.rename(cache / name)
    return cache / name


async def _download(machine: Machine, dependencies: list[str], folder: Path) -> None:
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder))
    platforms = [f"--platform={tag}" for tag in machine.wheels]
    sources = [one for one in dependencies if one.startswith(machine.from_source)] if machine.from_source else []
    wanted = [one for one in dependencies if one not in sources] + list(_BUILD_BACKEND)
    try:
        options = ("--only-binary=:all:", "--python-version=3.11", *platforms)
        (await run(*pip, *options, *wanted, *(_TO_BUILD if sources else ()), seconds=240)).check()
        if sources:
            # Only these: what builds them is not to be built itself.
            options = ("--no-deps", f"--no-binary={','.join(machine.from_source)}")
            (await run(*pip, *options, *sources, seconds=240)).check()
    except CommandFailed as failure:
        tools.leave(f"the packages for {machine.platform} can't be fetched: {failure}")


def _pack(root: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, mode in _FOLDERS.items():
            archive.addfile(_entry(name, tarfile.DIRTYPE, mode=mode))
        for path in sorted(root.rglob("*")):
            name = str(path.relative_to(root))
            if name not in _FOLDERS and not name.startswith(_UNUSED):
                archive.add(path, name, recursive=False, filter=_of_nobody_and_no_time)
        for name, target in _LINKS.items():
            archive.addfile(_entry(name, tarfile.SYMTYPE, target=target))
        _add_files(archive, _FILES)
    return buffer.getvalue()


def _add_files(archive: tarfile.TarFile, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        entry = _entry(name, tarfile.REGTYPE, mode=0o644)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))


def _entry(name: str, kind: bytes, *, mode: int = 0o777, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname = kind, mode, target
    return entry


def _of_nobody_and_no_time(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    return entry
