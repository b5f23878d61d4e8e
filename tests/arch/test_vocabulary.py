from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.arch.vocabulary import BUILT_IN, DOCKER_NAMESPACES, MAX_WORD_LENGTH, Vocabulary, parse_vocabulary
from proxy.arch.words import FROZEN, OFFICIAL, PROPOSAL, WORDS
from proxy.oci.errors import InvalidPlatform, InvalidSetting
from proxy.oci.platforms import Platform
from proxy.oci.references import parse_repository
from tests.strategies import KNOWN_PLATFORMS, any_text

V6 = Platform("linux", "arm", "v6")

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
    "windows-amd64": "windows/amd64",
    "winamd64": "windows/amd64",
    # the frozen ones (platforms.md §4.2)
    "armhf": "linux/arm/v7",  # trap: ARMv6 for Raspbian and Alpine
    "aarch64": "linux/arm64",
    # dpkg
    "armel": "linux/arm/v5",  # trap: v6 for containerd; Debian's armel is soft-float v5
    "arm64": "linux/arm64",
    "ppc64el": "linux/ppc64le",
    "mips64el": "linux/mips64le",
    "mipsel": "linux/mipsle",
    "loong64": "linux/loong64",
    "amd64v3": "linux/amd64/v3",
    "raspbian": "linux/arm/v6",
    # GNU triplets
    "arm-linux-gnueabihf": "linux/arm/v7",  # trap: Raspbian's is ARMv6
    "arm-linux-gnueabi": "linux/arm/v5",
    "aarch64-linux-gnu": "linux/arm64",
    "x86_64-linux-gnu": "linux/amd64",
    # Alpine and uname -m
    "x86_64": "linux/amd64",
    "x86": "linux/386",
    "i686": "linux/386",
    "armv5tejl": "linux/arm/v5",
    "armv6l": "linux/arm/v6",
    "armv7l": "linux/arm/v7",
    "armv7": "linux/arm/v7",
    "armv8": "linux/arm64",
    "armv8l": "linux/arm/v8",  # a 32-bit process on an ARMv8 kernel
    "loongarch64": "linux/loong64",
    "ppc64": "linux/ppc64",
    # other distributions
    "armv7h": "linux/arm/v7",
    "armv7hl": "linux/arm/v7",
    "armv6h": "linux/arm/v6",
    # Go: GOARCH, and GOARM
    "arm": "linux/arm/v7",
    "386": "linux/386",
    "mipsle": "linux/mipsle",
    "GOARM=5": "linux/arm/v5",
    "GOARM=6": "linux/arm/v6",
    "GOARM=7": "linux/arm/v7",
    # the levels of x86-64
    "x86-64-v1": "linux/amd64",
    "x86-64-v2": "linux/amd64/v2",
    "x86-64-v3": "linux/amd64/v3",
    "x86-64-v4": "linux/amd64/v4",
    "x86_64_v3": "linux/amd64/v3",
    "amd64-v3": "linux/amd64/v3",
    # balena
    "armv7hf": "linux/arm/v7",
    "armv6hf": "linux/arm/v6",
    "raspberry-pi": "linux/arm/v6",
    "raspberry-pi2": "linux/arm/v7",
    "raspberrypi3": "linux/arm/v7",
    "raspberrypi3-64": "linux/arm64",
    "raspberrypi4-64": "linux/arm64",
    "raspberrypi5": "linux/arm64",
    "raspberrypi0-2w-64": "linux/arm64",
    "intel-nuc": "linux/amd64",
    # others
    "x64": "linux/amd64",
    "riscv": "linux/riscv64",
    "win": "windows/amd64",
    "windows": "windows/amd64",
    # platforms without their linux/
    "arm/5": "linux/arm/v5",
    "arm/6": "linux/arm/v6",
    "arm/7": "linux/arm/v7",
    "arm/v6": "linux/arm/v6",
    "arm/v8": "linux/arm/v8",
    "arm64/8": "linux/arm64",
    "arm64/v8": "linux/arm64",
    "arm64/v8.2": "linux/arm64/v8.2",
    "arm64/v9.0": "linux/arm64/v9",
    "amd64/v3": "linux/amd64/v3",
    "arm-v6": "linux/arm/v6",
    "mips": "linux/mips",
    # triples
    "linux/arm/v6": "linux/arm/v6",
    "linux/arm": "linux/arm/v7",
    "linux/arm/7": "linux/arm/v7",
    "linux/arm/v8": "linux/arm/v8",  # never arm64
    "linux/arm64": "linux/arm64",
    "linux/arm64/v8": "linux/arm64",
    "linux/arm64/v8.0": "linux/arm64",
    "linux/arm64/9": "linux/arm64/v9",
    "linux/arm64/v8.1": "linux/arm64/v8.1",
    "linux/x86_64": "linux/amd64",
    "linux/x86-64": "linux/amd64",
    "linux/amd64/v1": "linux/amd64",
    "linux/amd64/v3": "linux/amd64/v3",
    "linux/i386": "linux/386",
    "linux/riscv64/rva20u64": "linux/riscv64/rva20u64",
    "windows/amd64": "windows/amd64",
    "win/amd64": "windows/amd64",
    "darwin/arm64": "darwin/arm64",
    "macos/arm64": "darwin/arm64",
    # words after an operating system, as Docker takes some of them (platforms.md §1.1)
    "linux/armhf": "linux/arm/v7",
    "linux/armel": "linux/arm/v5",
    "linux/aarch64": "linux/arm64",
    "linux/armv7l": "linux/arm/v7",
    "linux/x86": "linux/386",
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
    assert str(BUILT_IN.parse_platform(text)) == platform
    assert BUILT_IN.find_platform(text) == BUILT_IN.parse_platform(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("/", id="only-a-slash"),
        pytest.param("linux", id="only-an-os"),
        pytest.param("linux/", id="an-os-and-nothing"),
        pytest.param("arm9", id="no-such-word"),
        pytest.param("arm/v9", id="no-such-variant"),
        pytest.param("arm64/v8.10", id="no-such-level"),
        pytest.param("windows/armhf", id="a-word-of-another-os"),
        pytest.param("linux/win", id="another-os-s-word"),
        pytest.param("linux/armhf/v6", id="a-word-with-a-variant"),
        pytest.param("linux/linux/arm", id="twice-an-os"),
        pytest.param("linux/unknown", id="unknown"),
        pytest.param("linux-", id="only-a-prefix"),
        pytest.param("linux-armhf", id="path-form-of-a-word"),
        pytest.param("linux-x86-64", id="path-form-of-a-word-with-a-dash"),
        pytest.param("linux-arm-v7-hf", id="four-parts"),
        pytest.param("linux/../arm", id="path-traversal"),
        pytest.param("arm7\n[upstream]", id="newline"),
        pytest.param("aarch64_be", id="big-endian"),
        pytest.param("ia64", id="Itanium"),
    ],
)
def test_what_is_no_platform_is_refused(text: str) -> None:
    assert BUILT_IN.find_platform(text) is None
    with pytest.raises(InvalidPlatform, match="unknown platform"):
        BUILT_IN.parse_platform(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("arm32v71", "did you mean arm32v7"),
        ("linux/arm/v77", "did you mean linux/arm/v7"),
        ("aarch46", "did you mean aarch64"),
        ("raspberypi", "did you mean raspberrypi"),
        ("zzz", "write for example arm7, rpi or linux/arm/v7"),
        ("arm7" * 100_000, "write for example"),
    ],
)
def test_a_refusal_names_the_nearest_spelling(text: str, hint: str) -> None:
    with pytest.raises(InvalidPlatform, match=hint):
        BUILT_IN.parse_platform(text)


