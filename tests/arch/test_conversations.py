from collections.abc import Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.arch.conversations import without_repeats

Rounds = list[list[int]]
Told = list[tuple[int, ...]]


def _converse(rounds: Rounds) -> Generator[tuple[int, ...], tuple[int, ...], Told]:
    told: Told = []
    for questions in rounds:
        told.append((yield tuple(questions)))
    return told


def _drive(conversation: Generator[tuple[int, ...], tuple[int, ...], Told]) -> tuple[Rounds, Told]:
    """Answer each question with its double; answer what was asked, and the result."""
    asked: Rounds = []
    answers: tuple[int, ...] | None = None
    while True:
        try:
            questions = next(conversation) if answers is None else conversation.send(answers)
        except StopIteration as stop:
            return asked, stop.value
        asked.append(list(questions))
        answers = tuple(question * 2 for question in questions)


@given(st.lists(st.lists(st.integers(0, 6), max_size=4), max_size=4))
def test_every_question_is_put_once_and_every_round_gets_all_its_answers(rounds: Rounds) -> None:
    asked, told = _drive(without_repeats(_converse(rounds)))
    flat = [question for questions in asked for question in questions]
    assert sorted(flat) == sorted({question for questions in rounds for question in questions})
    assert all(asked)
    assert told == [tuple(question * 2 for question in questions) for questions in rounds]


def test_new_questions_keep_their_order_and_their_round() -> None:
    asked, _ = _drive(without_repeats(_converse([[3, 1, 3], [1, 3], [2, 1, 4]])))
    assert asked == [[3, 1], [2, 4]]


def test_too_few_answers_are_the_driver_s_mistake() -> None:
    conversation = without_repeats(_converse([[1, 2]]))
    next(conversation)
    with pytest.raises(ValueError, match="shorter"):
        conversation.send((1,))
