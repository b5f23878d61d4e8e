"""The plain Dockerfile for one architecture, and what else the image that it builds is for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from proxy.arch.compatibility import can_run
from proxy.build.conditions import Architecture, Block, Dockerfile, Node, Tag
from proxy.build.statements import Statement
from proxy.oci.platforms import Platform


@dataclass(frozen=True, slots=True)
class Rendering:
    """A Dockerfile without any of our words."""

    platform: Platform
    """What it is for."""
    text: str
    lines: tuple[int, ...]
    """For each line of the text, the number of the line that it was."""
    tags: tuple[Architecture, ...]
    """What the image serves, too."""


def render(dockerfile: Dockerfile, platform: Platform) -> Rendering:
    """Answer the plain Dockerfile for one platform; a file with none of our words is answered byte for byte."""
    chosen = list(_choose(dockerfile.nodes, platform))
    statements = [node for node in chosen if isinstance(node, Statement)]
    return Rendering(
        platform,
        "".join(statement.text for statement in statements),
        tuple(one.line + offset for one in statements for offset in range(len(one.lines))),
        tuple(architecture for node in chosen if isinstance(node, Tag) for architecture in node.architectures),
    )


def counts_for(architectures: Sequence[Architecture], platform: Platform) -> bool:
    """Tell whether a platform is one of some architectures, or runs one of them."""
    return any(can_run(platform, one.platform) for one in architectures)


def _choose(nodes: Sequence[Node], platform: Platform) -> Iterator[Statement | Tag]:
    for node in nodes:
        if isinstance(node, Block):
            counts = counts_for(node.architectures, platform)
            yield from _choose(node.then if counts else node.otherwise, platform)
        else:
            yield node