@given(any_text)
def test_arbitrary_text_is_a_platform_or_an_invalid_platform(text: str) -> None:
    with suppress(InvalidPlatform):
        assert BUILT_IN.parse_platform(text) == BUILT_IN.find_platform(text)
    BUILT_IN.find_path_platform(text)


@pytest.mark.parametrize("platform", KNOWN_PLATFORMS, ids=str)
def test_every_platform_is_found_by_its_own_text(platform: Platform) -> None:
    assert BUILT_IN.find_platform(str(platform)) == platform.normalised()


@pytest.mark.parametrize("platform", [each for each in KNOWN_PLATFORMS if each.os == "linux"], ids=str)
def test_every_linux_platform_has_a_path_form_that_is_a_repository_component(platform: Platform) -> None:
    component = str(platform).replace("/", "-")
    assert BUILT_IN.find_path_platform(parse_repository(component)) == platform.normalised()


# --- Paths ---


@pytest.mark.parametrize("word", PROPOSAL)
def test_every_word_of_the_proposal_may_stand_in_a_path(word: str) -> None:
    assert BUILT_IN.find_path_platform(parse_repository(word)) == WORDS[word]


@pytest.mark.parametrize("word", sorted({*WORDS} - {*PROPOSAL}))
def test_every_other_word_is_a_namespace_in_a_path(word: str) -> None:
    assert BUILT_IN.find_path_platform(word) is None


@pytest.mark.parametrize(
    "component", ["", "v2", "library", "ARM6", "linux", "linux-foo", "linux-", "windows-amd64", "pi-zero"]
)
def test_other_path_components_mean_no_platform(component: str) -> None:
    assert BUILT_IN.find_path_platform(component) is None


# --- One's own words ---


OWN = parse_vocabulary({"pi-zero": "rpi", "kitchen": "linux/arm/v7", "armv7l": "arm7"})


@pytest.mark.parametrize("text", ["pi-zero", "PI-Zero", " pi-zero "])
def test_one_s_own_word_is_read_like_any_other(text: str) -> None:
    assert OWN.parse_platform(text) == V6
    assert BUILT_IN.find_platform(text) is None


