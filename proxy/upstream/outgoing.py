"""What is sent with a request: a body that can be begun again, and is never held in memory as a whole."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass

import httpx

from proxy.ports import Reading


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A body."""

    size: int
    """In bytes."""
    read: Reading
    media_type: str
    is_repeatable: bool = True
    """Whether sending it again does no harm, and does the same."""

    @classmethod
    def of(cls, content: bytes, media_type: str) -> "Outgoing":
        """Make the body of some content that is at hand."""

        async def read() -> AsyncGenerator[bytes, None]:
            yield content

        return cls(len(content), read, media_type)

    @property
    def headers(self) -> dict[str, str]:
        """What a request that carries it says of it."""
        return {"Content-Length": str(self.size), "Content-Type": self.media_type}


class OutgoingStream(httpx.AsyncByteStream):
    """A body on its way out; calls back whenever some of it has left."""

    def __init__(self, body: Outgoing, moved: Callable[[], None]) -> None:
        """Take what to send."""
        self._body = body
        self._moved = moved

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._body.read():
            self._moved()
            yield chunk
        self._moved()
