import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci.errors import RangeNotSatisfiable
from proxy.oci.ranges import MAX_RANGES, ByteRange, parse_range
from tests.strategies import any_text, ranges

TOTAL = 2000
HUGE = "9" * 30  # 10^30 - 1, more than any blob has


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param("bytes=0-0", [(0, 1)], id="first-byte"),
        pytest.param("bytes=500-1499", [(500, 1500)], id="middle"),
        pytest.param("bytes=500-", [(500, 2000)], id="from-an-offset"),
        pytest.param("bytes=0-", [(0, 2000)], id="containerd-2.1-first-request"),
        pytest.param("bytes=-500", [(1500, 2000)], id="suffix"),
        pytest.param("bytes=-5000", [(0, 2000)], id="suffix-longer-than-the-blob"),
        pytest.param("bytes=1500-9999", [(1500, 2000)], id="end-beyond-the-blob-is-clipped"),
        pytest.param("bytes=1999-1999", [(1999, 2000)], id="last-byte"),
        pytest.param("bytes=0-9,20-29", [(0, 10), (20, 30)], id="podman-s-two-ranges"),
        pytest.param("bytes=20-29,0-9", [(20, 30), (0, 10)], id="order-is-kept"),
        pytest.param("bytes=0-9, 5000-6000", [(0, 10)], id="one-of-two-fits"),
        pytest.param("bytes=,0-9,,", [(0, 10)], id="empty-list-elements"),
        pytest.param("BYTES = 0-9", [(0, 10)], id="case-and-blanks-are-noise"),
        pytest.param("bytes= 0 - 9 ", [(0, 10)], id="blanks-inside"),
    ],
)
def test_a_range_is_fitted_to_the_blob(header: str, expected: list[tuple[int, int]]) -> None:
    assert [(item.start, item.stop) for item in parse_range(header, TOTAL)] == expected


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("bytes=500-0", id="end-before-start"),  # the conformance suite wants 416
        pytest.param("bytes=-0", id="empty-suffix"),
        pytest.param("bytes=2000-", id="start-at-the-end"),
        pytest.param("bytes=2000-2100", id="behind-the-end"),
        pytest.param("bytes=9223372036854775807-", id="far-behind-the-end"),
        pytest.param("bytes=2000-,-0", id="none-of-two-fits"),
    ],
)
def test_a_range_without_a_byte_in_the_blob_cannot_be_satisfied(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as caught:
        parse_range(header, TOTAL)
    assert caught.value.headers == {"Content-Range": "bytes */2000"}


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(None, id="absent"),
        pytest.param("", id="empty"),
        pytest.param("bytes", id="only-the-unit"),
        pytest.param("bytes=", id="no-range"),
        pytest.param("bytes=,", id="only-a-comma"),
        pytest.param("bytes=-", id="only-a-dash"),
        pytest.param("bytes=0", id="no-dash"),
        pytest.param("bytes=0--1", id="two-dashes"),
        pytest.param("bytes=a-b", id="letters"),
        pytest.param("bytes=0x0-0xf", id="hexadecimal"),
        pytest.param("bytes=३-९", id="digits-of-another-script"),
        pytest.param("bytes=0-9;10-19", id="wrong-separator"),
        pytest.param("bytes=0-9,garbage", id="one-of-two-is-garbage"),
        pytest.param("items=0-9", id="another-unit"),
        pytest.param("0-9", id="no-unit"),
        pytest.param(f"bytes=0-{HUGE}", id="end-of-thirty-digits"),
        pytest.param(f"bytes={HUGE}-", id="start-of-thirty-digits"),
        pytest.param(f"bytes=-{HUGE}", id="suffix-of-thirty-digits"),
        pytest.param(f"bytes=0-{'9' * 100_000}", id="a-hundred-thousand-digits"),
        pytest.param("bytes=" + "0-9," * (MAX_RANGES + 1), id="more-ranges-than-any-client-needs"),
    ],
)
def test_a_header_that_is_not_understood_means_the_whole_blob(header: str | None) -> None:
    assert parse_range(header, TOTAL) == ()


def test_as_many_ranges_as_a_partial_pull_needs_are_served() -> None:
    header = "bytes=" + ",".join(f"{start}-{start}" for start in range(MAX_RANGES))
    assert len(parse_range(header, TOTAL)) == MAX_RANGES


@given(ranges)
def test_a_range_reads_back_what_a_client_writes(wanted: ByteRange) -> None:
    assert parse_range(f"bytes={wanted.start}-{wanted.stop - 1}", wanted.stop) == (wanted,)


@given(ranges, st.integers(0, 1000))
def test_content_range_is_the_range_in_the_words_of_http(wanted: ByteRange, more: int) -> None:
    total = wanted.stop + more
    unit, _, rest = wanted.content_range(total).partition(" ")
    span, _, length = rest.partition("/")
    assert (unit, span, length) == ("bytes", f"{wanted.start}-{wanted.start + wanted.size - 1}", str(total))


@given(any_text | st.text("bytes=0123456789-, ", max_size=40).map("bytes={}".format), st.integers(0, 2**62))
def test_an_arbitrary_header_is_ranges_inside_the_blob_or_not_satisfiable(header: str, total: int) -> None:
    try:
        found = parse_range(header, total)
    except RangeNotSatisfiable:
        return
    assert all(0 <= item.start < item.stop <= total and item.size > 0 for item in found)


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-0", "bytes=-1"])
def test_no_range_of_an_empty_blob_can_be_satisfied(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_range(header, 0)
