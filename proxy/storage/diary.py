"""The diary of standing orders: one small JSON file in the cache folder, beside the catalog.

Losing it costs no more than to look after images once more than needed, and pins that stay.
"""

import json
from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from proxy.ports import Diary, Events
from proxy.storage.durable import run_to_the_end, write_durably

DIARY_FILE = "warming.json"


class JsonDiary:
    """The `DiaryKeeper` port, over a file."""

    def __init__(self, root: Path, executor: Executor, events: Events) -> None:
        """Take the cache folder, who writes, and where it is told if that fails. The file is read here, and once."""
        self._root = root
        self._executor = executor
        self._events = events
        self._diary = _read(root / DIARY_FILE)

    def read(self) -> Diary:
        """Answer what is remembered, from memory."""
        return self._diary

    async def write(self, diary: Diary, /) -> None:
        """Remember this instead, durably if the disk lets us."""
        if diary == self._diary:
            return
        self._diary = diary
        text = json.dumps({"begun": dict(diary.begun), "pins": dict(diary.pins)}, indent=1, sort_keys=True)
        try:
            await run_to_the_end(self._executor, write_durably, self._root, DIARY_FILE, text.encode())
        except OSError as error:
            self._events.warn("warm.not_remembered", reason=str(error))

    def __repr__(self) -> str:
        return f"<JsonDiary {self._root / DIARY_FILE}>"


def _read(path: Path) -> Diary:
    """Read the file; what in it is not as it was written is passed over."""
    try:
        fields = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return Diary()
    begun = {key: float(at) for key, at in _table(fields, "begun").items() if _is_moment(at)}
    pins = {
        image: tuple(tags)
        for image, tags in _table(fields, "pins").items()
        if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)
    }
    return Diary(begun, pins)


def _table(fields: object, name: str) -> Mapping[str, Any]:
    table = fields.get(name) if isinstance(fields, dict) else None
    return table if isinstance(table, dict) else {}


def _is_moment(value: object) -> bool:
    return isinstance(value, int | float) and value >= 0
