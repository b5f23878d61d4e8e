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
from proxy.cli.tables import format_size
from proxy.oci.digests import Digest
from proxy.warm_folder import CacheState, Ended, Moved, Planned, WarmOrder, WarmPart, Watch

SHORT_DIGEST = 12


@contextmanager
def showing_orders(*, is_dry: bool = False) -> Iterator[Watch]:
    """Show on stderr how far some orders are; dry, they end with their plan, and there is nothing that moves."""
    if is_dry or not sys.stderr.isatty():
        yield partial(_say_step, is_dry=is_dry)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), SpeedColumn())
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=8) as progress:
        yield LiveDisplay(progress).show


class SpeedColumn(ProgressColumn):
    """How fast something comes, while it does."""

    def render(self, task: Task) -> Text:
        """Write it in the units of sizes."""
        return Text(
            "" if task.finished or not task.speed else f"{format_size(int(task.speed))}/s", "progress.data.speed"
        )


class LiveDisplay:
    """A bar for each image, and one for each part of it that is on its way."""

    def __init__(self, progress: Progress) -> None:
        """Take what draws the bars."""
        self._progress = progress
        self._images = dict[WarmOrder, TaskID]()
        self._parts = dict[tuple[WarmOrder, Digest], TaskID]()
        self._written = dict[tuple[WarmOrder, Digest], int]()

    def show(self, event: Planned | Moved | Ended) -> None:
        """Hear what has happened, and show it."""
        match event:
            case Planned(plan=plan):
                there = sum(part.descriptor.size - part.lacking for part in plan.parts)
                name = short_name_of(plan.order.reference)
                self._images[plan.order] = self._progress.add_task(name, total=plan.size, completed=there)
            case Moved(order=order, part=part, written=written):
                self._move(order, part, written)
            case Ended(result=result):
                for key in [key for key in self._parts if key[0] is result.order]:
                    self._progress.remove_task(self._parts.pop(key))
                if result.error:
                    self._progress.console.print(
                        f"{_name(result.order)}: {result.error}", style="red", markup=False, highlight=False
                    )

    def _move(self, order: WarmOrder, part: WarmPart, written: int) -> None:
        if part.state is not CacheState.MISS:
            return
        key, size = (order, part.descriptor.digest), part.descriptor.size
        before = self._written.get(key, part.written)
        self._written[key] = max(before, written)
        self._progress.advance(self._images[order], self._written[key] - before)
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
            state = result.error or ("postponed" if result.is_postponed else f"done in {result.seconds:.1f} s")
            click.echo(f"{_name(result.order)}: {state}", err=True)
        case _:
            pass


def _name(order: WarmOrder) -> str:
    return short_name_of(order.reference)
