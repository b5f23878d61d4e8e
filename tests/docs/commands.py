"""`docs/cli.md`: every command, as it is declared."""

import inspect
import re
from collections.abc import Iterator

import click

from proxy.cli.root import cli
from tests.docs.tables import make_table

_HEAD = """\
# Commands

*Written by `scripts/docs` from the declarations of the commands: change those, not this page.*

Every command has `--help`. Exit codes: 0 done, 1 failed, 2 bad input; what is wrong stands in one line on standard
error. Settings come from flags, the environment and a file: [configuration](configuration.md).
"""


def list_commands() -> Iterator[click.Context]:
    """List every command that does something, by its context, in the order of their names."""
    # With the root's own settings: click remembers each command's help option as it was first asked for.
    yield from _walk(click.Context(cli, info_name="polyarch", **cli.context_settings))


def write_commands() -> str:
    """Write the page."""
    contexts = list(list_commands())
    does = ((f"[`{context.command_path}`](#{_anchor(context)})", _summary(context)) for context in contexts)
    lines = [*_HEAD.splitlines(), "", *make_table(("Command", "Does"), does)]
    for context in contexts:
        lines += _command(context)
    return "\n".join(lines).rstrip("\n") + "\n"


def _walk(context: click.Context) -> Iterator[click.Context]:
    command = context.command
    if not isinstance(command, click.Group):
        yield context
        return
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        if child is not None and not child.hidden:
            yield from _walk(click.Context(child, info_name=name, parent=context))


def _command(context: click.Context) -> list[str]:
    command = context.command
    pieces = " ".join(command.collect_usage_pieces(context))
    lines = [f"## {context.command_path}", "", "```text", f"{context.command_path} {pieces}".rstrip(), "```", ""]
    lines += [*_clean(command.help or "").splitlines(), ""]
    records = [
        record
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Option)
        and "--help" not in parameter.opts
        and (record := parameter.get_help_record(context)) is not None
    ]
    if records:
        lines += make_table(("Option", "Means"), ((f"`{names}`", text) for names, text in records))
    return lines


def _summary(context: click.Context) -> str:
    """Answer the first paragraph of what the command says of itself."""
    return re.sub(r"\s+", " ", _clean(context.command.help or "").split("\n\n")[0])


def _clean(text: str) -> str:
    """Leave out click's own marks: for a paragraph that keeps its lines, and for the end of what is shown."""
    return inspect.cleandoc(text.partition("\f")[0].replace("\b\n", ""))


def _anchor(context: click.Context) -> str:
    return context.command_path.replace(" ", "-")
