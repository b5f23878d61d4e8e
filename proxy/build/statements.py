"""A Dockerfile cut into statements, as BuildKit cuts it: parser directives, comments, continued lines, heredocs.

Every byte of the file is in exactly one statement, so that what is not understood here is kept as it is. The rules are
those of BuildKit's `frontend/dockerfile/parser`: a line is continued where it ends with the escape character and blanks
(but not with two of them), comments and empty lines may stand in between, and heredocs follow `ADD`, `COPY` and `RUN`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_DIRECTIVE = re.compile(r"\s*#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(\S.*?)\s*")
_WORD = re.compile(r"[^ \t\v\f\r\n]+")
_BEGINNING = re.compile(r"[^ \t\v\f\r\n]*")
_HEREDOC = re.compile(r"\d*<<(-?)([^<]*)")
_QUOTES = re.compile(r"[\"'\\]")
_SHELL_WORD = re.compile(r"(?:\\.|\\$|[^\s\"'\\]|\"(?:[^\"\\]|\\.)*\"|'[^']*')+")
_BLANK = re.compile(r"\s*")
_WITH_HEREDOCS = frozenset({"ADD", "COPY", "RUN"})
ESCAPES = ("\\", "`")
_CONTINUED = {escape: re.compile(rf"(?:^|[^{re.escape(escape)}]){re.escape(escape)}[ \t]*$") for escape in ESCAPES}
_DIRECTIVES = frozenset({"check", "escape", "syntax"})
BYTE_ORDER_MARK = "\ufeff"
SOURCE = re.compile(r"(?P<before>--from=|--mount=\S*?\bfrom=)(?P<quote>[\"']?)(?P<name>[^,\s\"']+)")
"""The flag by which a COPY or a RUN takes files from another stage or image."""
WITH_SOURCES = frozenset({"COPY", "RUN"})


@dataclass(frozen=True, slots=True)
class Word:
    """One word of an instruction, and where it stands."""

    text: str
    line: int
    """The number of its line, from 1."""
    column: int
    """Of its first character, from 1."""
    continued: tuple[int, ...] = ()
    """How many of its characters stand at the beginning of each further line, where one ends in the midst of it."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A word that is replaced."""

    word: Word
    text: str


@dataclass(frozen=True, slots=True)
class Statement:
    """An instruction with its continued lines and heredocs; or a comment, or an empty line."""

    line: int
    """The number of its first line, from 1."""
    lines: tuple[str, ...]
    """Each with its ending."""
    words: tuple[Word, ...] = ()
    """Of an instruction, without its heredocs; nothing for a comment or an empty line."""
    is_complete: bool = True
    """Whether it ends where it should, and not because the file does."""
    open_heredoc: str = ""
    """What would end its last heredoc, where the file ends before that."""

    @property
    def keyword(self) -> str:
        """The instruction, in capitals; nothing for a comment or an empty line."""
        return self.words[0].text.upper() if self.words else ""

    @property
    def text(self) -> str:
        """As it stands in the file."""
        return "".join(self.lines)

    @property
    def operands(self) -> list[Word]:
        """Its words but for the instruction and its flags."""
        return [word for word in self.words[1:] if not word.text.startswith("--")]

    @property
    def flags(self) -> list[Word]:
        """The flags that stand before all operands."""
        words = self.words[1:]
        end = next((position for position, word in enumerate(words) if not word.text.startswith("--")), len(words))
        return list(words[:end])

    def edited(self, edits: Iterable[Edit]) -> str:
        """Answer its text with some words replaced, and everything else as it was."""
        lines = list(self.lines)
        for edit in sorted(edits, key=lambda one: (one.word.line, one.word.column), reverse=True):
            word, position, start = edit.word, edit.word.line - self.line, edit.word.column - 1
            # A byte order mark is no part of the first word, though it stands in the first line.
            start += lines[position].startswith(BYTE_ORDER_MARK)
            # In the last of its lines: one with nothing in it would not end the instruction.
            *spans, (position, start, end) = self._list_spans(word, position, start)
            for number, begin, stop in spans:
                lines[number] = lines[number][:begin] + lines[number][stop:]
            lines[position] = lines[position][:start] + edit.text + lines[position][end:]
        return "".join(lines)

    def _list_spans(self, word: Word, position: int, start: int) -> list[tuple[int, int, int]]:
        """Answer where a word stands in its lines: comments and empty ones may stand in between."""
        after = (number for number in range(position + 1, len(self.lines)) if not _is_skipped(self.lines[number]))
        further = [(number, 0, width) for number, width in zip(after, word.continued, strict=False)]
        return [(position, start, start + len(word.text) - sum(word.continued)), *further]


def read_statements(text: str) -> list[Statement]:
    """Cut a Dockerfile into its statements: joined, their texts are the file."""
    lines = _LINE.findall(text)
    escape, found, position = _find_escape(lines), list[Statement](), 0
    while position < len(lines):
        statement = _read_statement(lines, position, escape)
        found.append(statement)
        position += len(statement.lines)
    return found


