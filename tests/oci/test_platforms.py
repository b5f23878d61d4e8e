import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci import platforms as module
from proxy.oci.errors import InvalidPlatform
from proxy.oci.platforms import Platform, parse_platform_object, platform_object
from tests.strategies import any_text, json_values, platforms


def test_the_examples_of_the_module_hold() -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


@given(platforms)
def test_a_platform_reads_back_what_it_writes(platform: Platform) -> None:
    assert Platform.parse(str(platform)) == platform


@given(any_text | st.text("linuxarm/v678. ", max_size=20))
def test_arbitrary_text_is_a_platform_or_an_invalid_platform(text: str) -> None:
    try:
        platform = Platform.parse(text)
    except InvalidPlatform:
        return
    assert str(platform) == text.strip().lower()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("linux", id="one-part"),
        pytest.param("linux/arm/v7/hf", id="four-parts"),
        pytest.param("linux//v7", id="empty-part"),
        pytest.param("linux/arm/", id="empty-variant"),
        pytest.param("/arm", id="empty-os"),
        pytest.param("linux/arm v7", id="blank-inside"),
        pytest.param("linux/../v7", id="path-traversal"),
        pytest.param("linux/arm/v7\n/", id="newline"),
        pytest.param("windows(10.0.17763)/amd64", id="containerd-s-os-version"),
        pytest.param("línux/arm", id="no-ascii"),
    ],
)
def test_a_malformed_platform_is_refused(text: str) -> None:
    with pytest.raises(InvalidPlatform, match="expected os/architecture"):
        Platform.parse(text)


# platforms.md §1.1, row by row: architecture, variant → normalised architecture, variant
NORMALISED = [
    ("i386", "", "386", ""),
    ("i386", "v1", "386", ""),
    ("386", "sse2", "386", "sse2"),
    ("x86_64", "", "amd64", ""),
    ("x86-64", "v1", "amd64", ""),
    ("amd64", "v1", "amd64", ""),
    ("amd64", "v2", "amd64", "v2"),
    ("x86_64", "v3", "amd64", "v3"),
    ("amd64", "v4", "amd64", "v4"),
    ("aarch64", "", "arm64", ""),
    ("arm64", "8", "arm64", ""),
    ("arm64", "v8", "arm64", ""),
    ("aarch64", "v8.0", "arm64", ""),
    ("arm64", "9", "arm64", "v9"),
    ("arm64", "9.0", "arm64", "v9"),
    ("arm64", "v9.0", "arm64", "v9"),
    ("arm64", "v8.1", "arm64", "v8.1"),
    ("arm64", "v9.1", "arm64", "v9.1"),
    ("arm", "", "arm", "v7"),
    ("arm", "7", "arm", "v7"),
    ("arm", "5", "arm", "v5"),
    ("arm", "6", "arm", "v6"),
    ("arm", "8", "arm", "v8"),
    ("arm", "v6", "arm", "v6"),
    ("armv7l", "", "armv7l", ""),
    ("riscv64", "rva20u64", "riscv64", "rva20u64"),
]


@pytest.mark.parametrize(
    ("architecture", "variant", "normal_architecture", "normal_variant"),
    NORMALISED,
    ids=["/".join(filter(None, row[:2])) for row in NORMALISED],
)
@pytest.mark.parametrize("upper_case", [False, True], ids=["lower", "upper"])
def test_spellings_are_normalised_as_containerd_does(
    architecture: str,
    variant: str,
    normal_architecture: str,
    normal_variant: str,
    upper_case: bool,  # noqa: FBT001
) -> None:
    platform = Platform("linux", architecture, variant)
    if upper_case:
        platform = Platform("Linux", architecture.upper(), variant.upper())
    assert platform.normalised() == Platform("linux", normal_architecture, normal_variant)


@given(platforms)
def test_the_normal_form_is_its_own_normal_form(platform: Platform) -> None:
    normal = platform.normalised()
    assert normal.normalised() == normal
    assert platform.is_same(normal)
    assert normal.is_same(platform)


@given(platforms)
def test_the_explicit_form_is_the_same_platform(platform: Platform) -> None:
    explicit = platform.explicit()
    assert explicit.is_same(platform)
    assert explicit.explicit() == explicit


