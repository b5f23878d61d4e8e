import doctest
from functools import partial
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.arch import compatibility as module
from proxy.arch.compatibility import can_run, pick_best, rank, runs
from proxy.oci.platforms import Platform
from tests.strategies import KNOWN_PLATFORMS, featured_platforms, platforms

ARM = "arm/v8 arm/v7 arm/v6 arm/v5"
ARM64 = f"arm64 {ARM}"
V8 = ["v8.9", "v8.8", "v8.7", "v8.6", "v8.5", "v8.4", "v8.3", "v8.2", "v8.1"]
V9 = ["v9.7", "v9.6", "v9.5", "v9.4", "v9.3", "v9.2", "v9.1", "v9"]


def _arm64(*levels: str) -> str:
    return " ".join([*(f"arm64/{level}" for level in levels), ARM64])


# platforms.md §1.2, row by row as it names them: host → what it accepts, best first
ROWS: dict[str, dict[str, str]] = {
    "amd64": {"amd64": "amd64 386", "amd64/v1": "amd64 386"},
    "amd64/v2": {"amd64/v2": "amd64/v2 amd64 386"},
    "amd64/v3": {"amd64/v3": "amd64/v3 amd64/v2 amd64 386"},
    "amd64/v4": {"amd64/v4": "amd64/v4 amd64/v3 amd64/v2 amd64 386"},
    "386": {"386": "386"},
    "arm/v5": {"arm/v5": "arm/v5"},
    "arm/v6": {"arm/v6": "arm/v6 arm/v5"},
    "arm, arm/v7": {"arm": "arm/v7 arm/v6 arm/v5", "arm/v7": "arm/v7 arm/v6 arm/v5"},
    "arm/v8": {"arm/v8": ARM},
    "arm/v4 or lower": {"arm/v4": "arm/v4", "arm/v3": "arm/v3"},
    "arm64, arm64/v8": {"arm64": ARM64, "arm64/v8": ARM64, "arm64/v8.0": ARM64},
    "arm64/v8.N": {
        "arm64/v8.1": _arm64("v8.1"),
        "arm64/v8.2": _arm64("v8.2", "v8.1"),
        "arm64/v8.3": _arm64("v8.3", "v8.2", "v8.1"),
        "arm64/v8.4": _arm64(*V8[5:]),
        "arm64/v8.5": _arm64(*V8[4:]),
        "arm64/v8.6": _arm64(*V8[3:]),
        "arm64/v8.7": _arm64(*V8[2:]),
        "arm64/v8.8": _arm64(*V8[1:]),
        "arm64/v8.9": _arm64(*V8),
    },
    "arm64/v9.N": {
        "arm64/v9": _arm64("v9", "v8.5", "v8.4", "v8.3", "v8.2", "v8.1"),
        "arm64/v9.0": _arm64("v9", "v8.5", "v8.4", "v8.3", "v8.2", "v8.1"),
        "arm64/v9.1": _arm64("v9.1", "v9", "v8.6", "v8.5", "v8.4", "v8.3", "v8.2", "v8.1"),
        "arm64/v9.2": _arm64("v9.2", "v9.1", "v9", *V8[2:]),
        "arm64/v9.3": _arm64(*V9[4:], *V8[1:]),
        "arm64/v9.4": _arm64(*V9[3:], *V8),
        "arm64/v9.5": _arm64(*V9[2:], *V8),
        "arm64/v9.6": _arm64(*V9[1:], *V8),
        "arm64/v9.7": _arm64(*V9, *V8),
    },
    "arm64/unknown": {"arm64/v8.10": "", "arm64/v9.8": "", "arm64/v10": "", "arm64/v7": ""},
    "itself with the identical variant only": {
        "riscv64": "riscv64",
        "riscv64/rva20u64": "riscv64/rva20u64",
        "ppc64le": "ppc64le",
        "ppc64le/power9": "ppc64le/power9",
        "s390x": "s390x",
        "mips64le": "mips64le",
        "loong64": "loong64",
    },
}
ACCEPTED = {host: accepted for row in ROWS.values() for host, accepted in row.items()}
CASES = [
    pytest.param(host, accepted, id=f"{name}: {host}") for name, row in ROWS.items() for host, accepted in row.items()
]


def _linux(text: str) -> Platform:
    return Platform.parse(f"linux/{text}")


EVERY_MACHINE = [*(_linux(host) for host in ACCEPTED), Platform.parse("windows/amd64")]


def test_the_examples_of_the_module_hold() -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize(("host", "accepted"), CASES)
def test_a_machine_runs_what_containerd_says_in_that_order(host: str, accepted: str) -> None:
    assert [str(platform) for platform in runs(_linux(host))] == [f"linux/{each}" for each in accepted.split()]


def test_an_unheard_of_amd64_level_runs_itself_then_what_every_amd64_runs() -> None:
    assert [str(platform) for platform in runs(_linux("amd64/v9"))] == ["linux/amd64/v9", "linux/amd64", "linux/386"]


