"""The API under `/api/v1`: what operators, scripts and the dashboard ask for, and what they may change."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from proxy import version
from proxy.oci.errors import NameUnknown, Unsupported
from proxy.oci.references import Reference
from proxy.oci.routes import ManifestRoute
from proxy.ports import BlobStore, Clock, Ledger, Pin
from proxy.server.access import Access
from proxy.server.doors import Door
from proxy.server.endpoints import (
    COUNT,
    FLAG,
    TEXT,
    Call,
    Endpoint,
    Parameter,
    Sight,
    describe,
    fields,
    list_of,
    optional,
    read_parameters,
)
from proxy.server.event_streams import send_events
from proxy.server.explanations import Inquiry, explain
from proxy.server.imagined import ImaginedRequest
from proxy.server.listed import format_moment, listed_fields
from proxy.server.reading import host_of, raw_path_of
from proxy.server.recent_api import RecentApi
from proxy.server.registry import RegistryHandler
from proxy.server.shapes import (
    DAMAGE,
    EXPLANATION,
    IMAGE,
    IMAGE_DETAIL,
    REMOVED,
    STATUS,
    TAG,
    UPSTREAM,
    WHOAMI,
    answer_fields,
    build_fields,
    damage_fields,
    fill_fields,
    quota_fields,
    removed_fields,
    tag_fields,
)
from proxy.server.warm_api import WarmApi
from proxy.server.whoami import whoami_fields
from proxy.service.fill import Fills
from proxy.service.history import History
from proxy.service.housekeeping import Housekeeper
from proxy.service.image_details import ImageDetails
from proxy.service.inspection import Inspection
from proxy.service.recent import Recent
from proxy.service.tally import Tally
from proxy.service.verification import Verification
from proxy.service.warm_jobs import WarmJobs
from proxy.spending import Traffic

BASE = "/api/v1"
MAX_IMAGES = 1000
_PATTERN = Parameter("pattern", {**TEXT, "maxLength": 256}, "a shell pattern of names", default=None)
_AFTER = Parameter("after", TEXT, "the reference after which to begin: `next` of the answer before", default="")
_LIMIT = Parameter("limit", {**COUNT, "minimum": 1, "maximum": MAX_IMAGES}, "how many at most", default=200)
_PAGE = (_PATTERN, _AFTER, _LIMIT)
_REFERENCE = Parameter("reference", TEXT, "an image, by tag or digest: debian:bookworm", is_required=True)


@dataclass(frozen=True, slots=True)
class ApiTools:
    """What the API tells of, and works with."""

    registry: RegistryHandler
    store: BlobStore
    ledger: Ledger
    inspection: Inspection
    details: ImageDetails
    verification: Verification
    housekeeper: Housekeeper
    tally: Tally
    traffic: Traffic
    fills: Fills
    clock: Clock
    warm_jobs: WarmJobs
    history: History
    recent: Recent


class Api:
    """Answers the calls of the API."""

    def __init__(self, tools: ApiTools, access: Access, sight: Sight) -> None:
        """Take what to tell of, and who may ask."""
        self.access = access
        """May be replaced at any time, and so may what follows."""
        self.sight = sight
        self._tools = tools
        self._began, self._started_at = tools.clock.monotonic(), tools.clock.now()
        warming, recent = WarmApi(tools.warm_jobs, tools.registry), RecentApi(tools.history, tools.recent)
        self.endpoints = (*self._reading(), *recent.endpoints, *self._changing(), *warming.endpoints)
        """The whole table."""

    async def handle(self, request: web.BaseRequest, door: Door) -> web.StreamResponse:
        """Answer a call.

        Raises:
            NameUnknown: There is no such endpoint.
            Unauthorized: The caller may not.
            InvalidCall: A parameter is not what it should be.
        """
        path, method = unquote(raw_path_of(request)).removeprefix(BASE), request.method
        there = {one.method: (one, named) for one in self.endpoints if (named := one.read_path(path)) is not None}
        if not there:
            self.access.check(request, changes=False)
            raise NameUnknown(f"no such path: {BASE}/openapi.json describes what there is")
        if (found := there.get("GET" if method == "HEAD" else method)) is None:
            self.access.check(request, changes=False)
            allowed = ", ".join(sorted({*there, *(["HEAD"] if "GET" in there else [])}))
            raise Unsupported(f"only by {allowed}", headers={"Allow": allowed})
        endpoint, named = found
        self.access.check(request, changes=endpoint.changes)
        given = await read_parameters(endpoint, request, named)
        told = await endpoint.answer(Call(request, door, self.sight, given))
        if endpoint.streams:
            return await send_events(request, told)
        body = json.dumps(told, separators=(",", ":")).encode()
        headers = {"Cache-Control": "no-store"}
        return web.Response(status=endpoint.status, body=body, content_type="application/json", headers=headers)

    def _reading(self) -> tuple[Endpoint, ...]:
        images = fields(images=list_of(IMAGE), next=optional(TEXT))
        tags = fields(tags=list_of(TAG), next=optional(TEXT))
        upstreams = fields(upstreams=list_of(UPSTREAM))
        platform = Parameter("platform", TEXT, "for which machine: arm6, linux/arm/v7", default=None)
        return (
            Endpoint("GET", "/openapi.json", "This description.", {"type": "object"}, self._tell_description),
            Endpoint("GET", "/status", "How the server is, and what it is doing.", STATUS, self._tell_status),
            Endpoint("GET", "/whoami", "What the proxy takes the caller for.", WHOAMI, self._tell_whoami),
            Endpoint("GET", "/quota", "What is left of pull allowances.", upstreams, self._tell_quota),
            Endpoint("GET", "/images", "The cached images, by their names.", images, self._list_images, _PAGE),
            Endpoint(
                "GET",
                "/image",
                "One of them, with where the build for each platform is from, and why.",
                IMAGE_DETAIL,
                self._tell_image,
                (_REFERENCE,),
            ),
            Endpoint("GET", "/tags", "The tags that are known, by their names.", tags, self._list_tags, _PAGE),
            Endpoint(
                "GET",
                "/resolve",
                "What a machine would be answered, and why; upstream may be asked.",
                EXPLANATION,
                self._resolve,
                (_REFERENCE, platform),
            ),
        )

    def _changing(self) -> tuple[Endpoint, ...]:
        pinned = fields(reference=TEXT, pinned=FLAG)
        is_dry = Parameter("dry_run", FLAG, "whether only to tell", default=False)
        repair = Parameter("repair", FLAG, "whether what is damaged is fetched again", default=False)
        found = fields(blobs=COUNT, bytes=COUNT, damaged=list_of(DAMAGE))
        return (
            Endpoint("POST", "/pins", "Keep an image, whatever else leaves.", pinned, self._pin, (_REFERENCE,)),
            Endpoint("DELETE", "/pins", "Let go of a pin.", pinned, self._unpin, (_REFERENCE,)),
            Endpoint("POST", "/purge", "Remove an image.", REMOVED, self._purge, (_REFERENCE,)),
            Endpoint("POST", "/gc", "Remove what nobody can ask for.", REMOVED, self._collect, (is_dry,)),
            Endpoint("POST", "/verify", "Hold every blob against its digest.", found, self._verify, (repair,)),
        )

    async def _tell_description(self, _call: Call) -> Any:
        return describe(self.endpoints, BASE)

    async def _tell_status(self, call: Call) -> Any:
        tools, occupancy = self._tools, self._tools.housekeeper.occupancy
        return {
            "version": version.VERSION,
            "started_at": format_moment(self._started_at),
            "uptime_seconds": round(tools.clock.monotonic() - self._began, 3),
            "owns_cache": call.sight.owns_cache,
            "offline": call.sight.is_offline,
            "fleet": list(call.sight.fleet),
            "cache": {
                "directory": call.sight.directory,
                "stored_bytes": max(occupancy.stored_bytes, 0),
                "max_bytes": occupancy.limits.max_bytes,
                "free_bytes": max(tools.store.free_bytes(), 0),
                "min_free_bytes": occupancy.limits.min_free_bytes,
                "pinned_bytes": max(occupancy.staying_bytes, 0),
            },
            "upstreams": self._list_upstreams(),
            "answers": answer_fields(tools.tally),
            "bytes": {"served": tools.traffic.served_bytes, "fetched": tools.traffic.fetched_bytes},
            "fills": [fill_fields(one) for one in tools.fills.list_running()],
        }

    async def _tell_whoami(self, call: Call) -> Any:
        listener = call.door.find(host_of(call.request))
        return whoami_fields(self._tools.registry.clients.see(call.request, "", listener))

    async def _tell_quota(self, _call: Call) -> Any:
        return {"upstreams": self._list_upstreams()}

    def _list_upstreams(self) -> list[dict[str, Any]]:
        fronts = sorted(self._tools.registry.fronts.items())
        return [{"name": name, "quota": quota_fields(front.puller.quota)} for name, front in fronts]

    async def _list_images(self, call: Call) -> Any:
        found = await self._tools.inspection.list_images(**_page(call))
        return _paged("images", [listed_fields(image) for image in found], call)

    async def _list_tags(self, call: Call) -> Any:
        found = await self._tools.inspection.list_tags(**_page(call))
        return _paged("tags", [tag_fields(record) for record in found], call)

    async def _tell_image(self, call: Call) -> Any:
        reference = Reference.parse(call.given["reference"])
        found = await self._tools.details.show(reference)
        trail = self._tools.recent.find_trail(str(reference))
        return {
            **listed_fields(found.listed),
            "builds": [build_fields(one) for one in found.builds],
            "trail": list(trail),
        }

    async def _resolve(self, call: Call) -> Any:
        reference, word = Reference.parse(call.given["reference"]), call.given["platform"]
        clients = self._tools.registry.clients
        platform = None if word is None else clients.vocabulary.parse_platform(word)
        request = ImaginedRequest(f"{ManifestRoute(reference.repository, reference.target)}?ns={reference.registry}")
        return asdict(await explain(self._tools.registry.fronts, clients, Inquiry(request, call.door, platform)))

    async def _pin(self, call: Call) -> Any:
        reference = Reference.parse(call.given["reference"])
        await self._tools.ledger.put_pin(_pin_of(reference))
        return {"reference": str(reference), "pinned": True}

    async def _unpin(self, call: Call) -> Any:
        reference = Reference.parse(call.given["reference"])
        if not await self._tools.ledger.remove_pin(_pin_of(reference)):
            raise NameUnknown(f"{reference} is not pinned")
        return {"reference": str(reference), "pinned": False}

    async def _purge(self, call: Call) -> Any:
        reference = Reference.parse(call.given["reference"])
        target = str(reference.target)
        return removed_fields(await self._tools.housekeeper.purge(reference.registry, reference.repository, target))

    async def _collect(self, call: Call) -> Any:
        return removed_fields(await self._tools.housekeeper.collect_garbage(dry_run=call.given["dry_run"]))

    async def _verify(self, call: Call) -> Any:
        verifying = self._tools.verification.run(None, lambda _done, _total: None, repairs=call.given["repair"])
        found = await asyncio.shield(verifying)
        return {"blobs": found.blobs, "bytes": found.size, "damaged": [damage_fields(one) for one in found.damaged]}

    def __repr__(self) -> str:
        return f"<Api: {len(self.endpoints)} endpoints>"


def _page(call: Call) -> dict[str, Any]:
    # One more than is asked for tells whether there are more.
    return {"pattern": call.given["pattern"], "after": call.given["after"], "limit": call.given["limit"] + 1}


def _paged(name: str, found: Sequence[dict[str, Any]], call: Call) -> dict[str, Any]:
    limit = call.given["limit"]
    return {name: found[:limit], "next": found[limit - 1]["reference"] if len(found) > limit else None}


def _pin_of(reference: Reference) -> Pin:
    return Pin(reference.registry, reference.repository, str(reference.target))
