"""Requests to upstreams, counted where they leave: by what they are for, how they ended, and how long that took."""

import re

import httpx

from proxy.ports import Clock
from proxy.spending import SPENDING, Purpose, UpstreamMeter

_PULL = re.compile(r"/v2/.+/(manifests|blobs|tags|referrers)/[^/]+\Z")
_PURPOSES = {
    ("GET", "manifests"): Purpose.MANIFEST,
    ("HEAD", "manifests"): Purpose.MANIFEST_HEAD,
    ("GET", "blobs"): Purpose.BLOB,
    ("HEAD", "blobs"): Purpose.BLOB_HEAD,
}

UNAUTHORIZED = 401
"""The answer to who comes without a token for the first time: the same request follows, and only that one is paid."""


class NoMeter:
    """The `UpstreamMeter` port that counts nothing."""

    def count_request(self, upstream: str, purpose: Purpose, status: int | None, seconds: float, /) -> None:
        """Forget it."""


class MeteredTransport(httpx.AsyncBaseTransport):
    """Counts what goes through another transport, for the operator and for whoever it is done for."""

    def __init__(
        self, inner: httpx.AsyncBaseTransport, upstream: str, meter: UpstreamMeter, clock: Clock, *, other: Purpose
    ) -> None:
        """Take the transport to send through, and what a request is for that is none of the registry's own."""
        self._inner = inner
        self._upstream = upstream
        self._meter = meter
        self._clock = clock
        self._other = other

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request, and count it once its answer has begun or failed to."""
        purpose = find_purpose(request.method, request.url.path) or self._other
        spending, began, status = SPENDING.get(), self._clock.monotonic(), None
        try:
            response = await self._inner.handle_async_request(request)
            status = response.status_code
            return response
        finally:
            if spending is not None and status != UNAUTHORIZED:
                spending.requests[purpose] += 1
            self._meter.count_request(self._upstream, purpose, status, self._clock.monotonic() - began)

    async def aclose(self) -> None:
        """Close the transport that is sent through."""
        await self._inner.aclose()

    def __repr__(self) -> str:
        return f"<MeteredTransport to {self._upstream}>"


def find_purpose(method: str, path: str) -> Purpose | None:
    """Answer what a request of the pull API is for, or None if it is of something else."""
    found = _PULL.search(path)
    return _PURPOSES.get((method, found[1]), Purpose.LIST) if found else None
