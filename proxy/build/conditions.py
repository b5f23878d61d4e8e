"""The four words of our own in a Dockerfile, read into a tree.

`IFARCH arch…` … `ELSE` … `ENDIFARCH`: the lines between count where the target is one of the architectures, or runs one
of them. `TAGARCH arch…`: what is built here serves these architectures, too. Each stands like an instruction.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from proxy.arch.vocabulary import BUILT_IN, Vocabulary
from proxy.build.statements import Statement, Word, read_statements, would_begin
from proxy.oci.errors import InvalidDockerfile, InvalidPlatform
from proxy.oci.platforms import Platform

IF, ELSE, END, TAG = "IFARCH", "ELSE", "ENDIFARCH", "TAGARCH"
MAX_DEPTH = 32
"""How deeply blocks may be nested: nobody reads more than a few."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """An architecture as it is named in a Dockerfile."""

    platform: Platform
    word: Word


@dataclass(frozen=True, slots=True)
class Tag:
    """A `TAGARCH`."""

    architectures: tuple[Architecture, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """An `IFARCH` with all that belongs to it."""

    architectures: tuple[Architecture, ...]
    then: "tuple[Node, ...]"
    otherwise: "tuple[Node, ...]"


Node = Statement | Tag | Block


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A Dockerfile, as it was read."""

    name: str
    text: str
    nodes: tuple[Node, ...]

    @property
    def is_plain(self) -> bool:
        """Whether it has none of our words, so that it is the same for every architecture."""
        return all(isinstance(node, Statement) for node in self.nodes)

    def list_named(self) -> tuple[Platform, ...]:
        """Answer the platforms that it names, in the order of the file."""
        return tuple(dict.fromkeys(one.platform for one in _list_architectures(self.nodes)))

    def fault(self, reason: str, word: Word) -> InvalidDockerfile:
        """Make the error for something that is wrong at a word."""
        return _fault(self.name, self.text, reason, word)


def read_dockerfile(text: str, name: str = "Dockerfile", vocabulary: Vocabulary = BUILT_IN) -> Dockerfile:
    """Read a Dockerfile.

    Args:
        text: Its content.
        name: What it is called in errors.
        vocabulary: The words for architectures.

    Raises:
        InvalidDockerfile: A block is not closed, or closed twice, or an architecture is unknown; with line and caret.
    """
    reader = _Reader(text, name, vocabulary)
    return Dockerfile(name, text, reader.read())


class _Reader:
    def __init__(self, text: str, name: str, vocabulary: Vocabulary) -> None:
        self._text = text
        self._name = name
        self._vocabulary = vocabulary
        self._statements = read_statements(text)
        self._position = 0

    def read(self) -> tuple[Node, ...]:
        nodes, stop = self._read_nodes(None, 0)
        if stop is not None:
            raise self._fault(f"{stop.keyword} without {IF}", stop.words[0])
        self._check_beginning(nodes, is_conditional=False)
        return nodes

    def _check_beginning(self, nodes: Sequence[Node], *, is_conditional: bool) -> bool:
        """Refuse what is a comment in this file, and something else where a rendering begins with it.

        Answers whether a rendering may have nothing before what comes next.
        """
        for node in nodes:
            if isinstance(node, Statement):
                if not would_begin(node):
                    return False
                if is_conditional:
                    reason = f"this has to stand at the very top, before any {IF} or {TAG}"
                    first = node.lines[0]
                    raise self._fault(reason, Word(first.strip(), node.line, len(first) - len(first.lstrip()) + 1))
            else:
                is_conditional = True
            if isinstance(node, Block):
                arms = [self._check_beginning(arm, is_conditional=True) for arm in (node.then, node.otherwise)]
                if not any(arms):
                    return False
        return True

    def _read_nodes(self, opening: Statement | None, depth: int) -> tuple[tuple[Node, ...], Statement | None]:
        """Read up to the end of a block, or of the file; answer the ELSE or ENDIFARCH that it ended with."""
        nodes = list[Node]()
        while self._position < len(self._statements):
            statement = self._statements[self._position]
            self._position += 1
            match statement.keyword:
                case "IFARCH":
                    nodes.append(self._read_block(statement, depth + 1))
                case "TAGARCH":
                    nodes.append(Tag(self._architectures(statement)))
                case "ELSE" | "ENDIFARCH":
                    if len(statement.words) > 1:
                        raise self._fault(f"{statement.keyword} stands by itself", statement.words[1])
                    return tuple(nodes), statement
                case _:
                    nodes.append(statement)
        if opening is not None:
            raise self._fault(f"this {IF} is not closed by an {END}", opening.words[0])
        return tuple(nodes), None

    def _read_block(self, opening: Statement, depth: int) -> Block:
        if depth > MAX_DEPTH:
            raise self._fault(f"blocks are nested more than {MAX_DEPTH} deep", opening.words[0])
        architectures = self._architectures(opening)
        then, stop = self._read_nodes(opening, depth)
        otherwise: tuple[Node, ...] = ()
        if stop is not None and stop.keyword == ELSE:
            otherwise, stop = self._read_nodes(opening, depth)
            if stop is not None and stop.keyword == ELSE:
                raise self._fault(f"a second {ELSE} for the {IF} of line {opening.line}", stop.words[0])
        return Block(architectures, then, otherwise)

    def _architectures(self, statement: Statement) -> tuple[Architecture, ...]:
        keyword, *words = statement.words
        if not words:
            raise self._fault(f"{statement.keyword} names no architecture", keyword)
        return tuple(Architecture(self._platform(word), word) for word in words)

    def _platform(self, word: Word) -> Platform:
        try:
            return self._vocabulary.parse_platform(word.text)
        except InvalidPlatform as error:
            raise self._fault(error.message, word) from error

    def _fault(self, reason: str, word: Word) -> InvalidDockerfile:
        return _fault(self._name, self._text, reason, word)


def _list_architectures(nodes: Sequence[Node]) -> Iterator[Architecture]:
    for node in nodes:
        if isinstance(node, Tag):
            yield from node.architectures
        elif isinstance(node, Block):
            yield from node.architectures
            yield from _list_architectures(node.then)
            yield from _list_architectures(node.otherwise)


def _fault(name: str, text: str, reason: str, word: Word) -> InvalidDockerfile:
    line = text.split("\n")[word.line - 1].rstrip("\r")
    return InvalidDockerfile(reason, name=name, line=word.line, column=word.column, text=line, width=len(word.text))
