from dataclasses import replace

import pytest

from proxy.arch.candidates import official_templates, parse_template
from proxy.arch.questions import Absent, ConfigPlatform, ManifestQuestion, Present, TagQuestion, Unreachable
from proxy.arch.resolution import Outcome, Policy, find_digest, find_outcome, resolve
from proxy.oci import media_types
from tests.arch.worlds import (
    FLEET,
    HUB,
    PRIVATE,
    Content,
    World,
    artifact,
    image,
    index,
    is_untouched,
    linux,
    offers,
    schema1,
)

DEBIAN = "library/debian:jessie"
APP = "owner/app:1"
SUFFIX = Policy(FLEET, (parse_template("{repository}:{tag}-armhf", linux("arm/v7")),))


# --- The forum's cases ---


def test_debian_jessie_is_amd64_only_and_gets_its_arm_builds_from_docker_s_own_namespaces() -> None:
    """The seed post. There never was an arm32v6/debian: a Pi Zero gets the soft-float v5."""
    world = World({DEBIAN: image("amd64")})
    for namespace, platform in (("arm32v5", "arm/v5"), ("arm32v7", "arm/v7"), ("arm64v8", "arm64"), ("i386", "386")):
        world.publish(f"{namespace}/debian:jessie", image(platform))
    resolution = world.resolve(DEBIAN)
    assert offers(resolution) == [
        ("linux/amd64", DEBIAN),
        ("linux/arm64", "arm64v8/debian:jessie"),
        ("linux/arm/v7", "arm32v7/debian:jessie"),
        ("linux/arm/v5", "arm32v5/debian:jessie"),
    ]
    assert resolution.synthesis is not None
    assert resolution.synthesis.media_type == media_types.DOCKER_LIST
    assert find_digest(resolution) == resolution.synthesis.digest
    assert resolution.is_complete
    assert world.asked_tags == [
        DEBIAN,
        *(f"{namespace}/debian:jessie" for namespace in ("arm32v6", "arm32v7", "arm64v8", "armhf", "aarch64")),
        "arm32v5/debian:jessie",
    ]
    assert resolution.trail.as_lines() == [
        f"{DEBIAN}: {world.tags[DEBIAN].digest}",
        "upstream: one image for linux/amd64, as its config says",
        "candidate arm32v6/debian:jessie for linux/arm/v6: absent",
        f"candidate arm32v7/debian:jessie for linux/arm/v7: {image('arm/v7').digest}",
        "candidate arm32v7/debian:jessie: an image, taken for linux/arm/v7 by its name",
        f"candidate arm64v8/debian:jessie for linux/arm64: {image('arm64').digest}",
        "candidate arm64v8/debian:jessie: an image, taken for linux/arm64 by its name",
        "candidate armhf/debian:jessie for linux/arm/v7: absent",
        "candidate aarch64/debian:jessie for linux/arm64: absent",
        f"candidate arm32v5/debian:jessie for linux/arm/v5: {image('arm/v5').digest}",
        "candidate arm32v5/debian:jessie: an image, taken for linux/arm/v5 by its name",
        f"answer: synthesised index {resolution.synthesis.digest} with linux/arm64, linux/arm/v7, linux/arm/v5 added",
    ]


def test_debian_jessie_as_an_index_without_arm64_gets_only_that() -> None:
    """The last index of jessie lost its arm64 entry, while arm64v8/debian:jessie is still there."""
    upstream = index(*((text, image(text)) for text in ("amd64", "arm/v5", "arm/v7", "386")), is_oci=False)
    world = World({DEBIAN: upstream, "arm64v8/debian:jessie": image("arm64")})
    resolution = world.resolve(DEBIAN)
    assert offers(resolution)[-1] == ("linux/arm64", "arm64v8/debian:jessie")
    assert world.asked_tags == [
        DEBIAN,
        *(f"{namespace}/debian:jessie" for namespace in ("arm32v6", "arm64v8", "aarch64")),
    ]


def test_redis_3_alpine_asks_only_for_the_one_platform_that_is_missing_and_stays_untouched() -> None:
    name = "library/redis:3-alpine"
    upstream = index(*((text, image(text)) for text in ("amd64", "arm/v5", "arm/v7", "arm64")))
    world = World({name: upstream})
    resolution = world.resolve(name)
    assert world.asked_tags == [name, "arm32v6/redis:3-alpine"]
    assert is_untouched(resolution)
    assert find_digest(resolution) == upstream.digest
    assert resolution.trail.as_lines()[-1] == "answer: nothing to add: upstream's document, byte for byte"


