"""Tables, sizes and times for people."""

import doctest
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cli import tables
from proxy.cli.tables import Side, format_age, format_size, render_table

COLUMNS = (("NAME", Side.LEFT), ("SIZE", Side.RIGHT))


def test_the_examples_hold() -> None:
    assert doctest.testmod(tables).failed == 0


def test_a_table_is_as_wide_as_its_texts() -> None:
    assert render_table(COLUMNS, [("debian:jessie", "1"), ("a", "10.0 MiB")]).splitlines() == [
        "NAME               SIZE",
        "debian:jessie         1",
        "a              10.0 MiB",
    ]


def test_a_table_without_rows_is_its_headings() -> None:
    assert render_table(COLUMNS, []) == "NAME  SIZE"


@given(st.integers(0, 10**18))
def test_a_size_is_short_and_close(size: int) -> None:
    amount, unit = format_size(size).split()
    power = ("B", "KiB", "MiB", "GiB", "TiB").index(unit)
    assert abs(float(amount) * 1024**power - size) <= 0.06 * 1024**power
    assert re.fullmatch(r"\d{1,4}(\.\d)?", amount) or unit == "TiB"


@pytest.mark.parametrize(
    ("size", "text"), [(1024**2 - 1, "1.0 MiB"), (1023 * 1024, "1023.0 KiB"), (5 * 1024**5, "5120.0 TiB")]
)
def test_sizes_at_the_edges(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.floats(0, 1e10), st.floats(0, 1e10))
def test_an_age_is_never_negative(moment: float, now: float) -> None:
    assert "-" not in format_age(moment, now)
