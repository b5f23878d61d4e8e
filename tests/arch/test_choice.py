from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.arch.candidates import official_templates
from proxy.arch.choice import LEGACY_PLATFORM, Asker, Choice, choose
from proxy.arch.compatibility import can_run, rank
from proxy.arch.detection import ClientHints, Detection, detect
from proxy.arch.entries import Entry
from proxy.arch.questions import Present, Unreachable
from proxy.arch.resolution import Policy, find_digest
from proxy.oci import media_types
from proxy.oci.platforms import Platform
from tests.arch.scenes import Scene, scenes
from tests.arch.worlds import FLEET, Content, World, image, index, linux, schema1
from tests.strategies import KNOWN_PLATFORMS

DEBIAN = "library/debian:jessie"
DOCKER_1_9 = frozenset({media_types.DOCKER_MANIFEST, media_types.DOCKER_SCHEMA1_SIGNED, "application/json"})
"""What a client accepts that knows no index."""
DOCKER_18_05 = DOCKER_1_9 | {media_types.DOCKER_LIST}
"""What a client accepts that knows no OCI type."""
PI_ZERO = "docker/20.10.24 go/go1.19.8 kernel/6.1.21+ os/linux arch/arm UpstreamClient(Docker-Client/20.10.24)"
AMD64, ARM64, ARM7 = image("amd64"), image("arm64"), image("arm/v7")


def _world() -> World:
    """Debian on amd64, with builds for arm64 and arm/v7 elsewhere: the answer is a synthesised index."""
    return World({DEBIAN: AMD64, "arm64v8/debian:jessie": ARM64, "arm32v7/debian:jessie": ARM7})


def _asker(platform: str | None, accepted: frozenset[str] = frozenset(), *, wants_manifest: bool = False) -> Asker:
    detection = Detection(None if platform is None else linux(platform), "default")
    return Asker(detection, accepted, wants_manifest=wants_manifest)


def _choose(world: World, asker: Asker, *, refuse_missing: bool = False) -> Choice:
    policy = Policy(FLEET, official_templates(), refuse_missing=refuse_missing)
    return choose(world.resolve(DEBIAN, policy), asker, refuse_missing=refuse_missing)


# --- What a client takes ---


@pytest.mark.parametrize(
    ("accepted", "wants_manifest", "taken"),
    [
        pytest.param(frozenset(), False, {"list", "index", "image"}, id="no-accept-header"),
        pytest.param(media_types.MANIFESTS, False, {"list", "index", "image"}, id="docker-29"),
        pytest.param(frozenset({"*/*"}), False, {"list", "index", "image"}, id="anything"),
        pytest.param(DOCKER_18_05, False, {"list"}, id="docker-18.05"),
        pytest.param(DOCKER_1_9, False, set(), id="docker-1.9"),
        pytest.param(media_types.MANIFESTS, True, {"image"}, id="wants-a-manifest"),
        pytest.param(frozenset(), True, {"image"}, id="wants-a-manifest-and-says-nothing"),
    ],
)
def test_a_client_takes_the_types_that_it_accepts(
    accepted: frozenset[str],
    wants_manifest: bool,  # noqa: FBT001
    taken: set[str],
) -> None:
    types = {"list": media_types.DOCKER_LIST, "index": media_types.OCI_INDEX, "image": media_types.OCI_MANIFEST}
    asker = _asker(None, accepted, wants_manifest=wants_manifest)
    assert {name for name, media_type in types.items() if asker.takes(media_type)} == taken
    assert asker.takes_any_index is ({"list", "index"} <= taken)


# --- The whole document ---


@pytest.mark.parametrize("platform", ["amd64", "arm64", "arm/v7", "arm/v6", None])
def test_a_client_that_takes_an_index_is_answered_the_same_whatever_it_is(platform: str | None) -> None:
    """`--platform` works, and pinned digests agree."""
    world = _world()
    choice = _choose(world, _asker(platform, media_types.MANIFESTS))
    assert choice.synthesis is not None
    assert choice.descriptor is not None
    assert choice.descriptor.digest == choice.synthesis.digest
    assert choice.descriptor.size == len(choice.synthesis.content)
    assert choice.repository == "library/debian"
    assert choice.verdict == "the synthesised index"


@pytest.mark.parametrize(
    ("platform", "content"),
    [("amd64", AMD64), ("arm64", ARM64), ("arm/v7", ARM7), ("arm/v8", ARM7), ("arm/v6", None), (None, None)],
)
def test_the_answer_names_the_image_that_the_client_will_run(platform: str | None, content: Content | None) -> None:
    entry = _choose(_world(), _asker(platform)).entry
    assert (None if entry is None else entry.descriptor.digest) == (None if content is None else content.digest)


