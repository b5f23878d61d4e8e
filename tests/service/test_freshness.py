from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.ports import TagRecord, TagState
from proxy.service.freshness import CacheState, Freshness

CHECKED = 1_700_000_000.0
TIMES = Freshness(tag_seconds=600, absent_seconds=60, candidate_absent_seconds=21600, retry_seconds=15)


def record(state: TagState) -> TagRecord:
    return TagRecord("docker.io", "library/debian", "jessie", state, CHECKED)


@pytest.mark.parametrize(
    ("state", "is_candidate", "age", "left"),
    [
        pytest.param(TagState.PRESENT, False, 0, 600, id="a tag, just checked"),
        pytest.param(TagState.PRESENT, False, 599, 1, id="a tag at the end of its time"),
        pytest.param(TagState.PRESENT, False, 600, 0, id="a tag past it"),
        pytest.param(TagState.PRESENT, True, 0, 600, id="a candidate that is there"),
        pytest.param(TagState.ABSENT, False, 59, 1, id="an absent tag"),
        pytest.param(TagState.ABSENT, False, 60, 0, id="an absent tag past its time"),
        pytest.param(TagState.ABSENT, True, 21599, 1, id="an absent candidate"),
        pytest.param(TagState.ABSENT, True, 21600, 0, id="an absent candidate past its time"),
        pytest.param(TagState.DENIED, False, 30, 30, id="a tag that is not shown"),
        pytest.param(TagState.DENIED, True, 30, 21570, id="a candidate that is not shown"),
        pytest.param(TagState.PRESENT, False, -1, 0, id="checked in the future"),
        pytest.param(TagState.PRESENT, False, -CHECKED, 0, id="a Pi that starts in 1970"),
        pytest.param(TagState.ABSENT, True, -1, 0, id="an absent candidate, checked in the future"),
        pytest.param(TagState.PRESENT, False, 10**9, 0, id="a clock far ahead"),
    ],
)
def test_a_record_is_believed_for_its_time(state: TagState, age: float, left: float, *, is_candidate: bool) -> None:
    assert TIMES.remaining(record(state), CHECKED + age, is_candidate=is_candidate) == left


@given(state=st.sampled_from(TagState), is_candidate=st.booleans(), age=st.floats(-1e12, 1e12))
def test_nothing_is_believed_longer_than_its_lifetime(*, state: TagState, is_candidate: bool, age: float) -> None:
    left = TIMES.remaining(record(state), CHECKED + age, is_candidate=is_candidate)
    assert 0 <= left <= TIMES.lifetime(record(state), is_candidate=is_candidate)


def test_a_part_that_could_not_be_asked_outweighs_all_others() -> None:
    weights = [state.weight for state in (CacheState.HIT, CacheState.REVALIDATED, CacheState.MISS, CacheState.STALE)]
    assert weights == sorted(set(weights))


@pytest.mark.parametrize(
    ("limit", "state", "is_candidate", "age", "may"),
    [
        pytest.param(None, TagState.PRESENT, False, 10**9, True, id="no limit"),
        pytest.param(100.0, TagState.PRESENT, False, 700, True, id="just within"),
        pytest.param(100.0, TagState.PRESENT, False, 701, False, id="just beyond"),
        pytest.param(0.0, TagState.PRESENT, False, 601, False, id="never stale"),
        pytest.param(100.0, TagState.ABSENT, True, 21700, True, id="an absent candidate"),
        pytest.param(100.0, TagState.PRESENT, False, -5, True, id="checked in the future"),
    ],
)
def test_stale_answers_are_bounded(
    limit: float | None, state: TagState, age: float, *, is_candidate: bool, may: bool
) -> None:
    times = replace(TIMES, stale_seconds=limit)
    assert times.may_be_stale(record(state), CHECKED + age, is_candidate=is_candidate) is may