def test_an_index_that_serves_the_whole_fleet_is_not_looked_beyond() -> None:
    name = "library/alpine:latest"
    world = World({name: index(*((text, image(text)) for text in ("arm/v6", "arm/v7", "arm64/v8", "amd64")))})
    assert is_untouched(world.resolve(name))
    assert world.asked_tags == [name]


def test_the_proposal_s_namespaces_are_asked_where_the_policy_has_them() -> None:
    world = World({"app:1": image("amd64"), "arm6/app:1": image("arm/v6")})
    resolution = world.resolve("app:1", PRIVATE)
    assert offers(resolution) == [("linux/amd64", "app:1"), ("linux/arm/v6", "arm6/app:1")]
    assert "rpi/app:1" in world.asked_tags


def test_the_proposal_s_namespaces_are_not_asked_where_a_stranger_may_own_them() -> None:
    world = World({"library/app:1": image("amd64"), "arm6/app:1": image("arm/v6")})
    assert is_untouched(world.resolve("library/app:1"))
    assert not any(name.startswith(("arm6/", "arm7/", "rpi/")) for name in world.asked_tags)


def test_one_name_for_several_platforms_is_asked_once_and_listed_for_each() -> None:
    """A rule like `also_runs_on`, the proposal's TAGARCH: one digest, several descriptors, stored once."""
    templates = tuple(
        parse_template("rpi/{name}", linux(text), trusted=True) for text in ("arm/v6", "arm/v7", "arm/v8")
    )
    world = World({DEBIAN: image("amd64"), "rpi/debian:jessie": index(("arm/v6", image("arm/v6")))})
    resolution = world.resolve(DEBIAN, policy=Policy((*FLEET, linux("arm/v8")), templates))
    assert world.asked_tags == [DEBIAN, "rpi/debian:jessie"]
    assert resolution.synthesis is not None
    assert [(str(entry.platform), entry.digest) for entry in resolution.synthesis.manifests[1:]] == [
        (f"linux/arm/{variant}", image("arm/v6").digest) for variant in ("v8", "v7", "v6")
    ]


# --- What upstream has ---


def test_nothing_more_is_asked_where_no_candidate_applies() -> None:
    world = World({"owner/app:1": image("amd64")})
    resolution = world.resolve("owner/app:1")
    assert world.asked_names == ["owner/app:1"]
    assert [entry.platform for entry in resolution.entries] == [None]
    assert is_untouched(resolution)


def test_an_absent_tag_is_made_of_what_the_namespaces_have() -> None:
    world = World({"arm32v7/debian:jessie": image("arm/v7")})
    resolution = world.resolve(DEBIAN)
    assert isinstance(resolution.upstream, Absent)
    assert offers(resolution) == [("linux/arm/v7", "arm32v7/debian:jessie")]
    assert resolution.synthesis is not None


def test_a_tag_that_nobody_has_is_nothing() -> None:
    resolution = World().resolve(DEBIAN)
    assert find_digest(resolution) is None
    assert is_untouched(resolution)
    assert resolution.entries == ()
    assert resolution.trail.as_lines()[-1] == "answer: nothing anywhere"


def test_what_is_denied_is_as_good_as_absent() -> None:
    resolution = World(denied={DEBIAN}).resolve(DEBIAN)
    assert resolution.upstream == Absent("denied", is_denied=True)
    assert resolution.trail.as_lines()[0] == f"{DEBIAN}: denied"


def test_nothing_is_asked_further_while_upstream_cannot_be_asked() -> None:
    world = World({"arm32v7/debian:jessie": image("arm/v7")}, unreachable={DEBIAN})
    resolution = world.resolve(DEBIAN)
    assert world.asked_names == [DEBIAN]
    assert isinstance(resolution.upstream, Unreachable)
    assert find_digest(resolution) is None
    assert resolution.trail.as_lines() == [f"{DEBIAN}: timed out"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(schema1(), id="schema-1"),
        pytest.param(Content("application/vnd.example+json", b"{}"), id="unknown-type"),
        pytest.param(artifact(), id="helm-chart"),
        pytest.param(artifact(media_types.OCI_CONFIG, "application/x"), id="artifact-by-its-own-word"),
        pytest.param(index((None, Content("application/vnd.example+json", b"{}"))), id="index-of-artifacts"),
    ],
)
def test_a_document_that_cannot_be_spliced_is_passed_on(content: Content) -> None:
    world = World({DEBIAN: content, "arm32v7/debian:jessie": image("arm/v7")})
    resolution = world.resolve(DEBIAN)
    assert world.asked_names == [DEBIAN]
    assert is_untouched(resolution)
    assert find_digest(resolution) == content.digest
    assert "passed on as it is" in str(resolution.trail)


