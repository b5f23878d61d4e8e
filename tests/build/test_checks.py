import pytest
from hypothesis import given

from proxy.build.checks import as_error, find_problems
from proxy.build.conditions import read_dockerfile
from proxy.oci.platforms import Platform
from tests.build.dockerfiles import FORUM, conditional
from tests.build.test_rendering import PLATFORMS

AMD64, RPI = Platform.parse("linux/amd64"), Platform.parse("linux/arm/v6")
ORIGINAL = FORUM.replace(".xz /\n", ".xz\n")
"""As the forum has it."""


def problems(text: str, *platforms: Platform) -> list[tuple[int, int, str]]:
    found = find_problems(read_dockerfile(text), platforms or (AMD64,))
    return [(one.line, one.column, one.reason) for one in found]


def test_the_forum_s_example_lacks_its_destinations_and_nothing_else() -> None:
    dockerfile = read_dockerfile(ORIGINAL)
    found = find_problems(dockerfile, dockerfile.list_named())
    lines = ORIGINAL.split("\n")
    assert [lines[one.line - 1] for one in found] == ["ADD rootfs-x64.tar.xz", "ADD rootfs-rpi.tar.xz"]
    assert {one.reason for one in found} == {"ADD has no destination: where in the image is it to be put?"}
    assert list(map(str, found[0].platforms)) == ["linux/amd64"]
    assert problems(FORUM, *dockerfile.list_named()) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("FROM a\nRUN b\nCMD\nENTRYPOINT\n", []),
        ('ARG A\nFROM a\nCOPY --from=b /c /d\nADD ["a b", "/c"]\n', []),
        ("FROM a\nCOPY <<EOF /x\nhello\nEOF\n", []),
        ("FROM a\nCPOY b c\n", [(2, 1, "no such instruction: CPOY")]),
        ("FROM\n", [(1, 1, "FROM names no image")]),
        ("FROM --platform=$BUILDPLATFORM\n", [(1, 1, "FROM names no image")]),
        ("RUN a\nFROM b\n", [(1, 1, "RUN stands before any FROM")]),
        ("FROM a\nCOPY --chown=1 b\n", [(2, 1, "COPY has no destination: where in the image is it to be put?")]),
        ('FROM a\nADD ["b"]\n', [(2, 1, "ADD has no destination: where in the image is it to be put?")]),
        ("FROM a\n  RUN\n", [(2, 3, "RUN has nothing to work with")]),
        ("IFARCH arm7\nFROM a\nENDIFARCH\nARG b\n", [(4, 1, "there is no FROM")]),
        ("IFARCH arm7\nFROM a\nENDIFARCH\n", [(1, 1, "there is no FROM")]),
        ("", [(1, 1, "there is no FROM")]),
    ],
)
def test_what_a_builder_would_refuse(text: str, found: list[tuple[int, int, str]]) -> None:
    assert problems(text) == found


def test_a_problem_says_for_whom_and_where() -> None:
    dockerfile = read_dockerfile("FROM a\nIFARCH arm6\n\tCPOY b c\nENDIFARCH\n", "app/Dockerfile")
    (problem,) = find_problems(dockerfile, (AMD64, RPI))
    assert str(as_error(dockerfile, problem)).split("\n") == [
        "app/Dockerfile:3:2: no such instruction: CPOY (for linux/arm/v6)",
        "  \tCPOY b c",
        "  \t^^^^",
    ]


@given(conditional)
def test_every_problem_is_where_it_says(text: str) -> None:
    dockerfile = read_dockerfile(text)
    for problem in find_problems(dockerfile, PLATFORMS):
        as_error(dockerfile, problem)
        assert problem.platforms
