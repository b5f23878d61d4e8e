"""Which pages follow from the code, and what writes each."""

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.docs.commands import write_commands
from tests.docs.configuration import write_configuration

DOCS = Path(__file__).parents[2] / "docs"
PAGES: Mapping[Path, Callable[[], str]] = {
    DOCS / "configuration.md": write_configuration,
    DOCS / "cli.md": write_commands,
}
