import io

import pytest
from rich.console import Console
from rich.progress import Progress

from proxy.cli.build_display import LAST_LINES, LiveBuilds, PlainLines, showing_builds


@pytest.fixture
def progress() -> Progress:
    return Progress(console=Console(file=io.StringIO(), force_terminal=True, width=200), auto_refresh=False)


def bars(progress: Progress) -> list[tuple[str, float, float | None, str]]:
    return [(task.description, task.completed, task.total, task.fields["text"]) for task in progress.tasks]


def test_each_build_has_a_bar_that_moves_by_its_instructions(progress: Progress) -> None:
    display = LiveBuilds(progress)
    display.begin("amd64")
    assert bars(progress) == [("amd64", 0, None, "")]
    display.tell("amd64", "STEP 2/3: RUN a   b")
    display.tell("amd64", "whatever a says")
    assert bars(progress) == [("amd64", 1, 3, "RUN a b")]
    display.tell("amd64", f"STEP 3/3: RUN {'x' * 100}")
    (bar,) = bars(progress)
    assert (bar[1:3], bar[3][-2:], len(bar[3])) == ((2, 3), "x…", 60)
    display.end("amd64", is_built=True)
    display.begin("armv6")
    display.end("armv6", is_built=True)
    assert bars(progress) == [("amd64", 3, 3, "built"), ("armv6", 1, 1, "built")]


def test_one_that_fails_shows_what_was_said_at_last(progress: Progress) -> None:
    display = LiveBuilds(progress)
    display.begin("armv6")
    display.tell("armv6", "STEP 1/3: FROM a")
    for number in range(100):
        display.tell("armv6", f"[line] {number}")
    display.end("armv6", is_built=False)
    assert bars(progress) == [("armv6", 0, 3, "failed")]
    assert isinstance(progress.console.file, io.StringIO)
    printed = [line for line in progress.console.file.getvalue().splitlines() if line.startswith("[armv6]")]
    assert printed == [f"[armv6] [line] {number}" for number in range(100 - LAST_LINES, 100)]


def test_without_a_terminal_every_line_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with showing_builds() as watch:
        assert isinstance(watch, PlainLines)
        watch.begin("armv6")
        watch.tell("armv6", "STEP 1/1: FROM a")
        watch.end("armv6", is_built=True)
        watch.end("armv7", is_built=False)
    assert capsys.readouterr().err.splitlines() == ["[armv6] STEP 1/1: FROM a", "[armv6] built", "[armv7] failed"]


def test_on_a_terminal_there_are_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with showing_builds() as watch:
        assert isinstance(watch, LiveBuilds)
        watch.begin("amd64")
        watch.end("amd64", is_built=True)
