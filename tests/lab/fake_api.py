"""The API as the dashboard sees it, with a cache that a test makes up: it answers, changes and tells by itself."""

import asyncio
import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from proxy.oci.errors import RegistryError
from proxy.server.dashboard import dashboard_response, is_dashboard
from proxy.server.middleware import error_response

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 1 << 20
GIB = 1 << 30
FLEET = ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6"]
NAMES = [
    ("docker.io/library/debian:jessie", FLEET, [], 192 * MIB, True),
    ("docker.io/library/debian:bookworm-slim", FLEET[:3], ["linux/arm/v6"], 98 * MIB, False),
    ("docker.io/library/nginx:1.27-alpine", FLEET, [], 81 * MIB, True),
    ("docker.io/library/redis:7", FLEET[:2], FLEET[2:], 64 * MIB, False),
    ("docker.io/homeassistant/home-assistant:2026.11", ["linux/arm64"], ["linux/amd64"], 612 * MIB, True),
    ("docker.io/library/eclipse-mosquitto:2", FLEET, [], 22 * MIB, False),
    ("ghcr.io/linuxserver/plex:latest", FLEET[:2], [], 318 * MIB, False),
    ("registry.lan:5000/team/sensor-gateway:4.2.1", ["linux/arm/v6", "linux/arm/v7"], [], 31 * MIB, False),
]


def digest_of(number: int) -> str:
    """Answer a digest that no two numbers share."""
    return f"sha256:{hashlib.sha256(str(number).encode()).hexdigest()}"


