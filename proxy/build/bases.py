"""What a Dockerfile is built upon, asked of a proxy: each image by a name that leads there, and to a platform."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from proxy.build.statements import SOURCE, WITH_SOURCES, Edit, Statement, read_statements
from proxy.build.variables import Variables
from proxy.oci.errors import ClientError
from proxy.oci.references import DOCKER_HUB, Reference

SCRATCH = "scratch"


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
    known = Variables(arguments)
    stages = set[str]()
    routed = list[str]()
    for statement in read_statements(text):
        if statement.keyword == "ARG" and not stages:
            known.learn(statement)
        if statement.keyword == "FROM" and statement.operands:
            routed.append(statement.edited(_route_from(statement, way, known, stages)))
            operands = [word.text for word in statement.operands]
            stages.add(operands[2].lower() if len(operands) > 2 else f"\0{len(stages)}")  # noqa: PLR2004 - FROM x AS y
        elif statement.keyword in WITH_SOURCES:
            routed.append(statement.edited(_route_sources(statement, way, stages)))
        else:
            routed.append(statement.text)
    return "".join(routed)


def _route_from(statement: Statement, way: Way, known: Variables, stages: set[str]) -> Iterable[Edit]:
    word = statement.operands[0]
    image = known.expand(word.text)
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
