"""How far warming is: a live display for somebody who sits there, one line an image for everybody else."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from proxy.cli.cache import short_name_of
from proxy.cli.tables import count_of, format_size
from proxy.oci.digests import Digest
from proxy.warm_folder import CacheState, Ended, Moved, Planned, WarmOrder, WarmPart, WarmResult, Watch

SHORT_DIGEST = 12


@contextmanager
def showing_orders(count: int, *, is_dry: bool = False) -> Iterator[Watch]:
    """Show on stderr how far so many orders are; dry, they end with their plan, and there is nothing that moves."""
    if is_dry or not sys.stderr.isatty():
        yield partial(_say_step, is_dry=is_dry)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), SpeedColumn())
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=8) as progress:
        yield LiveDisplay(progress, count).show


class SpeedColumn(ProgressColumn):
    """How fast something comes, while it does."""

    def render(self, task: Task) -> Text:
        """Write it in the units of sizes."""
        return Text(
            "" if task.finished or not task.speed else f"{format_size(int(task.speed))}/s", "progress.data.speed"
        )


class LiveDisplay:
    """A bar for all, one for each image that is under way, and one for each part of it; what has ended is a line.

    So there are never more bars than are downloaded at once, however long the list is.
    """

    def __init__(self, progress: Progress, count: int) -> None:
        """Take what draws the bars, and how many images there are."""
        self._progress = progress
        self._count = count
        self._ended = 0
        self._all = progress.add_task(self._headline, total=0)
        self._images = dict[WarmOrder, TaskID]()
        self._parts = dict[tuple[WarmOrder, Digest], TaskID]()
        self._written = dict[tuple[WarmOrder, Digest], int]()

    def show(self, event: Planned | Moved | Ended) -> None:
        """Hear what has happened, and show it."""
        match event:
            case Planned(plan=plan):
                there = sum(part.descriptor.size - part.lacking for part in plan.parts)
                self._images[plan.order] = self._progress.add_task(_name(plan.order), total=plan.size, completed=there)
                self._progress.update(self._all, total=self._total + plan.size)
                self._progress.advance(self._all, there)
            case Moved(order=order, part=part, written=written):
                self._move(order, part, written)
            case Ended(result=result):
                self._end(result)

    @property
    def _headline(self) -> str:
        return f"{self._ended} of {count_of(self._count, 'image')}"

    @property
    def _total(self) -> float:
        return next(task.total or 0 for task in self._progress.tasks if task.id == self._all)

    def _end(self, result: WarmResult) -> None:
        for key in [key for key in self._parts if key[0] is result.order]:
            self._progress.remove_task(self._parts.pop(key))
        if result.order in self._images:
            self._progress.remove_task(self._images.pop(result.order))
        self._ended += 1
        self._progress.update(self._all, description=self._headline)
        line = f"{_name(result.order)}: {_state_of(result)}"
        self._progress.console.print(
            line, style="red" if result.error and not result.is_postponed else None, markup=False, highlight=False
        )

    def _move(self, order: WarmOrder, part: WarmPart, written: int) -> None:
        if part.state is not CacheState.MISS:
            return
        key, size = (order, part.descriptor.digest), part.descriptor.size
        before = self._written.get(key, part.written)
        self._written[key] = max(before, written)
        for task in (self._images[order], self._all):
            self._progress.advance(task, self._written[key] - before)
        if written >= size:
            if key in self._parts:
                self._progress.remove_task(self._parts.pop(key))
        elif key in self._parts:
            self._progress.update(self._parts[key], completed=written)
        else:
            name = f"  {part.descriptor.digest.encoded[:SHORT_DIGEST]}"
            self._parts[key] = self._progress.add_task(name, total=size, completed=written)


def _say_step(event: Planned | Moved | Ended, *, is_dry: bool) -> None:
    match event:
        case Planned(plan=plan):
            lacking = sum(part.lacking for part in plan.parts)
            click.echo(f"{_name(plan.order)}: {format_size(lacking)} of {format_size(plan.size)} to fetch", err=True)
        case Ended(result=result) if not (is_dry and result.is_done):
            click.echo(f"{_name(result.order)}: {_state_of(result)}", err=True)
        case _:
            pass


def _state_of(result: WarmResult) -> str:
    return result.error or ("postponed" if result.is_postponed else f"done in {result.seconds:.1f} s")


def _name(order: WarmOrder) -> str:
    return short_name_of(order.reference)
