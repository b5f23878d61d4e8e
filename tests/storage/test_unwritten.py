"""Writes that wait for a file, held against the same writes done at once."""

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.storage import schema
from proxy.storage.unwritten import Row, Unwritten, Write

LISTS = (
    schema.LIST_ALL_TAGS,
    schema.LIST_LINKS,
    schema.LIST_ANSWERS,
    schema.LIST_CONTENTS,
    schema.LIST_USES,
    schema.READ_REVISION,
)


def _tag(number: int, checked_at: float = 1.0, state: str = "present") -> Write:
    return Write(schema.PUT_TAG, [("docker.io", "a", str(number), state, checked_at, None, None, None)])


def _build_file() -> sqlite3.Connection:
    file = sqlite3.connect(":memory:")
    file.executescript(schema.SCHEMA)
    return file


def _content(file: sqlite3.Connection) -> list[list[Row]]:
    return [sorted(file.execute(statement).fetchall()) for statement in LISTS]


@pytest.fixture
def file() -> Iterator[sqlite3.Connection]:
    connection = _build_file()
    yield connection
    connection.close()


@pytest.fixture
def unwritten() -> Iterator[Unwritten]:
    waiting = Unwritten(max_rows=100)
    yield waiting
    waiting.close()


_names = st.sampled_from(("a", "b"))
_writes = st.one_of(
    st.builds(
        lambda name, state: Write(schema.PUT_TAG, [("u", "r", name, state, 1.0, None, None, None)]), _names, _names
    ),
    st.builds(
        lambda rows: Write(
            schema.PUT_LINK, [("u", "r", digest, origin, "", None, proven) for digest, origin, proven in rows]
        ),
        st.lists(st.tuples(_names, _names, st.booleans()), max_size=3),
    ),
    st.builds(lambda name, digest: Write(schema.PUT_ANSWER, [("u", "r", name, digest)]), _names, _names),
    st.builds(lambda name, digest: Write(schema.PUT_CONTENT, [(name, digest)]), _names, _names),
    st.builds(lambda name, moment: Write(schema.PUT_USE, [(name, moment)]), _names, st.floats(0, 10)),
    st.just(Write(schema.RAISE_REVISION, [()])),
)


@given(before=st.lists(_writes, max_size=6), waiting=st.lists(_writes, max_size=12))
def test_what_waited_becomes_what_it_would_have_been_without_waiting(before: list[Write], waiting: list[Write]) -> None:
    unwritten, late, prompt = Unwritten(), _build_file(), _build_file()
    for write in before:
        late.executemany(write.statement, write.rows)
    for write in waiting:
        unwritten.add(write)
    unwritten.write_back(late)
    for write in (*before, *waiting):
        prompt.executemany(write.statement, write.rows)
    assert _content(late) == _content(prompt)
    assert unwritten.is_empty
    assert unwritten.find(schema.LIST_ALL_TAGS) == []
    late.close()
    prompt.close()


def test_what_waits_can_be_read(unwritten: Unwritten) -> None:
    before = unwritten.is_empty
    assert unwritten.find(schema.LIST_ALL_TAGS) == []
    unwritten.add(_tag(1))
    assert (before, unwritten.is_empty) == (True, False)
    assert [row[2] for row in unwritten.find(schema.FIND_TAG, ("docker.io", "a", "1"))] == ["1"]
    assert repr(unwritten) == "<Unwritten: 1 rows>"


def test_something_newer_that_somebody_else_wrote_meanwhile_stays(
    unwritten: Unwritten, file: sqlite3.Connection
) -> None:
    for number, theirs in enumerate((1.0, 2.0, 3.0)):
        file.executemany(schema.PUT_TAG, _tag(number, theirs, "theirs").rows)
        unwritten.add(_tag(number, 2.0, "ours"))
    unwritten.write_back(file)
    assert [row[3] for row in file.execute(schema.LIST_ALL_TAGS)] == ["ours", "ours", "theirs"]


def test_of_too_much_the_oldest_is_given_up(unwritten: Unwritten, file: sqlite3.Connection) -> None:
    for number in range(1000):
        unwritten.add(_tag(number))
        assert len(unwritten.find(schema.LIST_ALL_TAGS)) <= 100
    kept = {int(row[2]) for row in unwritten.find(schema.LIST_ALL_TAGS)}
    assert 50 <= len(kept) <= 100
    assert kept == set(range(1000 - len(kept), 1000))
    unwritten.write_back(file)
    assert {int(row[2]) for row in file.execute(schema.LIST_ALL_TAGS)} == kept


def test_what_is_given_up_hides_nothing_any_more(unwritten: Unwritten) -> None:
    unwritten.add(_tag(0, state="first"))
    for number in range(1, 101):
        unwritten.add(_tag(number))
    assert unwritten.find(schema.FIND_TAG, ("docker.io", "a", "0")) == []


def test_one_write_that_is_too_large_by_itself_is_kept_nevertheless(
    unwritten: Unwritten, file: sqlite3.Connection
) -> None:
    unwritten.add(Write(schema.PUT_USE, [(str(number), 1.0) for number in range(1000)]))
    unwritten.write_back(file)
    assert file.execute("SELECT count(*) FROM uses").fetchone() == (1000,)


def test_what_no_file_would_take_does_not_wait(unwritten: Unwritten, file: sqlite3.Connection) -> None:
    unwritten.add(_tag(1))
    with pytest.raises(UnicodeEncodeError):
        unwritten.add(Write(schema.PUT_USE, [("fine", 1.0), ("\udce9", 1.0)]))
    with pytest.raises(sqlite3.IntegrityError):
        unwritten.add(Write(schema.PUT_USE, [("fine", 1.0), (None, 1.0)]))
    assert unwritten.find(schema.LIST_USES) == []
    unwritten.write_back(file)
    assert file.execute("SELECT count(*) FROM tags").fetchone() == (1,)


def test_nothing_of_the_sort_begins_to_wait_either(unwritten: Unwritten) -> None:
    with pytest.raises(UnicodeEncodeError):
        unwritten.add(Write(schema.PUT_USE, [("\udce9", 1.0)]))
    assert unwritten.is_empty


def test_a_file_that_fails_in_the_middle_keeps_what_it_took_and_gets_the_rest_later(
    unwritten: Unwritten, file: sqlite3.Connection
) -> None:
    """1500 rows are three transactions; the file breaks in the second one."""
    large = Unwritten()
    for number in range(1500):
        large.add(_tag(number))
    file.execute(
        "CREATE TRIGGER breaks BEFORE INSERT ON tags WHEN new.tag = '700' BEGIN SELECT RAISE(ABORT, 'full'); END"
    )
    with pytest.raises(sqlite3.Error, match="full"):
        large.write_back(file)
    assert file.execute("SELECT count(*) FROM tags").fetchone() == (500,)
    assert len(large.find(schema.LIST_ALL_TAGS)) == 1500
    file.execute("DROP TRIGGER breaks")
    large.write_back(file)
    assert file.execute("SELECT count(*) FROM tags").fetchone() == (1500,)
    large.close()


def test_closing_gives_up_what_waits(unwritten: Unwritten, file: sqlite3.Connection) -> None:
    unwritten.add(_tag(1))
    unwritten.close()
    unwritten.write_back(file)
    assert unwritten.is_empty
    assert file.execute("SELECT count(*) FROM tags").fetchone() == (0,)
