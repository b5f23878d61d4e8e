"""Variables in a Dockerfile, as far as their values stand in it or were given: those that FROM lines know."""

import re
from collections.abc import Mapping

from proxy.build.statements import Statement

VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)(?::-(?P<default>[^}]*))?\}|(?P<bare>\w+))")
"""`$NAME`, `${NAME}` and `${NAME:-default}`."""


class Variables:
    """What is known by the `ARG`s before the first `FROM`."""

    def __init__(self, given: Mapping[str, str] | None = None) -> None:
        """Take the build arguments that are given: they count more than defaults."""
        self._given = given or {}
        self._known = dict[str, str]()

    def learn(self, statement: Statement) -> None:
        """Read an `ARG`."""
        for word in statement.operands:
            name, equals, default = word.text.partition("=")
            value = self._given.get(name, default.strip("\"'") if equals else None)
            if value is not None:
                self._known[name] = self.expand(value) or value

    def expand(self, text: str) -> str | None:
        """Put values in the place of variables; None where one is not known."""
        is_known = True

        def value(found: re.Match[str]) -> str:
            nonlocal is_known
            told = self._known.get(found["braced"] or found["bare"], found["default"])
            is_known = is_known and told is not None
            return told or ""

        expanded = VARIABLE.sub(value, text)
        return expanded if is_known and "$" not in expanded else None

    def __repr__(self) -> str:
        return f"<Variables {self._known}>"
