import pytest
from hypothesis import given

from proxy.build.statements import read_statements
from tests.build.dockerfiles import FORUM, PLAIN, anything, conditional


def keywords(text: str) -> list[str]:
    return [statement.keyword for statement in read_statements(text) if statement.keyword]


@pytest.mark.parametrize("text", PLAIN)
def test_every_byte_is_kept_in_one_statement(text: str) -> None:
    statements = read_statements(text)
    assert "".join(statement.text for statement in statements) == text
    line = 1
    for statement in statements:
        assert statement.line == line
        line += len(statement.lines)


@given(anything | conditional)
def test_so_it_is_with_whatever_comes(text: str) -> None:
    assert "".join(statement.text for statement in read_statements(text)) == text


@given(anything | conditional)
def test_a_word_stands_where_it_says(text: str) -> None:
    lines = text.split("\n")
    for statement in read_statements(text):
        for word in statement.words:
            line = lines[word.line - 1]
            line = line.removeprefix("\ufeff") if word.line == 1 else line
            assert line[word.column - 1 :].startswith(word.text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (FORUM, "FROM IFARCH ADD ENDIFARCH IFARCH ADD TAGARCH ENDIFARCH RUN CMD"),
        ("FROM a\nRUN <<EOF\nIFARCH x\nEOF\nCMD b\n", "FROM RUN CMD"),
        ("FROM a\nRUN <<-EOF\n\t\tEOF\nCMD b\n", "FROM RUN CMD"),
        ("FROM a\nRUN <<EOF\n\tEOF\nCMD b\nEOF\n", "FROM RUN"),
        ("FROM a\nCOPY <<one <<two /\none\nx\ntwo\nCMD b\n", "FROM COPY CMD"),
        ("FROM a\nENV A=<<EOF\nCMD b\n", "FROM ENV CMD"),
        ("FROM a\nONBUILD RUN <<EOF\nIFARCH\nEOF\nCMD b\n", "FROM ONBUILD CMD"),
        ("FROM a\nONBUILD ENV <<EOF\nCMD b\n", "FROM ONBUILD CMD"),
        ("RUN a \\\n# note\nIFARCH \\\n\n b\nCMD c", "RUN CMD"),
        ("RUN a \\\\\nCMD c", "RUN CMD"),
        ("# escape=`\nRUN a \\\nCMD c `\n d", "RUN CMD"),
        ("FROM a\n# escape=`\nRUN a \\\nCMD c", "FROM RUN"),
        ("ifarch arm7\n  EndIfArch\r\n", "IFARCH ENDIFARCH"),
        ('RUN echo "<<EOF"\nCMD a', "RUN CMD"),
        ("RUN echo '\nCMD a", "RUN CMD"),
        ("RUN cat <<< EOF\nCMD a", "RUN CMD"),
        ("RUN cat <<- EOF\nCMD a\nEOF\n", "RUN CMD EOF"),
        ('RUN cat <<"E F"\nCMD a\nE F\nCMD b\n', "RUN CMD"),
        ("RUN a\\\n<<EOF\nCMD b\nEOF\n", "RUN CMD EOF"),  # a continued word: a<<EOF
        ("RUN a \\\n<<EOF\nCMD b\nEOF\n", "RUN"),
        ("RUN\u00a0a\nCMD\u2028b\n", "RUN\u00a0A CMD\u2028B"),
    ],
)
def test_instructions_are_told_apart_as_buildkit_does_it(text: str, found: str) -> None:
    assert keywords(text) == found.split(" ")


@pytest.mark.parametrize(
    ("text", "is_complete"),
    [
        ("RUN a \\\n  b\n", True),
        ("RUN a \\\n", False),
        ("RUN a \\", False),
        ("RUN <<A <<B\nA\nB\n", True),
        ("RUN <<A <<B\nA\n", False),
        ("RUN <<A\n", False),
        ("# a \\", True),
    ],
)
def test_what_the_file_breaks_off_is_told(text: str, *, is_complete: bool) -> None:
    assert read_statements(text)[-1].is_complete is is_complete
