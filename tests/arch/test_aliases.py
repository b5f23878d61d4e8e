import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.arch.aliases import list_nearest, list_shared
from proxy.arch.compatibility import can_run
from proxy.arch.entries import Entry
from proxy.arch.image_rules import SharedImage
from tests.arch.worlds import image, linux

PLATFORMS = ("amd64", "amd64/v3", "386", "arm64", "arm64/v8.1", "arm/v8", "arm/v7", "arm/v6", "arm/v5", "riscv64")


def entry(platform: str) -> Entry:
    return Entry(linux(platform), image(platform).descriptor, "library/app", "1")


def _pairs(found: list[Entry]) -> list[tuple[str, str]]:
    return [(str(one.platform), str(one.alias_of)) for one in found]


@pytest.mark.parametrize(
    ("fleet", "offered", "aliases"),
    [
        (("arm/v7", "arm/v6"), ("arm/v6",), [("arm/v7", "arm/v6"), ("arm/v8", "arm/v6")]),
        (("amd64", "arm/v7"), ("amd64", "arm/v7"), [("arm/v8", "arm/v7")]),
        (("arm/v8", "arm/v7", "arm/v6"), ("arm/v5", "arm/v7"), [("arm/v8", "arm/v7"), ("arm/v6", "arm/v5")]),
        (("arm/v6",), ("arm/v7",), []),
        (("arm64",), ("arm/v7",), []),
        (("arm64/v8.1",), ("arm64",), [("arm64/v8.1", "arm64")]),
        (("amd64/v3", "amd64"), ("amd64",), [("amd64/v3", "amd64")]),
        (("amd64",), ("386",), []),
        (("amd64",), (), []),
    ],
)
def test_a_platform_without_a_build_is_given_what_it_runs_of_its_own_architecture(
    fleet: tuple[str, ...], offered: tuple[str, ...], aliases: list[tuple[str, str]]
) -> None:
    found = list_nearest([linux(one) for one in fleet], [entry(one) for one in offered])
    assert _pairs(found) == [(f"linux/{one}", f"linux/{other}") for one, other in aliases]


@given(st.lists(st.sampled_from(PLATFORMS), unique=True), st.lists(st.sampled_from(PLATFORMS), unique=True, max_size=5))
def test_an_alias_is_something_that_runs_and_stands_for_nothing_that_is_there(
    fleet: list[str], offered: list[str]
) -> None:
    there = [entry(one) for one in offered]
    for alias in list_nearest([linux(one) for one in fleet], there):
        assert alias.platform is not None
        assert alias.alias_of is not None
        assert can_run(alias.platform, alias.alias_of)
        assert alias.platform not in {one.platform for one in there}
        assert alias.descriptor in {one.descriptor for one in there}
        assert alias.is_added


def test_the_operator_s_word_may_cross_an_architecture() -> None:
    """The forum's TAGARCH: one image for arm7, arm8, arm8.1 and rpi."""
    rule = SharedImage(linux("arm/v6"), tuple(linux(one) for one in ("arm/v7", "arm64", "arm64/v8.1")))
    found = list_shared([entry("amd64"), entry("arm/v6")], [rule])
    assert _pairs(found) == [(f"linux/{one}", "linux/arm/v6") for one in ("arm/v7", "arm64", "arm64/v8.1")]


def test_a_build_of_its_own_goes_before_and_nothing_is_named_twice() -> None:
    rules = [SharedImage(linux("arm/v6"), (linux("arm/v7"), linux("arm64")))] * 2
    assert _pairs(list_shared([entry("arm/v6"), entry("arm/v7")], rules)) == [("linux/arm64", "linux/arm/v6")]
    assert list_shared([entry("amd64")], rules) == []


def test_the_alias_of_an_alias_names_the_image() -> None:
    (shared,) = list_shared([entry("arm/v5")], [SharedImage(linux("arm/v5"), (linux("arm/v6"),))])
    for nearest in list_nearest([linux("arm/v7")], [shared]):
        assert nearest.alias_of == linux("arm/v5")
