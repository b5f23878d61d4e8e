"""Events that are kept, for tests to look at."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How an event was told."""

    NOTE = "note"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Told:
    """One event."""

    level: Level
    name: str
    fields: Mapping[str, object]


class RecordingEvents:
    """The `Events` port, and the server's `fail`; keeps what it is told, in order."""

    def __init__(self) -> None:
        self.told: list[Told] = []

    def note(self, event: str, /, **fields: object) -> None:
        self.told.append(Told(Level.NOTE, event, fields))

    def warn(self, event: str, /, **fields: object) -> None:
        self.told.append(Told(Level.WARN, event, fields))

    def fail(self, event: str, /, **fields: object) -> None:
        self.told.append(Told(Level.FAIL, event, {**fields, "error": repr(sys.exception())}))

    def named(self, name: str) -> list[Mapping[str, object]]:
        """Answer the fields of all events of a name."""
        return [one.fields for one in self.told if one.name == name]

    @property
    def warnings(self) -> list[str]:
        """The names of the events that an operator may want to know."""
        return [one.name for one in self.told if one.level is Level.WARN]

    @property
    def faults(self) -> list[Told]:
        """The faults of our own."""
        return [one for one in self.told if one.level is Level.FAIL]

    def __repr__(self) -> str:
        return f"<RecordingEvents {[one.name for one in self.told]}>"
