"""Servers that stand where a proxy should be."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from tests.server.serving import CERTIFICATE


@asynccontextmanager
async def standing_in(
    answers: Mapping[str, web.Response], tls: ssl.SSLContext | None = None, scheme: str = "http"
) -> AsyncIterator[str]:
    """Serve answers by path, 404 for any other; yields the address."""

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        found = answers.get(request.path)
        return web.Response(status=404) if found is None else found

    runner = web.ServerRunner(web.Server(serve), shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def own_tls() -> ssl.SSLContext:
    """Answer what a server needs that shows a certificate which nobody knows."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    return context
