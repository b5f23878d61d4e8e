"""The commands, called in this process, and a registry of one's own for them to ask."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from proxy.cli.root import cli

Invoke = Callable[..., Result]


@pytest.fixture
def invoke() -> Invoke:
    """Call the command line; the environment is empty but for what is given."""

    def call(*arguments: str, environment: dict[str, str] | None = None) -> Result:
        return CliRunner(env=environment).invoke(cli, list(arguments), prog_name="polyarch")

    return call
