from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.arch.compatibility import runs
from proxy.arch.detection import (
    EVIDENCE,
    MAX_PLATFORM_LENGTH,
    AnswerMode,
    Assignment,
    ClientHints,
    Detection,
    PathPlatform,
    detect,
    split_path_platform,
)
from proxy.arch.vocabulary import parse_vocabulary
from proxy.arch.words import PROPOSAL
from proxy.oci.platforms import Platform
from tests.strategies import any_text, repositories

# --- The path ---


@pytest.mark.parametrize(
    ("prefix", "repository", "expected"),
    [
        pytest.param("", "library/debian", PathPlatform("", "library/debian"), id="no-word"),
        pytest.param("arm6", "library/debian", PathPlatform("arm6", "library/debian"), id="P-v2-R"),
        pytest.param("linux-arm-v6", "debian", PathPlatform("linux-arm-v6", "debian"), id="P-R"),
        pytest.param("", "arm6/library/debian", PathPlatform("arm6", "library/debian"), id="v2-P-R"),
        pytest.param("", "linux-arm-v6/debian", PathPlatform("linux-arm-v6", "debian"), id="v2-slug-R"),
        pytest.param("", "arm8.1/app", PathPlatform("arm8.1", "app"), id="word-with-a-dot"),
        pytest.param("", "arm6", PathPlatform("", "arm6"), id="a-repository-named-like-a-word"),
        pytest.param("arm6", "arm7/app", PathPlatform("arm6", "arm7/app"), id="only-one-word-is-taken-off"),
        pytest.param("", "arm32v7/debian", PathPlatform("", "arm32v7/debian"), id="docker-s-namespaces-are-none"),
        pytest.param("", "linux-foo/app", PathPlatform("", "linux-foo/app"), id="a-namespace-like-a-slug"),
        pytest.param("library", "debian", None, id="prefix-is-a-namespace"),
        pytest.param("..", "debian", None, id="prefix-is-dot-dot"),
        pytest.param("linux-foo", "debian", None, id="prefix-is-no-platform"),
    ],
)
def test_the_platform_word_is_found_in_all_shapes_of_a_path(
    prefix: str, repository: str, expected: PathPlatform | None
) -> None:
    assert split_path_platform(prefix, repository) == expected


OWN = parse_vocabulary({"pi-zero": "rpi"})


@pytest.mark.parametrize(
    ("prefix", "repository", "expected"),
    [
        pytest.param("pi-zero", "library/debian", PathPlatform("pi-zero", "library/debian"), id="P-v2-R"),
        pytest.param("", "pi-zero/debian", PathPlatform("pi-zero", "debian"), id="v2-P-R"),
        pytest.param("", "pi-zero", PathPlatform("", "pi-zero"), id="a-repository-named-like-it"),
        pytest.param("", "arm6/debian", PathPlatform("arm6", "debian"), id="others-are-known-too"),
        pytest.param("pi-one", "debian", None, id="no-word"),
    ],
)
def test_a_word_of_the_operator_s_own_may_stand_in_a_path(
    prefix: str, repository: str, expected: PathPlatform | None
) -> None:
    assert split_path_platform(prefix, repository, OWN) == expected


@given(any_text, repositories)
def test_taking_a_word_off_loses_nothing_of_the_repository(prefix: str, repository: str) -> None:
    for found in (split_path_platform(prefix, repository), split_path_platform("", repository)):
        if found is not None and not prefix:
            assert repository in {found.repository, f"{found.word}/{found.repository}"}


# --- All evidence ---

PI_ZERO = "docker/27.5.1 go/go1.22.11 kernel/6.1.21+ os/linux arch/arm UpstreamClient(x)"
ROWS = tuple(name for name, _ in EVIDENCE)
AMD64 = Platform("linux", "amd64")
SAID: dict[str, dict[str, Any]] = {
    "path": {"path_word": "arm5"},
    "header": {"header": "linux/arm64"},
    "listener": {"listener": Assignment(Platform("linux", "arm", "v7"))},
    "client-rule": {"rule": Assignment(Platform("linux", "386"))},
    "user-agent": {"user_agent": PI_ZERO},
}
"""One thing that each row may say, all of them different."""
MEANT = {
    "path": "linux/arm/v5",
    "header": "linux/arm64",
    "listener": "linux/arm/v7",
    "client-rule": "linux/386",
    "user-agent": "linux/arm/v6",
}


def test_the_rows_are_asked_in_the_documented_order() -> None:
    assert ROWS == ("path", "header", "listener", "client-rule", "user-agent")


@pytest.mark.parametrize("first", range(len(ROWS)))
def test_each_row_overrides_all_that_come_after_it(first: int) -> None:
    hints = ClientHints(**{key: value for row in ROWS[first:] for key, value in SAID[row].items()})
    detection = detect(hints, default=AMD64)
    assert (detection.evidence, str(detection.platform)) == (ROWS[first], MEANT[ROWS[first]])
    assert detection.considered == ROWS[: first + 1]


