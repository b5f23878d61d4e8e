import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.build.statements import Edit, read_statements
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
            assert line[word.column - 1 :].startswith(word.text[: len(word.text) - sum(word.continued)])


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
        ("RUN it's <<EOF\nCMD a\nEOF\n", "RUN CMD EOF"),  # the quote is never closed, so the shell is not asked further
        ("RUN it\\'s <<EOF don\\'t\nCMD a\nEOF\n", "RUN"),
        ("RUN a\\ <<EOF\nCMD a\nEOF\n", "RUN CMD EOF"),
        ("# not=known\n# escape=`\nRUN a `\nCMD c", "RUN CMD"),
        ("# escape=x\nRUN a \\\nCMD c", "RUN"),
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


def test_a_word_goes_on_where_a_line_ends_in_the_midst_of_it() -> None:
    (statement,) = read_statements("FROM a:47\\\n# why\n\n11/b AS c\\\nd\n")
    assert [word.text for word in statement.words] == ["FROM", "a:4711/b", "AS", "cd"]
    image, naming = statement.words[1], statement.words[3]
    assert (image.line, image.column, image.continued) == (1, 6, (4,))
    edited = statement.edited([Edit(image, "x"), Edit(naming, "y")])
    assert edited == "FROM \\\n# why\n\nx AS \\\ny\n"
    assert [word.text for word in read_statements(edited)[0].words] == ["FROM", "x", "AS", "y"]


@given(st.text("ab \\\n#", max_size=30))
def test_an_edit_leaves_all_other_words_as_they_are(text: str) -> None:
    (statement, *rest) = read_statements(f"RUN x{text}\nRUN y\n")
    for number, word in enumerate(statement.words[1:], 1):
        edited = statement.edited([Edit(word, "new")]) + "".join(one.text for one in rest)
        found = read_statements(edited)[0].words
        expected = [one.text for one in statement.words]
        assert [one.text for one in found] == [*expected[:number], "new", *expected[number + 1 :]]


def test_a_word_may_begin_at_the_beginning_of_a_line() -> None:
    (statement,) = read_statements("FROM \\\na \\\nAS \\\n\\\nb\n")
    assert [(word.text, word.line, word.column) for word in statement.words] == [
        ("FROM", 1, 1),
        ("a", 2, 1),
        ("AS", 3, 1),
        ("b", 5, 1),
    ]


@pytest.mark.parametrize("piece", ['\\"', "'\"", "\\", "<<", "a ", "\"'\\\"'"])
def test_quotes_without_an_end_take_no_time(piece: str) -> None:
    assert len(read_statements(f'RUN echo "{piece * 50_000}\nRUN b\n')) == 2