def test_an_image_whose_config_tells_no_platform_stays_first_without_one() -> None:
    world = World({DEBIAN: image(None), "arm32v7/debian:jessie": image("arm/v7")})
    resolution = world.resolve(DEBIAN)
    assert offers(resolution) == [("None", DEBIAN), ("linux/arm/v7", "arm32v7/debian:jessie")]
    assert "one image for an unknown platform" in str(resolution.trail)


@pytest.mark.parametrize("is_gone", [False, True], ids=["unreachable", "gone"])
def test_an_image_whose_config_cannot_be_read_stays_first_without_a_platform(*, is_gone: bool) -> None:
    held = image("amd64")
    world = World({DEBIAN: held, "arm32v7/debian:jessie": image("arm/v7")})
    (world.denied if is_gone else world.unreachable).add(f"library/debian@{held.children[0].digest}")
    resolution = world.resolve(DEBIAN)
    assert offers(resolution) == [("None", DEBIAN), ("linux/arm/v7", "arm32v7/debian:jessie")]
    reason = "denied" if is_gone else "timed out"
    assert f"one image for an unknown platform: its config is {reason}" in str(resolution.trail)
    assert resolution.is_complete is is_gone


def test_an_image_whose_config_says_unknown_is_listed_without_a_platform() -> None:
    """BuildKit's attestations say so: under a tag of their own they are nobody's build."""
    world = World({DEBIAN: image("unknown"), "arm32v7/debian:jessie": image("arm/v7")})
    resolution = world.resolve(DEBIAN)
    assert resolution.synthesis is not None
    assert resolution.synthesis.manifests[0].platform is None


def _present(content: Content, *, with_document: bool = False) -> Present:
    return Present(content.descriptor, content.document if with_document else None)


def test_the_config_of_a_single_image_is_read_only_where_it_matters() -> None:
    world = World({"owner/app:1": image("amd64")})
    world.resolve("owner/app:1", Policy(FLEET))
    assert world.asked_names == ["owner/app:1"]
    refusing = world.resolve("owner/app:1", Policy(FLEET, refuse_missing=True))
    assert offers(refusing) == [("linux/amd64", "owner/app:1")]


def test_attestations_of_upstream_are_no_images_but_stay_in_the_index() -> None:
    built = image("amd64", is_oci=True)
    world = World({DEBIAN: index(("amd64", built), attested=[built]), "arm32v7/debian:jessie": image("arm/v7")})
    resolution = world.resolve(DEBIAN)
    assert [platform for platform, _ in offers(resolution)] == ["linux/amd64", "linux/arm/v7"]
    assert resolution.synthesis is not None
    assert [entry.attests for entry in resolution.synthesis.manifests] == [None, built.digest, None]


def test_a_stale_answer_is_told_in_the_trail() -> None:
    conversation = resolve("owner/app", "1", HUB)
    next(conversation)
    with pytest.raises(StopIteration) as stop:
        conversation.send((replace(_present(image("amd64"), with_document=True), is_stale=True),))
    assert stop.value.value.trail.as_lines()[0] == f"owner/app:1: {image('amd64').digest} (stale)"


# --- HEAD ---


def test_a_head_costs_no_document_where_no_candidate_applies() -> None:
    world = World({"owner/app:1": image("amd64")})
    resolution = world.resolve("owner/app:1", is_head=True)
    assert world.asked == [TagQuestion("owner/app", "1", with_document=False)]
    assert find_digest(resolution) == image("amd64").digest
    assert resolution.entries == ()


def test_a_head_asks_for_the_document_where_it_may_not_be_the_answer() -> None:
    world = World({DEBIAN: image("amd64")})
    world.resolve(DEBIAN, is_head=True)
    assert world.asked[0] == TagQuestion("library/debian", "jessie", with_document=True)
    world.resolve("owner/app:1", Policy(FLEET, refuse_missing=True), is_head=True)
    assert world.asked[0] == TagQuestion("owner/app", "1", with_document=True)


# --- What cannot be asked ---


