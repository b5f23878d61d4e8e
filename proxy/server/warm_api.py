"""The part of the API that warms the cache: jobs are begun, listed, followed and ended."""

from collections.abc import AsyncGenerator
from typing import Any

from proxy.oci.errors import NameUnknown
from proxy.oci.references import Reference
from proxy.server.endpoints import (
    COUNT,
    FLAG,
    NUMBER,
    TEXT,
    Call,
    Endpoint,
    Parameter,
    Schema,
    fields,
    list_of,
    optional,
)
from proxy.server.event_streams import Told
from proxy.server.listed import format_moment
from proxy.server.registry import RegistryHandler
from proxy.service.warm_jobs import JobOrder, WarmJob, WarmJobs
from proxy.service.warm_plans import WarmOrder
from proxy.service.warming import WarmLimits, count_registry_requests
from proxy.spending import Purpose, Spending

MAX_IMAGES = 1000
MAX_PARALLEL = 64
_ORDER: dict[str, Schema] = {
    "reference": TEXT,
    "platforms": list_of(TEXT),
    "state": TEXT,
    "error": optional(TEXT),
    "size": COUNT,
    "written": COUNT,
    "missing": list_of(TEXT),
}
_SPENT = fields(requests=COUNT, tokens=COUNT, pulls=COUNT, blob_bytes=COUNT)
_PART = fields(digest=TEXT, size=COUNT, found=COUNT, written=COUNT, state=TEXT)
_IMAGE = fields(platform=TEXT, digest=TEXT)
_COST = fields(requests=COUNT, size=COUNT)


def _job_schema(order: Schema) -> Schema:
    return fields(
        id=TEXT,
        state=TEXT,
        dry_run=FLAG,
        created_at=TEXT,
        ended_at=optional(TEXT),
        orders=list_of(order),
        cost=optional(_COST),
        spent=_SPENT,
    )


_LISTED_JOB = _job_schema(fields(**_ORDER))
_WHOLE_ORDER = fields(
    **_ORDER,
    root=optional(TEXT),
    images=list_of(_IMAGE),
    to_fetch=optional(COUNT),
    seconds=NUMBER,
    spent=_SPENT,
    parts=list_of(_PART),
)
_JOB = _job_schema(_WHOLE_ORDER)
_ID = Parameter("id", TEXT, "which job", is_required=True)
_PLATFORMS: Schema = {**list_of(TEXT), "minItems": 1, "maxItems": 100}
_WANTED: Schema = {"anyOf": [TEXT, fields(reference=TEXT, platforms=_PLATFORMS)]}
_IMAGES: Schema = {**list_of(_WANTED), "minItems": 1, "maxItems": MAX_IMAGES}
_WISH = (
    Parameter(
        "images", _IMAGES, "images by tag or digest, each by its name or with its own platforms", is_required=True
    ),
    Parameter("platforms", _PLATFORMS, "for which machines: rpi, linux/arm64; by default the fleet", default=None),
    Parameter("pin", FLAG, "whether they are pinned once they are there", default=False),
    Parameter("attestations", FLAG, "whether their attestations come, too", default=False),
    Parameter("dry_run", FLAG, "whether only to find out what it takes", default=False),
    Parameter("reserve", COUNT, "how much of a pull allowance is to be left", default=None),
    Parameter("parallel", {**COUNT, "minimum": 1, "maximum": MAX_PARALLEL}, "how many downloads at once", default=4),
)