def test_upstream_s_document_is_served_where_nothing_was_added() -> None:
    world = World({DEBIAN: index(*((text, image(text)) for text in ("amd64", "arm64", "arm/v7", "arm/v6")))})
    choice = _choose(world, _asker("arm/v6"))
    assert choice.descriptor == world.tags[DEBIAN].descriptor
    assert choice.synthesis is None
    assert choice.verdict == "upstream's document"


@pytest.mark.parametrize("wants_manifest", [False, True], ids=["takes-an-index", "wants-a-manifest"])
def test_a_single_image_is_served_to_everyone(wants_manifest: bool) -> None:  # noqa: FBT001
    """What upstream has, where nothing runs: the default."""
    choice = _choose(World({DEBIAN: AMD64}), _asker("arm/v6", wants_manifest=wants_manifest))
    assert choice.descriptor is not None
    assert choice.descriptor.digest == AMD64.digest
    assert choice.entry is None


@pytest.mark.parametrize(
    "accepted",
    [
        pytest.param(frozenset(), id="leaves it open"),
        pytest.param(DOCKER_1_9, id="Docker 1.9"),
        pytest.param(frozenset({media_types.OCI_INDEX, media_types.DOCKER_SCHEMA1_SIGNED}), id="podman"),
        pytest.param(frozenset({media_types.OCI_INDEX, "*/*"}), id="containerd"),
    ],
)
def test_schema_1_is_served_as_it_is_to_who_reads_it(accepted: frozenset[str]) -> None:
    choice = _choose(World({DEBIAN: schema1()}), _asker("arm/v6", accepted))
    assert choice.descriptor == schema1().descriptor
    assert choice.verdict == "upstream's document"


def test_who_does_not_read_schema_1_is_told_what_to_do() -> None:
    """Docker from 29 on names it no more, and would make something of it that nobody understands."""
    asker = _asker("arm/v6", media_types.MANIFESTS)
    choice = _choose(World({DEBIAN: schema1()}), asker)
    assert choice.descriptor is None
    assert "schema 1" in choice.verdict
    assert "skopeo" in choice.verdict


# --- The one image ---


def test_a_pi_zero_that_takes_no_index_is_answered_its_v6_manifest() -> None:
    build = image("arm/v6")
    world = _world().publish("arm32v6/debian:jessie", build)
    asker = Asker(detect(ClientHints(user_agent=PI_ZERO)), DOCKER_1_9)
    choice = _choose(world, asker)
    assert choice.descriptor is not None
    assert choice.descriptor.digest == build.digest
    assert choice.descriptor.media_type == media_types.DOCKER_MANIFEST
    assert choice.repository == "arm32v6/debian"
    assert choice.synthesis is None
    assert choice.verdict == "the image for linux/arm/v6"


@pytest.mark.parametrize(
    ("platform", "content", "repository"),
    [
        ("amd64", AMD64, "library/debian"),
        ("arm64", ARM64, "arm64v8/debian"),
        ("arm/v7", ARM7, "arm32v7/debian"),
        ("arm/v8", ARM7, "arm32v7/debian"),
        (None, AMD64, "library/debian"),
    ],
)
def test_a_client_that_takes_no_index_is_answered_the_image_for_it(
    platform: str | None, content: Content, repository: str
) -> None:
    """One that shows no platform gets amd64, as from Docker Hub."""
    choice = _choose(_world(), _asker(platform, DOCKER_1_9))
    assert choice.descriptor is not None
    assert (choice.descriptor.digest, choice.repository) == (content.digest, repository)


def test_a_platform_in_the_path_is_answered_its_manifest_even_if_the_client_takes_an_index() -> None:
    choice = _choose(_world(), _asker("arm/v7", media_types.MANIFESTS, wants_manifest=True))
    assert choice.descriptor is not None
    assert choice.descriptor.digest == ARM7.digest


def test_a_client_that_knows_docker_s_list_only_is_answered_the_image_where_there_is_an_oci_index() -> None:
    entries = [(text, image(text)) for text in ("amd64", "arm64", "arm/v7", "arm/v6")]
    asker = _asker("arm/v6", DOCKER_18_05)
    by_list = _choose(World({DEBIAN: index(*entries, is_oci=False)}), asker)
    by_index = _choose(World({DEBIAN: index(*entries)}), asker)
    assert by_list.descriptor is not None
    assert by_index.descriptor is not None
    assert by_list.descriptor.media_type == media_types.DOCKER_LIST
    assert by_index.descriptor.digest == image("arm/v6").digest


