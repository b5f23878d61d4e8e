"""What was asked of the stand-in, in order."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.lab.hub.asked import Asked, Kind


@dataclass(slots=True)
class Record:
    """One request. It is there from the moment of arrival; status and bytes follow as they are sent."""

    kind: Kind
    method: str
    path: str
    repository: str
    reference: str
    headers: Mapping[str, str]
    status: int = 0
    sent_bytes: int = 0


class Journal:
    """All requests since the start or the last reset."""

    def __init__(self) -> None:
        self._records: list[Record] = []

    def __repr__(self) -> str:
        return "\n".join(f"{record.method} {record.path} -> {record.status}" for record in self._records)

    def add(self, asked: Asked) -> Record:
        """Note a request that has just come in."""
        parts = (asked.kind, asked.method, asked.path, asked.repository, asked.reference)
        record = Record(*parts, headers=asked.headers.copy())
        self._records.append(record)
        return record

    def find(self, kind: str = "", repository: str | None = None, reference: str | None = None) -> list[Record]:
        """Return what matches; a kind also stands for all kinds that begin with it (`manifest`)."""
        return [
            record
            for record in self._records
            if record.kind.startswith(kind)
            and repository in (None, record.repository)
            and reference in (None, record.reference)
        ]

    def reset(self) -> None:
        """Forget everything."""
        self._records.clear()