def would_begin(statement: Statement) -> bool:
    """Tell whether a statement is, or would be, something special where the file begins with it: a parser directive."""
    line = statement.lines[0].removeprefix(BYTE_ORDER_MARK) if statement.line == 1 else statement.lines[0]
    directive = _DIRECTIVE.fullmatch(line)
    return line.startswith(BYTE_ORDER_MARK) or (directive is not None and directive[1].lower() in _DIRECTIVES)


@dataclass(frozen=True, slots=True)
class Directive:
    """A parser directive: a comment at the top that says something of the file."""

    name: str
    value: str
    word: Word
    """The first of it."""


def read_directives(text: str) -> list[Directive]:
    """Read the parser directives of a Dockerfile: they end at the first line that is none of those that are known."""
    return list(_list_directives(_LINE.findall(text)))


def _list_directives(lines: list[str]) -> Iterator[Directive]:
    for number, line in enumerate(lines, 1):
        told = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
        match = _DIRECTIVE.fullmatch(told)
        if match is None or match[1].lower() not in _DIRECTIVES:
            return
        column = told.index("#") + 1
        yield Directive(match[1].lower(), match[2], Word("#", number, column))


def _find_escape(lines: list[str]) -> str:
    """Answer the escape character, which the parser directives may name."""
    named = next((one.value for one in _list_directives(lines) if one.name == "escape"), ESCAPES[0])
    return named if named in ESCAPES else ESCAPES[0]


def _read_statement(lines: list[str], start: int, escape: str) -> Statement:
    first = lines[start].removeprefix(BYTE_ORDER_MARK) if start == 0 else lines[start]
    if _is_skipped(first):
        return Statement(start + 1, (lines[start],))
    parts, end, is_open = list[tuple[int, str]](), start, True
    while is_open and end < len(lines):
        line = first if end == start else lines[end]
        if end == start or not _is_skipped(line):
            content = line.rstrip("\r\n")
            continuation = _CONTINUED[escape].search(content)
            is_open = continuation is not None
            parts.append((end + 1, content[: content.rindex(escape)] if is_open else content))
        end += 1
    # Without a blank in between: a word may go on in the next line.
    joined = "".join(part for _, part in parts)
    missed = ""
    for terminator, strips_tabs in _list_heredocs(joined):
        found = _end_of_heredoc(lines, end, terminator, strips_tabs=strips_tabs)
        end, is_open, missed = found or len(lines), found is None, "" if found else terminator
    return Statement(start + 1, tuple(lines[start:end]), tuple(_list_words(parts)), not is_open, missed)


def _list_words(parts: Sequence[tuple[int, str]]) -> Iterator[Word]:
    """Answer the words of continued lines, each given with its number."""
    words, is_inside = list[Word](), False
    for line, part in parts:
        if is_inside and (goes_on := _BEGINNING.match(part)):
            last, text = words.pop(), goes_on[0]
            words.append(replace(last, text=last.text + text, continued=(*last.continued, len(text))))
        words += [
            Word(found[0], line, found.start() + 1) for found in _WORD.finditer(part) if found.start() or not is_inside
        ]
        is_inside = _WORD.fullmatch(part[-1:]) is not None or (is_inside and not part)
    yield from words


def _is_skipped(line: str) -> bool:
    stripped = line.strip()
    return not stripped or stripped.startswith("#")


def _list_heredocs(joined: str) -> Iterator[tuple[str, bool]]:
    """Answer the terminators of an instruction's heredocs, in order, and whether tabs before them do not count."""
    keywords = [word.upper() for word in _WORD.findall(joined)[:2]]
    if not _WITH_HEREDOCS.intersection(keywords[1:] if keywords[:1] == ["ONBUILD"] else keywords[:1]):
        return
    for shell_word in _list_shell_words(joined):
        match = _HEREDOC.fullmatch(shell_word)
        terminator = _QUOTES.sub("", match[2]) if match else ""
        if match and terminator:
            yield terminator, bool(match[1])


def _list_shell_words(text: str) -> list[str]:
    """Cut a text as a shell would, quotes kept; nothing where one is never closed, as BuildKit gives up then."""
    words, position = list[str](), 0
    while (blank := _BLANK.match(text, position)) and blank.end() < len(text):
        word = _SHELL_WORD.match(text, blank.end())
        if word is None:
            return []
        words.append(word[0])
        position = word.end()
    return words


def _end_of_heredoc(lines: list[str], start: int, terminator: str, *, strips_tabs: bool) -> int | None:
    for position in range(start, len(lines)):
        line = lines[position].rstrip("\r\n")
        if (line.lstrip("\t") if strips_tabs else line) == terminator:
            return position + 1
    return None
