from itertools import combinations

import pytest

from proxy.arch.words import FROZEN, OFFICIAL, PROPOSAL, TABLES, TRAPS, WORDS, Trap, find_trap, list_origins


@pytest.mark.parametrize("word", WORDS)
def test_every_word_is_in_lower_case_and_means_a_normal_form(word: str) -> None:
    assert word == word.lower().strip()
    assert WORDS[word] == WORDS[word].normalised()
    assert WORDS[word].is_known


@pytest.mark.parametrize(("one", "other"), list(combinations(TABLES, 2)))
def test_the_tables_do_not_contradict_each_other(one: str, other: str) -> None:
    for word in TABLES[one].keys() & TABLES[other].keys():
        assert TABLES[one][word].removesuffix("/v8") == TABLES[other][word].removesuffix("/v8")


def test_a_namespace_is_in_one_table_only() -> None:
    """Each of them makes candidates: none is to be asked twice."""
    for one, other in combinations((PROPOSAL, OFFICIAL, FROZEN), 2):
        assert not one.keys() & other.keys()


def test_every_table_is_looked_into() -> None:
    assert set(WORDS) == {word for table in TABLES.values() for word in table}


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: str(trap.words[0]))
def test_a_trap_is_a_sentence_about_words_that_there_are(trap: Trap) -> None:
    assert set(trap.words) <= set(WORDS)
    assert trap.sentence[0].isupper() or trap.sentence.startswith(("uname", "32-bit"))
    assert trap.sentence.endswith(".")
    assert "  " not in trap.sentence


def test_no_word_has_two_traps() -> None:
    words = [word for trap in TRAPS for word in trap.words]
    assert len(words) == len(set(words))


def test_a_trap_is_found_by_its_word() -> None:
    assert "Raspbian, Alpine and Home Assistant is ARMv6" in find_trap("armhf")
    assert find_trap("arm7") == ""
    assert find_trap("nonsense") == ""


def test_who_says_a_word() -> None:
    assert list_origins("armhf") == ("Docker's namespaces until 2017", "Debian and Ubuntu")
    assert list_origins("rpi") == ("the forum proposal", "balena and Home Assistant")
    assert list_origins("nonsense") == ()
