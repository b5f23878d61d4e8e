"""The `polyarch` command and its errors: exit code 0 done, 1 failed, 2 bad input."""

import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

import click

from proxy import version
from proxy.cli.build import build
from proxy.cli.cache import cache
from proxy.cli.cache_archives import export, import_archive
from proxy.cli.cache_upkeep import gc, purge, verify
from proxy.cli.client_config import client_config
from proxy.cli.config import config
from proxy.cli.dockerfile import dockerfile
from proxy.cli.doctor import doctor
from proxy.cli.index import index
from proxy.cli.platforms import platforms
from proxy.cli.resolve import resolve
from proxy.cli.serve import serve
from proxy.cli.warm import warm
from proxy.oci.errors import ClientError, InvalidDockerfile, InvalidSetting, NotFound, Pinned, PolyarchError

FAILED = 1
BAD_INPUT = 2
SIGNALLED = 128
"""With the signal's number: what a shell makes of it, too."""


class _Commands(click.Group):
    """A group that says errors in one line."""

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


cli.add_command(serve)
cli.add_command(resolve)
cli.add_command(platforms)
cli.add_command(config)
cli.add_command(cache)
cli.add_command(warm)
cli.add_command(dockerfile)
cli.add_command(index)
cli.add_command(build)
cli.add_command(client_config)
cli.add_command(doctor)
for command in (purge, verify, gc, export, import_archive):
    cache.add_command(command)


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGTERM, _end)  # `serve` has its own way to end
    try:
        cli.main(prog_name="polyarch")
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    """End as after Ctrl-C: what was begun is put away."""
    sys.exit(SIGNALLED + number)
