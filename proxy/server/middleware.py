"""What stands around every handler: the log line, and the one translation of errors into the registry's envelope."""

from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from proxy.oci import media_types
from proxy.oci.errors import NotFound, RegistryError
from proxy.oci.routes import quote_path
from proxy.ports import Clock, Events
from proxy.server.answers import API_VERSION
from proxy.server.bodies import BodyCutShort
from proxy.server.registry import REMARKS


class ServerEvents(Events, Protocol):
    """Events, and faults of our own."""

    def fail(self, event: str, /, **fields: object) -> None:
        """Tell of a fault, with the exception that is being handled."""


class _Unknown(RegistryError):
    """A fault of our own that nobody foresaw."""


def log_requests(events: Events, clock: Clock) -> Middleware:
    """Make the middleware that writes one line a request."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = clock.monotonic()
        remarks = request[REMARKS] = {}
        status: int | str = "gone"
        try:
            response = await handler(request)
            status = response.status
            return response
        finally:
            events.note(
                "request",
                method=request.method,
                path=quote_path(request.path),
                status=status,
                client=request.remote,
                ms=round((clock.monotonic() - started) * 1000, 1),
                **remarks,
            )

    return middleware


def answer_errors(events: ServerEvents) -> Middleware:
    """Make the middleware that turns errors into answers."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except BodyCutShort as error:
            request[REMARKS]["body"] = "left by the client" if error.reason is None else "cut short"
            if error.reason is not None:
                events.warn("body.cut_short", path=quote_path(request.path), reason=error.reason)
            return error.response  # aiohttp would log anything that is raised as a fault
        except RegistryError as error:
            if not isinstance(error, NotFound):
                events.warn("request.failed", path=quote_path(request.path), code=error.code, reason=error.message)
            return error_response(error)
        except (ConnectionError, web.HTTPException):
            raise
        except Exception:  # noqa: BLE001 - the last line of defence: whatever it is, a client gets the envelope
            events.fail("request.crashed", path=quote_path(request.path))
            return error_response(_Unknown("the proxy failed; its log has the reason"))

    return middleware


def error_response(error: RegistryError) -> web.Response:
    """Write an error in the registry's envelope."""
    return web.Response(
        status=error.http_status,
        body=error.envelope(),
        content_type=media_types.JSON,
        headers={**API_VERSION, **error.headers},
    )