def test_a_candidate_that_cannot_be_asked_makes_the_answer_incomplete() -> None:
    world = World({DEBIAN: image("amd64"), "arm32v7/debian:jessie": image("arm/v7")})
    world.unreachable.add("arm64v8/debian:jessie")
    resolution = world.resolve(DEBIAN)
    assert not resolution.is_complete
    assert [platform for platform, _ in offers(resolution)] == ["linux/amd64", "linux/arm/v7"]


@pytest.mark.parametrize(
    ("held", "lost"),
    [
        pytest.param(index(("arm/v7", image("arm/v7"))), index(("arm/v7", image("arm/v7"))), id="its-index"),
        pytest.param(index(("arm/v7", image("arm/v7"))), image("arm/v7"), id="its-image"),
        pytest.param(image("arm/v7"), image("arm/v7").children[0], id="its-config"),
    ],
)
@pytest.mark.parametrize("is_gone", [False, True], ids=["unreachable", "gone"])
def test_a_candidate_that_cannot_be_read_makes_the_answer_incomplete(
    held: Content,
    lost: Content,
    is_gone: bool,  # noqa: FBT001
) -> None:
    world = World({APP: image("amd64"), f"{APP}-armhf": held})
    (world.denied if is_gone else world.unreachable).add(f"owner/app@{lost.digest}")
    resolution = world.resolve(APP, SUFFIX)
    assert is_untouched(resolution)
    assert not resolution.is_complete
    assert "could not be read" in str(resolution.trail)


def test_an_upstream_config_that_cannot_be_read_makes_the_answer_incomplete() -> None:
    """The index then lists upstream's image without a platform: right for a moment, but another digest."""
    world = World({DEBIAN: image("amd64"), "arm32v7/debian:jessie": image("arm/v7")})
    whole = world.resolve(DEBIAN)
    world.unreachable.add(f"library/debian@{image('amd64').children[0].digest}")
    cut = world.resolve(DEBIAN)
    assert whole.is_complete
    assert not cut.is_complete
    assert find_digest(whole) != find_digest(cut)


def test_an_answer_of_another_kind_is_not_believed() -> None:
    """A driver's mistake must not become an entry."""
    conversation = resolve("owner/app", "1", SUFFIX)
    next(conversation)
    conversation.send((_present(image("amd64"), with_document=True),))
    conversation.send((ConfigPlatform(linux("amd64")),))
    (question,) = conversation.send((_present(image("arm/v7")),))
    assert isinstance(question, ManifestQuestion)
    with pytest.raises(StopIteration) as stop:
        conversation.send((ConfigPlatform(linux("arm/v7")),))
    assert stop.value.value.additions == ()
    assert not stop.value.value.is_complete


def test_an_image_where_an_index_was_announced_is_judged_as_what_it_is() -> None:
    build, announced = image("arm/v7"), index(("arm/v7", image("arm/v7")))
    conversation = resolve("library/debian", "jessie", Policy((linux("arm/v7"),), official_templates()[3:4]))
    next(conversation)
    conversation.send((Absent(),))
    conversation.send((_present(announced),))
    with pytest.raises(StopIteration) as stop:
        conversation.send((_present(build, with_document=True),))
    assert [entry.descriptor for entry in stop.value.value.additions] == [build.descriptor]


# --- In one word ---


@pytest.mark.parametrize(
    ("tags", "outcome"),
    [
        pytest.param({"debian": "amd64"}, Outcome.UNTOUCHED, id="untouched"),
        pytest.param({"debian": "amd64", "arm32v7/debian": "arm/v7"}, Outcome.SYNTHESISED, id="synthesised"),
        pytest.param({"arm32v7/debian": "arm/v7"}, Outcome.SYNTHESISED, id="upstream itself has none"),
        pytest.param({}, Outcome.ABSENT, id="absent"),
    ],
)
def test_what_became_of_a_tag_in_one_word(tags: dict[str, str], outcome: Outcome) -> None:
    world = World()
    for repository, platform in tags.items():
        name = repository if "/" in repository else f"library/{repository}"
        world.publish(f"{name}:jessie", image(platform))
    assert find_outcome(world.resolve(DEBIAN)) is outcome


def test_what_cannot_be_asked_is_unreachable() -> None:
    conversation = resolve("library/debian", "jessie", Policy(FLEET))
    next(conversation)
    with pytest.raises(StopIteration) as stop:
        conversation.send((Unreachable("gone"),))
    assert find_outcome(stop.value.value) is Outcome.UNREACHABLE