@pytest.mark.parametrize(
    "garbage",
    [
        {"path_word": "nonsense"},
        {"header": "nonsense"},
        {"header": "linux/arm/v9000"},
        {"header": "linux/arm64/v9.8"},  # no such level: it would run nothing that has a name
        {"header": "linux/arm/v6" + " " * MAX_PLATFORM_LENGTH},
        {"user_agent": PI_ZERO.replace("docker", "forged")},
        {"listener": Assignment(), "rule": Assignment()},
    ],
    ids=str,
)
def test_what_says_nothing_falls_through_to_the_next(garbage: dict[str, Any]) -> None:
    hints = ClientHints(**{"user_agent": PI_ZERO, **garbage})
    detection = detect(hints, default=AMD64)
    expected = "default" if "user_agent" in garbage else "user-agent"
    assert detection.evidence == expected


@pytest.mark.parametrize(("row", "said"), [("path", {"path_word": "pi-zero"}), ("header", {"header": "Pi-Zero"})])
def test_a_word_of_the_operator_s_own_is_understood_where_it_is_known(row: str, said: dict[str, Any]) -> None:
    detection = detect(ClientHints(**said, vocabulary=OWN))
    assert (detection.evidence, str(detection.platform)) == (row, "linux/arm/v6")
    assert detect(ClientHints(**said)).evidence == "none"


def test_nobody_is_taken_for_anything_without_a_word() -> None:
    assert detect(ClientHints()) == Detection(None, "none", ROWS)
    assert detect(ClientHints(), default=AMD64) == Detection(AMD64, "default", (*ROWS, "default"))


def test_an_engine_is_told_whichever_row_speaks() -> None:
    detection = detect(ClientHints(path_word="x86-64", user_agent=PI_ZERO))
    assert detection.engine is not None
    assert detection.engine.platform == Platform("linux", "arm", "v6")


@pytest.mark.parametrize(
    ("hints", "answer"),
    [
        (ClientHints(), AnswerMode.INDEX),
        (ClientHints(path_word="arm6"), AnswerMode.MANIFEST),
        (ClientHints(path_word="arm6", listener=Assignment(answer=AnswerMode.INDEX)), AnswerMode.MANIFEST),
        (ClientHints(path_word="nonsense"), AnswerMode.INDEX),
        (ClientHints(rule=Assignment(answer=AnswerMode.MANIFEST)), AnswerMode.MANIFEST),
        (
            ClientHints(listener=Assignment(answer=AnswerMode.INDEX), rule=Assignment(answer=AnswerMode.MANIFEST)),
            AnswerMode.INDEX,
        ),
        (ClientHints(header="arm6", rule=Assignment(answer=AnswerMode.MANIFEST)), AnswerMode.MANIFEST),
    ],
)
def test_what_is_answered_is_the_path_s_word_or_the_operator_s(hints: ClientHints, answer: AnswerMode) -> None:
    assert detect(hints).answer is answer


_platforms = st.none() | st.sampled_from([AMD64, Platform("linux", "arm", "v6")])
_assignments = st.builds(Assignment, _platforms, st.none() | st.sampled_from(AnswerMode))


_parts = st.sampled_from(
    ("linux", "windows", "arm", "arm64", "amd64", "v5", "v6", "v8.1", "v8.10", "v9.8", "v99", "", "-", "..", "unknown")
)
_triples = st.lists(_parts, max_size=5).map("/".join)
_long = st.builds(lambda text, times: text * times, st.text(min_size=1, max_size=8), st.integers(100, 5000))
_texts = any_text | _triples | _triples.map(lambda text: text.replace("/", "-")) | _long
_user_agents = st.sampled_from(["", PI_ZERO]) | _texts | st.builds(str.__add__, st.just(PI_ZERO), _texts)


@given(
    st.builds(
        ClientHints,
        st.sampled_from(["", *PROPOSAL]) | _texts,
        st.sampled_from(["", "arm6"]) | _texts,
        _assignments,
        _assignments,
        _user_agents,
    ),
    st.none() | st.just(AMD64),
)
def test_arbitrary_hints_are_detected_with_their_evidence(hints: ClientHints, default: Platform | None) -> None:
    detection = detect(hints, default=default)
    assert detection.evidence in {*ROWS, "default", "none"}
    assert (detection.platform is None) is (detection.evidence == "none")
    asked = tuple(name for name in detection.considered if name != "default")
    assert asked == ROWS[: len(asked)]
    assert detection.evidence in {detection.considered[-1], "none"}
    # A machine is a machine: whatever was shown, there is something that it runs, and itself first.
    assert detection.platform is None or runs(detection.platform)[0] == detection.platform.normalised()


@given(_texts, _texts)
def test_an_arbitrary_path_is_taken_apart_or_is_none(prefix: str, repository: str) -> None:
    found = split_path_platform(prefix, repository)
    if found is not None and found.word:
        assert detect(ClientHints(path_word=found.word)).evidence == "path"
    assert (found is None) is (bool(prefix) and detect(ClientHints(path_word=prefix)).platform is None)
