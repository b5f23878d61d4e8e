"""A Dockerfile cut into statements, as BuildKit cuts it: parser directives, comments, continued lines, heredocs.

Every byte of the file is in exactly one statement, so that what is not understood here is kept as it is. The rules are
those of BuildKit's `frontend/dockerfile/parser`: a line is continued where it ends with the escape character and blanks
(but not with two of them), comments and empty lines may stand in between, and heredocs follow `ADD`, `COPY` and `RUN`.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_DIRECTIVE = re.compile(r"\s*#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(\S.*?)\s*")
_WORD = re.compile(r"[^ \t\v\f\r\n]+")
_HEREDOC = re.compile(r"\d*<<(-?)([^<]*)")
_QUOTES = re.compile(r"[\"'\\]")
_SHELL_WORD = re.compile(r"(?:[^\s\"']|\"(?:[^\"\\]|\\.)*\"|'[^']*')+")
_WITH_HEREDOCS = frozenset({"ADD", "COPY", "RUN"})
_CONTINUED = {escape: re.compile(rf"(?:^|[^{re.escape(escape)}]){re.escape(escape)}[ \t]*$") for escape in ("\\", "`")}
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
            position, start = edit.word.line - self.line, edit.word.column - 1
            # A byte order mark is no part of the first word, though it stands in the first line.
            start += lines[position].startswith(BYTE_ORDER_MARK)
            lines[position] = lines[position][:start] + edit.text + lines[position][start + len(edit.word.text) :]
        return "".join(lines)


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


def _find_escape(lines: list[str]) -> str:
    """Answer the escape character that the parser directives name: they end at the first line that is none."""
    for number, line in enumerate(lines):
        match = _DIRECTIVE.fullmatch(line.removeprefix(BYTE_ORDER_MARK) if number == 0 else line)
        if match is None:
            break
        if match[1].lower() == "escape" and match[2] in _CONTINUED:
            return match[2]
    return "\\"


def _read_statement(lines: list[str], start: int, escape: str) -> Statement:
    first = lines[start].removeprefix(BYTE_ORDER_MARK) if start == 0 else lines[start]
    if _is_skipped(first):
        return Statement(start + 1, (lines[start],))
    words, joined, end, is_open = list[Word](), "", start, True
    while is_open and end < len(lines):
        line = first if end == start else lines[end]
        if end == start or not _is_skipped(line):
            content = line.rstrip("\r\n")
            continuation = _CONTINUED[escape].search(content)
            is_open = continuation is not None
            told = content[: content.rindex(escape)] if is_open else content
            words += [Word(word[0], end + 1, word.start() + 1) for word in _WORD.finditer(told)]
            joined += told  # without a blank in between: so a heredoc may begin in the midst of a word, and is none
        end += 1
    for terminator, strips_tabs in _list_heredocs(joined):
        found = _end_of_heredoc(lines, end, terminator, strips_tabs=strips_tabs)
        end, is_open = found or len(lines), found is None
    return Statement(start + 1, tuple(lines[start:end]), tuple(words), not is_open)


def _is_skipped(line: str) -> bool:
    stripped = line.strip()
    return not stripped or stripped.startswith("#")


def _list_heredocs(joined: str) -> Iterator[tuple[str, bool]]:
    """Answer the terminators of an instruction's heredocs, in order, and whether tabs before them do not count."""
    keywords = [word.upper() for word in _WORD.findall(joined)[:2]]
    if not _WITH_HEREDOCS.intersection(keywords[1:] if keywords[:1] == ["ONBUILD"] else keywords[:1]):
        return
    for shell_word in _SHELL_WORD.finditer(joined):
        match = _HEREDOC.fullmatch(shell_word[0])
        terminator = _QUOTES.sub("", match[2]) if match else ""
        if match and terminator:
            yield terminator, bool(match[1])


def _end_of_heredoc(lines: list[str], start: int, terminator: str, *, strips_tabs: bool) -> int | None:
    for position in range(start, len(lines)):
        line = lines[position].rstrip("\r\n")
        if (line.lstrip("\t") if strips_tabs else line) == terminator:
            return position + 1
    return None
