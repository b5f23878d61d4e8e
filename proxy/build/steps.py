"""How far a builder is with a Dockerfile, and which instruction it failed at, out of what it prints."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from proxy.build.statements import Statement, read_statements

_STEPS = (
    # buildah and podman: the stage is left out where there is only one, and each begins with its FROM.
    re.compile(r"(?:\[(?P<stage>\d+)/\d+\] )?STEP (?P<number>\d+)/(?P<count>\d+): (?P<text>.*)"),
    # Docker's engine: all instructions of the file are counted through, those before the first FROM, too.
    re.compile(r"Step (?P<number>\d+)/(?P<count>\d+) : (?P<text>.*)"),
    # BuildKit: stages go by their names or as stage-0, and may be built side by side.
    re.compile(r"#\d+ \[(?:\S+/\S+ )?(?:(?P<stage>[^\]\s/]+) +)?(?P<number>\d+)/(?P<count>\d+)\] (?P<text>.*)"),
)
_PLACE = re.compile(r"Dockerfile\S*:(?P<line>\d+)|.*\bparse error (?:on )?line (?P<unread>\d+)\b.*")
"""BuildKit's last words, since 0.10; and what it, and Docker's own builder, say of what they cannot read."""
_FAILED = re.compile(r" > \[[^\]]*\] (?P<text>.*):")
"""And before: the instruction, without its line."""


@dataclass(frozen=True, slots=True)
class Step:
    """An instruction that is begun."""

    stage: str
    """Its number or its name; nothing where there is one stage, or none is told."""
    number: int
    """Of its stage, from 1; or of the file, where no stage is told."""
    count: int
    text: str


def read_step(line: str) -> Step | None:
    """Read a line that says that an instruction is begun; None for any other one."""
    for pattern in _STEPS:
        if (found := pattern.fullmatch(line)) is not None:
            fields = found.groupdict()
            return Step(fields.get("stage") or "", int(fields["number"]), int(fields["count"]), fields["text"])
    return None


def find_failed(text: str, printed: Sequence[str]) -> Statement | None:
    """Answer the instruction of a Dockerfile that a builder failed at, or None where that is not clear."""
    statements = [one for one in read_statements(text) if one.words]
    told = _find_told(statements, printed)
    if told is not None or any(line.startswith("#") and read_step(line) for line in printed):
        return told
    begun = [step for step in map(read_step, printed) if step is not None]
    if not begun:
        return None
    if any(line.startswith("Step ") for line in printed):
        return _at(statements, begun[-1].number)
    stages: list[list[Statement]] = []
    for statement in statements:
        if statement.keyword == "FROM":
            stages.append([])
        if stages:
            stages[-1].append(statement)
    stage = int(begun[-1].stage or 1)
    return _at(stages[stage - 1], begun[-1].number) if 0 < stage <= len(stages) else None


def _find_told(statements: Iterable[Statement], printed: Iterable[str]) -> Statement | None:
    """Answer the instruction that BuildKit names: by its line, or by its text where only one has it."""
    for line in reversed(list(printed)):
        if (found := _PLACE.fullmatch(line.strip())) is not None:
            number = int(found["line"] or found["unread"])
            return next((one for one in statements if one.line <= number < one.line + len(one.lines)), None)
        if (found := _FAILED.fullmatch(line)) is not None:
            told = found["text"].split()
            alike = [one for one in statements if [word.text for word in one.words] == told]
            return alike[0] if len(alike) == 1 else None
    return None


def _at(statements: Sequence[Statement], number: int) -> Statement | None:
    return statements[number - 1] if 0 < number <= len(statements) else None
