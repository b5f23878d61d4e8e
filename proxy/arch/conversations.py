"""Conversations: generators that yield a tuple of questions, are sent the tuple of answers, and return a result."""

from collections.abc import Generator
from typing import TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")
Result = TypeVar("Result")


def without_repeats(
    conversation: Generator[tuple[Question, ...], tuple[Answer, ...], Result],
) -> Generator[tuple[Question, ...], tuple[Answer, ...], Result]:
    """Pass a conversation on, but put no question twice: a repeated one gets the answer that its first got."""
    known: dict[Question, Answer] = {}
    answers: tuple[Answer, ...] | None = None
    while True:
        try:
            questions = next(conversation) if answers is None else conversation.send(answers)
        except StopIteration as stop:
            result: Result = stop.value
            return result
        new = tuple(dict.fromkeys(question for question in questions if question not in known))
        if new:
            known.update(zip(new, (yield new), strict=True))
        answers = tuple(known[question] for question in questions)
