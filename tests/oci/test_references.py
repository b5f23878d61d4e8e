from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidDigest, InvalidName, InvalidReference, InvalidTag
from proxy.oci.references import (
    MAX_NAME_LENGTH,
    Reference,
    normalise_registry,
    parse_repository,
    parse_tag,
    parse_tag_or_digest,
    short_name,
    with_library,
)
from tests.strategies import any_text, digests, references, repositories, tags

DIGEST = Digest.of(b"")

TRAVERSALS = [
    pytest.param("..", id="dot-dot"),
    pytest.param("../etc/passwd", id="leading-dot-dot"),
    pytest.param("library/../../etc", id="inner-dot-dot"),
    pytest.param("library/..", id="trailing-dot-dot"),
    pytest.param("./debian", id="dot"),
    pytest.param("/etc/passwd", id="absolute"),
    pytest.param("library//debian", id="double-slash"),
    pytest.param("library/debian/", id="trailing-slash"),
    pytest.param("library%2f..%2fetc", id="percent-encoded"),
    pytest.param("library\\..\\etc", id="backslash"),
    pytest.param("library/debian\0", id="nul"),
    pytest.param("library/debian\n", id="newline"),
    pytest.param("library/\N{FULLWIDTH FULL STOP}\N{FULLWIDTH FULL STOP}/etc", id="fullwidth-dots"),
]


@pytest.mark.parametrize(
    "text",
    [
        "debian",
        "library/debian",
        "a.b/c_d/e__f/g-h/i---j",
        "arm32v7/redis",
        "linux-arm-v6/library/debian",
        "0",
        "a" * MAX_NAME_LENGTH,
    ],
    ids=lambda text: text[:20],
)
def test_a_repository_inside_the_grammar_is_answered_unchanged(text: str) -> None:
    assert parse_repository(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *TRAVERSALS,
        pytest.param("", id="empty"),
        pytest.param("Debian", id="upper-case"),
        pytest.param("debian:jessie", id="with-tag"),
        pytest.param("-debian", id="leading-dash"),
        pytest.param("debian-", id="trailing-dash"),
        pytest.param("de..bian", id="two-dots"),
        pytest.param("de___bian", id="three-underscores"),
        pytest.param("de._bian", id="mixed-separators"),
        pytest.param("débian", id="no-ascii"),
        pytest.param("a" * (MAX_NAME_LENGTH + 1), id="too-long"),
        pytest.param("a-" * 10**5, id="much-too-long"),
    ],
)
def test_a_repository_outside_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(InvalidName) as caught:
        parse_repository(text)
    assert len(caught.value.message) < 1200


@pytest.mark.parametrize("text", ["latest", "3-alpine", "_", "V1.0_x-y", "a" * 128], ids=lambda text: text[:20])
def test_a_tag_inside_the_grammar_is_answered_unchanged(text: str) -> None:
    assert parse_tag(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *TRAVERSALS,
        pytest.param("", id="empty"),
        pytest.param(".hidden", id="leading-dot"),
        pytest.param("-dash", id="leading-dash"),
        pytest.param("a:b", id="colon"),
        pytest.param("a b", id="blank"),
        pytest.param("täg", id="no-ascii"),
        pytest.param("a" * 129, id="too-long"),
    ],
)
def test_a_tag_outside_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(InvalidTag):
        parse_tag(text)


@given(any_text)
def test_arbitrary_text_is_a_name_or_an_invalid_name(text: str) -> None:
    with suppress(InvalidName):
        assert parse_repository(text) == text
    with suppress(InvalidTag):
        assert parse_tag(text) == text


@given(repositories, tags, digests)
def test_names_inside_the_grammar_are_answered_unchanged(repository: str, tag: str, digest: Digest) -> None:
    assert parse_repository(repository) == repository
    assert parse_tag_or_digest(tag) == tag
    assert parse_tag_or_digest(str(digest)) == digest


@given(any_text)
def test_arbitrary_text_is_a_tag_a_digest_or_an_error_of_its_kind(text: str) -> None:
    with suppress(InvalidTag, InvalidDigest):
        assert str(parse_tag_or_digest(text)) == text


def test_a_colon_makes_a_digest() -> None:
    with pytest.raises(InvalidDigest):
        parse_tag_or_digest("sha256:baddigeststring")
    with pytest.raises(InvalidTag):
        parse_tag_or_digest("bad@tag")


