"""Stages, held against the renderings that they are made of by a small evaluator of Dockerfiles."""

import re
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.build.conditions import read_dockerfile
from proxy.build.groups import list_groups
from proxy.build.rendering import render
from proxy.build.stages import SELECTOR, names_of, write_stages
from proxy.build.statements import Statement, read_statements
from proxy.oci.errors import InvalidDockerfile
from proxy.oci.platforms import Platform
from tests.build.dockerfiles import FORUM, PLAIN

AMD64, ARM64, ARM_V7, ARM_V6 = map(Platform.parse, ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6"))
PLATFORMS = (AMD64, ARM64, ARM_V7, ARM_V6)


def staged(text: str, *platforms: Platform) -> str:
    dockerfile = read_dockerfile(text)
    return write_stages(dockerfile, list_groups(dockerfile, platforms or dockerfile.list_named()))


_FROM = re.compile(r"--from=([^,\s]+)|--mount=\S*?\bfrom=([^,\s]+)")
Stage = list[object]


class Builder:
    """What a builder does, stage after stage; only what can make a difference is kept of an instruction."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.stages: list[Stage] = []
        self._variables = variables
        self._names: dict[str, Stage] = {}

    def take(self, statement: Statement) -> None:
        words = [word.text for word in statement.words]
        if statement.keyword == "FROM":
            self._begin([word for word in words[1:] if not word.startswith("--")])
        elif statement.keyword == "ONBUILD" and self.stages:  # whoever builds upon it has other stages
            self.stages[-1].append(tuple(words))
        elif words and self.stages:
            told = (self._resolved(word) for word in words)
            self.stages[-1].append((statement.text if "<<" in statement.text else "", *told))

    def _begin(self, operands: Sequence[str]) -> None:
        image = re.sub(r"\$\{?(\w+)\}?", lambda found: self._variables.get(found[1], ""), operands[0])
        stage = self._names.get(image.lower())
        self.stages.append([("image", image)] if stage is None else list(stage))
        if len(operands) > 2:
            self._names[operands[2].lower()] = self.stages[-1]

    def _resolved(self, word: str) -> object:
        """Answer what a source comes to, where a word names one that is a stage."""
        found = _FROM.search(word)
        name = (found[1] or found[2]).lower() if found else ""
        if name.isdigit() and int(name) >= len(self.stages):  # no builder takes it
            return word
        stage = self.stages[int(name)] if name.isdigit() else self._names.get(name)
        return word if stage is None else str(stage)


def evaluate(text: str, variables: Mapping[str, str]) -> list[str]:
    """Answer the last stage: the image that it begins with, and all instructions on the way."""
    builder = Builder(variables)
    for statement in read_statements(text):
        builder.take(statement)
    return [str(one) for one in builder.stages[-1]]


def variables_for(name: str) -> dict[str, str]:
    """Answer the builder's own words for a target, whose architecture and variant are this in one."""
    found = re.fullmatch(r"(arm64|amd64|arm|386|s390x)(v.*)?", name)
    assert found is not None
    return {"TARGETARCH": found[1], "TARGETVARIANT": found[2] or ""}


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
RUN --mount=type=cache,target=/x --mount=type=bind,from=build,target=/y go build
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
    "onbuild": "FROM a\nIFARCH arm7\nONBUILD COPY --from=0 a b\nENDIFARCH\n",
    "a FROM over several lines": "FROM \\\n  # why\n  a \\\n  AS b\nIFARCH arm7\nRUN x\nENDIFARCH\nFROM b\n",
    "a byte order mark": "\ufeffFROM a\nIFARCH arm7\nRUN x\nENDIFARCH\n",
    "names that would meet": "FROM a AS base\nFROM b AS base-for\nFROM c AS stage-3\nFROM d\n"
    "IFARCH arm7\nRUN x\nENDIFARCH\nFROM base\nCOPY --from=base-for a b\nCOPY --from=stage-3 a b\nCOPY --from=3 a b\n",
}


@pytest.mark.parametrize("text", SHAPES.values(), ids=SHAPES)
def test_each_platform_comes_to_what_was_rendered_for_it(text: str) -> None:
    check(text)


def check(text: str) -> None:
    dockerfile = read_dockerfile(text)
    groups = list_groups(dockerfile, PLATFORMS)
    written = write_stages(dockerfile, groups)
    again = read_dockerfile(written)
    assert again.is_plain
    assert write_stages(again, list_groups(again, PLATFORMS)) == written
    for group in groups:
        for name in {name for platform in group.platforms for name in names_of(platform)}:
            rendered = evaluate(group.rendering.text, variables_for(name))
            assert evaluate(written, variables_for(name)) == rendered, name


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
        check(text)
    assert all("there is no stage" in one.reason or "served by the build" in one.reason for one in refusals)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("IFARCH arm7\nARG I=a\nELSE\nARG I=b\nENDIFARCH\nFROM $I\n", 2, "before the first FROM is not the same"),
        ("IFARCH arm7\nARG I=a\nENDIFARCH\nFROM $I\n", 2, "before the first FROM is not the same"),
        ("IFARCH arm7\nFROM a\nENDIFARCH\n# none\n", 4, "there is no FROM for linux/amd64"),
        ("FROM a\nIFARCH arm7\nCOPY --from=1 b c\nENDIFARCH\nFROM b\n", 3, "there is no stage 1 before this one"),
        ("FROM\nIFARCH arm7\nRUN x\nENDIFARCH\n", 1, "FROM names no image"),
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
