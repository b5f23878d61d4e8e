"""How full the cache is: hypothesis holds the arithmetic against its meaning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci.digests import Digest
from proxy.ports import StoredBlob
from proxy.service.occupancy import LOW_WATER, Limits, Occupancy

ONE, TWO, THREE = (Digest.of(text) for text in (b"one", b"two", b"three"))
MUCH = 10**12


def make(max_bytes: int | None = None, *, free: int = MUCH, min_free: int = 0) -> Occupancy:
    return Occupancy(Limits(max_bytes, min_free), lambda: free, lambda _: None)


def stored(digest: Digest, size: int) -> StoredBlob:
    return StoredBlob(digest, size, 0.0)


def count(occupancy: Occupancy, blobs: dict[Digest, int], suspended: dict[Digest, int] | None = None) -> None:
    occupancy.begin_count()
    occupancy.end_count(
        [stored(*item) for item in blobs.items()], [stored(*item) for item in (suspended or {}).items()]
    )


def test_without_a_bound_nothing_has_to_leave() -> None:
    occupancy = make()
    count(occupancy, {ONE: 10**9})
    occupancy.expect(TWO, 10**9)
    assert occupancy.excess() <= 0
    assert occupancy.can_fit()


@pytest.mark.parametrize(("coming", "excess"), [(0, -40), (40, 0), (41, 1), (100, 60)])
def test_what_is_on_its_way_counts_as_if_it_were_there(coming: int, excess: int) -> None:
    occupancy = make(100)
    count(occupancy, {ONE: 60})
    occupancy.expect(TWO, coming)
    assert occupancy.excess() == excess
    occupancy.give_up(TWO)
    assert occupancy.excess() == -40


def test_it_is_emptied_to_somewhat_below_the_bound() -> None:
    occupancy = make(1000)
    count(occupancy, {ONE: 1000})
    assert occupancy.excess() == 0
    assert occupancy.excess(LOW_WATER) == pytest.approx(50)


@pytest.mark.parametrize(("size", "fits"), [(100, True), (101, False)])
def test_what_is_larger_than_the_bound_never_fits(size: int, *, fits: bool) -> None:
    occupancy = make(100)
    occupancy.expect(ONE, size)
    assert occupancy.can_fit() is fits


def test_what_stays_leaves_no_room() -> None:
    occupancy = make(100)
    count(occupancy, {ONE: 60})
    occupancy.staying_bytes = 60
    occupancy.expect(TWO, 41)
    assert not occupancy.can_fit()


def test_the_disk_is_a_bound_too() -> None:
    occupancy = make(free=50, min_free=20)
    count(occupancy, {ONE: 100})
    occupancy.expect(TWO, 40)
    assert occupancy.can_fit()
    assert occupancy.excess() == 10


def test_nothing_leaves_for_a_disk_that_others_have_filled() -> None:
    """It would not do, and the cache is of more use as it is than empty."""
    occupancy = make(free=50, min_free=200)
    count(occupancy, {ONE: 100})
    assert not occupancy.can_fit()
    assert occupancy.excess() <= 0


def test_what_is_written_already_is_not_asked_of_the_disk_again() -> None:
    written = {TWO: 0}
    free = 100
    occupancy = Occupancy(Limits(None, 0), lambda: free, written.get)
    occupancy.expect(TWO, 100)
    assert occupancy.excess() == 0
    written[TWO], free = 90, 10
    assert occupancy.excess() == 0


def test_a_blob_whose_size_nobody_told_counts_by_what_is_written() -> None:
    occupancy = Occupancy(Limits(100, 0), lambda: MUCH, {ONE: 70}.get)
    occupancy.expect(ONE, 0)
    assert occupancy.coming_bytes == 70


def test_what_had_broken_off_counts_until_it_is_gone_on_with() -> None:
    occupancy = make()
    count(occupancy, {}, {ONE: 30, TWO: 12})
    assert occupancy.stored_bytes == 42
    occupancy.expect(ONE, 100)
    assert (occupancy.stored_bytes, occupancy.coming_bytes) == (12, 100)
    occupancy.drop_suspended(TWO)
    assert occupancy.stored_bytes == 0


def test_what_comes_in_while_it_is_counted_is_counted_once() -> None:
    occupancy = make()
    occupancy.add(ONE, 10)
    occupancy.begin_count()
    occupancy.add(TWO, 20)
    occupancy.add(THREE, 30)
    occupancy.end_count([stored(ONE, 10), stored(TWO, 20)], [])
    assert occupancy.stored_bytes == 60
    occupancy.subtract(10)
    assert occupancy.stored_bytes == 50


sizes = st.integers(0, 1000)


@given(
    blobs=st.lists(sizes, max_size=5),
    staying=sizes,
    coming=st.lists(sizes, max_size=3),
    most=st.none() | sizes,
    free=sizes,
    min_free=sizes,
)
def test_what_can_fit_fits_once_the_excess_has_left(
    blobs: list[int], staying: int, coming: list[int], most: int | None, free: int, min_free: int
) -> None:
    disk = {"free": free}
    occupancy = Occupancy(Limits(most, min_free), lambda: disk["free"], lambda _: None)
    count(occupancy, {Digest.of(b"%d" % number): size for number, size in enumerate(blobs)})
    occupancy.staying_bytes = min(staying, sum(blobs))
    for number, size in enumerate(coming):
        occupancy.expect(Digest.of(b"coming %d" % number), size)
    leaving = max(0, int(occupancy.excess()))
    if not occupancy.can_fit():
        return
    assert leaving <= sum(blobs) - occupancy.staying_bytes
    occupancy.subtract(leaving)
    disk["free"] += leaving
    assert occupancy.excess() <= 0
    assert disk["free"] - sum(coming) >= min_free
    assert most is None or occupancy.stored_bytes + sum(coming) <= most


def test_it_tells_what_it_is() -> None:
    occupancy = make(100)
    count(occupancy, {ONE: 60})
    occupancy.expect(TWO, 1)
    assert repr(occupancy) == "<Occupancy: 60 bytes and 1 blobs on their way, of 100>"
    assert "any number" in repr(make())


def test_what_breaks_off_while_it_is_counted_is_counted() -> None:
    occupancy = Occupancy(Limits(), lambda: 0, lambda _: None)
    one, two = Digest.of(b"one"), Digest.of(b"two")
    occupancy.begin_count()
    occupancy.suspend(one, 5)
    occupancy.suspend(two, 7)
    occupancy.expect(two, 10)
    occupancy.end_count([], [])
    assert (occupancy.stored_bytes, occupancy.coming_bytes) == (5, 10)
