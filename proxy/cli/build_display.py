"""How far builds are: a live display for somebody who sits there, the builder's own lines for everybody else."""

import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from proxy.build.steps import read_step

LAST_LINES = 20
"""How much is shown of what a builder said before it failed."""
TEXT_WIDTH = 60


class BuildWatch(Protocol):
    """Is told of builds, each by its name."""

    def begin(self, name: str, /) -> None:
        """Hear that a build is begun."""

    def tell(self, name: str, line: str, /) -> None:
        """Hear what its builder prints."""

    def end(self, name: str, /, *, is_built: bool) -> None:
        """Hear that it has ended."""


@contextmanager
def showing_builds() -> Iterator[BuildWatch]:
    """Show builds on stderr."""
    if not sys.stderr.isatty():
        yield PlainLines()
        return
    columns = (
        *(TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn()),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield LiveBuilds(progress)


class PlainLines:
    """The `BuildWatch` that repeats every line."""

    def begin(self, name: str) -> None:
        """Say nothing: the builder will."""

    def tell(self, name: str, line: str) -> None:
        """Print what the builder prints."""
        click.echo(f"[{name}] {line}", err=True)

    def end(self, name: str, *, is_built: bool) -> None:
        """Say what became of it."""
        click.echo(f"[{name}] {'built' if is_built else 'failed'}", err=True)

    def __repr__(self) -> str:
        return "<PlainLines>"


class LiveBuilds:
    """The `BuildWatch` with a bar for each build, and the instruction that it is at."""

    def __init__(self, progress: Progress) -> None:
        """Take what draws the bars."""
        self._progress = progress
        self._tasks = dict[str, TaskID]()
        self._said = dict[str, deque[str]]()
        self._done = dict[str, int]()

    def begin(self, name: str) -> None:
        """Show a build that nothing is known of yet."""
        self._tasks[name] = self._progress.add_task(name, total=None, text="")
        self._said[name] = deque(maxlen=LAST_LINES)

    def tell(self, name: str, line: str) -> None:
        """Move its bar, where an instruction is begun."""
        self._said[name].append(line)
        step = read_step(line)
        if step is not None:
            text = " ".join(step.text.split())
            shown = text if len(text) <= TEXT_WIDTH else f"{text[: TEXT_WIDTH - 1]}…"
            self._progress.update(self._tasks[name], completed=step.number - 1, total=step.count, text=shown)

    def end(self, name: str, *, is_built: bool) -> None:
        """Leave its bar full, or show what its builder said at last."""
        task = self._tasks[name]
        if is_built:
            total = next((one.total for one in self._progress.tasks if one.id == task), None) or 1
            self._progress.update(task, completed=total, total=total, text="built")
            return
        self._progress.update(task, text="failed")
        self._progress.stop_task(task)
        for line in self._said[name]:
            self._progress.console.print(f"[{name}] {line}", markup=False, highlight=False)

    def __repr__(self) -> str:
        return f"<LiveBuilds of {', '.join(self._tasks) or 'nothing yet'}>"
