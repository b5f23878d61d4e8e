"""What is found."""

from proxy.cli.clients.findings import Grade, Review, unreadable


def test_grades_are_said_in_one_word() -> None:
    assert [str(one) for one in Grade] == ["ok", "warn", "fail"]


def test_a_file_that_cannot_be_used_names_nobody() -> None:
    assert unreadable("no JSON") == Review(error="no JSON")
    assert unreadable("no JSON").own is None
