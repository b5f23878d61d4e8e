"""What is said in `docs/` is what the code declares."""

import dataclasses
import tomllib
from pathlib import Path

import click
import pytest

from proxy.cli.root import cli
from proxy.config.parsers import PLATFORM_PARSERS
from tests.docs.commands import list_commands, write_commands
from tests.docs.configuration import Declared, list_sections
from tests.docs.pages import DOCS, PAGES
from tests.docs.tables import make_table

SETTINGS = [one for section in list_sections() for one in section.settings]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_is_what_the_code_declares(page: Path) -> None:
    assert page.read_text("utf-8") == PAGES[page](), f"run scripts/docs, and commit docs/{page.name}"


@pytest.mark.parametrize("one", SETTINGS, ids=lambda one: one.name)
def test_a_default_that_is_shown_can_be_written_so(one: Declared) -> None:
    if one.written_default is None or one.written_default == "{}":
        return
    written = tomllib.loads(f"value = {one.written_default}")["value"]
    assert one.parser(written) == one.default


def test_every_setting_says_what_it_takes() -> None:
    assert [one.name for one in SETTINGS if not one.text or one.parser.__doc__ is None] == []
    assert {one.parser for one in SETTINGS} & PLATFORM_PARSERS


def test_variables_are_those_that_are_read() -> None:
    variables = {one.name: one.variable for one in SETTINGS}
    assert variables["cache.tag_ttl"] == "POLYARCH_CACHE_TAG_TTL"
    assert variables["upstream.tag_ttl"] is None
    assert variables["candidates.template.pattern"] is None
    assert variables["words"] is None


def test_what_has_to_be_given_is_told_from_what_is_not_set() -> None:
    required = [one.name for one in SETTINGS if one.default is dataclasses.MISSING]
    assert "client.network" in required
    assert "cache.directory" not in required


def test_every_command_is_on_the_page() -> None:
    paths = [context.command_path for context in list_commands()]
    assert {path.split()[1] for path in paths} == set(cli.list_commands(click.Context(cli)))
    page = write_commands()
    for context in list_commands():
        for parameter in context.command.params:
            if isinstance(parameter, click.Option):
                assert parameter.opts[0] in page.partition(f"## {context.command_path}\n")[2].partition("\n## ")[0]


def test_no_link_between_the_pages_leads_nowhere() -> None:
    pages = [*DOCS.glob("*.md"), DOCS.parent / "README.md"]
    broken = [(page.name, target) for page in pages for target in _targets(page) if not (page.parent / target).exists()]
    assert broken == []


def test_a_bar_within_a_cell_is_no_border() -> None:
    assert make_table(("A", "B"), [("oci|docker", "c")]) == ["| A | B |", "| --- | --- |", "| oci\\|docker | c |", ""]


def _targets(page: Path) -> list[str]:
    targets = (part.partition(")")[0].partition("#")[0] for part in page.read_text("utf-8").split("](")[1:])
    return [target for target in targets if target and "://" not in target]
