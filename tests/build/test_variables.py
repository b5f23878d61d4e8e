import pytest

from proxy.build.statements import read_statements
from proxy.build.variables import Variables


def variables(*arguments: str, **given: str) -> Variables:
    found = Variables(given)
    for statement in read_statements("".join(f"ARG {one}\n" for one in arguments)):
        found.learn(statement)
    return found


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("debian", "debian"),
        ("debian:$TAG", "debian:1"),
        ("${NAME}:${TAG}-slim", "debian:1-slim"),
        ("${NONE:-alpine}", "alpine"),
        ("$NONE", None),
        ("${NONE}:1", None),
        ("$BARE", None),
        ("${TAG:+x}", None),
        ("$WHOLE", "debian:1"),
        ("$QUOTED", "a"),
    ],
)
def test_what_is_known_takes_the_place_of_its_name(text: str, expanded: str | None) -> None:
    known = variables("TAG=1 NAME=debian", "BARE", "WHOLE=$NAME:$TAG", 'QUOTED="a"')
    assert known.expand(text) == expanded


def test_what_is_given_counts_more_than_a_default() -> None:
    assert variables("TAG=1", "BARE", TAG="2", BARE="b").expand("$TAG$BARE") == "2b"