def test_one_s_own_word_may_stand_in_a_path() -> None:
    assert OWN.find_path_platform("pi-zero") == V6
    assert OWN.find_path_platform("PI-ZERO") is None
    assert OWN.find_path_platform("arm6") == V6


def test_a_word_that_everybody_says_may_be_one_s_own_too_so_that_it_can_stand_in_a_path() -> None:
    assert BUILT_IN.find_path_platform("armv7l") is None
    assert OWN.find_path_platform("armv7l") == WORDS["armv7l"]


def test_everybody_s_words_mean_what_they_mean() -> None:
    assert all(OWN.find_platform(word) == platform for word, platform in WORDS.items())


def test_one_s_own_word_is_named_where_it_is_near() -> None:
    with pytest.raises(InvalidPlatform, match="did you mean kitchen"):
        OWN.parse_platform("kitchn")


def test_a_vocabulary_is_a_value() -> None:
    same = parse_vocabulary({"pi-zero": "arm6", "kitchen": "arm7", "armv7l": "arm7"})
    assert (same, hash(same)) == (OWN, hash(OWN))
    assert parse_vocabulary({}) == BUILT_IN == Vocabulary()
    assert OWN != BUILT_IN


def test_the_words_for_a_platform_are_listed_with_one_s_own_first() -> None:
    words = OWN.list_words(WORDS["arm7"])
    assert words[:2] == ("kitchen", "armv7l")
    assert words.count("armv7l") == 1
    assert set(words) == {"kitchen", *(word for word, platform in WORDS.items() if platform == WORDS["arm7"])}
    assert OWN.list_words(Platform("linux", "vax")) == ()


def test_the_platforms_are_those_that_there_is_a_word_for() -> None:
    level = parse_vocabulary({"server": "linux/arm64/v9.2"})
    assert set(level.list_platforms()) == {*BUILT_IN.list_platforms(), Platform("linux", "arm64", "v9.2")}
    assert set(BUILT_IN.list_platforms()) == set(WORDS.values())


@pytest.mark.parametrize(
    ("word", "platform", "said"),
    [
        ("Pi-Zero", "rpi", "has 'Pi-Zero', which could not stand in a path"),
        ("pi zero", "rpi", "has 'pi zero', which could not stand in a path"),
        ("pi/zero", "rpi", "could not stand in a path"),
        ("-pi", "rpi", "could not stand in a path"),
        ("", "rpi", "has '', which could not stand in a path"),
        ("a" * (MAX_WORD_LENGTH + 1), "rpi", "could not stand in a path"),
        ("..", "rpi", "could not stand in a path"),
        ("pi\n", "rpi", r"has 'pi\n', which could not stand in a path"),
        ("pi-zero", "arm66", "has 'pi-zero' for an unknown platform 'arm66'; did you mean arm6"),
        ("pi-zero", "pi-one", "has 'pi-zero' for an unknown platform 'pi-one'"),
        ("armv7l", "arm6", "has 'armv7l' for linux/arm/v6, but it means linux/arm/v7 already"),
        ("arm8", "linux/arm/v8", "has 'arm8' for linux/arm/v8, but it means linux/arm64 already"),
        ("linux-arm-v6", "arm7", "means linux/arm/v6 already"),
        ("mips", "rpi", "means linux/mips already"),
        ("arm32v7", "arm7", "has 'arm32v7', a namespace of Docker's own"),
        ("armhf", "arm6", "has 'armhf', a namespace of Docker's own"),
        ("library", "rpi", "has 'library', a namespace of Docker's own"),
        ("v2", "rpi", "has 'v2', which is a path of this proxy's own"),
        ("whoami", "rpi", "has 'whoami', which is a path of this proxy's own"),
    ],
)
def test_what_cannot_be_a_word_is_refused(word: str, platform: str, said: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        parse_vocabulary({"good": "arm7", word: platform})
    assert str(caught.value).startswith("has ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_docker_s_namespaces_are_no_words_of_one_s_own_even_for_what_they_mean() -> None:
    assert {*OFFICIAL, *FROZEN} <= DOCKER_NAMESPACES
    for word in DOCKER_NAMESPACES:
        with pytest.raises(InvalidSetting, match="a namespace of Docker's own"):
            parse_vocabulary({word: str(WORDS.get(word, V6))})


@given(st.dictionaries(st.text("abc-._/A0 ", max_size=5) | any_text | st.sampled_from([*WORDS]), any_text, max_size=3))
def test_arbitrary_words_are_a_vocabulary_or_one_clear_line(aliases: dict[str, str]) -> None:
    with suppress(InvalidSetting):
        for word in (vocabulary := parse_vocabulary(aliases)).aliases:
            assert vocabulary.find_path_platform(word[0]) == word[1]
