import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstream.retries import LONGEST_SECONDS, RETRYABLE_STATUSES, RetryPolicy, parse_retry_after
from tests.strategies import any_text

policies = st.builds(RetryPolicy, st.integers(1, 6), st.floats(0, 1), st.floats(0, 60))
jitters = st.floats(0, 1)


@given(policy=policies, retry_after=st.none() | st.floats(0, 1e6), jitter=jitters)
def test_no_policy_goes_on_for_ever(policy: RetryPolicy, retry_after: float | None, jitter: float) -> None:
    waits = [policy.wait_seconds(attempt, retry_after, jitter) for attempt in range(1, policy.attempts + 3)]
    assert waits[policy.attempts - 1 :] == [None, None, None]


@given(policy=policies, attempt=st.integers(1, 5), jitter=jitters)
def test_every_wait_is_bounded(policy: RetryPolicy, attempt: int, jitter: float) -> None:
    wait = policy.wait_seconds(attempt, None, jitter)
    doubled = policy.base_seconds * 2 ** (attempt - 1)
    assert wait is None or doubled * 0.5 <= wait <= doubled * 1.5


@given(policy=policies, retry_after=st.floats(0, 1e6), jitter=jitters)
def test_upstream_s_own_wait_is_kept_to_the_second_or_not_waited_for(
    policy: RetryPolicy, retry_after: float, jitter: float
) -> None:
    wait = policy.wait_seconds(1, retry_after, jitter)
    if policy.attempts > 1 and retry_after <= policy.longest_wait_seconds:
        assert wait == retry_after
    else:
        assert wait is None


@given(policy=policies, attempt=st.integers(1, 5), status=st.integers(100, 599), jitter=jitters)
def test_only_answers_that_another_moment_may_heal_are_tried_again(
    policy: RetryPolicy, attempt: int, status: int, jitter: float
) -> None:
    wait = policy.wait_after_status(attempt, status, None, jitter)
    assert wait is None or (status in RETRYABLE_STATUSES and attempt < policy.attempts)


@pytest.mark.parametrize(
    ("status", "retry_after", "expected"),
    [
        pytest.param(200, None, None, id="good"),
        pytest.param(404, 1.0, None, id="absent"),
        pytest.param(401, None, None, id="unauthorized"),
        pytest.param(429, None, None, id="limited"),
        pytest.param(429, 1.0, 1.0, id="limited-for-a-moment"),
        pytest.param(429, 60.0, None, id="limited-for-long"),
        pytest.param(500, None, 0.15, id="failed"),
        pytest.param(501, None, None, id="not-implemented"),
        pytest.param(503, 0.0, 0.0, id="busy-until-now"),
        pytest.param(503, 2.0, 2.0, id="busy"),
        pytest.param(503, 2.1, None, id="busy-for-too-long"),
        pytest.param(504, None, 0.15, id="gateway-timeout"),
    ],
)
def test_the_usual_policy_waits_this_long(status: int, retry_after: float | None, expected: float | None) -> None:
    """Docker Hub punishes tight loops: a 429 is tried again only where it names a short wait."""
    assert RetryPolicy().wait_after_status(1, status, retry_after, 0.5) == expected
    assert RetryPolicy().wait_after_status(2, status, retry_after, 0.5) is None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param(None, None, id="not-sent"),
        pytest.param("", None, id="empty"),
        pytest.param("0", 0.0, id="now"),
        pytest.param(" 60 ", 60.0, id="seconds"),
        pytest.param("-1", None, id="negative"),
        pytest.param("1.5", 1.5, id="a-fraction"),
        pytest.param("1.", None, id="half-a-fraction"),
        pytest.param("1e3", None, id="an-exponent"),
        pytest.param("86401", 86400.0, id="more-than-a-day"),
        pytest.param("9" * 5000, None, id="without-end"),
        pytest.param("Wed, 21 Oct 2026 07:28:00 GMT", None, id="a-date-without-a-date-to-hold-it-against"),
        pytest.param("1790000000", 86400.0, id="hub-s-unix-timestamp"),
        pytest.param("531.276µs", None, id="ghcr-s-go-text"),
        pytest.param("٣", None, id="digits-of-another-script"),
    ],
)
def test_a_retry_after_is_read_as_seconds_or_not_at_all(header: str | None, expected: float | None) -> None:
    assert parse_retry_after(header) == expected


NOW = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        pytest.param("Wed, 21 Oct 2026 07:28:01 GMT", 1.0, id="soon"),
        pytest.param(NOW, 0.0, id="now"),
        pytest.param("Wednesday, 21-Oct-26 07:29:00 GMT", 60.0, id="rfc-850"),
        pytest.param("Wed Oct 21 07:29:00 2026", 60.0, id="asctime"),
        pytest.param("Wed, 21 Oct 2026 09:28:02 +0200", 2.0, id="another-zone"),
        pytest.param("Wed, 21 Oct 2026 07:27:59 GMT", None, id="gone-by"),
        pytest.param("Thu, 01 Jan 1970 00:00:00 GMT", None, id="long-gone-by"),
        pytest.param("Fri, 31 Dec 9999 23:59:59 GMT", 86400.0, id="never"),
        pytest.param("Wed, 99 Oct 2026 07:28:00 GMT", None, id="no-such-day"),
        pytest.param("tomorrow", None, id="a-word"),
    ],
)
def test_a_date_is_held_against_the_answer_s_own(until: str, expected: float | None) -> None:
    """Not against our clock: a Pi has none of its own, and may be years off after a start without a network."""
    assert parse_retry_after(until, NOW) == expected
    for none in (None, "", "yesterday"):
        assert parse_retry_after(until, none) is None


_dates = st.datetimes().map(lambda at: at.strftime("%a, %d %b %Y %H:%M:%S GMT"))


@given(any_text | _dates, st.none() | any_text | _dates)
def test_any_retry_after_is_a_bounded_number_or_none(header: str, sent_at: str | None) -> None:
    found = parse_retry_after(header, sent_at)
    assert found is None or 0 <= found <= LONGEST_SECONDS