def moment(seconds_ago: float) -> str:
    """Write a moment as the API does."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds_ago))


def some_images() -> list[dict[str, Any]]:
    """Answer the images of a household, as `polyarch cache ls --json` writes them."""
    return [
        {
            "reference": reference,
            "digest": digest_of(number + 3),
            "media_type": "application/vnd.oci.image.index.v1+json",
            "answer": digest_of(number + 77),
            "platforms": platforms,
            "missing_platforms": missing,
            "size": size,
            "used_at": moment(40 + 4000 * number**2),
            "checked_at": moment(90 + 500 * number),
            "fresh": number % 3 != 1,
            "pinned": is_pinned,
        }
        for number, (reference, platforms, missing, size, is_pinned) in enumerate(NAMES)
    ]


JESSIE_TRAIL = [
    "library/debian:jessie: sha256:7a82ed70c1c6",
    "upstream: one image for linux/amd64, as its config says",
    "candidate arm32v6/debian:jessie for linux/arm/v6: absent",
    "candidate arm32v5/debian:jessie for linux/arm/v6: sha256:9a7e5a2b81f0, which runs on it",
    "candidate arm32v7/debian:jessie for linux/arm/v7: sha256:51c0be0d7c34",
    "candidate arm64v8/debian:jessie for linux/arm64: sha256:0b6ff23aa1d8",
    "answer: synthesised index sha256:24bae4bf1f3e with linux/arm64, linux/arm/v7, linux/arm/v6 added",
]


def some_resolutions() -> list[dict[str, Any]]:
    """Answer what was resolved lately, newest first."""
    rows = [
        ("docker.io/library/debian:jessie", "linux/arm/v6", "user-agent", "arm32v5/debian:jessie", "hit"),
        ("docker.io/library/redis:7", "linux/arm64", "path", "library/redis:7", "miss"),
        ("docker.io/library/nginx:1.27-alpine", "linux/arm/v7", "client-rule", "library/nginx:1.27-alpine", "hit"),
        ("ghcr.io/linuxserver/plex:latest", None, "none", "ghcr.io/linuxserver/plex:latest", "revalidated"),
        ("docker.io/library/eclipse-mosquitto:2", "linux/arm/v6", "listener", "library/eclipse-mosquitto:2", "hit"),
        ("docker.io/library/debian:bookworm-slim", "linux/amd64", "user-agent", "library/debian:bookworm-slim", "hit"),
    ]
    return [
        {
            "at": moment(20 + 130 * number),
            "reference": reference,
            "client_platform": platform,
            "evidence": evidence,
            "source": f"{source}@{digest_of(number + 9)}",
            "cache": cache,
            "trail": JESSIE_TRAIL if "jessie" in reference else ["library/x: an index", "answer: as it is upstream"],
        }
        for number, (reference, platform, evidence, source, cache) in enumerate(rows)
    ]


def some_history() -> list[dict[str, Any]]:
    """Answer a day that begins cold and ends warm."""
    now = time.time() // 60 * 60
    points = []
    for minute in range(1440):
        age = 1439 - minute
        swing = (minute * 2654435761 >> 7) % 97 / 97
        requests = int(3 + 26 * swing) if (minute // 45) % 4 else int(4 * swing)
        share = min(0.995, 0.55 + minute / 3200 + 0.12 * swing)
        served = requests * 9 * MIB
        points.append(
            {
                "at": now - 60 * age,
                "requests": requests,
                "hits": int(requests * share),
                "bytes_served": served,
                "bytes_fetched": int(served * (1 - min(0.99, share + 0.1 * swing))),
            }
        )
    return points


def a_fill(number: int, repository: str, written: int, size: int | None, readers: int) -> dict[str, Any]:
    """Answer a download as the status tells it."""
    return {"digest": digest_of(number), "repository": repository, "written": written, "size": size, "readers": readers}


@dataclass
class FakeApi:
    """Answers for a made-up cache; what is changed by it is seen by the next question."""

    token: str = ""
    """What changing needs; nothing for everybody."""
    has_events: bool = True
    images: list[dict[str, Any]] = field(default_factory=some_images)
    resolutions: list[dict[str, Any]] = field(default_factory=some_resolutions)
    history: list[dict[str, Any]] = field(default_factory=some_history)
    fills: list[dict[str, Any]] = field(default_factory=list)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    changes: list[tuple[str, str, Any]] = field(default_factory=list)
    """Every change that was let through: method, path and what it named."""
    _listeners: list[asyncio.Queue[tuple[str, dict[str, Any]]]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Answer, on the port that it had before."""
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Answer nobody any more."""
        await self._runner.cleanup()

    def tell(self, name: str, fields: dict[str, Any]) -> None:
        """Send an event to whoever listens."""
        for queue in self._listeners:
            queue.put_nowait((name, fields))

    def job(self, state: str, written: int, *, is_dry: bool = False) -> dict[str, Any]:
        """Answer a job of one image as it is in a state."""
        images = self.changes[-1][2]["images"]
        size = 84 * MIB
        orders = [
            {
                "reference": f"docker.io/library/{name}",
                "platforms": FLEET,
                "state": {"running": "fetching", "done": "planned" if is_dry else "done"}[state],
                "error": None,
                "size": size,
                "written": written,
                "missing": [],
                "parts": [],
            }
            for name in images
        ]
        return {
            "id": "job-1",
            "state": state,
            "created_at": moment(3),
            "ended_at": None if state == "running" else moment(0),
            "orders": orders,
            "cost": {"requests": 17, "size": size * len(images)},
            "spent": {"requests": 0 if is_dry else 17, "tokens": 1, "blob_bytes": written, "pulls": 4},
        }

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if is_dashboard(request.path):
            try:
                return dashboard_response(request, request.path)
            except RegistryError as error:
                return error_response(error)
        name = request.path.removeprefix("/api/v1/")
        if request.method != "GET":
            if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
                return _refuse(401, "UNAUTHORIZED", "changing needs the token")
            return await self._change(request, name)
        if name == "events":
            return await self._events(request)
        answers: dict[str, Callable[[web.BaseRequest], Any]] = {
            "status": self._status,
            "history": lambda _: {"step_seconds": 60, "points": self.history},
            "images": self._images,
            "image": self._image,
            "resolutions": lambda _: {"resolutions": self.resolutions},
            "warm": lambda _: {"jobs": self.jobs},
        }
        find = answers.get(name)
        return web.json_response(find(request)) if find else _refuse(404, "NAME_UNKNOWN", "no such path")

    def _status(self, _: web.BaseRequest) -> dict[str, Any]:
        answers = {"hit": 18_204, "miss": 611, "revalidated": 340, "stale": 2}
        return {
            "version": "0.1.0",
            "started_at": moment(86_400 * 12),
            "uptime_seconds": 86_400 * 12,
            "owns_cache": True,
            "offline": False,
            "fleet": FLEET,
            "cache": {
                "directory": "/var/lib/polyarch",
                "stored_bytes": int(41.3 * GIB),
                "max_bytes": 64 * GIB,
                "free_bytes": 112 * GIB,
                "min_free_bytes": 8 * GIB,
                "pinned_bytes": int(9.2 * GIB),
                "blobs": 2211,
            },
            "upstreams": [
                {
                    "name": "docker.io",
                    "url": "https://registry-1.docker.io",
                    "quota": {"limit": 100, "remaining": 76, "window_seconds": 21_600},
                },
                {"name": "ghcr.io", "url": "https://ghcr.io", "quota": None},
            ],
            "answers": {"tag": answers, "manifest": answers, "blob": answers},
            "bytes": {"served": 712 * GIB, "fetched": 48 * GIB},
            "fills": self.fills,
        }

    def _images(self, request: web.BaseRequest) -> dict[str, Any]:
        wanted = request.query.get("pattern", "").strip("*")
        return {"images": [one for one in self.images if wanted in one["reference"]], "next": None}

    def _image(self, request: web.BaseRequest) -> dict[str, Any]:
        image = next(one for one in self.images if one["reference"] == request.query["reference"])
        own = [
            {
                "platform": "linux/amd64",
                "digest": digest_of(51),
                "size": 54 * MIB,
                "whole": True,
                "source": "upstream",
                "origin": None,
                "shared_with": [],
            }
        ]
        added = [
            {
                "platform": platform,
                "digest": digest_of(sum(map(ord, origin))),
                "size": 46 * MIB,
                "whole": "v6" not in platform,
                "source": source,
                "origin": origin,
                "shared_with": ["linux/arm/v5"] if source == "alias" else [],
            }
            for platform, source, origin in (
                ("linux/arm64", "added", "docker.io/arm64v8/debian:jessie"),
                ("linux/arm/v7", "added", "docker.io/arm32v7/debian:jessie"),
                ("linux/arm/v6", "alias", "docker.io/arm32v5/debian:jessie"),
            )
        ]
        return {**image, "builds": [*own, *added], "trail": JESSIE_TRAIL}

    async def _change(self, request: web.BaseRequest, name: str) -> web.StreamResponse:
        told: dict[str, Any] = dict(request.query)
        if request.method != "DELETE":
            told = json.loads(await request.text())
        self.changes.append((request.method, name, told))
        if name == "pins":
            for image in self.images:
                if image["reference"] == told["reference"]:
                    image["pinned"] = request.method == "POST"
        elif name == "purge":
            self.images = [image for image in self.images if image["reference"] != told["reference"]]
        elif name == "warm":
            is_dry = told["dry_run"]
            self.jobs = [self.job("done" if is_dry else "running", 0, is_dry=is_dry)]
            return web.json_response({"id": "job-1"}, status=202)
        return web.json_response({})

    async def _events(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self.has_events:
            return _refuse(404, "NAME_UNKNOWN", "no such path")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        await response.prepare(request)
        queue: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
        self._listeners.append(queue)
        await response.write(b": begun\n\n")
        try:
            while True:
                name, fields = await queue.get()
                await response.write(f"event: {name}\ndata: {json.dumps(fields)}\n\n".encode())
        finally:
            self._listeners.remove(queue)


def _refuse(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"errors": [{"code": code, "message": message}]}, status=status)
