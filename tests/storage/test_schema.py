"""The tables as SQLite reads them."""

import sqlite3
from collections.abc import Iterator

import pytest

from proxy.storage import schema


@pytest.fixture
def file() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.executescript(schema.SCHEMA)
    yield connection
    connection.close()


def _statements() -> Iterator[tuple[str, str]]:
    for name, value in vars(schema).items():
        if name.startswith(("PUT_", "FIND_", "LIST_", "REMOVE_", "FORGET_", "READ_", "RAISE_")):
            yield from ((name, each) for each in ((value,) if isinstance(value, str) else value))


@pytest.mark.parametrize(("name", "statement"), list(_statements()))
def test_every_statement_fits_the_tables(file: sqlite3.Connection, name: str, statement: str) -> None:
    file.execute(f"EXPLAIN {statement}", [None] * _count_parameters(statement))


@pytest.mark.parametrize("statement", [schema.FIND_TAG, schema.FIND_LINK], ids=["tag", "link"])
def test_what_every_request_asks_for_is_found_by_its_key(file: sqlite3.Connection, statement: str) -> None:
    """One search in one tree: no scan, no second look-up."""
    plan = file.execute(f"EXPLAIN QUERY PLAN {statement}", ("", "", "")).fetchall()
    assert len(plan) == 1
    assert plan[0][3].startswith("SEARCH")
    assert "USING PRIMARY KEY" in plan[0][3]


def test_the_tables_can_be_made_where_they_are(file: sqlite3.Connection) -> None:
    file.executescript(schema.SCHEMA)


def _count_parameters(statement: str) -> int:
    return 2 if "?2" in statement else statement.count("?")
