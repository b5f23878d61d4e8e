from contextlib import suppress

import pytest
from hypothesis import given

from proxy.arch.words import (
    FROZEN,
    OFFICIAL,
    PROPOSAL,
    WORDS,
    find_path_platform,
    find_platform,
    parse_platform,
)
from proxy.oci.errors import InvalidPlatform
from proxy.oci.platforms import Platform
from proxy.oci.references import parse_repository
from tests.strategies import KNOWN_PLATFORMS, any_text

# What people write → the platform in its normal form
MEANINGS = {
    # the forum proposal (platforms.md §6)
    "arm5": "linux/arm/v5",
    "arm6": "linux/arm/v6",
    "arm7": "linux/arm/v7",
    "arm8": "linux/arm64",  # trap: may mean a 32-bit userland too; that one is linux/arm/v8
    "arm8.1": "linux/arm64/v8.1",
    "rpi": "linux/arm/v6",
    "x86-64": "linux/amd64",
    # Docker's namespaces (platforms.md §4.1)
    "amd64": "linux/amd64",
    "arm32v5": "linux/arm/v5",
    "arm32v6": "linux/arm/v6",
    "arm32v7": "linux/arm/v7",
    "arm64v8": "linux/arm64",
    "i386": "linux/386",
    "mips64le": "linux/mips64le",
    "ppc64le": "linux/ppc64le",
    "riscv64": "linux/riscv64",
    "s390x": "linux/s390x",
    # the frozen ones (platforms.md §4.2)
    "armhf": "linux/arm/v7",  # trap: ARMv6 for Raspbian and Alpine
    "aarch64": "linux/arm64",
    # dpkg
    "armel": "linux/arm/v5",  # trap: v6 for containerd; Debian's armel is soft-float v5
    "arm64": "linux/arm64",
    "ppc64el": "linux/ppc64le",
    "mips64el": "linux/mips64le",
    "loong64": "linux/loong64",
    # Alpine and uname -m
    "x86_64": "linux/amd64",
    "x86": "linux/386",
    "i686": "linux/386",
    "armv6l": "linux/arm/v6",
    "armv7l": "linux/arm/v7",
    "armv7": "linux/arm/v7",
    "armv8": "linux/arm64",
    "armv8l": "linux/arm/v8",  # a 32-bit process on an ARMv8 kernel
    "loongarch64": "linux/loong64",
    # Go
    "arm": "linux/arm/v7",
    "386": "linux/386",
    "arm/v6": "linux/arm/v6",
    "arm64/v8": "linux/arm64",
    # balena
    "armv7hf": "linux/arm/v7",
    "armv6hf": "linux/arm/v6",
    # triples
    "linux/arm/v6": "linux/arm/v6",
    "linux/arm": "linux/arm/v7",
    "linux/arm/v8": "linux/arm/v8",  # never arm64
    "linux/arm64": "linux/arm64",
    "linux/arm64/v8": "linux/arm64",
    "linux/arm64/v8.1": "linux/arm64/v8.1",
    "linux/x86_64": "linux/amd64",
    "linux/x86-64": "linux/amd64",
    "linux/amd64/v3": "linux/amd64/v3",
    "linux/i386": "linux/386",
    "windows/amd64": "windows/amd64",
    # the path form
    "linux-arm-v6": "linux/arm/v6",
    "linux-arm": "linux/arm/v7",
    "linux-arm64": "linux/arm64",
    "linux-arm64-v8.1": "linux/arm64/v8.1",
    "linux-amd64": "linux/amd64",
    "linux-x86_64": "linux/amd64",
    # case and blanks
    " ARM7 ": "linux/arm/v7",
    "Linux/ARM/V7": "linux/arm/v7",
}


@pytest.mark.parametrize(("text", "platform"), MEANINGS.items(), ids=MEANINGS)
def test_a_word_means_this_platform(text: str, platform: str) -> None:
    assert str(parse_platform(text)) == platform
    assert find_platform(text) == parse_platform(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("linux", id="only-an-os"),
        pytest.param("arm9", id="no-such-word"),
        pytest.param("linux/armhf", id="a-word-inside-a-triple"),
        pytest.param("linux/armv7l", id="uname-inside-a-triple"),
        pytest.param("linux/x86", id="a-word-that-looks-like-an-architecture"),
        pytest.param("linux/unknown", id="unknown"),
        pytest.param("linux-", id="only-a-prefix"),
        pytest.param("linux-x86-64", id="path-form-of-a-word-with-a-dash"),
        pytest.param("linux-arm-v7-hf", id="four-parts"),
        pytest.param("linux/../arm", id="path-traversal"),
        pytest.param("arm7\n[upstream]", id="newline"),
        pytest.param("aarch64_be", id="big-endian"),
    ],
)
def test_what_is_no_platform_is_refused(text: str) -> None:
    assert find_platform(text) is None
    with pytest.raises(InvalidPlatform, match="unknown platform"):
        parse_platform(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("arm32v71", "did you mean arm32v7"),
        ("linux/armv7", "did you mean .*linux/arm/v7"),
        ("aarch46", "did you mean aarch64"),
        ("zzz", "write for example arm7, rpi or linux/arm/v7"),
    ],
)
def test_a_refusal_names_the_nearest_spelling(text: str, hint: str) -> None:
    with pytest.raises(InvalidPlatform, match=hint):
        parse_platform(text)


@given(any_text)
def test_arbitrary_text_is_a_platform_or_an_invalid_platform(text: str) -> None:
    with suppress(InvalidPlatform):
        assert parse_platform(text) == find_platform(text)
    find_path_platform(text)


@pytest.mark.parametrize("platform", KNOWN_PLATFORMS, ids=str)
def test_every_platform_is_found_by_its_own_text(platform: Platform) -> None:
    assert find_platform(str(platform)) == platform.normalised()


@pytest.mark.parametrize("platform", [each for each in KNOWN_PLATFORMS if each.os == "linux"], ids=str)
def test_every_linux_platform_has_a_path_form_that_is_a_repository_component(platform: Platform) -> None:
    component = str(platform).replace("/", "-")
    assert find_path_platform(parse_repository(component)) == platform.normalised()


@pytest.mark.parametrize("word", WORDS)
def test_every_word_is_in_lower_case_and_means_a_normal_form(word: str) -> None:
    assert word == word.lower().strip()
    assert WORDS[word] == WORDS[word].normalised()
    assert WORDS[word].is_known


@pytest.mark.parametrize("word", PROPOSAL)
def test_every_word_of_the_proposal_may_stand_in_a_path(word: str) -> None:
    assert find_path_platform(parse_repository(word)) == WORDS[word]


@pytest.mark.parametrize("word", sorted({*OFFICIAL, *FROZEN}))
def test_docker_s_own_namespaces_are_repositories_and_no_path_words(word: str) -> None:
    assert find_path_platform(word) is None


@pytest.mark.parametrize("component", ["", "v2", "library", "ARM6", "linux", "linux-foo", "linux-", "windows-amd64"])
def test_other_path_components_mean_no_platform(component: str) -> None:
    assert find_path_platform(component) is None


def test_the_tables_do_not_contradict_each_other() -> None:
    for word in PROPOSAL.keys() & OFFICIAL.keys() | OFFICIAL.keys() & FROZEN.keys():
        pytest.fail(f"{word} stands in two tables")
