"""What stands around every handler: the log line, and the one translation of errors into the registry's envelope."""

import secrets
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Protocol

from aiohttp import hdrs, web

from proxy.oci import media_types
from proxy.oci.errors import ClientError, NotFound, RegistryError
from proxy.ports import Clock, Events
from proxy.server.answers import API_VERSION
from proxy.server.bodies import BlobResponse, BodyCutShort
from proxy.server.documents import DocumentResponse
from proxy.server.reading import quote_path_of
from proxy.server.registry import REMARKS
from proxy.server.request_ids import HEADER as REQUEST_ID
from proxy.server.request_ids import RequestIds

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
    ids = RequestIds(secrets.token_hex(4))

    async def logged(request: web.BaseRequest) -> web.StreamResponse:
        started = clock.monotonic()
        remarks: dict[str, object] = {"id": ids.find(request)}
        request[REMARKS] = remarks
        status: int | str = "gone"
        size = 0
        try:
            response = await handler(request)
            status, size = response.status, _sent_bytes(request, response)
            return response
        finally:
            events.note(
                "request",
                method=request.method,
                path=quote_path_of(request),
                status=status,
                bytes=size,
                ms=round((clock.monotonic() - started) * 1000, 1),
                **{"client": request.remote, **remarks},
            )

    return logged


def _sent_bytes(request: web.BaseRequest, response: web.StreamResponse) -> int:
    """Answer how much of a body is sent."""
    if isinstance(response, DocumentResponse | BlobResponse):
        return response.sent_bytes
    body = response.body if isinstance(response, web.Response) else None
    return len(body) if isinstance(body, bytes) and request.method != hdrs.METH_HEAD else 0


def answer_errors(handler: Handler, events: ServerEvents) -> Handler:
    """Turn errors into answers."""

    async def answered(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handler(request)
        except BodyCutShort as error:
            request[REMARKS]["body"] = "left by the client" if error.reason is None else "cut short"
            if error.reason is not None:
                events.warn("body.cut_short", **_name(request), reason=error.reason)
            return error.response  # aiohttp would log anything that is raised as a fault
        except RegistryError as error:
            if not isinstance(error, NotFound):
                events.warn("request.failed", **_name(request), code=error.code, reason=error.message)
            return _named(request, error_response(error))
        except Exception:  # noqa: BLE001 - the last line of defence: whatever it is, a client gets the envelope
            events.fail("request.crashed", **_name(request))
            return _named(request, error_response(Fault()))

    return answered


def _name(request: web.BaseRequest) -> dict[str, object]:
    """Answer what a request is found by in the log."""
    return {"id": request[REMARKS].get("id"), "path": quote_path_of(request)}


def _named(request: web.BaseRequest, response: web.Response) -> web.Response:
    """Show a client what its request is called in the log: where something went wrong, somebody will look there."""
    response.headers[REQUEST_ID] = str(request[REMARKS].get("id"))
    return response


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