@given(platforms)
def test_a_machine_s_own_platform_comes_first(machine: Platform) -> None:
    order = runs(machine)
    assert not order or order[0] == machine.normalised()
    assert len(set(order)) == len(order)
    assert all(platform == platform.normalised() for platform in order)


@given(platforms)
def test_all_spellings_of_a_machine_run_the_same(machine: Platform) -> None:
    assert runs(machine) == runs(machine.normalised()) == runs(machine.explicit())


@given(platforms, platforms)
def test_rank_and_runs_agree(machine: Platform, image: Platform) -> None:
    position = rank(machine, image)
    assert can_run(machine, image) is (image.normalised() in runs(machine)) is (position is not None)
    if position is not None:
        assert runs(machine)[position] == image.normalised()


@pytest.mark.parametrize("machine", EVERY_MACHINE, ids=str)
def test_running_is_transitive(machine: Platform) -> None:
    """What an image's own machine runs, every machine runs that runs the image."""
    for middle in filter(partial(can_run, machine), EVERY_MACHINE):
        for image in filter(partial(can_run, middle), EVERY_MACHINE):
            assert can_run(machine, image)


@pytest.mark.parametrize("machine", EVERY_MACHINE, ids=str)
def test_only_spellings_of_one_platform_run_each_other(machine: Platform) -> None:
    for image in filter(partial(can_run, machine), EVERY_MACHINE):
        assert can_run(image, machine) is machine.is_same(image)


@pytest.mark.parametrize("machine", EVERY_MACHINE, ids=str)
def test_of_two_images_the_one_that_could_run_the_other_is_the_better(machine: Platform) -> None:
    for one, other in permutations(filter(partial(can_run, machine), EVERY_MACHINE), 2):
        if can_run(one, other) and not one.is_same(other):
            first, second = rank(machine, one), rank(machine, other)
            assert first is not None
            assert second is not None
            assert first < second


def test_32_bit_arm_never_runs_64_bit_images() -> None:
    assert not any(can_run(_linux(f"arm/v{level}"), _linux("arm64")) for level in (5, 6, 7, 8))


def test_an_image_for_another_system_does_not_run() -> None:
    assert not can_run(_linux("amd64"), Platform.parse("windows/amd64"))
    assert can_run(Platform.parse("windows/amd64"), Platform.parse("windows/amd64"))


@given(featured_platforms, featured_platforms)
def test_an_image_s_features_must_be_the_machine_s(machine: Platform, image: Platform) -> None:
    """containerd/platforms ≥ 1.0.0-rc.3: any `os.features` on an entry hides it from a machine without them."""
    if can_run(machine, image):
        assert set(image.os_features) <= set(machine.os_features)


def test_a_machine_with_features_runs_images_without() -> None:
    machine = Platform("windows", "amd64", os_version="10.0.20348.1", os_features=("win32k",))
    assert rank(machine, Platform("windows", "amd64")) == 0
    assert rank(machine, Platform("windows", "amd64", os_features=("win32k",))) == 0
    assert rank(machine, Platform("windows", "amd64", os_features=("win32k", "other"))) is None


@pytest.mark.parametrize(
    ("machine", "images", "picked"),
    [
        pytest.param("arm/v7", ["amd64", "arm/v5", "arm/v7"], 2, id="exact"),
        pytest.param("arm/v7", ["arm/v5", "arm/v6"], 1, id="most-specific-below"),
        pytest.param("arm/v6", ["amd64", "arm/v7", "arm/v5"], 2, id="v6-never-gets-v7"),
        pytest.param("arm64", ["arm/v7", "arm/v6"], 0, id="arm64-falls-to-arm"),
        pytest.param("arm/v7", ["arm/v7", "arm"], 0, id="first-among-equals"),
        pytest.param("amd64", ["386", "amd64/v2"], 0, id="a-higher-level-does-not-run"),
        pytest.param("arm/v6", ["amd64", "arm64"], None, id="nothing-runs"),
        pytest.param("arm/v6", [], None, id="nothing-there"),
        pytest.param("arm/v6", [None, "arm/v5"], 1, id="no-platform-is-a-last-resort"),
        pytest.param("arm/v6", ["amd64", None, None], 1, id="the-first-last-resort"),
    ],
)
def test_the_best_image_is_picked(machine: str, images: list[str | None], picked: int | None) -> None:
    assert pick_best(_linux(machine), [None if image is None else _linux(image) for image in images]) == picked


@given(st.sampled_from(KNOWN_PLATFORMS), st.lists(st.none() | st.sampled_from(KNOWN_PLATFORMS), max_size=6))
def test_what_is_picked_runs_and_nothing_that_runs_is_better(machine: Platform, images: list[Platform | None]) -> None:
    ranks = [None if image is None else rank(machine, image) for image in images]
    fitting = [value for value in ranks if value is not None]
    picked = pick_best(machine, images)
    if fitting:
        assert picked is not None
        assert ranks[picked] == min(fitting)
        assert min(fitting) not in ranks[:picked]
    elif picked is not None:
        assert images[picked] is None
    else:
        assert None not in images
