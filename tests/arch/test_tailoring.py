"""Clients that choose wrongly, each simulated as the facts have it, and the index that puts them right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.arch.compatibility import pick_best
from proxy.arch.detection import Assignment, ClientHints, Detection, detect
from proxy.arch.synthesis import Synthesis
from proxy.arch.tailoring import chooses_well, tailor
from proxy.oci.digests import Digest
from proxy.oci.manifests import MAX_DESCRIPTORS, Index, parse_manifest
from proxy.oci.platforms import Platform
from tests.arch.worlds import image, index, linux

ZERO, PI_3, PI_4, SIXTY_FOUR = "6.1.21+", "6.1.21-v7+", "6.1.21-v8+", "6.1.21-v8+"
PLATFORMS = ("amd64", "386", "arm64", "arm64/v8.1", "arm/v8", "arm/v7", "arm/v6", "arm/v5")


def dockerd(version: str, kernel: str, arch: str = "arm") -> Detection:
    return detect(ClientHints(user_agent=f"docker/{version} go/go1.19 kernel/{kernel} os/linux arch/{arch}"))


def index_of(*platforms: str) -> Index:
    document = parse_manifest(index(*((text, image(text)) for text in platforms)).body, "")
    assert isinstance(document, Index)
    return document


def takes(made: Index | Synthesis, version: tuple[int, int], asks_for: str) -> str | None:
    """What an engine runs: the true platform of the image that it chooses (platforms.md §3.1, clients.md §4.1)."""
    wanted = linux(asks_for).normalised()
    entries = [(entry.platform.normalised(), entry.digest) for entry in made.manifests if entry.platform]
    kin = [(one, digest) for one, digest in entries if one.architecture == wanted.architecture]
    if version < (18, 6):
        chosen = kin[:1]
    else:
        exact = [(one, digest) for one, digest in kin if one == wanted]
        chosen = (exact or kin)[:1] if wanted.architecture == "arm" else exact[:1]
    return _true_platform(chosen[0][1]) if chosen else None


def _true_platform(digest: Digest) -> str:
    return next(text for text in PLATFORMS if image(text).digest == digest)


OLD = [
    pytest.param("17.09.1", (17, 9), ZERO, ["arm/v7"], "arm/v6", id="17.09 on a Zero: the first arm entry"),
    pytest.param("18.09.9", (18, 9), ZERO, ["arm/v7"], "arm/v6", id="18.09 on a Zero: takes itself for v7"),
    pytest.param("19.03.15", (19, 3), ZERO, ["arm/v7"], "arm/v6", id="19.03 on a Zero: the same"),
    pytest.param("19.03.15", (19, 3), PI_4, ["arm/v8"], "arm/v7", id="19.03 under a 64-bit kernel: v8, or the first"),
    pytest.param("20.10.24", (20, 10), PI_4, ["arm/v7", "arm/v8"], "arm/v7", id="20.10 there: v7, or v8 as Debian's"),
]


@pytest.mark.parametrize(("version", "number", "kernel", "asks_for", "best"), OLD)
@pytest.mark.parametrize("order", [("arm/v7", "arm/v6", "arm/v5"), ("arm/v5", "arm/v6", "arm/v7")], ids=str)
def test_an_old_engine_gets_its_own(
    version: str, number: tuple[int, int], kernel: str, asks_for: list[str], best: str, order: tuple[str, ...]
) -> None:
    whole = index_of("amd64", *order)
    given_index = tailor(whole, dockerd(version, kernel)) or whole
    assert [takes(given_index, number, label) for label in asks_for] == [best] * len(asks_for)


def test_a_zero_of_19_03_would_take_what_kills_it() -> None:
    """moby#37647: v7 images die with SIGILL there."""
    assert takes(index_of("amd64", "arm/v7", "arm/v6"), (19, 3), "arm/v7") == "arm/v7"


def test_the_tailored_index_keeps_everything_else() -> None:
    whole = index_of("amd64", "arm/v7", "arm/v6")
    made = tailor(whole, dockerd("19.03.15", ZERO))
    assert made is not None
    assert [str(entry.platform) for entry in made.manifests] == [
        "linux/arm/v7",
        "linux/amd64",
        "linux/arm/v7",
        "linux/arm/v6",
    ]
    assert made.manifests[1:] == whole.manifests
    assert made == tailor(whole, dockerd("18.09.1", ZERO))


@pytest.mark.parametrize(
    "detection",
    [
        dockerd("23.0.1", ZERO),
        dockerd("28.5.1", PI_4),
        dockerd("dev", ZERO),
        dockerd("20.10.24", ZERO),
        dockerd("20.10.24", PI_3),
        dockerd("19.03.15", PI_3),
        dockerd("20.10.24", "6.1.0", "amd64"),
        dockerd("20.10.24", SIXTY_FOUR, "arm64"),
        detect(ClientHints(user_agent=f"cri-o/1.20.0 kernel/{ZERO} os/linux arch/arm")),
        detect(ClientHints(header="arm6")),
        detect(ClientHints()),
        detect(ClientHints(path_word="arm6", user_agent="containerd/1.6.20")),
    ],
    ids=str,
)
def test_whoever_chooses_well_out_of_a_complete_index_gets_that_of_everybody(detection: Detection) -> None:
    assert tailor(index_of("amd64", "arm64", "arm/v7", "arm/v6", "arm/v5"), detection) is None


