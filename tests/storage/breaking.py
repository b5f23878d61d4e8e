"""A catalog's file that takes nothing for a while, as a full disk does: SQLite itself refuses, with its own error."""

import sqlite3
from typing import cast

from proxy.storage.database import Database


async def break_writing(database: Database) -> None:
    """Let no write succeed any more."""
    await database.change(lambda file: file.execute("PRAGMA query_only = ON"))


async def mend_writing(database: Database) -> None:
    """Let writes succeed again."""
    # Not by `change`: that writes first what had to wait.
    mended = database._executor.submit(_mend, cast("sqlite3.Connection", database._writer))
    mended.result()


def _mend(file: sqlite3.Connection) -> None:
    file.execute("PRAGMA query_only = OFF")
