import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.arch.candidates import (
    Candidate,
    Template,
    list_candidates,
    official_templates,
    parse_template,
    proposal_templates,
)
from proxy.arch.words import FROZEN, OFFICIAL, PROPOSAL, WORDS
from proxy.oci.errors import InvalidSetting
from proxy.oci.platforms import Platform
from proxy.oci.references import parse_repository, parse_tag
from tests.strategies import any_text, repositories, tags

ARM6, ARM7 = Platform("linux", "arm", "v6"), Platform("linux", "arm", "v7")


def _names(templates: tuple[Template, ...], repository: str = "library/debian", tag: str = "jessie") -> list[str]:
    return [str(candidate) for candidate in list_candidates(templates, repository, tag)]


@pytest.mark.parametrize(
    ("pattern", "repository", "expected"),
    [
        pytest.param("arm32v7/{name}:{tag}", "library/debian", "arm32v7/debian:1", id="official"),
        pytest.param("arm32v7/{name}:{tag}", "debian", "arm32v7/debian:1", id="short-name"),
        pytest.param("arm32v7/{name}:{tag}", "owner/app", None, id="name-of-a-namespace-is-none"),
        pytest.param("arm32v7/{name}:{tag}", "library/a/b", None, id="name-of-two-parts-is-none"),
        pytest.param("{repository}:{tag}-armhf", "owner/app", "owner/app:1-armhf", id="tag-suffix"),
        pytest.param("{repository}:armhf-{tag}", "library/debian", "library/debian:armhf-1", id="tag-prefix"),
        pytest.param("{repository}-arm:{tag}", "owner/app", "owner/app-arm:1", id="repository-suffix"),
        pytest.param("resin/rpi-{name}:{tag}", "library/debian", "resin/rpi-debian:1", id="resin"),
        pytest.param("{repository}:rpi", "owner/app", "owner/app:rpi", id="fixed-tag"),
        pytest.param("armhf/{name}", "library/debian", "armhf/debian:1", id="tag-is-added"),
        pytest.param("{repository}-{tag}:latest", "owner/app", "owner/app-1:latest", id="tag-in-the-repository"),
    ],
)
def test_a_pattern_gives_this_candidate(pattern: str, repository: str, expected: str | None) -> None:
    candidate = parse_template(pattern, ARM7).apply(repository, "1")
    assert (None if candidate is None else str(candidate)) == expected


def test_a_candidate_knows_its_platform_and_whether_its_name_is_proof() -> None:
    template = parse_template("arm32v7/{name}", ARM7, trusted=True)
    assert template.apply("library/debian", "1") == Candidate("arm32v7/debian", "1", ARM7, trusted=True)
    assert parse_template("arm32v7/{name}", ARM7).trusted is False


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param("", id="empty"),
        pytest.param("arm32v7/debian:{tag}", id="no-name"),
        pytest.param("{tag}", id="only-a-tag"),
        pytest.param("arm32v7/{image}:{tag}", id="unknown-field"),
        pytest.param("arm32v7/{name}:{tag}{arch}", id="another-unknown-field"),
        pytest.param("ARM/{name}", id="upper-case"),
        pytest.param("../{name}", id="path-traversal"),
        pytest.param("{name}/..:{tag}", id="trailing-dot-dot"),
        pytest.param("arm32v7//{name}", id="empty-part"),
        pytest.param("{name}:", id="empty-tag"),
        pytest.param("{name}:a:b", id="two-tags"),
        pytest.param("{name}}", id="stray-brace"),
        pytest.param("registry.example:5000/{name}:{tag}", id="a-registry"),
        pytest.param("{repository}", id="the-same-name"),
        pytest.param("{repository}:{tag}", id="the-same-name-and-tag"),
    ],
)
def test_a_pattern_that_gives_no_name_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        parse_template(pattern, ARM7)
    assert repr(pattern) in str(caught.value)


@given(any_text | st.lists(st.sampled_from(("{name}", "{repository}", "{tag}", "/", ":", "-", "a", "}"))).map("".join))
def test_an_arbitrary_pattern_is_a_template_or_an_invalid_setting(pattern: str) -> None:
    try:
        template = parse_template(pattern, ARM7)
    except InvalidSetting:
        return
    assert template.apply("library/name", "tag") is not None


@given(
    st.sampled_from(("{name}:{tag}-arm", "arm/{repository}", "{repository}-{tag}", "x/{name}:rpi")), repositories, tags
)
def test_a_candidate_s_name_is_always_valid_and_never_the_tag_itself(pattern: str, repository: str, tag: str) -> None:
    candidate = parse_template(pattern, ARM7).apply(repository, tag)
    if candidate is not None:
        assert parse_repository(candidate.repository) == candidate.repository
        assert parse_tag(candidate.tag) == candidate.tag
        assert (candidate.repository, candidate.tag) != (repository, tag)


def test_a_candidate_whose_name_would_be_too_long_is_none() -> None:
    template = parse_template("{repository}:{tag}-armhf", ARM7)
    assert template.apply("owner/app", "x" * 122) is not None
    assert template.apply("owner/app", "x" * 123) is None


def test_a_repository_is_no_candidate_of_itself() -> None:
    assert parse_template("arm32v7/{name}:{tag}", ARM7).apply("arm32v7/debian", "jessie") is None
    assert parse_template("{repository}:rpi", ARM6).apply("owner/app", "rpi") is None


def test_docker_s_own_namespaces_are_built_in_and_trusted() -> None:
    templates = official_templates()
    assert all(template.trusted for template in templates)
    assert _names(templates) == [f"{namespace}/debian:jessie" for namespace in (*OFFICIAL, *FROZEN)]
    assert {template.platform for template in templates} == {WORDS[word] for word in (*OFFICIAL, *FROZEN)}


def test_the_proposal_s_namespaces_are_not_trusted() -> None:
    templates = proposal_templates()
    assert not any(template.trusted for template in templates)
    assert _names(templates, "app", "1") == [f"{word}/app:1" for word in PROPOSAL]
    assert [template.platform for template in templates] == [WORDS[word] for word in PROPOSAL]


def test_candidates_come_in_the_order_of_the_templates() -> None:
    templates = (parse_template("b/{name}", ARM7), parse_template("a/{name}", ARM6))
    assert _names(templates) == ["b/debian:jessie", "a/debian:jessie"]


def test_a_name_is_one_candidate_a_platform_and_the_first_template_s_word_counts() -> None:
    """An operator may name a namespace that is built in."""
    templates = (
        parse_template("mine/{name}", ARM7, trusted=False),
        parse_template("mine/{name}", ARM7, trusted=True),
        parse_template("mine/{name}", ARM6, trusted=True),
    )
    candidates = list_candidates(templates, "library/debian", "jessie")
    assert [(candidate.platform, candidate.trusted) for candidate in candidates] == [(ARM7, False), (ARM6, True)]


def test_templates_that_do_not_apply_give_no_candidates() -> None:
    assert _names(official_templates(), "owner/app") == []