def test_only_those_who_may_choose_wrongly_need_the_document() -> None:
    assert chooses_well(dockerd("28.5.1", ZERO))
    assert chooses_well(detect(ClientHints(header="arm6")))
    assert not chooses_well(dockerd("19.03.15", ZERO))
    assert not chooses_well(detect(ClientHints(header="arm8.1")))


@pytest.mark.parametrize(
    "hints",
    [
        ClientHints(rule=Assignment(linux("arm64/v8.1")), user_agent="containerd/2.1.4"),
        ClientHints(listener=Assignment(linux("arm64/v8.1")), user_agent="docker/28.5.1 os/linux arch/arm64"),
        ClientHints(header="arm8.1", user_agent="docker/20.10.24 os/linux arch/arm64"),
        ClientHints(header="arm8.1", user_agent="docker/17.09.1 os/linux arch/arm64"),
    ],
    ids=lambda hints: str(hints.user_agent.split()[0]),
)
def test_a_level_that_no_client_detects_is_served_as_what_the_client_looks_for(hints: ClientHints) -> None:
    whole = index_of("amd64", "arm64", "arm64/v8.1", "arm/v7")
    made = tailor(whole, detect(hints))
    assert made is not None
    first = made.manifests[0]
    assert (str(first.platform), first.digest) == ("linux/arm64/v8", image("arm64/v8.1").digest)
    by_containerd = pick_best(linux("arm64"), [entry.platform for entry in made.manifests])
    assert by_containerd == 0
    assert made.manifests[1:] == whole.manifests


def test_a_level_without_a_build_of_its_own_needs_nothing() -> None:
    assert tailor(index_of("amd64", "arm64"), detect(ClientHints(header="arm8.1"))) is None
    assert tailor(index_of("amd64", "arm/v7"), detect(ClientHints(header="arm8.1"))) is None


def test_a_word_of_another_architecture_changes_no_labels() -> None:
    """Who says arm6 of an x86 engine wants `answer = "manifest"`: an index leaves the choice to the engine."""
    hints = ClientHints(header="arm6", user_agent="docker/19.03.15 os/linux arch/amd64")
    assert tailor(index_of("amd64", "arm/v6"), detect(hints)) is None


def test_nothing_is_relabelled_across_architectures() -> None:
    """Docker 20.10 on arm64 runs no 32-bit image by itself, and is not tricked into it."""
    assert tailor(index_of("amd64", "arm/v7"), dockerd("20.10.24", SIXTY_FOUR, "arm64")) is None


_versions = st.sampled_from(["1.13.1", "17.09.1", "18.06.0", "19.03.15", "20.10.24", "23.0.0", "29.1.0"])


@given(
    _versions,
    st.sampled_from([ZERO, PI_3, PI_4, "5.4.51"]),
    st.lists(st.sampled_from(PLATFORMS), unique=True, max_size=6),
)
def test_every_engine_gets_the_best_that_there_is_of_its_architecture(
    version: str, kernel: str, platforms: list[str]
) -> None:
    detection, whole = dockerd(version, kernel), index_of(*platforms)
    assert detection.platform is not None
    made = tailor(whole, detection)
    best = pick_best(detection.platform, [entry.platform for entry in whole.manifests])
    number = (int(version.split(".", maxsplit=1)[0]), int(version.split(".")[1]))
    if made is None and (best is None or number >= (23, 0)):
        return
    assert best is not None
    for label in _asked_by(number, kernel):
        chosen = takes(made or whole, number, label)
        if made is None and chosen != platforms[best]:
            # 20.10 may ask for v7 or v8 under a 64-bit kernel: two words, of which one index serves both
            raise AssertionError((label, chosen, platforms))
        assert chosen == platforms[best]


def _asked_by(version: tuple[int, int], kernel: str) -> list[str]:
    own = {ZERO: "arm/v6", PI_3: "arm/v7", PI_4: "arm/v8", "5.4.51": "arm/v6"}[kernel]
    if version < (18, 6):
        return [own]
    if version < (20, 10):
        return ["arm/v7" if own == "arm/v6" else own]
    return ["arm/v7", "arm/v8"] if own == "arm/v8" else [own]


def test_an_index_that_would_be_too_large_is_not_made() -> None:
    many = [(None, image("amd64", str(number))) for number in range(MAX_DESCRIPTORS - 2)]
    document = parse_manifest(index(("arm/v7", image("arm/v7")), ("arm/v6", image("arm/v6")), *many).body, "")
    assert isinstance(document, Index)
    assert tailor(document, dockerd("19.03.15", ZERO)) is None


def test_platforms_are_platforms() -> None:
    assert all(isinstance(linux(text), Platform) for text in PLATFORMS)
