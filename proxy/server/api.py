"""The API under `/api/v1`: what operators, scripts and the dashboard ask for, and what they may change."""

import asyncio
import json
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from proxy import version
from proxy.oci.errors import NameUnknown, Unsupported
from proxy.oci.references import Reference
from proxy.oci.routes import ManifestRoute
from proxy.ports import BlobStore, Clock, Ledger, Pin, Quota
from proxy.server.access import Access
from proxy.server.doors import Door
from proxy.server.endpoints import (
    COUNT,
    FLAG,
    NUMBER,
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
from proxy.server.registry import RegistryHandler
from proxy.server.warm_api import WarmApi
from proxy.server.whoami import whoami_fields
from proxy.service.fill import Fills
from proxy.service.housekeeping import Housekeeper, Removed
from proxy.service.inspection import OWN_TAGS, Inspection
from proxy.service.tally import Kind, Tally
from proxy.service.verification import Verification
from proxy.service.warm_jobs import WarmJobs
from proxy.spending import Traffic

BASE = "/api/v1"
MAX_IMAGES = 1000
_QUOTA = optional(fields(limit=COUNT, remaining=COUNT, window_seconds=COUNT))
_STATES = ("hit", "miss", "revalidated", "stale")
_COUNTS = fields(**dict.fromkeys(_STATES, COUNT))
_UPSTREAM = fields(name=TEXT, quota=_QUOTA)
_FILL = fields(digest=TEXT, written=COUNT, size=optional(COUNT), readers=COUNT)
_STATUS = fields(
    version=TEXT,
    started_at=optional(TEXT),
    uptime_seconds=NUMBER,
    owns_cache=FLAG,
    offline=FLAG,
    fleet=list_of(TEXT),
    cache=fields(
        directory=TEXT,
        stored_bytes=COUNT,
        max_bytes=optional(COUNT),
        free_bytes=COUNT,
        min_free_bytes=COUNT,
        pinned_bytes=COUNT,
    ),
    upstreams=list_of(_UPSTREAM),
    answers=fields(tag=_COUNTS, manifest=_COUNTS, blob=_COUNTS),
    bytes=fields(served=COUNT, fetched=COUNT),
    fills=list_of(_FILL),
)
_IMAGE = fields(
    reference=TEXT,
    digest=TEXT,
    media_type=TEXT,
    answer=optional(TEXT),
    platforms=list_of(optional(TEXT)),
    missing_platforms=list_of(optional(TEXT)),
    size=COUNT,
    used_at=optional(TEXT),
    checked_at=optional(TEXT),
    fresh=FLAG,
    pinned=FLAG,
)
_EVIDENCE = fields(evidence=TEXT, shown=optional(TEXT), platform=optional(TEXT))
_WHOAMI = fields(
    platform=optional(TEXT),
    evidence=TEXT,
    answer=TEXT,
    answer_evidence=TEXT,
    runs=list_of(TEXT),
    considered=list_of(_EVIDENCE),
    engine=optional(fields(product=TEXT, version=TEXT)),
    address=TEXT,
    listener=TEXT,
    upstream=TEXT,
    hint=TEXT,
)
_EXPLANATION = fields(
    reference=TEXT,
    platform=optional(TEXT),
    evidence=TEXT,
    considered=list_of(_EVIDENCE),
    listener=TEXT,
    answer=TEXT,
    answer_evidence=TEXT,
    media_type=TEXT,
    digest=TEXT,
    size=COUNT,
    image=TEXT,
    image_platform=optional(TEXT),
    cache=TEXT,
    warning=TEXT,
    pick={"type": "null"},
    trail=list_of(TEXT),
)
_REMOVED = fields(bytes=COUNT, blobs=COUNT, tags=COUNT)
_REFERENCE = Parameter("reference", TEXT, "an image, by tag or digest: debian:bookworm", is_required=True)


@dataclass(frozen=True, slots=True)
class ApiTools:
    """What the API tells of, and works with."""

    registry: RegistryHandler
    store: BlobStore
    ledger: Ledger
    inspection: Inspection
    verification: Verification
    housekeeper: Housekeeper
    tally: Tally
    traffic: Traffic
    fills: Fills
    clock: Clock
    warm_jobs: WarmJobs


class Api:
    """Answers the calls of the API."""

    def __init__(self, tools: ApiTools, access: Access, sight: Sight) -> None:
        """Take what to tell of, and who may ask."""
        self.access = access
        """May be replaced at any time, and so may what follows."""
        self.sight = sight
        self._tools = tools
        self._began, self._started_at = tools.clock.monotonic(), tools.clock.now()
        warming = WarmApi(tools.warm_jobs, tools.registry)
        self.endpoints = (*self._reading(), *self._changing(), *warming.endpoints)
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
            allowed = ", ".join(sorted(there))
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
        pattern = Parameter("pattern", TEXT, "a shell pattern of names", default=None)
        limit = Parameter("limit", {**COUNT, "minimum": 1, "maximum": MAX_IMAGES}, "how many at most", default=200)
        platform = Parameter("platform", TEXT, "for which machine: arm6, linux/arm/v7", default=None)
        tag = fields(reference=TEXT, digest=TEXT, checked_at=optional(TEXT))
        return (
            Endpoint("GET", "/openapi.json", "This description.", {"type": "object"}, self._tell_description),
            Endpoint("GET", "/status", "How the server is, and what it is doing.", _STATUS, self._tell_status),
            Endpoint("GET", "/whoami", "What the proxy takes the caller for.", _WHOAMI, self._tell_whoami),
            Endpoint("GET", "/quota", "What is left of pull allowances.", list_of(_UPSTREAM), self._tell_quota),
            Endpoint("GET", "/images", "The cached images.", list_of(_IMAGE), self._list_images, (pattern, limit)),
            Endpoint("GET", "/tags", "The tags that are known.", list_of(tag), self._list_tags, (pattern, limit)),
            Endpoint(
                "GET",
                "/resolve",
                "What a machine would be answered, and why; upstream may be asked.",
                _EXPLANATION,
                self._resolve,
                (_REFERENCE, platform),
            ),
        )

    def _changing(self) -> tuple[Endpoint, ...]:
        pinned = fields(reference=TEXT, pinned=FLAG)
        is_dry = Parameter("dry_run", FLAG, "whether only to tell", default=False)
        damage = fields(blobs=COUNT, bytes=COUNT, damaged=list_of(TEXT))
        return (
            Endpoint("POST", "/pins", "Keep an image, whatever else leaves.", pinned, self._pin, (_REFERENCE,)),
            Endpoint("DELETE", "/pins", "Let go of a pin.", pinned, self._unpin, (_REFERENCE,)),
            Endpoint("POST", "/purge", "Remove an image.", _REMOVED, self._purge, (_REFERENCE,)),
            Endpoint("POST", "/gc", "Remove what nobody can ask for.", _REMOVED, self._collect, (is_dry,)),
            Endpoint("POST", "/verify", "Hold every blob against its digest.", damage, self._verify),
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
            "upstreams": await self._tell_quota(call),
            "answers": _answers(tools.tally),
            "bytes": {"served": tools.traffic.served_bytes, "fetched": tools.traffic.fetched_bytes},
            "fills": [
                {"digest": str(one.digest), "written": one.written, "size": one.size, "readers": one.readers}
                for one in tools.fills.list_running()
            ],
        }

    async def _tell_whoami(self, call: Call) -> Any:
        listener = call.door.find(host_of(call.request))
        return whoami_fields(self._tools.registry.clients.see(call.request, "", listener))

    async def _tell_quota(self, _call: Call) -> Any:
        fronts = sorted(self._tools.registry.fronts.items())
        return [{"name": name, "quota": _quota(front.puller.quota)} for name, front in fronts]

    async def _list_images(self, call: Call) -> Any:
        found = await self._tools.inspection.list_images(call.given["pattern"])
        return [listed_fields(image) for image in found[: call.given["limit"]]]

    async def _list_tags(self, call: Call) -> Any:
        found = await self._tools.inspection.list_tags(call.given["pattern"])
        return [
            {
                "reference": f"{record.upstream}/{record.repository}:{record.tag}",
                "digest": str(record.descriptor.digest),
                "checked_at": format_moment(record.checked_at),
            }
            for record in found[: call.given["limit"]]
            if record.descriptor is not None and not record.tag.startswith(OWN_TAGS)
        ]

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
        return _removed(await self._tools.housekeeper.purge(reference.registry, reference.repository, target))

    async def _collect(self, call: Call) -> Any:
        return _removed(await self._tools.housekeeper.collect_garbage(dry_run=call.given["dry_run"]))

    async def _verify(self, _call: Call) -> Any:
        found = await asyncio.shield(self._tools.verification.run(None, lambda _done, _total: None))
        return {"blobs": found.blobs, "bytes": found.size, "damaged": [str(one.digest) for one in found.damaged]}

    def __repr__(self) -> str:
        return f"<Api: {len(self.endpoints)} endpoints>"


def _answers(tally: Tally) -> dict[str, dict[str, int]]:
    counts = {(str(kind), str(state)): count for (kind, state), count in tally.counts.items()}
    return {str(kind): {state: counts.get((str(kind), state), 0) for state in _STATES} for kind in Kind}


def _quota(quota: Quota | None) -> dict[str, int] | None:
    if quota is None:
        return None
    return {"limit": quota.limit, "remaining": quota.remaining, "window_seconds": quota.window_seconds}


def _removed(removed: Removed) -> dict[str, int]:
    return {"bytes": removed.size, "blobs": removed.blobs, "tags": removed.tags}


def _pin_of(reference: Reference) -> Pin:
    return Pin(reference.registry, reference.repository, str(reference.target))
