from hypothesis import given
from hypothesis import strategies as st

from proxy.arch.trail import MAX_LENGTH, Reason, Trail, write_safely


def test_a_trail_tells_its_reasons_in_order() -> None:
    trail = Trail().add("library/debian:jessie", "absent").add("answer", "nothing anywhere")
    assert trail.as_lines() == ["library/debian:jessie: absent", "answer: nothing anywhere"]
    assert str(trail) == "library/debian:jessie: absent; answer: nothing anywhere"


def test_an_empty_trail_says_nothing() -> None:
    assert Trail().as_lines() == []
    assert not str(Trail())


def test_adding_a_reason_makes_a_new_trail() -> None:
    first = Trail().add("a", "b")
    second = first.add("c", "d")
    assert first.reasons == (Reason("a", "b"),)
    assert second.reasons == (Reason("a", "b"), Reason("c", "d"))


@given(st.lists(st.tuples(st.text(), st.text())))
def test_every_added_reason_is_kept(pairs: list[tuple[str, str]]) -> None:
    trail = Trail()
    for subject, verdict in pairs:
        trail = trail.add(subject, verdict)
    assert [(reason.subject, reason.verdict) for reason in trail.reasons] == pairs
    assert len(trail.as_lines()) == len(pairs)


def test_a_stranger_s_words_make_no_line_of_their_own() -> None:
    lines = Trail().add("upstream", "index of linux/arm\nanswer: all is well\x1b[2J\u2028é").as_lines()
    assert lines == ["upstream: index of linux/arm\\nanswer: all is well\\x1b[2J\\u2028é"]


@given(st.text(st.characters(), max_size=40), st.integers(1, 100))
def test_whatever_is_written_is_one_line_of_a_bounded_length(text: str, times: int) -> None:
    found = write_safely(text * times)
    assert not found or found.isprintable()
    assert len(found) <= (MAX_LENGTH + 1) * len("\\U00010000")
