"""Log lines: readable or JSON, and never with a secret in them."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.telemetry.logs import LEVELS, LogEvents, LogFormat, SilentEvents, build_logger, redact


class Terminal(io.StringIO):
    """A stream that takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


def logged(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_is_written_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    LogEvents(build_logger("info", LogFormat.AUTO, stream)).note("blob.sent", bytes=3)
    (line,) = logged(stream)
    assert (line["event"], line["bytes"], line["level"]) == ("blob.sent", 3, "info")
    assert str(line["timestamp"]).endswith("Z")


def test_a_terminal_is_written_to_in_words() -> None:
    stream = Terminal()
    LogEvents(build_logger("info", LogFormat.AUTO, stream)).note("blob.sent", bytes=3)
    assert "blob.sent" in stream.getvalue()
    with pytest.raises(json.JSONDecodeError):
        json.loads(stream.getvalue())


def test_a_format_that_is_named_wins_over_the_stream() -> None:
    stream = Terminal()
    LogEvents(build_logger("info", LogFormat.JSON, stream)).note("blob.sent")
    assert logged(stream)[0]["event"] == "blob.sent"


@pytest.mark.parametrize(("level", "told"), [("info", 3), ("warning", 2), ("error", 1)])
def test_nothing_below_the_level_is_told(level: str, told: int) -> None:
    stream = io.StringIO()
    events = LogEvents(build_logger(level, LogFormat.JSON, stream))
    events.note("one")
    events.warn("two")
    events.fail("three")
    assert len(logged(stream)) == told


def test_every_level_of_the_settings_makes_a_logger() -> None:
    for level in LEVELS:
        LogEvents(build_logger(level, LogFormat.JSON, io.StringIO())).note("x")


def test_a_fault_is_told_with_its_exception() -> None:
    stream = io.StringIO()
    events = LogEvents(build_logger("info", LogFormat.JSON, stream))
    try:
        _ = dict[str, int]()["lost"]
    except KeyError:
        events.fail("request.crashed")
    assert "KeyError: 'lost'" in str(logged(stream)[0]["exception"])


def test_values_that_json_does_not_know_are_written_as_text() -> None:
    stream = io.StringIO()
    LogEvents(build_logger("info", LogFormat.JSON, stream)).note("x", thing=Path("a/b"))
    assert logged(stream)[0]["thing"] == "a/b"


def test_silence_tells_nobody() -> None:
    for tell in (SilentEvents().note, SilentEvents().warn, SilentEvents().fail):
        tell("anything", at="all")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Authorization: Bearer abcdefgh12345678", "Authorization: Bearer …"),
        ("basic dXNlcjpwYXNzd29yZA==", "basic …"),
        ("https://cdn.example/data?verify=1-abc&x=2", "https://cdn.example/data?verify=…&x=…"),
        ("nothing to hide here", "nothing to hide here"),
    ],
)
def test_credentials_and_queries_are_cut(text: str, kept: str) -> None:
    assert redact(text) == kept


@given(st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/", min_size=12))
def test_a_token_never_reaches_a_line(token: str) -> None:
    stream = io.StringIO()
    LogEvents(build_logger("info", LogFormat.JSON, stream)).warn("x", reason=f"refused: Bearer {token}")
    assert token not in stream.getvalue()
