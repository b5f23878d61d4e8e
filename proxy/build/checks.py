"""What a builder would refuse in a Dockerfile, found before anything is built: for every architecture at once.

Not all that can be wrong: what depends on the files beside it, or on what its images are, only a build shows.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from proxy.arch.compatibility import can_run
from proxy.build.conditions import Dockerfile
from proxy.build.groups import Group
from proxy.build.rendering import Rendering, render
from proxy.build.statements import ESCAPES, Statement, Word, read_directives, read_statements
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
_MAY_BE_EMPTY = frozenset({"CMD", "ENTRYPOINT"})
_NO_TRIGGERS = frozenset({"FROM", "MAINTAINER", "ONBUILD"})
_QUOTED = re.compile(r"[\"'\\`]")
_STAGE_NAME = re.compile(r"[a-z][a-z0-9_.-]*")


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
        for reason, word in _problems_of(rendering.text):
            line = rendering.lines[word.line - 1] if rendering.lines else 1
            found.setdefault((line, word.column, reason), []).append(platform)
    return sorted(Problem(*place, tuple(for_whom)) for place, for_whom in found.items())


def find_misfits(groups: Iterable[Group]) -> list[Problem]:
    """Answer what is tagged on to builds that it does not run; an image without any program is fit for everybody."""
    return [
        Problem(
            one.word.line,
            one.word.column,
            f"{one.platform} does not run what is built for {group.platform}: it needs a build of its own",
            (group.platform,),
        )
        for group in groups
        if _has_programs(group.rendering)
        for one in group.rendering.tags
        if not can_run(one.platform, group.platform)
    ]


def _has_programs(rendering: Rendering) -> bool:
    """Tell whether anything is run, or comes with a base: what only adds files to nothing may be data."""
    statements = read_statements(rendering.text)
    bases = [_operands(one)[:1] for one in statements if one.keyword == "FROM"]
    return any(one.keyword == "RUN" for one in statements) or any(base != ["scratch"] for base in bases)


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


def _problems_of(text: str) -> Iterator[tuple[str, Word]]:
    seen = set[str]()
    for directive in read_directives(text):
        if directive.name in seen:
            yield f"{directive.name} is said already", directive.word
        seen.add(directive.name)
        if directive.name == "escape" and directive.value not in ESCAPES:
            yield f"what escapes is {' or '.join(ESCAPES)}", directive.word
    statements = read_statements(text)
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
    if statement.open_heredoc:
        return f"the heredoc of this {keyword} is not ended by a line {statement.open_heredoc}"
    if keyword == "FROM" and not _operands(statement):
        return "FROM names no image"
    if keyword not in _MAY_BE_EMPTY and len(statement.words) == 1:
        return f"{keyword} has nothing to work with"
    return _SHAPES[keyword](_operands(statement)) if keyword in _SHAPES else None


def _operands(statement: Statement) -> list[str]:
    return [word.text for word in statement.words[1:] if not word.text.startswith("--")]


def _check_places(operands: list[str]) -> str | None:
    listed = _load(" ".join(operands))
    has_one = len(listed if isinstance(listed, list) else operands) == 1
    return "there is no destination: where in the image is it to be put?" if has_one else None


def check_from(operands: list[str]) -> str | None:
    """Answer what is wrong with what a FROM is given, flags apart; None if nothing is."""
    if len(operands) == 1:
        return None
    if len(operands) != len(("IMAGE", "AS", "NAME")) or operands[1].upper() != "AS":
        return "FROM is one image, and AS with the name of the stage after it"
    is_name = _STAGE_NAME.fullmatch(operands[2].lower()) is not None
    return (
        None
        if is_name
        else f"{operands[2]} is no name for a stage: it begins with a letter; digits and _ - . may follow"
    )


def _check_pairs(operands: list[str]) -> str | None:
    if "=" not in operands[0]:  # the older form: a name, and all the rest is its value
        return None if len(operands) > 1 else f"{operands[0]} has no value: write {operands[0]}=…"
    if any(_QUOTED.search(operand) for operand in operands):
        return None
    alone = next((operand for operand in operands if "=" not in operand), None)
    return None if alone is None else f"{alone} has no value; one with blanks in it is written in quotes"


def _check_shell(operands: list[str]) -> str | None:
    is_list = isinstance(_load(" ".join(operands)), list)
    return None if is_list else 'SHELL is a list in double quotes: ["/bin/sh", "-c"]'


def _check_health(operands: list[str]) -> str | None:
    is_known = operands[0].upper() in {"CMD", "NONE"} if operands else False
    return None if is_known else "HEALTHCHECK is CMD with a command, or NONE"


def _check_trigger(operands: list[str]) -> str | None:
    keyword = operands[0].upper()
    if keyword in _NO_TRIGGERS:
        return f"ONBUILD cannot be followed by {keyword}"
    return None if keyword in INSTRUCTIONS else f"no such instruction: {operands[0][:40]}"


_SHAPES: Mapping[str, Callable[[list[str]], str | None]] = {
    "ADD": _check_places,
    "COPY": _check_places,
    "ENV": _check_pairs,
    "FROM": check_from,
    "HEALTHCHECK": _check_health,
    "LABEL": _check_pairs,
    "ONBUILD": _check_trigger,
    "SHELL": _check_shell,
}
"""What is wrong with the operands of some instructions, flags apart."""


def _load(text: str) -> object:
    """Read what may be JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return None
