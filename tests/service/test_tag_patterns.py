"""The newest of a tag pattern: what is meant by it, and what is newer than what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.service.tag_patterns import TagPattern

numbers = st.integers(0, 10**9)
versions = st.lists(numbers, min_size=1, max_size=4).map(tuple)


def written(version: tuple[int, ...], separator: str = ".") -> str:
    return separator.join(map(str, version))


@pytest.mark.parametrize(
    ("pattern", "meant", "not_meant"),
    [
        (
            "7.*-alpine",
            ["7.4.1-alpine", "7.4-alpine"],
            ["7.4.1", "7-alpine", "7.4.1-alpine3.20", "7.4-rc1-alpine", "17.4-alpine", "7x4-alpine"],
        ),
        ("7.*-alpine*", ["7.4.1-alpine3.20", "7.4-alpine3"], ["7.4.1-alpine", "7.4.1-alpine3.20-x"]),
        ("bookworm-*-slim", ["bookworm-20240110-slim", "bookworm-2024-01-10-slim"], ["bookworm-slim"]),
        ("*", ["1", "v1.2.3", "2024-01-15", "1_2"], ["latest", "1.2-rc1", "vv1", "1.", "V1"]),
        ("v*", ["v1", "v1.27.3"], ["1.27.3", "v"]),
        ("5.*-rc.*", ["5.0.0-rc.1"], ["5.0.0", "5.0.0-rc1"]),
    ],
)
def test_what_a_pattern_means(pattern: str, meant: list[str], not_meant: list[str]) -> None:
    assert [tag for tag in (*meant, *not_meant) if TagPattern(pattern).find_version(tag) is not None] == meant


@pytest.mark.parametrize(
    ("pattern", "in_order"),
    [
        pytest.param("7.*-alpine", ["7.10.0-alpine", "7.4.1-alpine", "7.4.0-alpine", "7.4-alpine"], id="a suffix"),
        pytest.param("*", ["v2.0", "1.27.10", "v1.27.9", "1.27"], id="with a v and without"),
        pytest.param("*", ["2024-10-01", "2024-09-30", "2023-12-31"], id="dates"),
        pytest.param("jammy-*", ["jammy-20241001", "jammy-20240930"], id="dates in one word"),
        pytest.param("*-alpine*", ["7.4-alpine3.20", "7.4-alpine3.9", "7.3-alpine3.21"], id="two that count up"),
        pytest.param("*", ["01.2", "1.2", "1.1"], id="a zero in front"),
    ],
)
def test_what_is_newer(pattern: str, in_order: list[str]) -> None:
    assert TagPattern(pattern).pick_newest([*reversed(in_order), "latest"], 9) == in_order


@given(versions, st.integers(0, 3), st.integers(1, 1000), st.sampled_from(["*", "v*", "a-*-slim", "3.*"]))
def test_whatever_counts_up_is_newer(version: tuple[int, ...], position: int, step: int, pattern: str) -> None:
    place = position % len(version)
    later = (*version[:place], version[place] + step, *version[place + 1 :])
    older, newer = (pattern.replace("*", written(one)) for one in (version, later))
    assert TagPattern(pattern).pick_newest([newer, older], 1) == [newer]
    assert TagPattern(pattern).pick_newest([older, newer], 1) == [newer]


@given(st.lists(versions.map(written) | versions.map(lambda one: f"v{written(one)}"), unique=True), st.data())
def test_the_order_of_the_list_does_not_matter_and_fewer_are_the_first_of_more(
    tags: list[str], data: st.DataObject
) -> None:
    pattern, count = TagPattern("*"), data.draw(st.integers(0, 5))
    mixed = data.draw(st.permutations(tags))
    picked = pattern.pick_newest(mixed, count)
    assert picked == pattern.pick_newest(tags, 1000)[:count]
    assert len(picked) == min(count, len(tags))


@given(st.text(max_size=20), st.text(alphabet="v0123456789._-*a", max_size=20))
def test_any_tag_and_any_pattern_can_be_held_together(tag: str, pattern: str) -> None:
    picked = TagPattern(pattern).pick_newest([tag], 1)
    assert picked in ([], [tag])


def test_a_pattern_reads_as_it_was_written() -> None:
    assert str(TagPattern("7.*")) == "7.*"
