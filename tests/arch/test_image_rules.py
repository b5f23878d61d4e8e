import pytest

from proxy.arch.candidates import Candidate, parse_source
from proxy.arch.corrections import Correction, Corrections
from proxy.arch.image_rules import ImageRule, Ruling, SharedImage, matches_name, rule_on
from tests.arch.worlds import linux

V6, V7 = linux("arm/v6"), linux("arm/v7")
SOURCE = parse_source("resin/rpi-raspbian:{tag}", V6)
RULES = (
    ImageRule("library/debian", sources=(SOURCE,), excluded=("arm32v7/*",)),
    ImageRule("library/debian:jess*", corrections=Corrections((Correction(None, V6),))),
    ImageRule("library/*", shared=(SharedImage(V6, (V7,)),)),
    ImageRule("owner/*", excluded=("*",)),
)


@pytest.mark.parametrize(
    ("pattern", "name", "does"),
    [
        ("library/debian", "library/debian:jessie", True),
        ("library/debian", "library/debian-slim:jessie", False),
        ("library/*", "library/debian:jessie", True),
        ("*", "owner/team/app:1", True),
        ("library/debian:jess*", "library/debian:jessie", True),
        ("library/debian:jess*", "library/debian:wheezy", False),
        ("Library/debian", "library/debian:jessie", False),
    ],
)
def test_a_pattern_is_for_a_repository_or_for_its_tags(pattern: str, name: str, *, does: bool) -> None:
    repository, _, tag = name.partition(":")
    assert matches_name(pattern, repository, tag) is does
    assert ImageRule(pattern).matches(repository, tag) is does


def test_all_rules_that_match_count_in_their_order() -> None:
    assert rule_on(RULES, "library/debian", "jessie") == Ruling(
        sources=(SOURCE,),
        excluded=("arm32v7/*",),
        corrections=RULES[1].corrections,
        shared=(SharedImage(V6, (V7,)),),
    )
    assert rule_on(RULES, "library/redis", "3") == Ruling(shared=(SharedImage(V6, (V7,)),))
    assert rule_on(RULES, "nobody/app", "1") == Ruling()


def test_where_a_source_is_named_outright_no_template_is_asked() -> None:
    ruling = rule_on(RULES, "library/debian", "jessie")
    assert ruling.outright == {V6}
    assert [str(one) for one in ruling.list_sources("library/debian", "jessie")] == ["resin/rpi-raspbian:jessie"]
    assert not ruling.permits(Candidate("arm32v6/debian", "jessie", V6, trusted=True))
    assert not ruling.permits(Candidate("arm32v7/debian", "jessie", V7, trusted=True))
    assert ruling.permits(Candidate("armhf/debian", "jessie", V7, trusted=True))


def test_a_source_that_gives_no_name_for_a_tag_is_left_out() -> None:
    ruling = Ruling(sources=(parse_source("library/debian:{tag}", V6),))
    assert ruling.list_sources("library/debian", "jessie") == ()