def test_the_child_of_upstream_s_own_index_is_answered_too() -> None:
    world = World({DEBIAN: index(*((text, image(text)) for text in ("amd64", "arm64", "arm/v7", "arm/v6")))})
    choice = _choose(world, _asker("arm/v6", DOCKER_1_9))
    assert choice.descriptor is not None
    assert (choice.descriptor.digest, choice.repository) == (image("arm/v6").digest, "library/debian")


@pytest.mark.parametrize(
    ("platform", "verdict"),
    [
        ("arm/v5", "nothing runs on linux/arm/v5; there is linux/amd64, linux/arm64, linux/arm/v7"),
        ("s390x", "nothing runs on linux/s390x; there is linux/amd64, linux/arm64, linux/arm/v7"),
    ],
)
def test_no_image_of_another_cpu_is_answered_for_one(platform: str, verdict: str) -> None:
    choice = _choose(_world(), _asker(platform, DOCKER_1_9))
    assert choice.descriptor is None
    assert choice.verdict == verdict


def test_a_client_without_a_platform_is_answered_nothing_where_there_is_no_amd64() -> None:
    world = World({DEBIAN: index(("arm64", ARM64))})
    choice = choose(world.resolve(DEBIAN, Policy(())), _asker(None, DOCKER_1_9))
    assert choice.descriptor is None
    assert choice.verdict == "nothing runs on an unknown platform; there is linux/arm64"


def test_an_image_without_a_platform_is_a_last_resort() -> None:
    world = World({DEBIAN: index((None, AMD64))})
    choice = choose(world.resolve(DEBIAN, Policy(())), _asker("arm/v6", DOCKER_1_9))
    assert choice.descriptor is not None
    assert choice.descriptor.digest == AMD64.digest
    assert choice.verdict == "the image for linux/arm/v6"


# --- Nothing ---


@pytest.mark.parametrize("refuse_missing", [False, True], ids=["serve", "refuse"])
def test_an_absent_tag_is_answered_nothing(refuse_missing: bool) -> None:  # noqa: FBT001
    assert _choose(World(), _asker(None), refuse_missing=refuse_missing).verdict == "absent"
    choice = _choose(World(), _asker("arm/v6"), refuse_missing=refuse_missing)
    assert choice.descriptor is None
    assert choice.verdict == ("nothing runs on linux/arm/v6; there is no image at all" if refuse_missing else "absent")


@pytest.mark.parametrize("refuse_missing", [False, True], ids=["serve", "refuse"])
def test_an_unreachable_upstream_is_told_as_such_and_never_as_a_missing_platform(refuse_missing: bool) -> None:  # noqa: FBT001
    choice = _choose(World(unreachable={DEBIAN}), _asker("arm/v6"), refuse_missing=refuse_missing)
    assert choice.descriptor is None
    assert choice.verdict == "timed out"


@pytest.mark.parametrize(
    ("world", "there"),
    [
        pytest.param(_world(), "linux/amd64, linux/arm64, linux/arm/v7", id="synthesised"),
        pytest.param(World({DEBIAN: AMD64}), "linux/amd64", id="single-image"),
        pytest.param(World({DEBIAN: index(("386", image("386")))}), "linux/386", id="index"),
    ],
)
def test_refusing_names_the_platforms_that_exist(world: World, there: str) -> None:
    choice = _choose(world, _asker("arm/v6"), refuse_missing=True)
    assert choice.descriptor is None
    assert choice.verdict == f"nothing runs on linux/arm/v6; there is {there}"


def test_refusing_looks_at_a_single_image_where_no_candidate_applies_too() -> None:
    policy = Policy(FLEET, refuse_missing=True)
    resolution = World({"owner/app:1": AMD64}).resolve("owner/app:1", policy)
    assert choose(resolution, _asker("arm/v6"), refuse_missing=True).descriptor is None
    assert choose(resolution, _asker("amd64"), refuse_missing=True).descriptor is not None


@pytest.mark.parametrize("platform", ["amd64", "arm64", None])
def test_refusing_touches_nobody_for_whom_there_is_something_or_who_shows_no_platform(platform: str | None) -> None:
    assert _choose(_world(), _asker(platform), refuse_missing=True).descriptor is not None


def test_what_there_is_is_told_in_one_line_whatever_it_is_called() -> None:
    world = World({DEBIAN: index(*((f"{name}\n", image("s390x", name)) for name in ("a" * 3000, "b")))})
    verdict = _choose(world, _asker("arm/v6"), refuse_missing=True).verdict
    assert verdict.isprintable()
    assert len(verdict) < 1200


