"""Stages, held against the renderings that they are made of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.build.conditions import read_dockerfile
from proxy.build.groups import list_groups
from proxy.build.rendering import render
from proxy.build.stages import SELECTOR, names_of, write_stages
from proxy.build.statements import read_statements
from proxy.oci.errors import InvalidDockerfile
from proxy.oci.platforms import Platform
from tests.build.dockerfiles import FORUM, PLAIN
from tests.build.evaluation import evaluate, variables_for
from tests.build.invariants import check_stages

AMD64, ARM64, ARM_V7, ARM_V6 = map(Platform.parse, ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6"))
PLATFORMS = (AMD64, ARM64, ARM_V7, ARM_V6)


def staged(text: str, *platforms: Platform) -> str:
    dockerfile = read_dockerfile(text)
    return write_stages(dockerfile, list_groups(dockerfile, platforms or dockerfile.list_named()))


@pytest.mark.parametrize("text", PLAIN)
def test_a_plain_file_is_itself(text: str) -> None:
    assert staged(text, *PLATFORMS) == text


def test_the_forum_s_example_is_built_by_every_builder() -> None:
    text = staged(FORUM)
    lines = text.splitlines()
    assert lines[-1] == SELECTOR
    assert [line for line in lines if line.startswith("FROM base-arm")] == [
        "FROM base-armv6 AS base-armv7",
        "FROM base-armv6 AS base-arm64",
        "FROM base-armv6 AS base-arm64v8",
        "FROM base-armv6 AS base-arm64v8.1",
    ]
    assert "FROM --platform=linux/arm/v6 scratch AS base-armv6" in lines
    for name in ("amd64", "armv6", "armv7", "arm64", "arm64v8", "arm64v8.1"):
        rendered = render(read_dockerfile(FORUM), AMD64 if name == "amd64" else ARM_V6)
        assert evaluate(text, variables_for(name)) == evaluate(rendered.text, {})


SHAPES = {
    "stages, named and numbered": """\
# syntax=docker/dockerfile:1
ARG V=1
FROM --platform=$BUILDPLATFORM golang:$V AS build
RUN --mount=type=cache,target=/x go build
FROM alpine
IFARCH arm7
RUN arm
ELSE
RUN other
ENDIFARCH
FROM debian
COPY --from=build /a /b
COPY --from=0 /a /b
COPY --chown=1:1 --from=1 /c /d
COPY --from=nginx:1 /e /f
RUN --mount=type=cache,target=/x --mount=type=bind,from=Build,target=/y cat
""",
    "a FROM of another": "FROM a AS Base\nRUN x\n"
    "IFARCH arm7\nFROM base AS arm\nRUN y\nELSE\nFROM base\nENDIFARCH\nCMD z\n",
    "stages chosen by the builder's own words": """\
