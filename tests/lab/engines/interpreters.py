"""Making the kernel run ARM programs, by qemu-user: the `binfmt_misc` file system."""

from contextlib import suppress
from pathlib import Path

from tests.lab import tools
from tests.lab.programs import run

_BINFMT = Path("/proc/sys/fs/binfmt_misc")
# The start of an ELF header: class, byte order, version, ABI (ignored), type (executable or shared), machine.
_MASK = rb"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
_HEADER = rb"\x7fELF\x%02x\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x%02x\x00"
_MACHINES = {"armel": ("qemu-arm", 1, 40), "armhf": ("qemu-arm", 1, 40), "arm64": ("qemu-aarch64", 2, 183)}


async def register_interpreter(architecture: str) -> None:
    """Register qemu for a Debian architecture; what is registered already stays as it is.

    Flags: O and C hand on the program's file and identity, P its first argument (the engine starts itself again
    under other names), F opens qemu now, so that it also works where another root hides it.
    """
    name, elf_class, machine = _MACHINES[architecture]
    qemu = tools.require(f"{name}-static")
    if not (_BINFMT / "register").exists():
        (await run(tools.require("mount"), "-t", "binfmt_misc", "binfmt_misc", str(_BINFMT))).check()
    if (_BINFMT / name).exists():
        return
    header = _HEADER % (elf_class, machine)
    with suppress(FileExistsError):  # another test run was faster
        (_BINFMT / "register").write_bytes(b":%s:M::%s:%s:%s:POCF" % (name.encode(), header, _MASK, qemu.encode()))
