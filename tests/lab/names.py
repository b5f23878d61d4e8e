"""A name service of one's own for one program: what is in a file has an address, and nothing else does."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab import tools

SILENT, ABSENT = "127.83.0.53", "127.83.0.54"
"""Servers that are asked for every other name: one takes questions and never answers, the other is not there."""
# The mounts exist for the program only, and vanish with it.
_SEE_OWN_FILES = """
set -e; folder=$1; shift
mount --make-rprivate /
for name in hosts resolv.conf; do mount --bind "$folder/$name" "/etc/$name"; done
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Names:
    """The name service."""

    folder: Path

    @property
    def wrapper(self) -> tuple[str, ...]:
        """The command to run a program by that is to believe in these names."""
        return (tools.require("unshare"), "--mount", "sh", "-c", _SEE_OWN_FILES, "sh", str(self.folder))

    def publish(self, name: str) -> None:
        """Let the name stand for 127.0.0.1."""
        (self.folder / "hosts").write_text(f"127.0.0.1 {name}\n")

    def withdraw(self) -> None:
        """Let no name stand for anything."""
        (self.folder / "hosts").write_text("")


@contextmanager
def own_names(folder: Path, *, beyond: str) -> Iterator[Names]:
    """Yield a name service that knows nothing yet; for what it does not know, the server `beyond` is asked."""
    tools.require_root()
    folder.mkdir()
    names = Names(folder)
    names.withdraw()
    (folder / "resolv.conf").write_text(f"nameserver {beyond}\noptions timeout:2 attempts:1\n")
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as listener:
        if beyond == SILENT:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind((beyond, 53))
        yield names
