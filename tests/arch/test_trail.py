from hypothesis import given
from hypothesis import strategies as st

from proxy.arch.trail import Reason, Trail


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
