"""The registry in memory, over HTTP: pushing as the distribution-spec has it, and the manners of some registries."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from aiohttp import web

from proxy.oci.digests import Digest
from proxy.oci.errors import NotFound, RegistryError
from proxy.oci.routes import BlobRoute, ManifestRoute, parse_route
from tests.fakes.registry import MemoryRegistry


@dataclass
class Manners:
    """What some registries do in their own way."""

    location: str = "relative"
    """`relative`, `absolute`, `http` (behind a proxy that ends TLS: another port), `foreign`, `query` or `none`."""
    token: str = ""
    """The Bearer token that it wants, given by its own token service."""
    gives_reading_only: bool = False
    """Whether its tokens allow nothing but reading, whatever was asked for."""
    refuses: set[str] = field(default_factory=set)
    """Media types that it does not take."""
    cuts_uploads: int = 0
    """How many uploads it breaks off half-way."""
    holding: asyncio.Event | None = None
    """Set by the first upload, which is not answered then."""
    largest_request: int | None = None
    """How many bytes of a body something in front of it lets through."""
    loses_uploads: int = 0
    """How many uploads it does not know any more when they come."""
    thinks_seconds: float = 0.0
    """How long it takes to store a blob once it has all of it."""
    leads_to: str = ""
    """Where it sends whoever uploads something, by 307."""


class PushableServer:
    """Answers for a registry in memory."""

    def __init__(self, registry: MemoryRegistry, manners: Manners) -> None:
        self.registry = registry
        self.manners = manners
        self.url = ""
        self.asked: list[tuple[str, str]] = []
        self.scopes: list[str] = []
        """What tokens were asked for; two for one are joined by a blank."""
        self.pieces: list[str] = []
        """The `Content-Range` of each piece of an upload."""
        self._arrived: dict[str, bytes] = {}

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append((request.method, request.path_qs))
        if request.path == "/token":
            scope = " ".join(request.query.getall("scope"))
            self.scopes.append(scope)
            return web.json_response({"token": f"{self.manners.token} {scope}".replace(" ", ",")})
        if self.manners.token and (refusal := self._judge(request)) is not None:
            return refusal
        if request.content_length and request.content_length > (self.manners.largest_request or request.content_length):
            return web.Response(status=413, text="413 Request Entity Too Large")
        try:
            return await self._find(request)
        except NotFound as error:
            return _refuse(404, error.code, error.message)
        except RegistryError as error:
            status = 403 if "does not let us" in error.message else 400
            return _refuse(status, "DENIED" if status == 403 else "MANIFEST_INVALID", error.message)

    def _judge(self, request: web.BaseRequest) -> web.StreamResponse | None:
        token, *scopes = request.headers.get("Authorization", "").removeprefix("Bearer ").split(",")
        challenge = f'Bearer realm="{self.url}/token",service="here"'
        if token != self.manners.token:
            return _refuse(401, "UNAUTHORIZED", "who are you?", {"WWW-Authenticate": challenge})
        is_opened = "from" not in request.query or f"repository:{request.query['from']}:pull" in scopes
        is_allowed = not self.manners.gives_reading_only or request.method in {"GET", "HEAD"}
        if is_opened and is_allowed:
            return None
        more = {"WWW-Authenticate": f'{challenge},error="insufficient_scope"'}
        return _refuse(401, "UNAUTHORIZED", "not with this token", more)

    async def _find(self, request: web.BaseRequest) -> web.StreamResponse:
        if "/blobs/uploads/" in request.path:
            return await self._upload(request)
        match parse_route(request.path).resource:
            case ManifestRoute() as route:
                return await self._manifest(request, route)
            case BlobRoute(repository=repository, digest=digest) if await self.registry.has_blob(repository, digest):
                return web.Response(body=self.registry.repositories[repository].blobs[digest])
            case _:
                return _refuse(404, "NAME_UNKNOWN", "there is no such thing")

    async def _manifest(self, request: web.BaseRequest, route: ManifestRoute) -> web.StreamResponse:
        if request.method != "PUT":
            found = await self.registry.fetch_manifest(route.repository, route.target)
            headers = {"Docker-Content-Digest": str(found.digest), "Content-Type": found.media_type}
            return web.Response(body=found.content, headers=headers)
        content, media_type = await request.content.read(), request.headers["Content-Type"]
        if media_type in self.manners.refuses:
            return _refuse(400, "MANIFEST_INVALID", f"{media_type} is not taken here")
        await self.registry.push_manifest(route.repository, route.target, content, media_type)
        return web.Response(status=201, headers={"Docker-Content-Digest": str(Digest.of(content))})

    async def _upload(self, request: web.BaseRequest) -> web.StreamResponse:
        repository = request.path.removeprefix("/v2/").partition("/blobs/uploads/")[0]
        if request.method == "POST":
            return await self._begin_upload(request, repository)
        if self.manners.loses_uploads:
            self.manners.loses_uploads -= 1
            return _refuse(404, "BLOB_UPLOAD_UNKNOWN", "never heard of it")
        if request.method == "PATCH":
            return await self._take_piece(request, repository)
        digest = Digest.parse(request.query["digest"])
        if self.manners.holding is not None:
            self.manners.holding.set()
            await asyncio.Event().wait()
        if self.manners.cuts_uploads:
            self.manners.cuts_uploads -= 1
            await request.content.readany()
            assert request.transport is not None
            request.transport.close()
            await asyncio.Event().wait()
        content = self._arrived.pop(repository, b"") + await request.content.read()
        await asyncio.sleep(self.manners.thinks_seconds)

        async def read() -> AsyncGenerator[bytes, None]:
            yield content

        await self.registry.push_blob(repository, digest, len(content), read)
        return web.Response(status=201, headers={"Docker-Content-Digest": str(digest)})

    async def _begin_upload(self, request: web.BaseRequest, repository: str) -> web.StreamResponse:
        if "mount" in request.query:
            digest = Digest.parse(request.query["mount"])
            if await self.registry.mount_blob(repository, digest, request.query["from"]):
                return web.Response(status=201, headers={"Location": f"/v2/{repository}/blobs/{digest}"})
        self.registry._check_writable(repository)
        if self.manners.leads_to:
            return web.Response(status=307, headers={"Location": self.manners.leads_to})
        self._arrived.pop(repository, None)
        return web.Response(status=202, headers=self._place(repository))

    async def _take_piece(self, request: web.BaseRequest, repository: str) -> web.StreamResponse:
        arrived = self._arrived.get(repository, b"")
        content, told = await request.content.read(), request.headers["Content-Range"]
        if told != f"{len(arrived)}-{len(arrived) + len(content) - 1}":
            return _refuse(416, "BLOB_UPLOAD_INVALID", "out of order")
        self.pieces.append(told)
        self._arrived[repository] = arrived + content
        return web.Response(status=202, headers=self._place(repository))

    def _place(self, repository: str) -> dict[str, str]:
        path = f"/v2/{repository}/blobs/uploads/1"
        places = {
            "relative": path,
            "absolute": f"{self.url}{path}",
            "http": f"http://localhost{path}",
            "foreign": f"http://elsewhere.example{path}",
            "query": f"{path}?_state=abc",
        }
        found = places.get(self.manners.location)
        return {} if found is None else {"Location": found}


def _refuse(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"errors": [{"code": code, "message": message}]}, status=status, headers=headers)


@contextmanager
def pushable_in_thread(registry: MemoryRegistry, manners: Manners | None = None) -> Iterator[PushableServer]:
    """Serve it in a thread with a loop of its own, for commands that are called in this one."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    context = pushable(registry, manners)
    try:
        yield asyncio.run_coroutine_threadsafe(context.__aenter__(), loop).result(10)
        asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@asynccontextmanager
async def pushable(registry: MemoryRegistry, manners: Manners | None = None) -> AsyncIterator[PushableServer]:
    """Serve a registry in memory at a URL."""
    server = PushableServer(registry, manners or Manners())

    runner = web.ServerRunner(web.Server(server.answer), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()