def test_an_image_without_a_platform_is_not_refused() -> None:
    assert _choose(World({DEBIAN: image(None)}), _asker("arm/v6"), refuse_missing=True).descriptor is not None


# --- Whatever the world is like ---

askers = st.builds(
    Asker,
    st.builds(Detection, st.none() | st.sampled_from(KNOWN_PLATFORMS), st.just("user-agent")),
    st.sampled_from((frozenset[str](), media_types.MANIFESTS, DOCKER_18_05, DOCKER_1_9, frozenset({"*/*"}))),
    wants_manifest=st.booleans(),
)


def _ranks(machine: Platform, entries: Sequence[Entry]) -> list[int]:
    """Answer how well each entry fits a machine that it fits."""
    found = (rank(machine, entry.platform) for entry in entries if entry.platform is not None)
    return [value for value in found if value is not None]


@given(scenes(), askers, st.booleans())
def test_nobody_is_answered_what_the_cpu_cannot_run_while_something_else_runs(
    scene: Scene,
    asker: Asker,
    refuse_missing: bool,  # noqa: FBT001
) -> None:
    resolution = scene.look()
    choice = choose(resolution, asker, refuse_missing=refuse_missing)
    machine = asker.detection.platform
    if machine is None:
        return
    # Who is not given the index can be given no index inside of it either.
    is_index = choice.descriptor is not None and choice.descriptor.is_index
    offered = [entry for entry in resolution.entries if is_index or not entry.descriptor.is_index]
    # And it is given the best image that it reads, before a better one that it does not.
    readable = [
        entry for entry in offered if is_index or media_types.accepts_any(asker.accepted, {entry.descriptor.media_type})
    ]
    is_open = any(entry.platform is None for entry in readable)
    fitting = _ranks(machine, readable) or ([] if is_open else _ranks(machine, offered))
    if fitting:
        assert choice.entry is not None
        assert choice.entry.platform is not None
        assert rank(machine, choice.entry.platform) == min(fitting)
        assert choice.descriptor is not None
    else:
        assert choice.entry is None or choice.entry.platform is None


@given(scenes(), askers, st.booleans())
def test_what_is_answered_is_the_document_for_all_or_the_image_for_one(
    scene: Scene,
    asker: Asker,
    refuse_missing: bool,  # noqa: FBT001
) -> None:
    resolution = scene.look()
    choice = choose(resolution, asker, refuse_missing=refuse_missing)
    assert choice.verdict
    if choice.descriptor is None:
        assert choice.synthesis is None
        assert choice.entry is None
        return
    if choice.descriptor.digest == find_digest(resolution):
        assert choice.synthesis == resolution.synthesis
        assert choice.repository == resolution.repository
        return
    assert choice.entry is not None
    assert (choice.descriptor, choice.repository) == (choice.entry.descriptor, choice.entry.repository)
    machine = asker.detection.platform or LEGACY_PLATFORM
    assert choice.entry.platform is None or can_run(machine, choice.entry.platform)
    assert not asker.takes_any_index


@given(scenes(), st.none() | st.sampled_from(KNOWN_PLATFORMS))
def test_a_client_that_takes_an_index_is_answered_the_document_for_all_if_there_is_one(
    scene: Scene, machine: Platform | None
) -> None:
    resolution = scene.look()
    choice = choose(resolution, Asker(Detection(machine, "default")))
    assert (None if choice.descriptor is None else choice.descriptor.digest) == find_digest(resolution)


@given(scenes(), askers)
def test_refusing_takes_away_but_never_changes_an_answer(scene: Scene, asker: Asker) -> None:
    resolution = scene.look()
    served, refused = choose(resolution, asker), choose(resolution, asker, refuse_missing=True)
    assert refused == served or refused.descriptor is None
    if isinstance(resolution.upstream, Unreachable):
        assert refused == served
    if isinstance(resolution.upstream, Present) and asker.detection.platform is None:
        assert refused == served


@given(scenes(), askers)
def test_a_head_is_answered_what_the_get_after_it_is_answered(scene: Scene, asker: Asker) -> None:
    """Dockerd and containerd fetch the digest that the HEAD told."""
    refuse_missing = scene.policy.refuse_missing
    by_get = choose(scene.look(), asker, refuse_missing=refuse_missing)
    by_head = choose(scene.look(is_head=asker.takes_any_index), asker, refuse_missing=refuse_missing)
    digests = [None if choice.descriptor is None else choice.descriptor.digest for choice in (by_get, by_head)]
    assert digests[0] == digests[1]
    assert by_head.synthesis == by_get.synthesis
