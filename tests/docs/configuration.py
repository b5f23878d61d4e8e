"""`docs/configuration.md`: every setting, as it is declared."""

import dataclasses
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from proxy.config.changes import RELOADABLE
from proxy.config.loading import ENVIRONMENT_PREFIX
from proxy.config.parsers import (
    Parser,
    parse_bytes,
    parse_corrections,
    parse_listen,
    parse_platform_lists,
    parse_platforms_or_fleet,
    parse_seconds,
    parse_words,
)
from proxy.config.schema import Settings
from tests.docs.tables import make_table

_UNITS = (("d", 86400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0), ("ms", 0.001))
_SIZES = (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024), ("B", 1))
_HEAD = """\
# Configuration

*Written by `scripts/docs` from the declarations of the settings: change those, not this page.*

None is needed. Settings come from a TOML file (`--config FILE`, or `POLYARCH_CONFIG`), from the environment, and from a
command's flags; each of these wins over the one before it. `polyarch config check FILE` tells what a file amounts to,
and names a key that is none, with the one that it looks like. [config.example.toml](../config.example.toml) is a file
with every setting, to be copied.

A scalar setting of a `[section]` has a variable of the environment, `POLYARCH_<SECTION>_<KEY>`: lists are written there
with commas. What stands in `[[several]]` tables, and `[words]`, is for the file alone.

`SIGHUP` reads the settings again. What the last column has as *yes* then changes for the next request; for the rest
the log names what needs a restart. Addresses never change at run time: neither which there are, nor whether one speaks
HTTPS.
"""


@dataclass(frozen=True, slots=True)
class Declared:
    """One setting, as it is declared."""

    name: str
    """Its full name: `cache.tag_ttl`, `image.source.platform`."""
    key: str
    parser: Parser
    text: str
    default: object
    """`dataclasses.MISSING` if it has to be given."""
    variable: str | None
    """Its variable in the environment, if it has one."""
    is_reloadable: bool

    @property
    def written_default(self) -> str | None:
        """The default as one would write it in TOML; None where there is none, or it cannot be written."""
        return _write(self.parser, self.default)


@dataclass(frozen=True, slots=True)
class Section:
    """A table of the file, or several of one name, with their settings."""

    title: str
    """`[cache]`, `[[image.source]]`."""
    text: str
    settings: tuple[Declared, ...]


def list_sections() -> Iterator[Section]:
    """List the sections in the order in which they are declared, each before those that are within it."""
    yield from _sections(Settings, "")


def write_configuration() -> str:
    """Write the page."""
    lines = [*_HEAD.splitlines(), ""]
    sections = list(list_sections())
    for section in sections:
        lines += [f"## `{section.title}`", "", section.text, "", *_settings_table(section)]
    parsers = {one.parser for section in sections for one in section.settings}
    kinds = {_explain(parser) for parser in parsers if _explain(parser) != _name_kind(parser)}
    lines += ["## How values are written", "", *(f"- {_capitalise(kind)}." for kind in sorted(kinds, key=str.lower))]
    return "\n".join(lines).rstrip("\n") + "\n"


def _sections(kind: type[Any], path: str, *, several: bool = False) -> Iterator[Section]:
    fields = dataclasses.fields(kind)
    own = tuple(_declare(item, path, several=several) for item in fields if "parser" in item.metadata)
    if path:
        title = f"[[{path}]]" if several else f"[{path}]"
        yield Section(title, _first_paragraph(kind), own)
    for item in fields:
        full = f"{path}.{item.name}" if path else item.name
        if "items" in item.metadata:
            yield from _sections(item.metadata["items"], full, several=True)
        elif "parser" not in item.metadata:
            assert callable(item.default_factory)
            yield from _sections(type(item.default_factory()), full)
        elif not path:
            declared = _declare(item, path, several=True)
            yield Section(f"[{item.name}]", declared.text, (dataclasses.replace(declared, key="WORD"),))


def _declare(item: "dataclasses.Field[Any]", path: str, *, several: bool) -> Declared:
    full = f"{path}.{item.name}" if path else item.name
    parts = full.split(".")
    names = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    return Declared(
        name=full,
        key=item.name,
        parser=item.metadata["parser"],
        text=item.metadata["text"],
        default=item.default,
        variable=None if several else f"{ENVIRONMENT_PREFIX}{full.replace('.', '_')}".upper(),
        is_reloadable=not names.isdisjoint(RELOADABLE),
    )


def _settings_table(section: Section) -> list[str]:
    heads = ("Key", "Meaning", "Kind", "Default", "Variable", "SIGHUP")
    return make_table(
        heads,
        (
            (
                f"`{one.key}`",
                one.text,
                _name_kind(one.parser),
                _show_default(one),
                f"`{one.variable}`" if one.variable else "",
                "yes" if one.is_reloadable else "restart",
            )
            for one in section.settings
        ),
    )


def _show_default(one: Declared) -> str:
    if one.default is dataclasses.MISSING:
        return "*must be given*"
    return "not set" if one.written_default is None else f"`{one.written_default}`"


def _write(parser: Parser, value: object) -> str | None:
    if value is None or value is dataclasses.MISSING or value == "":
        return None
    return _WRITERS.get(parser, _write_plain)(value)


def _write_plain(value: object) -> str:
    if isinstance(value, tuple):
        return json.dumps([str(part) for part in value])
    return json.dumps(value if isinstance(value, bool | int) else str(value))


def _count(number: float, units: tuple[tuple[str, float], ...]) -> str:
    for name, size in units:
        if number >= size and (number / size).is_integer():
            return f"{number / size:.0f}{name}"
    return f"{number:g}"


def _explain(parser: Parser) -> str:
    """Answer how a value is written: what the parser's own first sentence says that it takes."""
    if isinstance(parser, partial):
        return "a whole number from {low} to {high}".format_map(parser.keywords)
    paragraph = (inspect.getdoc(parser) or "").split("\n\n")[0]
    return re.sub(r"\s+", " ", paragraph).removeprefix("Take ").removesuffix(".")


def _name_kind(parser: Parser) -> str:
    return re.split("[:;]", _explain(parser))[0]


def _first_paragraph(kind: type[Any]) -> str:
    paragraph = re.sub(r"\s+", " ", (inspect.getdoc(kind) or "").split("\n\n")[0])
    return _capitalise(paragraph.partition(": ")[2])


def _capitalise(text: str) -> str:
    return text[:1].upper() + text[1:]


_WRITERS: Mapping[Parser, Callable[[Any], str]] = {
    parse_seconds: lambda value: json.dumps(_count(value, _UNITS)),
    parse_bytes: lambda value: json.dumps(_count(value, _SIZES)),
    parse_listen: lambda value: json.dumps(f"{value[0]}:{value[1]}"),
    parse_words: lambda _built_in: "{}",
    parse_corrections: lambda _none: "{}",
    parse_platform_lists: lambda _none: "{}",
    parse_platforms_or_fleet: lambda _fleet: '"fleet"',
}
"""How a default is written whose parser takes more than the plain value; tables are empty by default."""
