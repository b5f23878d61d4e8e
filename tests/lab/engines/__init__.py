"""Docker Engines: the machine's own, and ARM ones that qemu-user runs as if this were a Raspberry Pi.

- `boards`: which machine an engine believes to be on.
- `engine`: `docker_engine()` starts one; `Engine` pulls, inspects and removes.
- `userland`: the ARM engine, unpacked from Debian's packages; `interpreters`: making the kernel run it.
"""

from tests.lab.engines.boards import ARM64_SERVER, PC, PI_2, PI_3, PI_4_32BIT, PI_ZERO, Board
from tests.lab.engines.engine import Engine, EngineImage, docker_engine

__all__ = [
    "ARM64_SERVER",
    "PC",
    "PI_2",
    "PI_3",
    "PI_4_32BIT",
    "PI_ZERO",
    "Board",
    "Engine",
    "EngineImage",
    "docker_engine",
]
