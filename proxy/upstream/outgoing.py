"""What is asked of a registry, and what is sent with it: a body that can be begun again, and need not be in memory."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx

from proxy.ports import Reading

PIECE_BYTES = 64 * 1024
"""How much is handed to a connection at once: small, so that a slow one still moves every few seconds."""
_READING = frozenset({"GET", "HEAD"})


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
    def of(cls, content: bytes, media_type: str, *, is_repeatable: bool = True) -> "Outgoing":
        """Make the body of some content that is at hand."""

        async def read() -> AsyncGenerator[bytes, None]:
            yield content

        return cls(len(content), read, media_type, is_repeatable)

    @property
    def headers(self) -> dict[str, str]:
        """What a request that carries it says of it."""
        return {"Content-Length": str(self.size), "Content-Type": self.media_type}


class OutgoingStream(httpx.AsyncByteStream):
    """A body on its way out; calls back whenever some of it has left, and tells whether that was the last of it."""

    def __init__(self, body: Outgoing, moved: Callable[[bool], None]) -> None:
        """Take what to send."""
        self._body = body
        self._moved = moved

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with aclosing(self._body.read()) as chunks:
            async for chunk in chunks:
                for position in range(0, len(chunk), PIECE_BYTES):
                    self._moved(False)
                    yield chunk[position : position + PIECE_BYTES]
        self._moved(True)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for, wherever on the way."""

    method: str
    repository: str
    headers: Mapping[str, str]
    body: Outgoing | None = None
    moved: Callable[[bool], None] = lambda _: None
    """Called whenever some of the body has left."""
    mounted: str = ""
    """Another repository, of which this one is to get something: a token has to open that, too."""

    @property
    def is_repeatable(self) -> bool:
        """Whether it may be asked again, whatever became of it."""
        return self.body is None or self.body.is_repeatable

    @property
    def writes(self) -> bool:
        """Whether it changes something."""
        return self.method not in _READING

    def make(self, url: httpx.URL, own: Mapping[str, str], limits: Mapping[str, float | None]) -> httpx.Request:
        """Write the request for one host."""
        about = self.body.headers if self.body else {}
        return httpx.Request(
            self.method,
            url,
            headers={"Accept": "*/*", **self.headers, **about, **own},
            stream=OutgoingStream(self.body, self.moved) if self.body else None,
            extensions={"timeout": dict(limits)},
        )


class Patience:
    """How long an answer is waited for: while what is sent still moves, that time has not begun."""

    def __init__(self, *, answer_seconds: float, stall_seconds: float, upload_seconds: float) -> None:
        """Take how long an answer may take, how long a body may stand still, and an answer once it has left."""
        self.seconds = answer_seconds
        """How long it lasts, counted from the last move."""
        self._stall_seconds = stall_seconds
        self._upload_seconds = upload_seconds
        self._limit: asyncio.Timeout | None = None

    async def __aenter__(self) -> Self:
        self._limit = asyncio.timeout(self.seconds)
        await self._limit.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        limit, self._limit = self._limit, None
        if limit is not None:
            await limit.__aexit__(kind, error, traceback)

    def renew(self, is_last: bool, /) -> None:  # noqa: FBT001 - as it is called back
        """Begin anew, since something has moved; what is answered before all of it has left may move on for a while."""
        if self._limit is not None and not self._limit.expired():
            self.seconds = self._upload_seconds if is_last else self._stall_seconds
            self._limit.reschedule(asyncio.get_running_loop().time() + self.seconds)

    def __repr__(self) -> str:
        return f"<Patience for {self.seconds:g} s>"
