"""Manifests and small blobs on their way out: whole answers, each with a head that is written once.

Our own instead of aiohttp's Response for whoever stays connected, which is every client that matters: a Response makes
a dictionary of headers and serialises it, for the same bytes each time. That is a quarter of what answering a manifest
from memory costs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import SERVER_SOFTWARE

_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f]")
"""What may not stand in a header (RFC 9110 §5.5)."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of an answer of status 200."""

    headers: Mapping[str, str]
    """Its headers, but for `Date` and `Server`."""
    remarks: Mapping[str, object] = field(default_factory=dict)
    """What goes with it for the log line."""
    written: bytes = field(init=False, repr=False)
    """All of it up to the value of `Date`."""

    def __post_init__(self) -> None:
        lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in self.headers.items())]
        if any(_FORBIDDEN.search(line) for line in lines):
            raise ValueError(f"a control character in {self.headers}")
        written = "\r\n".join((*lines, f"{hdrs.SERVER}: {SERVER_SOFTWARE}", f"{hdrs.DATE}: "))
        object.__setattr__(self, "written", written.encode())


class DocumentResponse(web.StreamResponse):
    """An answer that is written already."""

    def __init__(self, written: bytes, sent_bytes: int) -> None:
        """Take all of it, head and content; and how many bytes of that are content."""
        super().__init__()
        self.sent_bytes = sent_bytes
        self._written = written

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays: it is made for those only that do."""
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Send it."""
        await request.writer.write_eof(self._written)
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: there is no more of it."""


def document_response(request: web.BaseRequest, head: Head, content: bytes | None, now: float) -> web.StreamResponse:
    """Answer a document, or its head alone.

    Args:
        request: Who asks, by GET or HEAD.
        head: The head, its `Content-Length` that of the content.
        content: The content; None for the head alone.
        now: Wall clock, in seconds since 1970.
    """
    body = content if content is not None and request.method == hdrs.METH_GET else b""
    if request.version == HttpVersion11 and request.keep_alive:
        return DocumentResponse(head.written + _end_of_head(int(now)) + body, len(body))
    return web.Response(headers=head.headers, body=body or None)


@lru_cache(2)
def _end_of_head(second: int) -> bytes:
    return f"{formatdate(second, usegmt=True)}\r\n\r\n".encode()
