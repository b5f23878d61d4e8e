"""Which instruction a builder was at when it failed, out of what it printed."""

import re
from collections.abc import Iterable

from proxy.build.statements import Statement, read_statements

_STEP = re.compile(r"(?:\[(?P<stage>\d+)/\d+\] )?STEP (?P<step>\d+)/\d+: ")
"""As buildah and podman print it: the stage is left out where there is only one, and each begins with its FROM."""


def find_failed(text: str, printed: Iterable[str]) -> Statement | None:
    """Answer the instruction of a Dockerfile that was begun last, or None where that is not clear."""
    begun = [found for line in printed if (found := _STEP.match(line)) is not None]
    if not begun:
        return None
    stage, step = int(begun[-1]["stage"] or 1), int(begun[-1]["step"])
    stages: list[list[Statement]] = []
    for statement in read_statements(text):
        if statement.keyword == "FROM":
            stages.append([])
        if statement.words and stages:
            stages[-1].append(statement)
    is_there = 0 < stage <= len(stages) and 0 < step <= len(stages[stage - 1])
    return stages[stage - 1][step - 1] if is_there else None
