import pytest
from hypothesis import given

from proxy.build.checks import as_error, find_misfits, find_problems
from proxy.build.conditions import read_dockerfile
from proxy.build.groups import list_groups
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
    assert {one.reason for one in found} == {"there is no destination: where in the image is it to be put?"}
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
        ("FROM a\nCOPY --chown=1 b\n", [(2, 1, "there is no destination: where in the image is it to be put?")]),
        ('FROM a\nADD ["b"]\n', [(2, 1, "there is no destination: where in the image is it to be put?")]),
        ("FROM a\n  RUN\n", [(2, 3, "RUN has nothing to work with")]),
        ("IFARCH arm7\nFROM a\nENDIFARCH\nARG b\n", [(4, 1, "there is no FROM")]),
        ("IFARCH arm7\nFROM a\nENDIFARCH\n", [(1, 1, "there is no FROM")]),
        ("", [(1, 1, "there is no FROM")]),
        ("FROM a AS b\nFROM --platform=$BUILDPLATFORM c as D-1.x_y\nENV A=b C=d\nENV A b c\nLABEL a=\n", []),
        ('FROM a\nHEALTHCHECK --interval=1s CMD b\nHEALTHCHECK none\nSHELL ["a",\\\n  "-c"]\nONBUILD ADD a b\n', []),
        ("FROM a b\n", [(1, 1, "FROM is one image, and AS with the name of the stage after it")]),
        ("FROM a AS\n", [(1, 1, "FROM is one image, and AS with the name of the stage after it")]),
        (
            "FROM a AS 1b\n",
            [(1, 1, "1b is no name for a stage: it begins with a letter; digits and _ - . may follow")],
        ),
        ("FROM a\nENV B\n", [(2, 1, "B has no value: write B=…")]),
        ("FROM a\nLABEL B\n", [(2, 1, "B has no value: write B=…")]),
        ("FROM a\nSHELL /bin/sh\n", [(2, 1, 'SHELL is a list in double quotes: ["/bin/sh", "-c"]')]),
        (
            "FROM a\nENV B=c d\n",
            [(2, 1, "d has no value; one with blanks in it is written in quotes")],
        ),
        ("FROM a\nENV B='c d' E=f\\ g\n", []),
        ("# escape=x\nFROM a\n", [(1, 1, "what escapes is \\ or `")]),
        (" # escape=`\n# syntax=a\n  # Escape=\\\nFROM a\n", [(3, 3, "escape is said already")]),
        ("FROM a\\\nb AS c\\\n# why\n\nd\n", []),
        ("FROM a\nHEALTHCHECK b\n", [(2, 1, "HEALTHCHECK is CMD with a command, or NONE")]),
        ("FROM a\nHEALTHCHECK --interval=1s\n", [(2, 1, "HEALTHCHECK is CMD with a command, or NONE")]),
        ("FROM a\nONBUILD ONBUILD RUN b\n", [(2, 1, "ONBUILD cannot be followed by ONBUILD")]),
        ("FROM a\nONBUILD from b\n", [(2, 1, "ONBUILD cannot be followed by FROM")]),
        ("FROM a\nONBUILD TAGARCH arm7\n", [(2, 1, "no such instruction: TAGARCH")]),
        ("FROM a\nRUN <<E\nx\n", [(2, 1, "the heredoc of this RUN is not ended by a line E")]),
        ("FROM a\nCOPY <<A <<B /x\nA\nB\nRUN c \\\n", []),
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


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("FROM a\nTAGARCH amd64 arm64\n", "linux/arm64 does not run what is built for linux/amd64"),
        ("FROM scratch\nRUN b\nTAGARCH amd64 arm64\n", "linux/arm64 does not run what is built for linux/amd64"),
        ("FROM a\nIFARCH arm7\nTAGARCH arm6\nENDIFARCH\n", "linux/arm/v6 does not run what is built for linux/arm/v7"),
        ("FROM scratch\nCOPY words /\nTAGARCH amd64 arm64\n", None),
        ("FROM a\nIFARCH rpi\nTAGARCH arm7 arm8\nENDIFARCH\n", None),
        (FORUM, None),
    ],
)
def test_what_is_tagged_on_runs_what_is_built(text: str, reason: str | None) -> None:
    dockerfile = read_dockerfile(text)
    found = find_misfits(list_groups(dockerfile, dockerfile.list_named()))
    assert [one.reason.partition(":")[0] for one in found] == ([reason] if reason else [])
    for problem in found:
        assert f":{text[: text.index('TAGARCH')].count(chr(10)) + 1}:" in str(as_error(dockerfile, problem))


@given(conditional)
def test_every_problem_is_where_it_says(text: str) -> None:
    dockerfile = read_dockerfile(text)
    for problem in find_problems(dockerfile, PLATFORMS):
        as_error(dockerfile, problem)
        assert problem.platforms
