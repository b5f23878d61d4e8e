import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.ports import Quota
from proxy.upstream.quota import parse_quota
from tests.strategies import any_text


def _headers(limit: str | None, remaining: str | None) -> dict[str, str]:
    headers = {"ratelimit-limit": limit, "ratelimit-remaining": remaining}
    return {name: value for name, value in headers.items() if value is not None}


@pytest.mark.parametrize(
    ("limit", "remaining", "expected"),
    [
        pytest.param("100;w=21600", "76;w=21600", Quota(100, 76, 21600), id="docker-hub"),
        pytest.param("100;w=21600", "0;w=21600", Quota(100, 0, 21600), id="used-up"),
        pytest.param(" 100 ; w=21600 ", "76", Quota(100, 76, 21600), id="spaces"),
        pytest.param("100", "76", Quota(100, 76, 0), id="no-window"),
        pytest.param("", "76;w=21600", None, id="empty"),
        pytest.param("100;w=21600", None, None, id="no-remainder"),
        pytest.param(None, "76;w=21600", None, id="no-limit"),
        pytest.param(None, None, None, id="not-sent"),
        pytest.param("many;w=21600", "76", None, id="a-word"),
        pytest.param("-1;w=21600", "76", None, id="negative"),
        pytest.param("1" * 5000, "76", None, id="more-than-there-is"),
        pytest.param("100;w=21600, 200;w=86400", "76", None, id="two-windows"),
    ],
)
def test_the_headers_of_docker_hub_are_read(limit: str | None, remaining: str | None, expected: Quota | None) -> None:
    assert parse_quota(_headers(limit, remaining)) == expected


@given(limit=any_text, remaining=any_text)
def test_any_text_is_a_quota_or_none(limit: str, remaining: str) -> None:
    found = parse_quota(_headers(limit, remaining))
    assert found is None or found.limit >= 0


@given(limit=st.integers(0, 10**9 - 1), remaining=st.integers(0, 10**9 - 1), window=st.integers(0, 10**9 - 1))
def test_every_quota_is_read_as_it_is_written(limit: int, remaining: int, window: int) -> None:
    assert parse_quota(_headers(f"{limit};w={window}", f"{remaining};w={window}")) == Quota(limit, remaining, window)
