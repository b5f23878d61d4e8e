"""Log lines: readable or JSON, and never with a secret in them."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
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
        ("at https://me:hunter2@registry.example/v2/", "at https://…@registry.example/v2/"),
        (
            "https://bucket.s3.example/blob?X-Amz-Credential=a%2Fb&X-Amz-Signature=0f1e2d",
            "https://bucket.s3.example/blob?X-Amz-Credential=…&X-Amz-Signature=…",
        ),
        ("https://registry.example/a@sha256:00", "https://registry.example/a@sha256:00"),
        ("nothing to hide here", "nothing to hide here"),
    ],
)
def test_credentials_and_queries_are_cut(text: str, kept: str) -> None:
    assert redact(text) == kept


TOKEN_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/"
tokens = st.text(TOKEN_LETTERS, min_size=12).map(lambda text: f"{text}==")
"""RFC 6750 §2.1: b64token. No real one is shorter."""


def _fail_with(authorization: str, url: str) -> None:
    raise ConnectionError(f"{authorization} was refused by {url}")


def _error(text: str) -> Exception:
    return ValueError(text)


@pytest.mark.parametrize("log_format", [LogFormat.JSON, LogFormat.PRETTY])
@pytest.mark.parametrize(
    "wrap",
    [str, str.encode, _error, lambda text: [text], lambda text: (1, {"deep": text}), lambda text: {"deep": {text}}],
    ids=["text", "bytes", "error", "list", "tuple", "mapping"],
)
@pytest.mark.parametrize(
    "form",
    [
        "refused: Bearer {}",
        "BASIC\t{}",
        "https://cdn.example/data?verify={}",
        "x?a=1&sig={}&b=2",
    ],
)
@given(token=tokens)
@settings(max_examples=10)
def test_a_secret_never_reaches_a_line(
    token: str, form: str, wrap: Callable[[str], object], log_format: LogFormat
) -> None:
    stream = io.StringIO()
    events = LogEvents(build_logger("info", log_format, stream))
    secret = wrap(form.format(token))
    events.note("told", field=secret)
    events.warn(form.format(token), other=3)
    assert token not in stream.getvalue()
    assert "told" in stream.getvalue()


@pytest.mark.parametrize("log_format", [LogFormat.JSON, LogFormat.PRETTY])
@pytest.mark.parametrize("is_terminal", [False, True], ids=["file", "terminal"])
@given(token=tokens)
@settings(max_examples=5)
def test_no_secret_is_in_a_traceback(token: str, log_format: LogFormat, *, is_terminal: bool) -> None:
    """Neither in what was raised, nor in the variables of whoever raised it."""
    stream = Terminal() if is_terminal else io.StringIO()
    events = LogEvents(build_logger("info", log_format, stream))
    try:
        _fail_with(f"Bearer {token}", f"https://cdn.example/?verify={token}")
    except ConnectionError:
        events.fail("request.crashed")
    assert token not in stream.getvalue()
    assert "ConnectionError" in stream.getvalue()


@given(text=st.text(), query=st.text())
def test_every_line_stays_one_line_of_json(text: str, query: str) -> None:
    stream = io.StringIO()
    fields = {"text": text, "url": f"https://cdn.example/?{query}", "header": f'Bearer {text}"{query}'}
    LogEvents(build_logger("info", LogFormat.JSON, stream)).note("told", **fields)
    (line,) = stream.getvalue().rstrip("\n").split("\n")
    assert set(json.loads(line)) == {*fields, "event", "level", "timestamp"}


def test_what_is_no_secret_is_left_as_it_is() -> None:
    stream = io.StringIO()
    fields = {"path": "/v2/library/debian/manifests/jessie", "ms": 1.5, "hit": True, "none": None, "reason": "a = b"}
    LogEvents(build_logger("info", LogFormat.JSON, stream)).note("request", **fields)
    told = logged(stream)[0]
    assert {name: told[name] for name in fields} == fields


def test_the_caller_s_fields_are_not_changed() -> None:
    upstreams = {"docker.io": "https://user?x=secret"}
    LogEvents(build_logger("info", LogFormat.JSON, io.StringIO())).note("serving", upstreams=upstreams)
    assert upstreams == {"docker.io": "https://user?x=secret"}
