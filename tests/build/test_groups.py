import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.arch.compatibility import can_run
from proxy.arch.vocabulary import BUILT_IN
from proxy.build.conditions import read_dockerfile
from proxy.build.groups import Group, list_groups
from proxy.oci.errors import InvalidDockerfile
from proxy.oci.platforms import Platform
from tests.build.dockerfiles import FORUM, conditional
from tests.build.test_rendering import PLATFORMS


def groups(text: str, *targets: str) -> list[tuple[str, ...]]:
    dockerfile = read_dockerfile(text)
    wanted = tuple(map(Platform.parse, targets)) or dockerfile.list_named()
    return [tuple(map(str, group.platforms)) for group in list_groups(dockerfile, wanted)]


PI = ("linux/arm/v6", "linux/arm/v7", "linux/arm64", "linux/arm64/v8.1")


def test_the_forum_s_example_is_built_twice_for_five() -> None:
    assert groups(FORUM) == [("linux/amd64",), PI]


@pytest.mark.parametrize("target", PI)
def test_whichever_of_a_group_is_asked_for_the_same_image_is_built(target: str) -> None:
    assert groups(FORUM, target) == [PI]


def test_without_tags_each_is_built_by_itself() -> None:
    assert groups("FROM a\n", "linux/amd64", "linux/arm/v7") == [("linux/amd64",), ("linux/arm/v7",)]
    assert groups("FROM a\n", "linux/arm64", "linux/arm64/v8") == [("linux/arm64",)]


def test_where_not_all_run_one_image_it_is_built_for_who_was_asked_for() -> None:
    assert groups("FROM scratch\nTAGARCH arm7\n", "linux/amd64") == [("linux/amd64", "linux/arm/v7")]


def test_an_image_that_would_be_another_one_is_not_taken_for_it() -> None:
    text = "IFARCH arm7\nRUN a\nTAGARCH arm6\nELSE\nRUN b\nENDIFARCH\n"
    assert groups(text, "linux/arm/v7") == [("linux/arm/v7", "linux/arm/v6")]


@pytest.mark.parametrize(
    ("text", "targets", "line", "column"),
    [
        ("TAGARCH arm7\n", ("linux/amd64", "linux/arm64"), 1, 9),
        ("IFARCH amd64\nTAGARCH s390x arm7\nENDIFARCH\nIFARCH arm64\nTAGARCH arm7\nENDIFARCH\n", (), 5, 9),
    ],
)
def test_no_architecture_is_served_by_two(text: str, targets: tuple[str, ...], line: int, column: int) -> None:
    reason = "linux/arm/v7 is served by the build for linux/amd64 already"
    with pytest.raises(InvalidDockerfile, match=reason) as caught:
        groups(text, *targets)
    assert (caught.value.line, caught.value.column) == (line, column)


TAGS_ARM7 = "IFARCH x86-64\nTAGARCH arm7\nENDIFARCH\n"


def test_what_is_tagged_on_is_not_built_for_itself_in_whichever_order_they_are_named() -> None:
    text = f"FROM scratch\n{TAGS_ARM7}"
    assert groups(text, "linux/amd64", "linux/arm/v7") == [("linux/amd64", "linux/arm/v7")]
    assert groups(text, "linux/arm/v7", "linux/amd64") == [("linux/amd64", "linux/arm/v7")]


@pytest.mark.parametrize("targets", [("linux/amd64", "linux/arm/v7"), ("linux/arm/v7", "linux/amd64")])
@pytest.mark.parametrize("tagged", ["amd64", "arm6"])
def test_what_is_tagged_on_has_no_tags_of_its_own(tagged: str, targets: tuple[str, str]) -> None:
    text = f"{TAGS_ARM7}IFARCH arm7\nTAGARCH {tagged}\nENDIFARCH\n"
    with pytest.raises(InvalidDockerfile, match="is served by the build for") as caught:
        groups(text, *targets)
    assert caught.value.line in {2, 5}


def test_one_build_serves_who_tags_and_who_is_tagged() -> None:
    every = ("linux/arm/v6", "linux/arm/v7", "linux/arm64")
    for targets in (every[1:], reversed(every[1:])):
        assert {frozenset(group) for group in groups("TAGARCH arm6 arm7\n", *targets)} == {frozenset(every)}


def _served(found: tuple[Group, ...]) -> dict[str, set[Platform]]:
    return {str(group.platform): set(group.tagged) for group in found}


@pytest.mark.parametrize("targets", [("rpi", "arm7", "arm8"), ("arm8", "rpi", "arm7"), ("arm7", "arm8", "rpi")])
def test_who_runs_what_he_is_tagged_on_to_finds_the_same_build(targets: tuple[str, ...]) -> None:
    platforms = [str(BUILT_IN.parse_platform(word)) for word in targets]
    found = groups("IFARCH rpi\nRUN a\nTAGARCH arm7 arm8\nENDIFARCH\n", *platforms)
    assert [(one[0], set(one)) for one in found] == [("linux/arm/v6", set(PI[:3]))]


@given(conditional, st.lists(st.sampled_from(PLATFORMS), min_size=1, max_size=4))
def test_every_target_is_served_once_or_there_is_a_reason(text: str, targets: list[Platform]) -> None:
    dockerfile = read_dockerfile(text)
    try:
        found = list_groups(dockerfile, targets)
    except InvalidDockerfile:
        return
    assert _served(found) == _served(list_groups(dockerfile, reversed(targets)))
    served = [platform for group in found for platform in group.platforms]
    assert len(served) == len(set(served))
    assert set(served) >= {target.normalised() for target in targets}
    for group in found:
        assert group.rendering.platform == group.platform
        if group.platform not in {target.normalised() for target in targets}:
            assert all(can_run(member, group.platform) for member in group.platforms)
