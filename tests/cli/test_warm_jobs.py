from typing import Any

import pytest

from proxy.cli.servers import ServerUnusable
from proxy.cli.warm_jobs import FollowedJob
from proxy.oci.digests import Digest
from proxy.oci.references import Reference
from proxy.warm_folder import CacheState, Ended, Moved, Planned, count_registry_requests
from tests.cli.jobs import NAME, job_of, order_of, part_of

REFERENCE = Reference.parse(NAME)
ROOT = str(Digest.of(b"root"))


def followed() -> FollowedJob:
    return FollowedJob("job-1", [REFERENCE])


def test_a_job_is_told_as_warming_itself_tells() -> None:
    job = followed()
    assert list(job.take(job_of(order_of("waiting")))) == []
    first, second, third = (part_of(b"config", 10, 0), part_of(b"layer", 100, 40), part_of(b"there", 7, 7, "hit"))
    (planned,) = job.take(job_of(order_of("planned", first, second, third)))
    assert isinstance(planned, Planned)
    assert [part.lacking for part in planned.plan.parts] == [10, 60, 0]
    assert [str(platform) for platform in planned.plan.images] == ["linux/amd64"]
    assert [str(platform) for platform in planned.plan.missing] == ["linux/arm/v6"]
    assert list(job.take(job_of(order_of("fetching", first, second, third)))) == []
    (moved,) = job.take(job_of(order_of("fetching", first, {**second, "written": 90}, third)))
    assert isinstance(moved, Moved)
    assert (moved.order, moved.part, moved.written) == (planned.plan.order, planned.plan.parts[1], 90)
    parts = ({**first, "written": 10}, {**second, "written": 100}, third)
    *moves, ended = job.take(job_of(order_of("done", *parts, seconds=1.5), state="done"))
    assert [isinstance(one, Moved) and one.written for one in moves] == [10, 100]
    assert isinstance(ended, Ended)
    (result,) = job.results
    assert ended.result is result
    assert (result.is_done, result.seconds, result.plan, job.has_ended()) == (True, 1.5, planned.plan, True)
    assert (count_registry_requests(result.spending), result.spending.blob_bytes) == (9, 70)
    assert list(job.take(job_of(order_of("done", *parts), state="done"))) == []
    assert repr(job) == "<FollowedJob job-1: 1 of 1 ended>"


def test_what_was_there_when_it_was_planned_counts_as_there_even_if_more_has_come_since() -> None:
    job = followed()
    planned, moved = job.take(job_of(order_of("fetching", {**part_of(b"layer", 100, 40), "written": 70})))
    assert isinstance(planned, Planned)
    assert planned.plan.parts[0].lacking == 60
    assert isinstance(moved, Moved)
    assert moved.written == 70


@pytest.mark.parametrize(
    ("order_state", "job_state", "error", "reason", "is_postponed"),
    [
        ("failed", "running", "absent", "absent", False),
        ("postponed", "done", None, "", True),
        ("fetching", "cancelled", None, "cancelled", False),
        ("waiting", "cancelled", None, "cancelled", False),
        ("planned", "cancelled", None, "cancelled", False),
        ("fetching", "failed", None, "the server failed; its log has the reason", False),
    ],
)
def test_an_order_ends_as_it_or_its_job_has(
    order_state: str, job_state: str, error: str | None, reason: str, *, is_postponed: bool
) -> None:
    job = followed()
    *_, ended = job.take(job_of(order_of(order_state, error=error), state=job_state))
    assert isinstance(ended, Ended)
    assert (ended.result.error, ended.result.is_postponed) == (reason, is_postponed)
    assert job.has_ended() is (job_state != "running")


@pytest.mark.parametrize(
    ("job_state", "is_dry", "reason"),
    [
        ("done", True, ""),
        ("failed", True, ""),  # by another image
        ("cancelled", True, "cancelled"),
        ("failed", False, "the server failed; its log has the reason"),
    ],
)
def test_a_plan_is_all_there_is_where_nothing_is_to_be_fetched(job_state: str, reason: str, *, is_dry: bool) -> None:
    job = followed()
    *_, ended = job.take(job_of(order_of("planned", part_of(b"layer", 9, 0)), state=job_state, is_dry=is_dry))
    assert isinstance(ended, Ended)
    assert ended.result.error == reason


def test_what_is_given_up_ends_with_the_reason_and_what_had_ended_stays() -> None:
    other = Reference.parse("debian:other")
    job = FollowedJob("job-1", [REFERENCE, other])
    list(job.take(job_of(order_of("done"))))
    (ended,) = job.give_up("gone")
    assert (ended.result.order.reference, ended.result.error) == (other, "gone")
    assert [result.error for result in job.results] == ["", "gone"]
    assert job.has_ended()


@pytest.mark.parametrize(
    "fields",
    [
        None,
        [],
        {},
        {"orders": [{}], "state": "running"},
        {"orders": [order_of("done") | {"reference": "No Name"}], "state": "done"},
        {"orders": [order_of("done") | {"platforms": ["arm6"]}], "state": "done"},
        {"orders": [order_of("done") | {"spent": {"requests": None}}], "state": "done"},
        {"orders": [order_of("done", {**part_of(b"x", 1, 1), "state": "odd"})], "state": "done"},
    ],
)
def test_what_another_version_tells_is_no_riddle(fields: Any) -> None:
    with pytest.raises(ServerUnusable, match="another version: update both"):
        list(followed().take(fields))


def test_states_are_those_of_the_cache() -> None:
    (planned, *_) = followed().take(job_of(order_of("done", part_of(b"x", 1, 1, "revalidated")), state="done"))
    assert isinstance(planned, Planned)
    assert planned.plan.parts[0].state is CacheState.REVALIDATED