@given(references)
def test_a_reference_reads_back_what_it_writes(reference: Reference) -> None:
    assert Reference.parse(str(reference)) == reference


@given(any_text | st.text("aA0:/.@-_[] ", max_size=40))
def test_arbitrary_text_is_a_reference_that_reads_back_or_an_error(text: str) -> None:
    with suppress(InvalidReference, InvalidDigest):
        reference = Reference.parse(text)
        assert Reference.parse(str(reference)) == reference


@pytest.mark.parametrize(
    ("text", "registry", "repository", "target"),
    [
        ("debian", "docker.io", "library/debian", "latest"),
        ("debian:jessie", "docker.io", "library/debian", "jessie"),
        ("library/debian:jessie", "docker.io", "library/debian", "jessie"),
        (" debian:jessie\n", "docker.io", "library/debian", "jessie"),
        ("arm32v7/redis:3", "docker.io", "arm32v7/redis", "3"),
        ("docker.io/debian", "docker.io", "library/debian", "latest"),
        ("index.docker.io/debian", "docker.io", "library/debian", "latest"),
        ("registry-1.docker.io/library/debian", "docker.io", "library/debian", "latest"),
        ("Docker.IO/debian", "docker.io", "library/debian", "latest"),
        ("ghcr.io/owner/app:1", "ghcr.io", "owner/app", "1"),
        ("ghcr.io/app:1", "ghcr.io", "app", "1"),
        ("localhost/app", "localhost", "app", "latest"),
        ("LOCALHOST/app", "localhost", "app", "latest"),
        ("localhost:5000/app:1", "localhost:5000", "app", "1"),
        ("nas:5000/team/app", "nas:5000", "team/app", "latest"),
        ("[::1]:5000/app:1", "[::1]:5000", "app", "1"),
        ("a/b/c/d:1", "docker.io", "a/b/c/d", "1"),
        ("debian:5000", "docker.io", "library/debian", "5000"),
        (f"debian@{DIGEST}", "docker.io", "library/debian", DIGEST),
        (f"debian:jessie@{DIGEST}", "docker.io", "library/debian", DIGEST),
        (f"ghcr.io/owner/app@{DIGEST}", "ghcr.io", "owner/app", DIGEST),
    ],
)
def test_a_reference_is_read_as_docker_does(text: str, registry: str, repository: str, target: str | Digest) -> None:
    assert Reference.parse(text) == Reference(registry, repository, target)


@pytest.mark.parametrize(
    "text",
    [
        *TRAVERSALS[:-3],
        pytest.param("", id="empty"),
        pytest.param("Debian", id="upper-case"),
        pytest.param("Team/app", id="upper-case-namespace"),
        pytest.param("debian:", id="empty-tag"),
        pytest.param(":jessie", id="no-repository"),
        pytest.param("debian:jes sie", id="blank-in-tag"),
        pytest.param("debian:1:2", id="two-tags"),
        pytest.param("ghcr.io/", id="no-repository-after-host"),
        pytest.param("https://ghcr.io/app", id="a-url"),
        pytest.param("nas:port/app", id="port-is-no-number"),
        pytest.param("nas:123456/app", id="port-too-long"),
        pytest.param(f"debian:jes sie@{DIGEST}", id="blank-in-tag-before-digest"),
        pytest.param(f"@{DIGEST}", id="only-a-digest"),
    ],
)
def test_a_reference_outside_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference, match="expected"):
        Reference.parse(text)


@pytest.mark.parametrize("text", ["debian@", "debian@latest", f"debian@{DIGEST}@{DIGEST}"])
def test_a_reference_with_a_malformed_digest_is_refused_for_that(text: str) -> None:
    with pytest.raises(InvalidDigest):
        Reference.parse(text)


@pytest.mark.parametrize(
    ("domain", "registry"),
    [
        ("docker.io", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("Registry-1.Docker.io", "docker.io"),
        ("GHCR.io", "ghcr.io"),
        ("nas:5000", "nas:5000"),
    ],
)
def test_all_host_names_of_docker_hub_are_one_registry(domain: str, registry: str) -> None:
    assert normalise_registry(domain) == registry


@pytest.mark.parametrize(
    ("short", "full"), [("debian", "library/debian"), ("owner/app", "owner/app"), ("library", "library/library")]
)
def test_the_library_namespace_goes_on_and_comes_off(short: str, full: str) -> None:
    assert with_library(short) == full
    assert with_library(full) == full
    assert short_name(full) == short
    assert short_name(short) == short