class WarmApi:
    """Answers the calls that warm."""

    def __init__(self, jobs: WarmJobs, registry: RegistryHandler) -> None:
        """Take the jobs, and who knows the words for platforms."""
        self._jobs = jobs
        self._registry = registry
        self.endpoints = (
            Endpoint(
                "POST",
                "/warm",
                "Begin to pull images into the cache.",
                _JOB,
                self._start,
                _WISH,
                status=202,
            ),
            Endpoint("GET", "/warm", "The warm jobs, the newest first.", fields(jobs=list_of(_LISTED_JOB)), self._list),
            Endpoint("GET", "/warm/{id}", "A warm job, down to its layers.", _JOB, self._show, (_ID,)),
            Endpoint(
                "GET",
                "/warm/{id}/events",
                "A warm job as `job` events, whenever it has moved, the last one when it is over.",
                _JOB,
                self._follow,
                (_ID,),
                streams=True,
            ),
            Endpoint("DELETE", "/warm/{id}", "End a warm job; what has come stays.", _JOB, self._cancel, (_ID,)),
        )

    async def _start(self, call: Call) -> Any:
        given, vocabulary = call.given, self._registry.clients.vocabulary
        wanted = given["platforms"] or call.sight.fleet
        orders: dict[Reference, WarmOrder] = {}
        for image in given["images"]:
            name, words = (image, wanted) if isinstance(image, str) else (image["reference"], image["platforms"])
            reference = Reference.parse(name)
            platforms = [vocabulary.parse_platform(word) for word in words]
            if (known := orders.get(reference)) is not None:
                platforms = [*known.platforms, *platforms]
            each_once = tuple(dict.fromkeys(platforms))
            orders[reference] = WarmOrder(reference, each_once, given["attestations"], given["pin"])
        limits = WarmLimits(given["parallel"], given["reserve"])
        return job_fields(self._jobs.start(orders.values(), limits, is_dry=given["dry_run"]), in_full=True)

    async def _list(self, _call: Call) -> Any:
        return {"jobs": [job_fields(job) for job in self._jobs.list()]}

    async def _show(self, call: Call) -> Any:
        return job_fields(self._find(call), in_full=True)

    async def _follow(self, call: Call) -> AsyncGenerator[Told, None]:
        return self._tell(self._find(call).id)

    async def _tell(self, job_id: str) -> AsyncGenerator[Told, None]:
        async for job in self._jobs.subscribe(job_id):
            yield Told("job", job_fields(job, in_full=True))

    async def _cancel(self, call: Call) -> Any:
        job = self._find(call)
        self._jobs.cancel(job.id)
        return job_fields(await self._jobs.wait(job.id) or job, in_full=True)

    def _find(self, call: Call) -> WarmJob:
        job = self._jobs.find(call.given["id"])
        if job is None:
            raise NameUnknown("there is no such job; of those that have ended, the last are remembered")
        return job

    def __repr__(self) -> str:
        return f"<WarmApi: {self._jobs!r}>"


def job_fields(job: WarmJob, *, in_full: bool = False) -> dict[str, Any]:
    """Answer what is told of a job; in full, down to the layers of its images."""
    return {
        "id": job.id,
        "state": str(job.state),
        "dry_run": job.is_dry,
        "created_at": format_moment(job.created_at),
        "ended_at": format_moment(job.ended_at),
        "orders": [_order_fields(one, in_full=in_full) for one in job.orders],
        "cost": {"requests": job.cost.requests, "size": job.cost.size} if job.cost else None,
        "spent": _spent_fields(job.spent),
    }


def _order_fields(one: JobOrder, *, in_full: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "reference": str(one.reference),
        "platforms": [str(platform) for platform in one.order.platforms],
        "state": str(one.state),
        "error": one.error or None,
        "size": one.size,
        "written": one.written,
        "missing": [str(platform) for platform in one.missing],
    }
    return told | _details(one) if in_full else told


def _details(one: JobOrder) -> dict[str, Any]:
    plan = one.plan
    images = plan.images.items() if plan else ()
    return {
        "root": str(plan.root.digest) if plan else None,
        "images": [{"platform": str(platform), "digest": str(image.digest)} for platform, image in images],
        "to_fetch": sum(part.lacking for part in plan.parts) if plan else None,
        "seconds": round(one.seconds, 3),
        "spent": _spent_fields(one.spent),
        "parts": [
            {
                "digest": str(part.digest),
                "size": part.size,
                "found": part.found,
                "written": part.written,
                "state": str(part.state),
            }
            for part in one.parts
        ],
    }


def _spent_fields(spent: Spending) -> dict[str, int]:
    return {
        "requests": count_registry_requests(spent),
        "tokens": spent.requests[Purpose.TOKEN],
        "pulls": spent.requests[Purpose.MANIFEST],
        "blob_bytes": spent.blob_bytes,
    }
