"""Warm jobs as a server tells of them, read into what warming itself tells: so that both are shown alike."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.cli.servers import ServerUnusable
from proxy.oci.digests import Digest
from proxy.oci.errors import PolyarchError
from proxy.oci.manifests import Descriptor
from proxy.oci.media_types import OCTET_STREAM
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference
from proxy.spending import Purpose, Spending
from proxy.warm_folder import CacheState, Ended, Moved, Planned, WarmOrder, WarmPart, WarmPlan, WarmResult

RUNNING = "running"
_ENDED = frozenset({"done", "failed", "postponed"})
"""The states of an order that has ended, whatever becomes of its job."""


@dataclass(slots=True)
class _Told:
    """An order, and what was told of it so far."""

    order: WarmOrder
    plan: WarmPlan | None = None
    written: Mapping[Digest, int] | None = None
    result: WarmResult | None = None


class FollowedJob:
    """A job of a server's, from one telling of it to the next."""

    def __init__(self, job_id: str, images: Sequence[Reference]) -> None:
        """Take what the server calls it, and the images that it was asked for."""
        self.id = job_id
        self._has_ended = False
        self._told = {str(image): _Told(WarmOrder(image, ())) for image in images}

    def has_ended(self) -> bool:
        """Tell whether there is no more to hear of it."""
        return self._has_ended

    @property
    def results(self) -> list[WarmResult]:
        """What became of each order that has ended."""
        return [told.result for told in self._told.values() if told.result]

    def take(self, fields: Any) -> Iterator[Planned | Moved | Ended]:
        """Take the job as it is now, and tell what has happened since.

        Raises:
            ServerUnusable: It is not told as we know it.
        """
        try:
            for one in fields["orders"]:
                yield from self._take_order(one, fields["state"], is_dry=fields["dry_run"])
            self._has_ended = fields["state"] != RUNNING
        except (KeyError, TypeError, ValueError, AttributeError, PolyarchError) as error:
            raise ServerUnusable("the server tells of its work in a way of another version: update both") from error

    def give_up(self, reason: str) -> Iterator[Ended]:
        """End every order that has not ended."""
        self._has_ended = True
        for told in self._told.values():
            if told.result is None:
                told.result = WarmResult(told.order, told.plan, Spending(), 0.0, reason)
                yield Ended(told.result)

    def _take_order(
        self, fields: Mapping[str, Any], job_state: str, *, is_dry: bool
    ) -> Iterator[Planned | Moved | Ended]:
        told = self._told.setdefault(fields["reference"], _Told(_read_order(fields)))
        if told.result is not None:
            return
        if not told.order.platforms:
            told.order = _read_order(fields)
        spending = _read_spending(fields["spent"])
        if told.plan is None and fields["root"] is not None:
            told.plan = _read_plan(told.order, fields)
            yield Planned(told.plan, spending)
        if told.plan is not None:
            yield from _tell_moves(told, told.plan, fields["parts"])
        if fields["state"] in _ENDED or job_state != RUNNING:
            told.result = _read_result(told, fields, job_state, spending, is_dry=is_dry)
            yield Ended(told.result)

    def __repr__(self) -> str:
        return f"<FollowedJob {self.id}: {len(self.results)} of {len(self._told)} ended>"


def _tell_moves(told: _Told, plan: WarmPlan, parts: Any) -> Iterator[Moved]:
    before = told.written or {part.descriptor.digest: part.written for part in plan.parts}
    told.written = {Digest.parse(part["digest"]): int(part["written"]) for part in parts}
    for part in plan.parts:
        written = told.written.get(part.descriptor.digest, 0)
        if part.state is CacheState.MISS and written > before.get(part.descriptor.digest, 0):
            yield Moved(told.order, part, written)


def _read_order(fields: Mapping[str, Any]) -> WarmOrder:
    platforms = tuple(Platform.parse(text) for text in fields["platforms"])
    return WarmOrder(Reference.parse(fields["reference"]), platforms)


def _read_plan(order: WarmOrder, fields: Mapping[str, Any]) -> WarmPlan:
    def describe(digest: str, size: int = 0) -> Descriptor:
        return Descriptor(OCTET_STREAM, Digest.parse(digest), size)

    return WarmPlan(
        order,
        describe(fields["root"]),
        {Platform.parse(one["platform"]): describe(one["digest"]) for one in fields["images"]},
        tuple(Platform.parse(text) for text in fields["missing"]),
        tuple(
            WarmPart(describe(part["digest"], int(part["size"])), CacheState(part["state"]), int(part["found"]))
            for part in fields["parts"]
        ),
    )


def _read_result(
    told: _Told, fields: Mapping[str, Any], job_state: str, spending: Spending, *, is_dry: bool
) -> WarmResult:
    state, error = fields["state"], fields["error"] or ""
    # Where nothing is to be fetched, a plan is all there is, also if the job failed by another image.
    is_told = state == "planned" and is_dry and job_state != "cancelled"
    if state not in _ENDED and not is_told:
        error = error or ("cancelled" if job_state == "cancelled" else "the server failed; its log has the reason")
    return WarmResult(told.order, told.plan, spending, float(fields["seconds"]), error, state == "postponed")


def _read_spending(fields: Mapping[str, Any]) -> Spending:
    pulls, requests, tokens = int(fields["pulls"]), int(fields["requests"]), int(fields["tokens"])
    counts = {Purpose.MANIFEST: pulls, Purpose.BLOB: requests - pulls, Purpose.TOKEN: tokens}
    return Spending(Counter(counts), int(fields["blob_bytes"]))
