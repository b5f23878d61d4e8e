"""How a setting is declared: a dataclass field with its parser and its sentence."""

from dataclasses import field
from typing import Any

from proxy.config.parsers import Parser


def setting(parser: Parser, text: str, **default: Any) -> Any:
    """Declare a setting: what reads it, what it is for in one sentence, and the default if there is one."""
    return field(metadata={"parser": parser, "text": text}, **default)


def items(kind: type[Any]) -> Any:
    """Declare a list of tables, `[[name]]`, each of them a section of some kind; empty by default."""
    return field(default=(), metadata={"items": kind})
