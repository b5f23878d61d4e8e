"""Which part of the server a path belongs to: the pull API, and beside it what operators ask for.

`/healthz` and `/readyz` never ask upstream: a proxy whose upstream is gone still serves what it has.
"""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from aiohttp import web

from proxy.oci.errors import RegistryError, Unsupported
from proxy.ports import BlobStore, Ledger
from proxy.server.doors import Door
from proxy.server.identity import CHALLENGE, PROOF, Identity
from proxy.server.reading import raw_path_of
from proxy.server.registry import READ_METHODS, REMARKS, RegistryHandler

PULLS = "/v2/"
"""How nearly every path begins."""
HEALTH, READINESS, METRICS, API = "/healthz", "/readyz", "/metrics", "/api/"

Area = Callable[[web.BaseRequest, Door], Awaitable[web.StreamResponse]]
"""Answers the requests of a part of the server."""


class Operations:
    """Finds who answers a request."""

    def __init__(self, registry: RegistryHandler, pages: Mapping[str, Area], folders: Mapping[str, Area]) -> None:
        """Take who answers pulls, who answers single paths, and who answers all that begins with some path."""
        self._registry = registry
        self._pages = pages
        self._folders = folders

    def handle(self, request: web.BaseRequest, door: Door) -> Awaitable[web.StreamResponse]:
        """Answer one request that came in by a door."""
        neighbourhood = self._registry.clients.neighbourhood
        if neighbourhood.has_proxies:
            origin = neighbourhood.locate(request.remote, request.headers.getall("X-Forwarded-For", ()))
            request[REMARKS].update(client=origin.address, peer=request.remote)
        if request.raw_path.startswith(PULLS):  # not one more step for those
            return self._registry.handle(request, door)
        path = raw_path_of(request)
        area = self._pages.get(path)
        if area is None:
            area = next((one for folder, one in self._folders.items() if path.startswith(folder)), None)
        if area is None:
            return self._registry.handle(request, door)
        request[REMARKS]["kind"] = "operations"
        return area(request, door)

    def __repr__(self) -> str:
        return f"<Operations: {', '.join([*self._pages, *self._folders])}>"


class Probes:
    """Answers whoever looks whether the server is there, and fit to serve."""

    def __init__(self, store: BlobStore, ledger: Ledger, identity: Identity) -> None:
        """Take what has to work, and what the server is known by."""
        self._store = store
        self._ledger = ledger
        self.identity = identity

    async def tell_health(self, request: web.BaseRequest, _door: Door) -> web.StreamResponse:
        """Answer that the process answers; and to who asks by a challenge, that it is the one."""
        check_reads(request)
        response = _plain("ok")
        if (proof := self.identity.answer(request.headers.get(CHALLENGE, ""))) is not None:
            response.headers[PROOF] = proof
        return response

    async def tell_readiness(self, request: web.BaseRequest, _door: Door) -> web.StreamResponse:
        """Answer whether the cache can be read. One that cannot be written is served from all the same."""
        check_reads(request)
        try:
            self._ledger.read_revision()
            self._store.free_bytes()
        except (RegistryError, OSError) as error:
            reason = error.message if isinstance(error, RegistryError) else str(error.strerror)
            return _plain(f"the cache cannot be read: {reason}", HTTPStatus.SERVICE_UNAVAILABLE)
        return _plain("ready")


def tell_metrics(render: Callable[[], bytes], content_type: str) -> Area:
    """Make the area that answers `/metrics` with what is rendered."""

    async def tell(request: web.BaseRequest, _door: Door) -> web.StreamResponse:
        check_reads(request)
        return web.Response(body=render(), headers={"Content-Type": content_type})

    return tell


def check_reads(request: web.BaseRequest) -> None:
    """Hold a request to reading.

    Raises:
        Unsupported: It is for something else.
    """
    if request.method not in READ_METHODS:
        raise Unsupported("only to be read: GET or HEAD", headers={"Allow": "GET, HEAD"})


def _plain(text: str, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(text=f"{text}\n", status=status, headers={"Cache-Control": "no-store"})
