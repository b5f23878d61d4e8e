"""What a Dockerfile is built upon, asked of a proxy: each image by a name that leads there, and to a platform."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from proxy.build.statements import SOURCE, WITH_SOURCES, Edit, Statement, read_statements
from proxy.build.variables import Variables
from proxy.oci.errors import ClientError
from proxy.oci.platforms import Platform
from proxy.oci.references import DOCKER_HUB, Reference

SCRATCH = "scratch"


@dataclass(frozen=True, slots=True)
class Way:
    """How a proxy is reached by name."""

    host: str
    """`polyarch.lan:5000`"""
    platform: Platform
    """Whose images are wanted."""

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
        word = "-".join(str(self.platform.explicit()).split("/"))
        parts = [self.host, *([] if has_platform else [word])]
        parts += [] if reference.registry == DOCKER_HUB else [reference.registry]
        whole = str(Reference("", reference.repository, reference.target)).removeprefix("/")
        return "/".join([*parts, whole])


@dataclass(frozen=True, slots=True)
class Base:
    """An image that comes by way of the proxy."""

    line: int
    """Of the instruction that names it."""
    image: str
    """As it is written."""
    name: str
    """By which it is asked of the proxy."""


@dataclass(frozen=True, slots=True)
class Routed:
    """A plain Dockerfile whose images come by way of a proxy; its lines are what they were."""

    text: str
    bases: tuple[Base, ...]


def route_bases(text: str, way: Way, arguments: Mapping[str, str]) -> Routed:
    """Let the images of a plain Dockerfile come by way of a proxy.

    Args:
        text: The Dockerfile.
        way: The proxy.
        arguments: Build arguments that are given; those before the first FROM have their defaults in the file.
    """
    known = Variables(arguments, platform=way.platform)
    stages = set[str]()
    routed, bases = list[str](), list[Base]()
    for statement in read_statements(text):
        if statement.keyword == "ARG" and not stages:
            known.learn(statement)
        if statement.keyword == "FROM" and statement.operands:
            edits = list(_route_from(statement, way, known, stages))
            operands = [word.text for word in statement.operands]
            stages.add(operands[2].lower() if len(operands) > 2 else f"\0{len(stages)}")  # noqa: PLR2004 - FROM x AS y
        elif statement.keyword in WITH_SOURCES:
            edits = list(_route_sources(statement, way, stages))
        else:
            edits = []
        routed.append(statement.edited(edit for edit, _ in edits))
        bases += [base for _, base in edits]
    return Routed("".join(routed), tuple(bases))


_Routing = tuple[Edit, Base]


def _route_from(statement: Statement, way: Way, known: Variables, stages: set[str]) -> Iterable[_Routing]:
    word = statement.operands[0]
    image = known.expand(word.text)
    if image is None or image.lower() in {SCRATCH, *stages}:
        return
    has_platform = any(flag.text.startswith("--platform=") for flag in statement.flags)
    if (name := way.name(image, has_platform=has_platform)) is not None:
        yield Edit(word, name), Base(statement.line, word.text, name)


def _route_sources(statement: Statement, way: Way, stages: set[str]) -> Iterable[_Routing]:
    for word in statement.flags:
        found = SOURCE.search(word.text)
        if found is None or found["name"].isdigit() or found["name"].lower() in stages or "$" in found["name"]:
            continue
        if (name := way.name(found["name"], has_platform=False)) is not None:
            edit = Edit(word, word.text[: found.start("name")] + name + word.text[found.end("name") :])
            yield edit, Base(statement.line, found["name"], name)
