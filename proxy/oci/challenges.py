"""`WWW-Authenticate`: what a registry asks for before it shows anything.

RFC 9110 §11.6.1 with the Bearer parameters of distribution's `token.md`: `realm`, `service`, `scope`, `error`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_SCHEME = re.compile(r"[\s,]*(?P<scheme>[A-Za-z][A-Za-z0-9_-]*)(?:\s+|(?=,)|$)")
_PARAMETER = re.compile(
    r"[\s,]*(?P<key>[A-Za-z][A-Za-z0-9_-]*)\s*=\s*(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<plain>[^\s,\"]+))"
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge of a `WWW-Authenticate` header, its scheme and parameter names in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def realm(self) -> str:
        """Where a token is to be had, for a Bearer challenge."""
        return self.parameters.get("realm", "")

    @property
    def service(self) -> str:
        """The service that the token must name."""
        return self.parameters.get("service", "")

    @property
    def error(self) -> str:
        """Why the last token did not do: `insufficient_scope`, `invalid_token`, or nothing."""
        return self.parameters.get("error", "")


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Read all challenges of all header lines; what does not follow the grammar ends its line."""
    return tuple(challenge for header in headers for challenge in _parse_line(header))


def _parse_line(header: str) -> list[Challenge]:
    challenges: list[Challenge] = []
    position = 0
    while found := _SCHEME.match(header, position):
        position = found.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, position):
            position = parameter.end()
            quoted = parameter["quoted"]
            value = parameter["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters.setdefault(parameter["key"].lower(), value)
        challenges.append(Challenge(found["scheme"].lower(), parameters))
    return challenges
