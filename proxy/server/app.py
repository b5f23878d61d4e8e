"""The aiohttp application: its routes, and the middleware around them in order."""

from aiohttp import web

from proxy.ports import Clock
from proxy.server.middleware import ServerEvents, answer_errors, log_requests
from proxy.server.registry import RegistryHandler


def build_app(registry: RegistryHandler, events: ServerEvents, clock: Clock) -> web.Application:
    """Make the application.

    Every path goes to one handler: the pull API's grammar is ours (`oci/routes.py`), and aiohttp's router, which
    decodes and compares piece by piece, would only stand in its way.
    """
    app = web.Application(middlewares=[log_requests(events, clock), answer_errors(events)])
    app.router.add_route("*", "/{path:(?s:.*)}", registry.handle)  # also a path that decodes to several lines
    return app
