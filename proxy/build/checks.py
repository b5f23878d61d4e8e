"""What a builder would refuse in a Dockerfile, found before anything is built: for every architecture at once.

Not all that can be wrong: what depends on the files beside it, or on what its images are, only a build shows.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from proxy.build.conditions import Dockerfile
from proxy.build.rendering import render
from proxy.build.statements import Statement, Word, read_statements
from proxy.oci.errors import InvalidDockerfile
from proxy.oci.platforms import Platform

INSTRUCTIONS = frozenset(
    {
        "ADD",
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "ONBUILD",
        "RUN",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    }
)
"""Those of the Dockerfile reference (docs.docker.com/reference/dockerfile)."""
_BEFORE_FROM = frozenset({"ARG"})
_WITH_DESTINATION = frozenset({"ADD", "COPY"})
_MAY_BE_EMPTY = frozenset({"CMD", "ENTRYPOINT"})


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something that no builder would take."""

    line: int
    column: int
    reason: str
    platforms: tuple[Platform, ...]
    """For which it is so."""


def find_problems(dockerfile: Dockerfile, platforms: Iterable[Platform]) -> list[Problem]:
    """Answer what would be refused for some platforms, in the order of the file."""
    found: dict[tuple[int, int, str], list[Platform]] = {}
    for platform in platforms:
        rendering = render(dockerfile, platform)
        for reason, word in _problems_of(read_statements(rendering.text)):
            line = rendering.lines[word.line - 1] if rendering.lines else 1
            found.setdefault((line, word.column, reason), []).append(platform)
    return sorted(Problem(*place, tuple(for_whom)) for place, for_whom in found.items())


def as_error(dockerfile: Dockerfile, problem: Problem) -> InvalidDockerfile:
    """Make the error for a problem, with its line and a caret."""
    line = dockerfile.text.split("\n")[problem.line - 1].rstrip("\r")
    whom = ", ".join(map(str, problem.platforms))
    reason = f"{problem.reason} (for {whom})"
    word = line[problem.column - 1 :].split(None, 1)
    width = len(word[0]) if word else 1
    return InvalidDockerfile(
        reason, name=dockerfile.name, line=problem.line, column=problem.column, text=line, width=width
    )


def _problems_of(statements: list[Statement]) -> Iterator[tuple[str, Word]]:
    instructions, has_stage = [one for one in statements if one.words], False
    for statement in instructions:
        has_stage = has_stage or statement.keyword == "FROM"
        reason = _problem_of(statement, has_stage=has_stage)
        if reason is not None:
            yield reason, statement.words[0]
    if not has_stage:
        yield "there is no FROM", instructions[-1].words[0] if instructions else Word("", 1, 1)


def _problem_of(statement: Statement, *, has_stage: bool) -> str | None:
    keyword = statement.keyword
    if keyword not in INSTRUCTIONS:
        return f"no such instruction: {statement.words[0].text[:40]}"
    if not has_stage and keyword not in _BEFORE_FROM:
        return f"{keyword} stands before any FROM"
    if keyword == "FROM" and not _operands(statement):
        return "FROM names no image"
    if keyword in _WITH_DESTINATION and _count_places(statement) == 1:
        return f"{keyword} has no destination: where in the image is it to be put?"
    if keyword not in _MAY_BE_EMPTY and len(statement.words) == 1:
        return f"{keyword} has nothing to work with"
    return None


def _operands(statement: Statement) -> list[str]:
    return [word.text for word in statement.words[1:] if not word.text.startswith("--")]


def _count_places(statement: Statement) -> int:
    operands = _operands(statement)
    joined = " ".join(operands)
    if joined.startswith("["):
        try:
            listed = json.loads(joined)
        except ValueError:
            return len(operands)
        return len(listed) if isinstance(listed, list) else len(operands)
    return len(operands)
