"""Clients that download one blob: curl as a process of its own, and a reader that takes its time."""

import asyncio
import hashlib
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.lab import tools
from tests.lab.programs import Program, wait_until

_RECEIVE_BUFFER_BYTES = 64 * 1024
_PIECE_BYTES = 32 * 1024


class Curl:
    """`curl` of one address into a file; it starts at once."""

    def __init__(self, url: str, file: Path) -> None:
        self._file = file
        command = (tools.require("curl"), "--silent", "--show-error", "--fail", "--output", str(file), url)
        self._program = Program(*command, log=file.with_suffix(".log"))

    @property
    def received(self) -> int:
        """How many bytes of the body it has written."""
        return self._file.stat().st_size if self._file.exists() else 0

    async def wait_for_bytes(self, count: int = 1) -> None:
        """Wait until it has received so many bytes."""

        async def has_them() -> bool:
            return self.received >= count

        await wait_until(has_them, seconds=30, purpose=f"{count} bytes for {self._program!r}")

    async def finish(self) -> str:
        """Wait for its end, and return the digest of what it got, or what curl said was wrong."""

        async def has_ended() -> bool:
            return self._program.code is not None

        await wait_until(has_ended, seconds=90, purpose=f"the end of {self._program!r}")
        if self._program.code:
            return f"exit {self._program.code}: {self._program.log()}"
        with self._file.open("rb") as content:
            return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"

    async def kill(self) -> None:
        """End it at once, and forget what it got."""
        await self._program.kill()
        self._file.unlink(missing_ok=True)


@dataclass(slots=True)
class SlowReader:
    """Reads one body at a limited speed, with as little as possible waiting for it in buffers."""

    url: str
    bytes_per_second: float
    received: int = field(default=0, init=False)
    _is_hurrying: bool = field(default=False, init=False)

    def hurry(self) -> None:
        """Read what is left at full speed."""
        self._is_hurrying = True

    async def read(self) -> str:
        """Read the whole body, and return its digest, or the status line where that says no."""
        address = urlsplit(self.url)
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (address.hostname, address.port))
        reader, writer = await asyncio.open_connection(sock=connection, limit=_PIECE_BYTES)
        try:
            writer.write(f"GET {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            if " 200 " not in head.splitlines()[0]:
                return head.splitlines()[0]
            (size,) = re.findall(r"(?im)^content-length: (\d+)", head)
            return await self._read_body(reader, int(size))
        finally:
            writer.close()

    async def _read_body(self, reader: asyncio.StreamReader, size: int) -> str:
        hasher = hashlib.sha256()
        while self.received < size and (piece := await reader.read(min(_PIECE_BYTES, size - self.received))):
            hasher.update(piece)
            self.received += len(piece)
            if not self._is_hurrying:
                await asyncio.sleep(len(piece) / self.bytes_per_second)
        return f"sha256:{hasher.hexdigest()}"
