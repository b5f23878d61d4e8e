"""The part of the API that tells what went on: over the last day, just now, and while somebody listens."""

from collections.abc import AsyncGenerator
from dataclasses import asdict
from typing import Any

from proxy.oci.errors import Unavailable
from proxy.server.endpoints import COUNT, NUMBER, TEXT, Call, Endpoint, Parameter, fields, list_of, optional
from proxy.server.event_streams import Told
from proxy.server.listed import format_moment
from proxy.service.history import STEP_SECONDS, History
from proxy.service.recent import KEPT_RESOLUTIONS, Happening, Recent, resolution_fields

_POINT = fields(at=TEXT, requests=COUNT, hits=COUNT, bytes_served=COUNT, bytes_fetched=COUNT)
_HISTORY = fields(step_seconds=NUMBER, points=list_of(_POINT))
_RESOLUTION = fields(
    at=TEXT,
    reference=TEXT,
    client_platform=optional(TEXT),
    evidence=TEXT,
    source=TEXT,
    cache=TEXT,
    trail=list_of(TEXT),
)
_LIMIT = Parameter(
    "limit", {**COUNT, "minimum": 1, "maximum": KEPT_RESOLUTIONS}, "how many at most", default=KEPT_RESOLUTIONS
)
_HAPPENING = {"type": "object"}
"""What the log line of it says, beside `state`: started, progress or ended."""


class RecentApi:
    """Answers the calls for what went on."""

    def __init__(self, history: History, recent: Recent) -> None:
        """Take who knows."""
        self._history = history
        self._recent = recent
        self.endpoints = (
            Endpoint("GET", "/history", "What went through, minute by minute.", _HISTORY, self._tell_history),
            Endpoint(
                "GET",
                "/resolutions",
                "Who was answered which image lately, and why; the newest first.",
                fields(resolutions=list_of(_RESOLUTION)),
                self._list_resolutions,
                (_LIMIT,),
            ),
            Endpoint(
                "GET",
                "/events",
                "What happens, while it does: `fill`, `resolution`, `warm` and `eviction` events.",
                _HAPPENING,
                self._follow,
                streams=True,
            ),
        )

    async def _tell_history(self, _call: Call) -> Any:
        return {"step_seconds": STEP_SECONDS, "points": [_written(asdict(point)) for point in self._history.points]}

    async def _list_resolutions(self, call: Call) -> Any:
        found = self._recent.resolutions[: call.given["limit"]]
        return {"resolutions": [_written(resolution_fields(one)) for one in found]}

    async def _follow(self, call: Call) -> AsyncGenerator[Told, None]:
        address = call.request.remote or ""
        if self._recent.is_full(address):
            raise Unavailable("too many listen already; ask for /status and /resolutions now and then instead")
        return self._tell(address)

    async def _tell(self, address: str) -> AsyncGenerator[Told, None]:
        with self._recent.listen(address) as queue:
            while queue is not None:
                yield _told(await queue.get())

    def __repr__(self) -> str:
        return f"<RecentApi: {self._recent!r}>"


def _told(happening: Happening) -> Told:
    is_resolution = happening.name == "resolution"
    return Told(happening.name, _written(happening.fields) if is_resolution else dict(happening.fields))


def _written(told: Any) -> dict[str, Any]:
    return {**told, "at": format_moment(told["at"])}
