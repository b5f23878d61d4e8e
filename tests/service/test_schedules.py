"""When something is due: never in the past, never twice for one moment, and no later than it may."""

import time
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.service.schedules import CRON_JITTER_SECONDS, Schedule

BERLIN = ZoneInfo("Europe/Berlin")
CRONS = ("15 3 * * *", "*/10 * * * *", "0 */6 * * *", "30 2 * * *", "0 0 29 2 *", "5 4 * * SUN", "0 9 1 * MON-FRI")

moments = st.floats(0, 4e9, allow_nan=False)
lots = st.floats(0, 1)
schedules = st.one_of(
    st.builds(Schedule, every=st.floats(60, 1e7), jitter=st.none() | st.floats(0, 1e6)),
    st.builds(
        Schedule,
        cron=st.sampled_from(CRONS),
        jitter=st.none() | st.floats(0, 1e6),
        zone=st.sampled_from([BERLIN, ZoneInfo("UTC"), ZoneInfo("America/St_Johns"), None]),
    ),
)


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine stands in Berlin."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@given(schedules, moments, lots)
def test_it_is_never_due_in_the_past(schedule: Schedule, since: float, lot: float) -> None:
    assert schedule.find_due(since, lot) > since


@given(schedules, moments, lots)
def test_it_comes_late_by_no_more_than_it_may(schedule: Schedule, since: float, lot: float) -> None:
    moment = schedule.find_due(since, 0)
    late = schedule.find_due(since, lot) - moment
    assert -1e-3 <= late <= schedule.jitter_seconds + 1e-3


@given(schedules, moments, lots, lots)
def test_no_moment_comes_twice(schedule: Schedule, since: float, lot: float, other: float) -> None:
    """Whoever does it when it is due, however late, has the next moment before him."""
    moment, done = schedule.find_due(since, 0), schedule.find_due(since, lot)
    assert schedule.find_due(done, 0) > moment
    assert schedule.find_due(done, other) > done


@given(st.sampled_from(CRONS), moments, st.sampled_from([BERLIN, ZoneInfo("UTC")]))
def test_the_hours_of_a_cron_line_are_those_of_its_place(cron: str, since: float, zone: ZoneInfo) -> None:
    due = datetime.fromtimestamp(Schedule(cron=cron, zone=zone).find_due(since, 0), zone)
    assert (due.second, due.microsecond) == (0, 0)
    if cron == "15 3 * * *":
        assert (due.hour, due.minute) == (3, 15)


@pytest.mark.parametrize(
    ("cron", "since", "due"),
    [
        ("15 3 * * *", "2026-01-01T03:14:59+01:00", "2026-01-01T03:15:00+01:00"),
        ("15 3 * * *", "2026-01-01T03:15:00+01:00", "2026-01-02T03:15:00+01:00"),
        ("0 0 29 2 *", "2026-01-01T00:00:00+01:00", "2028-02-29T00:00:00+01:00"),
        pytest.param("30 2 * * *", "2026-03-28T12:00:00+01:00", "2026-03-29T03:00:00+02:00", id="an hour is left out"),
    ],
)
def test_moments_that_everybody_can_work_out(cron: str, since: str, due: str) -> None:
    assert Schedule(cron=cron, zone=BERLIN).find_due(at(since), 0) == at(due)


@pytest.mark.usefixtures("in_berlin")
def test_where_this_machine_is_an_hour_that_comes_twice_counts_once() -> None:
    second_time = at("2026-10-25T02:15:00+01:00")
    assert Schedule(cron="*/10 * * * *").find_due(second_time, 0) == at("2026-10-25T03:00:00+01:00")
    assert Schedule(cron="30 2 * * *").find_due(second_time, 0) == at("2026-10-26T02:30:00+01:00")


def test_how_late_it_comes_if_nobody_says() -> None:
    assert Schedule(every=3600).find_due(0, 1) == 3960
    assert Schedule(cron="0 0 * * *", zone=ZoneInfo("UTC")).find_due(0, 1) == 86400 + CRON_JITTER_SECONDS
