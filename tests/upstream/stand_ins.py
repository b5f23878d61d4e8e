"""Registries on loopback that answer as they are told, over real connections, and note what they were asked."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from multidict import CIMultiDictProxy

from proxy.oci.digests import Digest
from proxy.oci.media_types import OCI_MANIFEST
from tests.lab.programs import pick_free_port

MANIFEST = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":'
MANIFEST += b'{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:' + b"0" * 64 + b'","size":2},'
MANIFEST += b'"layers":[]}'
DIGEST = Digest.of(MANIFEST)
BLOB = b"a layer"
BLOB_DIGEST = Digest.of(BLOB)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came in."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: CIMultiDictProxy[str]

    @property
    def authorization(self) -> str | None:
        """What was shown."""
        return self.headers.get("Authorization")

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(slots=True)
class StandIn:
    """A registry that was started, and what it was asked."""

    url: str
    asked: list[Asked] = field(default_factory=list)

    @property
    def log(self) -> list[str]:
        """What was asked, a line each."""
        return [str(asked) for asked in self.asked]

    @property
    def shown(self) -> list[str | None]:
        """The `Authorization` of each request."""
        return [asked.authorization for asked in self.asked]


Answer = Callable[[Asked, StandIn], web.StreamResponse | Awaitable[web.StreamResponse]]


@asynccontextmanager
async def stand_in(answer: Answer, *, address: str = "127.0.0.1") -> AsyncIterator[StandIn]:
    """Serve a registry whose every request `answer` answers; another address of 127.0.0.0/8 is another host."""
    port = pick_free_port(address)
    started = StandIn(f"http://{address}:{port}")

    async def handle(request: web.Request) -> web.StreamResponse:
        query = {key: request.query.getall(key) for key in request.query}
        asked = Asked(request.method, request.raw_path.partition("?")[0], query, request.headers)
        started.asked.append(asked)
        answered = answer(asked, started)
        return answered if isinstance(answered, web.StreamResponse) else await answered

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, address, port).start()
    try:
        yield started
    finally:
        await runner.cleanup()


def manifest(content_type: str | None = OCI_MANIFEST, **headers: str) -> web.Response:
    """Answer the manifest, well described."""
    described = {"Docker-Content-Digest": str(DIGEST), **headers}
    response = web.Response(body=MANIFEST, headers=described)
    response.headers["Content-Type"] = content_type or ""
    return response


def refusal(status: int, code: str, message: str = "", *, challenge: str = "") -> web.Response:
    """Answer an error of the distribution-spec, and a challenge with it."""
    headers = {"WWW-Authenticate": challenge} if challenge else {}
    return web.json_response({"errors": [{"code": code, "message": message}]}, status=status, headers=headers)


def redirect(location: str, status: int = 307, *, page: str = "") -> web.Response:
    """Lead on, with a web page for whoever does not follow."""
    return web.Response(status=status, text=page, content_type="text/html", headers={"Location": location})


def page(status: int = 200) -> web.Response:
    """Answer a web page."""
    return web.Response(status=status, text="<!doctype html><title>A registry</title>", content_type="text/html")


def token(text: str) -> web.Response:
    """Answer a token."""
    return web.json_response({"token": text, "expires_in": 300})