FROM a AS base-amd64
FROM b AS base-arm64
FROM c AS base-arm
FROM base-${TARGETARCH}
IFARCH arm64
RUN x
ENDIFARCH
""",
    "a variable that is an image": "ARG I=a\nFROM b AS build\nFROM $I\nIFARCH arm7\nRUN x\nENDIFARCH\n",
    "windows line endings": "FROM a\r\nIFARCH arm7\r\nRUN x \\\r\n  y\r\nENDIFARCH\r\nCMD z",
    "heredocs": "FROM a\nIFARCH arm7\nRUN <<EOF\nFROM nothing\nEOF\nENDIFARCH\nCOPY <<one <<two /x/\n1\none\n2\ntwo\n",
    "onbuild": "FROM a AS b\nIFARCH arm7\nONBUILD COPY --from=0 a b\nENDIFARCH\nFROM b\nCMD c\n",
    "onbuild at last": "FROM a\nIFARCH arm7\nRUN x\nENDIFARCH\nONBUILD RUN y\nCMD c\nONBUILD RUN <<E\nz\nE\n",
    "a variable that is a stage": "ARG BASE=build\nFROM x AS build\nIFARCH arm7\nRUN y\nENDIFARCH\n"
    "FROM ${BASE}\nRUN z\n",
    "a variable in the name of a stage": "ARG KIND=one\nFROM x AS build-one\nFROM y AS build-two\n"
    "IFARCH arm7\nRUN y\nENDIFARCH\nFROM build-$KIND\n",
    "quoted sources": "FROM a AS build\nIFARCH arm7\nRUN x\nENDIFARCH\n"
    "FROM b\nCOPY --from=\"build\" a b\nCOPY --from='0' a b\n",
    "a FROM over several lines": "FROM \\\n  # why\n  a \\\n  AS b\nIFARCH arm7\nRUN x\nENDIFARCH\nFROM b\n",
    "a byte order mark": "\ufeffFROM a\nIFARCH arm7\nRUN x\nENDIFARCH\n",
    "names that would meet": "FROM a AS base\nFROM b AS base-for\nFROM c AS stage-3\nFROM d\n"
    "IFARCH arm7\nRUN x\nENDIFARCH\nFROM base\nCOPY --from=base-for a b\nCOPY --from=stage-3 a b\nCOPY --from=3 a b\n",
}


@pytest.mark.parametrize("text", SHAPES.values(), ids=SHAPES)
def test_each_platform_comes_to_what_was_rendered_for_it(text: str) -> None:
    check_stages(text, PLATFORMS)


_NAMES = ("build", "base", "tools", "stage-1")
_instructions = st.sampled_from(
    ["RUN x\n", "RUN y \\\n  z\n", "COPY a b\n", "# COPY\n", "\n", "RUN <<E\nFROM q\nE\n", "ENV a=b\n", "CMD c\n"]
)
_sources = st.sampled_from(["build", "base", "tools", "stage-1", "0", "1", "nginx:1", "BUILD"]).flatmap(
    lambda name: st.sampled_from([f"COPY --from={name} a b\n", f"RUN --mount=type=bind,from={name},target=/x y\n"])
)
_blocks = st.builds(
    "IFARCH {}\n{}ELSE\n{}ENDIFARCH\n".format,
    st.sampled_from(["arm7", "rpi", "amd64", "arm64 amd64"]),
    _instructions | _sources,
    _instructions | _sources,
)
_bodies = st.lists(_instructions | _sources | _blocks, max_size=4).map("".join)
_stages = st.builds(
    "FROM {}{}\n{}".format,
    st.sampled_from(["a", "b:1", "build", "base", "Tools", "scratch"]),
    st.sampled_from(["", *(f" AS {name}" for name in _NAMES), " as Build"]),
    _bodies,
)
_tags = st.sampled_from(["", "", "IFARCH rpi\nTAGARCH arm7 arm8\nENDIFARCH\n"])


@given(st.builds("{}{}".format, st.lists(_stages, min_size=1, max_size=4).map("".join), _tags))
def test_whatever_the_stages_are(text: str) -> None:
    refusals = list[InvalidDockerfile]()
    try:
        staged(text, *PLATFORMS)
    except InvalidDockerfile as error:
        refusals.append(error)
    if not refusals:
        check_stages(text, PLATFORMS)
    assert all("there is no stage" in one.reason or "served by the build" in one.reason for one in refusals)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("IFARCH arm7\nARG I=a\nELSE\nARG I=b\nENDIFARCH\nFROM $I\n", 2, "before the first FROM is not the same"),
        ("IFARCH arm7\nARG I=a\nENDIFARCH\nFROM $I\n", 2, "before the first FROM is not the same"),
        ("IFARCH arm7\nFROM a\nENDIFARCH\n# none\n", 4, "there is no FROM for linux/amd64"),
        ("FROM a\nIFARCH arm7\nCOPY --from=1 b c\nENDIFARCH\nFROM b\n", 3, "there is no stage 1 before this one"),
        ("FROM a\nIFARCH arm7\nCOPY --from=c b c\nENDIFARCH\nFROM b AS C\n", 3, "there is no stage c before this one"),
        ("FROM a AS c\nIFARCH arm7\nCOPY --from=c b c\nENDIFARCH\n", 3, "there is no stage c before this one"),
        ("FROM\nIFARCH arm7\nRUN x\nENDIFARCH\n", 1, "FROM names no image"),
        ("FROM a\nIFARCH arm7\nRUN x\nENDIFARCH\nFROM base-amd64\n", 5, "base-amd64 would be taken for a stage"),
        ("FROM base-$TARGETARCH\nIFARCH arm7\nRUN x\nENDIFARCH\n", 1, "would be taken for a stage: write its registry"),
        (
            "FROM a AS b\nIFARCH arm7\nCOPY --from=b-for-amd64 c d\nENDIFARCH\nFROM e\nCOPY --from=b-for-amd64 c d\n",
            6,
            "taken",
        ),
        ("FROM a\nIFARCH arm7\nRUN x\nENDIFARCH\nRUN y \\", 5, "not at its end where the file ends"),
        ("FROM a\nIFARCH arm7\nRUN x\nENDIFARCH\nRUN <<E\n", 5, "not at its end where the file ends"),
        ("FROM a\nIFARCH arm7\nONBUILD RUN x\nENDIFARCH\n", 3, "ONBUILD in the last stage is not the same"),
        ("FROM a AS x-1\nFROM b AS x-1\nIFARCH arm7\nRUN x\nENDIFARCH\nFROM x-$N\n", 6, "two of them have one name"),
        ("FROM a\nIFARCH arm7\nARG TARGETARCH\nTAGARCH arm7 arm8\nENDIFARCH\n", 3, "write what it is here, or ask"),
        (
            "IFARCH arm7\nFROM --platform=$TARGETPLATFORM a\nTAGARCH arm7 arm8\nELSE\nFROM b\nENDIFARCH\n",
            2,
            "by IFARCH",
        ),
    ],
)
def test_what_stages_cannot_say_is_named_with_its_line(text: str, line: int, reason: str) -> None:
    with pytest.raises(InvalidDockerfile, match=reason) as caught:
        staged(text, AMD64, ARM_V7)
    assert caught.value.line == line


def test_windows_has_no_stages() -> None:
    with pytest.raises(InvalidDockerfile, match="not windows"):
        staged("FROM a\nIFARCH arm7\nRUN x\nENDIFARCH\n", ARM_V7, Platform.parse("windows/amd64"))


def test_one_build_for_all_needs_no_stages() -> None:
    assert staged("FROM a\nIFARCH arm7\nRUN x\nENDIFARCH\n", AMD64) == "FROM a\n"


@pytest.mark.parametrize(
    ("platform", "names"),
    [
        ("linux/arm64", ("arm64", "arm64v8")),
        ("linux/arm64/v8", ("arm64", "arm64v8")),
        ("linux/amd64", ("amd64",)),
        ("linux/arm", ("armv7",)),
        ("linux/arm64/v8.1", ("arm64v8.1",)),
    ],
)
def test_what_a_builder_may_call_a_platform(platform: str, names: tuple[str, ...]) -> None:
    assert names_of(Platform.parse(platform)) == names


def test_a_name_that_goes_over_the_end_of_a_line_is_one_name() -> None:
    text = staged("FROM lan:47\\\n11/b AS bui\\\nld\nIFARCH arm7\nRUN a\nENDIFARCH\nFROM bu\\\nild\n", AMD64, ARM_V7)
    stages = [[word.text for word in one.words[1:]] for one in read_statements(text) if one.keyword == "FROM"]
    assert stages[:2] == [["lan:4711/b", "AS", "build-for-amd64"], ["build-for-amd64", "AS", "base-amd64"]]
