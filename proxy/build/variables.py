"""Variables in a Dockerfile, as far as their values stand in it or were given: those that FROM lines know."""

import re
from collections.abc import Mapping

from proxy.build.statements import Statement
from proxy.oci.platforms import Platform

VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)(?::-(?P<default>[^}]*))?\}|(?P<bare>\w+))")
"""`$NAME`, `${NAME}` and `${NAME:-default}`."""


class Variables:
    """What is known by the `ARG`s before the first `FROM`."""

    def __init__(self, given: Mapping[str, str] | None = None, *, platform: Platform | None = None) -> None:
        """Take the build arguments that are given, which count more than defaults, and what is built for."""
        self._given = given or {}
        self._known = {} if platform is None else _automatic(platform)

    def learn(self, statement: Statement) -> None:
        """Read an `ARG`."""
        for word in statement.operands:
            name, equals, default = word.text.partition("=")
            value = self._given.get(name, default.strip("\"'") if equals else self._known.get(name))
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


def _automatic(platform: Platform) -> dict[str, str]:
    """Answer what builders tell of the target (docs.docker.com, "Automatic platform ARGs in the global scope")."""
    normal = platform.normalised()
    return {
        "TARGETPLATFORM": str(normal),
        "TARGETOS": normal.os,
        "TARGETARCH": normal.architecture,
        "TARGETVARIANT": normal.variant,
    }
