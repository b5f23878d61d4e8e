import pytest
from hypothesis import given

from proxy.arch.vocabulary import parse_vocabulary
from proxy.build.conditions import MAX_DEPTH, read_dockerfile
from proxy.oci.errors import InvalidDockerfile
from tests.build.dockerfiles import FORUM, PLAIN, anything, conditional


@pytest.mark.parametrize("text", PLAIN)
def test_what_has_none_of_our_words_is_plain(text: str) -> None:
    dockerfile = read_dockerfile(text)
    assert dockerfile.is_plain
    assert dockerfile.list_named() == ()


def test_the_forum_s_example_names_what_it_is_for() -> None:
    named = [str(platform) for platform in read_dockerfile(FORUM).list_named()]
    assert named == ["linux/amd64", "linux/arm/v7", "linux/arm64", "linux/arm64/v8.1", "linux/arm/v6"]


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ("FROM a\nIFARCH arm7\nRUN b\n", 2, 1, "this IFARCH is not closed by an ENDIFARCH"),
        ("FROM a\n  ENDIFARCH\n", 2, 3, "ENDIFARCH without IFARCH"),
        ("ELSE\n", 1, 1, "ELSE without IFARCH"),
        ("IFARCH arm7\nELSE\nELSE\nENDIFARCH", 3, 1, "a second ELSE for the IFARCH of line 1"),
        ("IFARCH\nENDIFARCH", 1, 1, "IFARCH names no architecture"),
        ("FROM a\ntagarch \n", 2, 1, "TAGARCH names no architecture"),
        ("IFARCH arm7 amr6\nENDIFARCH", 1, 13, "unknown platform 'amr6'; did you mean arm6"),
        ("IFARCH arm7 \\\n  # a note\n  amr6\nENDIFARCH", 3, 3, "unknown platform 'amr6'"),
        ("IFARCH arm7\nENDIFARCH arm7", 2, 11, "ENDIFARCH stands by itself"),
        ("IFARCH arm7\nELSE IFARCH rpi\nENDIFARCH", 2, 6, "ELSE stands by itself"),
        ("IFARCH arm7\nIFARCH rpi\nENDIFARCH\n", 1, 1, "this IFARCH is not closed"),
        ("IFARCH arm7\n# escape=`\nENDIFARCH\nFROM a\n", 2, 1, "this has to stand at the very top, before any IFARCH"),
        ("# syntax=a\nTAGARCH arm7\n # Check=skip=all\nFROM a\n", 3, 2, "this has to stand at the very top"),
        ("IFARCH arm7\nELSE\n# a\nENDIFARCH\n\ufeffRUN b\n", 5, 1, "this has to stand at the very top"),
        ("IFARCH arm7\n" * (MAX_DEPTH + 1), MAX_DEPTH + 1, 1, "blocks are nested more than 32 deep"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, line: int, column: int, reason: str) -> None:
    with pytest.raises(InvalidDockerfile) as caught:
        read_dockerfile(text, "app/Dockerfile")
    error = caught.value
    assert (error.line, error.column) == (line, column)
    assert error.reason.startswith(reason)
    first, shown, caret = str(error).split("\n")
    assert first.startswith(f"app/Dockerfile:{line}:{column}: ")
    assert shown[2:] == text.split("\n")[line - 1]
    assert caret.index("^") == column + 1


def test_a_caret_stands_below_its_word_behind_tabs_too() -> None:
    with pytest.raises(InvalidDockerfile) as caught:
        read_dockerfile("\tIFARCH\tx9\n\tENDIFARCH\n")
    assert str(caught.value).split("\n")[1:] == ["  \tIFARCH\tx9", "  \t      \t^^"]


def test_the_operator_s_own_words_are_words_here_too() -> None:
    vocabulary = parse_vocabulary({"shed": "rpi"})
    dockerfile = read_dockerfile("IFARCH shed\nENDIFARCH\n", vocabulary=vocabulary)
    assert list(map(str, dockerfile.list_named())) == ["linux/arm/v6"]


@pytest.mark.parametrize(
    "text",
    [
        "# syntax=a\n# escape=`\nIFARCH arm7\nFROM a\n# escape=`\nENDIFARCH\n",
        "IFARCH arm7\n# a\nELSE\n\nENDIFARCH\n# escape=`\n",
        "IFARCH arm7\n# nothing=special\nENDIFARCH\n",
        "\ufeffIFARCH arm7\nENDIFARCH\n",
    ],
)
def test_a_comment_that_no_rendering_begins_with_may_be_anything(text: str) -> None:
    read_dockerfile(text)


@given(conditional)
def test_what_is_well_formed_is_read(text: str) -> None:
    read_dockerfile(text)


@given(anything)
def test_whatever_it_is_there_is_a_tree_or_a_place(text: str) -> None:
    try:
        read_dockerfile(text)
    except InvalidDockerfile as error:
        line = text.split("\n")[error.line - 1]
        assert 1 <= error.column <= len(line)  # noqa: PT017
