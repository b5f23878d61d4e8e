"""A small evaluator of plain Dockerfiles: what the last stage comes to, step by step."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from proxy.build.statements import Statement, read_statements

_FROM = re.compile(r"--from=[\"']?([^,\s\"']+)|--mount=\S*?\bfrom=([^,\s]+)")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


@dataclass
class Stage:
    steps: list[object]
    triggers: list[str] = field(default_factory=list)
    """What happens to whoever builds upon it, once."""

    def told(self) -> list[str]:
        return [str(one) for one in (*self.steps, *self.triggers)]

    def digest(self) -> str:
        return sha256("\n".join(self.told()).encode(errors="replace")).hexdigest()


class Builder:
    """What a builder does, stage after stage; only what can make a difference is kept of an instruction."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.stages: list[Stage] = []
        self._variables = dict(variables)
        self._names: dict[str, Stage] = {}

    def take(self, statement: Statement) -> None:
        words = [word.text for word in statement.words]
        if statement.keyword == "FROM":
            self._begin([word for word in words[1:] if not word.startswith("--")])
        elif statement.keyword == "ARG" and not self.stages:
            pairs = [word.partition("=") for word in words[1:]]
            self._variables.update({name: default for name, equals, default in pairs if equals})
        elif statement.keyword == "ONBUILD" and self.stages:
            self.stages[-1].triggers.append(statement.text.strip())
        elif words and self.stages:
            flags = statement.flags if statement.keyword in {"COPY", "RUN"} else []
            told = (self._resolved(word.text) if word in flags else word.text for word in statement.words)
            self.stages[-1].steps.append((statement.text.rstrip() if "<<" in statement.text else "", *told))

    def _begin(self, operands: Sequence[str]) -> None:
        image = _VARIABLE.sub(lambda found: self._variables.get(found[1] or found[2], ""), "".join(operands[:1]))
        stage = self._names.get(image.lower())
        self.stages.append(Stage([("image", image)] if stage is None else [*stage.steps, *stage.triggers]))
        if len(operands) > 2:
            self._names[operands[2].lower()] = self.stages[-1]

    def _resolved(self, word: str) -> object:
        """Answer what a source comes to, where a word names one that is a stage."""
        found = _FROM.search(word)
        name = (found[1] or found[2]).lower() if found else ""
        if name.isdigit() and int(name) >= len(self.stages):  # no builder takes it
            return word
        stage = self.stages[int(name)] if name.isdigit() else self._names.get(name)
        return word if stage is None else stage.digest()


def evaluate(text: str, variables: Mapping[str, str]) -> list[str]:
    """Answer the last stage: the image that it begins with, and all instructions on the way."""
    builder = Builder(variables)
    for statement in read_statements(text):
        builder.take(statement)
    return builder.stages[-1].told() if builder.stages else []


def variables_for(name: str) -> dict[str, str]:
    """Answer the builder's own words for a target, whose architecture and variant are this in one."""
    found = re.fullmatch(r"(arm64|amd64|arm|386|s390x)(v.*)?", name)
    assert found is not None
    return {"TARGETARCH": found[1], "TARGETVARIANT": found[2] or ""}
