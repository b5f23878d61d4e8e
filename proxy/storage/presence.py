"""That a server runs on a cache folder, and how to reach it: one small file, from its start to its end.

A file may be left over from a server that was killed, and somebody else may listen at that port by now. So it holds the
secret by which the server shows that it is the one (`server/identity.py`), and only its owner may read it.
"""

import json
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from proxy.ports import Events
from proxy.storage.durable import write_durably

PRESENCE_FILE = "server.json"
MAX_BYTES = 4096
OWNER_ONLY = 0o600


@dataclass(frozen=True, slots=True)
class Presence:
    """A server on this machine."""

    address: str
    """Its base URL, as this machine reaches it."""
    secret: str = field(repr=False)
    """By which it shows that it is the one."""


def find_presence(root: Path) -> Presence | None:
    """Answer which server says that it runs; None where none does, or its file cannot be read."""
    try:
        # No pipe is waited for, and no link followed: the folder may be somebody else's.
        descriptor = os.open(root / PRESENCE_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        content = os.read(descriptor, MAX_BYTES) if _is_believed(os.fstat(descriptor), root.stat().st_uid) else b""
        fields = json.loads(content)
        address, secret = fields["address"], fields["secret"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return None
    finally:
        os.close(descriptor)
    is_text = isinstance(address, str) and isinstance(secret, str) and bool(secret)
    return Presence(address, secret) if is_text else None


@asynccontextmanager
async def leaving_word(root: Path, presence: Presence, events: Events) -> AsyncIterator[None]:
    """Say in a cache folder that a server runs; where that cannot be written, commands do without."""
    try:
        write_durably(root, PRESENCE_FILE, json.dumps(asdict(presence)).encode(), mode=OWNER_ONLY)
    except OSError as error:
        events.warn("presence.not_written", reason=str(error))
    try:
        yield
    finally:
        if find_presence(root) == presence:  # and nobody's who came after
            with suppress(OSError):
                (root / PRESENCE_FILE).unlink()


def _is_believed(file: os.stat_result, owner: int) -> bool:
    """Tell whether a file is what the owner of the cache folder left, and not whoever else may write into it."""
    return stat.S_ISREG(file.st_mode) and file.st_uid in {0, os.geteuid(), owner} and not file.st_mode & 0o022
