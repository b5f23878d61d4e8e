"""How settings are declared."""

import dataclasses

from proxy.config.declaring import items, setting
from proxy.config.parsers import parse_text


@dataclasses.dataclass(frozen=True)
class Inner:
    name: str = setting(parse_text, "A name.")


@dataclasses.dataclass(frozen=True)
class Outer:
    inner: tuple[Inner, ...] = items(Inner)
    name: str = setting(parse_text, "A name, too.", default="x")


def test_a_declaration_carries_what_loading_needs() -> None:
    inner, name = dataclasses.fields(Outer)
    assert inner.metadata["items"] is Inner
    assert (name.metadata["parser"], name.metadata["text"], name.default) == (parse_text, "A name, too.", "x")
    assert dataclasses.fields(Inner)[0].default is dataclasses.MISSING
    assert Outer() == Outer(inner=(), name="x")
