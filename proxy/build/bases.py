"""What a Dockerfile is built upon, asked of a proxy: each image by a name that leads there, and to a platform."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from proxy.build.statements import SOURCE, WITH_SOURCES, Edit, Statement, read_statements
from proxy.oci.errors import ClientError
from proxy.oci.references import DOCKER_HUB, Reference

SCRATCH = "scratch"
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)(?::-(?P<default>[^}]*))?\}|(?P<bare>\w+))")


@dataclass(frozen=True, slots=True)
class Way:
    """How a proxy is reached by name."""

    host: str
    """`polyarch.lan:5000`"""
    word: str
    """The platform as it stands in a path: `linux-arm-v6`."""

    def name(self, image: str, *, has_platform: bool) -> str | None:
        """Answer an image's name by way of the proxy; None where its registry cannot stand in a path.

        Args:
            image: As it is named without the proxy.
            has_platform: Whether it is said elsewhere for which platform it is: the builder chooses then.
        """
        try:
            reference = Reference.parse(image)
        except ClientError:
            return None
        if ":" in reference.registry:
            return None
        parts = [self.host, *([] if has_platform else [self.word])]
        parts += [] if reference.registry == DOCKER_HUB else [reference.registry]
        whole = str(Reference("", reference.repository, reference.target)).removeprefix("/")
        return "/".join([*parts, whole])


def route_bases(text: str, way: Way, arguments: Mapping[str, str]) -> str:
    """Answer a plain Dockerfile whose images come by way of a proxy; its lines stay what they were.

    Args:
        text: The Dockerfile.
        way: The proxy.
        arguments: Build arguments that are given; those before the first FROM have their defaults in the file.
    """
    known = dict[str, str]()
    stages = set[str]()
    routed = list[str]()
    for statement in read_statements(text):
        if statement.keyword == "ARG" and not stages:
            _learn(statement, known, arguments)
        if statement.keyword == "FROM" and statement.operands:
            routed.append(statement.edited(_route_from(statement, way, known, stages)))
            operands = [word.text for word in statement.operands]
            stages.add(operands[2].lower() if len(operands) > 2 else f"\0{len(stages)}")  # noqa: PLR2004 - FROM x AS y
        elif statement.keyword in WITH_SOURCES:
            routed.append(statement.edited(_route_sources(statement, way, stages)))
        else:
            routed.append(statement.text)
    return "".join(routed)


def _learn(statement: Statement, known: dict[str, str], arguments: Mapping[str, str]) -> None:
    for word in statement.operands:
        name, equals, default = word.text.partition("=")
        value = arguments.get(name, default.strip("\"'") if equals else None)
        if value is not None:
            known[name] = _expand(value, known) or value


def _route_from(statement: Statement, way: Way, known: Mapping[str, str], stages: set[str]) -> Iterable[Edit]:
    word = statement.operands[0]
    image = _expand(word.text, known)
    if image is None or image.lower() in {SCRATCH, *stages}:
        return
    has_platform = any(flag.text.startswith("--platform=") for flag in statement.flags)
    if (name := way.name(image, has_platform=has_platform)) is not None:
        yield Edit(word, name)


def _route_sources(statement: Statement, way: Way, stages: set[str]) -> Iterable[Edit]:
    for word in statement.flags:
        found = SOURCE.search(word.text)
        if found is None or found["name"].isdigit() or found["name"].lower() in stages or "$" in found["name"]:
            continue
        if (name := way.name(found["name"], has_platform=False)) is not None:
            yield Edit(word, word.text[: found.start("name")] + name + word.text[found.end("name") :])


def _expand(text: str, known: Mapping[str, str]) -> str | None:
    """Put values in the place of variables; None where one is not known."""
    is_known = True

    def value(found: re.Match[str]) -> str:
        nonlocal is_known
        told = known.get(found["braced"] or found["bare"], found["default"])
        is_known = is_known and told is not None
        return told or ""

    expanded = _VARIABLE.sub(value, text)
    return expanded if is_known and "$" not in expanded else None
