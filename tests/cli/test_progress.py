"""The line that tells how far long work is."""

import io
import sys

import pytest

from proxy.cli.progress import showing_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nothing_is_shown_to_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    with showing_progress("verifying") as progress:
        progress(1, 2)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_is_shown_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with showing_progress("verifying") as progress:
        progress(50, 100)
        progress(100, 100)
    assert "verifying" in terminal.getvalue()
    assert "100%" in terminal.getvalue()


def test_nothing_to_do_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with showing_progress("verifying") as progress:
        progress(0, 0)
