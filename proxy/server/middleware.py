"""What stands around every handler: the log line, and the one translation of errors into the registry's envelope."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Protocol

from aiohttp import web

from proxy.oci import media_types
from proxy.oci.errors import ClientError, NotFound, RegistryError
from proxy.ports import Clock, Events
from proxy.server.answers import API_VERSION
from proxy.server.bodies import BodyCutShort
from proxy.server.reading import quote_path_of
from proxy.server.registry import REMARKS

MAX_REASON = 200
"""The longest reason phrase that is sent; clients read a whole line of at most 4 KiB."""
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class ServerEvents(Events, Protocol):
    """Events, and faults of our own."""

    def fail(self, event: str, /, **fields: object) -> None:
        """Tell of a fault, with the exception that is being handled."""


class Fault(RegistryError):
    """A fault of our own that nobody foresaw."""

    def __init__(self) -> None:
        """Say no more: what it was is in the log."""
        super().__init__("the proxy failed; its log has the reason")


class MalformedRequest(ClientError):
    """What came is no request of HTTP/1.1 (RFC 9112 §2.2)."""

    code = "UNSUPPORTED"
    status = HTTPStatus.BAD_REQUEST


def log_requests(handler: Handler, events: Events, clock: Clock) -> Handler:
    """Write one line a request."""

    async def logged(request: web.BaseRequest) -> web.StreamResponse:
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
                path=quote_path_of(request),
                status=status,
                client=request.remote,
                ms=round((clock.monotonic() - started) * 1000, 1),
                **remarks,
            )

    return logged


def answer_errors(handler: Handler, events: ServerEvents) -> Handler:
    """Turn errors into answers."""

    async def answered(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handler(request)
        except BodyCutShort as error:
            request[REMARKS]["body"] = "left by the client" if error.reason is None else "cut short"
            if error.reason is not None:
                events.warn("body.cut_short", path=quote_path_of(request), reason=error.reason)
            return error.response  # aiohttp would log anything that is raised as a fault
        except RegistryError as error:
            if not isinstance(error, NotFound):
                events.warn("request.failed", path=quote_path_of(request), code=error.code, reason=error.message)
            return error_response(error)
        except Exception:  # noqa: BLE001 - the last line of defence: whatever it is, a client gets the envelope
            events.fail("request.crashed", path=quote_path_of(request))
            return error_response(Fault())

    return answered


def _reason(error: RegistryError) -> str | None:
    if error.http_status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return None
    text = error.message.encode("ascii", "replace").decode()
    return "".join(letter if letter.isprintable() else " " for letter in text)[:MAX_REASON] or None


def error_response(error: RegistryError) -> web.Response:
    """Write an error in the registry's envelope."""
    return web.Response(
        status=error.http_status,
        # Docker, podman, skopeo and ctr show an envelope's message for a 4xx only; of a 5xx they show this line.
        reason=_reason(error),
        body=error.envelope(),
        content_type=media_types.JSON,
        headers={**API_VERSION, **error.headers},
    )
