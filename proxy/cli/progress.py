"""How far long work is: one line on the terminal, and nothing where there is none."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def showing_progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show what is done of what there is, in bytes, on stderr; only for somebody who sits there."""
    if not sys.stderr.isatty():
        yield _ignore
        return
    with click.progressbar(length=1, label=label, file=sys.stderr, width=0) as bar:

        def show(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(done - bar.pos)

        yield show


def _ignore(_done: int, _total: int) -> None:
    """Show nothing."""
