"""The `polyarch` command and its errors: exit code 0 done, 1 failed, 2 bad input.

A command is imported when it is called for: on a small machine, all of them together take seconds.
"""

import os
import signal
import sys
from collections.abc import Mapping
from importlib import import_module
from types import FrameType
from typing import Any

import click

from proxy import version
from proxy.oci.errors import ClientError, InvalidDockerfile, InvalidSetting, NotFound, Pinned, PolyarchError

FAILED = 1
BAD_INPUT = 2
SIGNALLED = 128
"""With the signal's number: what a shell makes of it, too."""


_COMMANDS: Mapping[str, tuple[str, ...]] = {
    "serve": ("serve:serve",),
    "resolve": ("resolve:resolve",),
    "platforms": ("platforms:platforms",),
    "config": ("config:config",),
    "cache": (
        "cache:cache",
        *(f"cache_upkeep:{name}" for name in ("purge", "verify", "gc")),
        *(f"cache_archives:{name}" for name in ("export", "import_archive")),
    ),
    "warm": ("warm:warm",),
    "dockerfile": ("dockerfile:dockerfile",),
    "index": ("index:index",),
    "build": ("build:build",),
    "client-config": ("client_config:client_config",),
    "doctor": ("doctor:doctor",),
}
"""Where each command is, by module and name; after a group, those of its commands that are in other modules."""


class _Commands(click.Group):
    """A group that says errors in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Answer the names of all commands, imported or not."""
        return sorted({*super().list_commands(ctx), *_COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Answer a command by its name, importing it the first time; None if there is none."""
        command = super().get_command(ctx, cmd_name)
        if command is not None or cmd_name not in _COMMANDS:
            return command
        command, *others = map(_import_command, _COMMANDS[cmd_name])
        if isinstance(command, click.Group):
            for other in others:
                command.add_command(other)
        self.add_command(command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PolyarchError as error:
            is_input = isinstance(error, InvalidSetting | InvalidDockerfile) or (
                isinstance(error, ClientError) and not isinstance(error, NotFound | Pinned)
            )
            click.echo(f"polyarch: {error}", err=True)
            ctx.exit(BAD_INPUT if is_input else FAILED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version.VERSION, prog_name="polyarch")
def cli() -> None:
    """One image name, every CPU: a pull-through registry proxy."""


def _import_command(place: str) -> click.Command:
    module, _, name = place.partition(":")
    command = getattr(import_module(f"proxy.cli.{module}"), name)
    assert isinstance(command, click.Command)
    return command


def main() -> None:
    """Run the command line."""
    ending = _Ending()
    try:
        cli.main(prog_name="polyarch")
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except SystemExit:
        if ending.number:
            sys.exit(SIGNALLED + ending.number)
        raise


class _Ending:
    """Ends as after Ctrl-C where a signal says so: what was begun is put away. `serve` has its own way to end."""

    number = 0
    """Of the signal that has come."""

    def __init__(self) -> None:
        """Listen for them, but for one that is to be ignored, as `nohup` has it."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._hear)

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        self.number = number
        signal.raise_signal(signal.SIGINT)

    def __repr__(self) -> str:
        return f"<Ending by {self.number}>"