@pytest.mark.parametrize(
    ("text", "explicit"),
    [
        ("linux/arm64", "linux/arm64/v8"),
        ("linux/aarch64", "linux/arm64/v8"),
        ("linux/arm64/v8", "linux/arm64/v8"),
        ("linux/arm64/v8.1", "linux/arm64/v8.1"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("linux/amd64", "linux/amd64"),
        ("linux/riscv64", "linux/riscv64"),
    ],
)
def test_the_explicit_form_has_the_variant_that_podman_compares(text: str, explicit: str) -> None:
    assert str(Platform.parse(text).explicit()) == explicit


def test_different_variants_are_different_platforms() -> None:
    assert not Platform.parse("linux/arm/v6").is_same(Platform.parse("linux/arm/v7"))


@given(platforms, platforms, platforms)
def test_the_order_of_platforms_is_total_and_transitive(one: Platform, two: Platform, three: Platform) -> None:
    assert (one < two) + (one == two) + (one > two) == 1
    low, middle, high = sorted((one, two, three))
    assert low <= middle <= high
    assert low <= high


@pytest.mark.parametrize(
    ("platform", "is_known"),
    [
        (Platform("linux", "arm", "v7"), True),
        (Platform("unknown", "unknown"), False),
        (Platform("linux", "unknown"), False),
        (Platform("unknown", "arm"), False),
        (Platform("", "arm"), False),
        (Platform("linux", ""), False),
    ],
    ids=str,
)
def test_an_attestation_s_platform_is_none_that_a_machine_can_have(platform: Platform, is_known: bool) -> None:  # noqa: FBT001
    assert platform.is_known is is_known


@given(platforms, st.just("") | st.just("10.0.17763.1"), st.lists(st.sampled_from(("win32k", "sse4")), max_size=2))
def test_a_platform_object_reads_back_what_it_writes(platform: Platform, os_version: str, features: list[str]) -> None:
    whole = Platform(platform.os, platform.architecture, platform.variant, os_version, tuple(features))
    assert parse_platform_object(platform_object(whole)) == whole


def test_a_platform_object_holds_no_empty_field() -> None:
    assert platform_object(Platform("linux", "amd64")) == {"architecture": "amd64", "os": "linux"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"architecture": "arm"}, Platform("linux", "arm"), id="os-defaults-to-linux"),
        pytest.param({"architecture": "arm", "os": ""}, Platform("linux", "arm"), id="empty-os"),
        pytest.param(
            {"architecture": "amd64", "os": "linux", "rootfs": {}, "features": ["sse4"]},
            Platform("linux", "amd64"),
            id="other-fields-are-noise",
        ),
        pytest.param({"architecture": "amd64", "os.features": None}, Platform("linux", "amd64"), id="no-features"),
        pytest.param({"architecture": "ARMHF"}, Platform("linux", "arm", "v7"), id="armhf"),
        pytest.param({"architecture": "armel"}, Platform("linux", "arm", "v6"), id="armel-as-containerd-reads-it"),
        pytest.param(None, None, id="absent"),
        pytest.param("linux/arm", None, id="a-string"),
        pytest.param([], None, id="a-list"),
        pytest.param({}, None, id="empty-object"),
        pytest.param({"os": "linux"}, None, id="no-architecture"),
        pytest.param({"architecture": ""}, None, id="empty-architecture"),
        pytest.param({"architecture": 386}, None, id="architecture-is-no-string"),
        pytest.param({"architecture": "arm", "variant": 7}, None, id="variant-is-no-string"),
        pytest.param({"architecture": "arm", "os.features": "sse4"}, None, id="features-are-no-list"),
        pytest.param({"architecture": "arm", "os.features": [1]}, None, id="a-feature-is-no-string"),
    ],
)
def test_an_unusable_platform_object_is_none(fields: object, expected: Platform | None) -> None:
    assert parse_platform_object(fields) == expected


@given(json_values | st.dictionaries(st.sampled_from(("os", "architecture", "variant", "os.features")), json_values))
def test_an_arbitrary_object_is_a_platform_or_none(fields: object) -> None:
    platform = parse_platform_object(fields)
    assert platform is None or platform.architecture
