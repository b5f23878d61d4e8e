"""What a resolution makes of what its candidates have."""

import json
from dataclasses import replace

import pytest

from proxy.arch.binaries import parse_binary
from proxy.arch.candidates import official_templates, parse_template
from proxy.arch.examination import contradicts
from proxy.arch.programs import Program
from proxy.arch.questions import BinaryQuestion, Present, TagQuestion
from proxy.arch.resolution import Policy, Resolution, find_digest, resolve
from proxy.arch.unfolding import MAX_INDEX_DEPTH
from proxy.oci import media_types
from proxy.oci.platforms import Platform
from tests import elves
from tests.arch.worlds import FLEET, HUB, Content, World, artifact, image, index, is_untouched, linux, offers, schema1

DEBIAN = "library/debian:jessie"
APP = "owner/app:1"
SUFFIX = Policy(FLEET, (parse_template("{repository}:{tag}-armhf", linux("arm/v7")),))


# --- What candidates have ---


def test_a_namespace_that_holds_an_index_gives_its_image_and_the_image_s_attestation() -> None:
    """What Docker's own namespaces hold today: an index of one image and its attestation."""
    build, other = image("arm/v7", is_oci=True), image("arm64", is_oci=True)
    held = index(("arm/v7", build), ("arm64", other), attested=[build, other])
    world = World({DEBIAN: image("amd64"), "arm32v7/debian:jessie": held})
    resolution = world.resolve(DEBIAN)
    (proof,) = [entry.digest for entry in held.document.children if _attests(entry.source, build)]
    assert [(entry.platform, entry.descriptor.digest, entry.repository) for entry in resolution.additions] == [
        (linux("arm/v7"), build.digest, "arm32v7/debian"),
        (None, proof, "arm32v7/debian"),
    ]
    assert resolution.synthesis is not None
    assert [entry.digest for entry in resolution.synthesis.manifests] == [image("amd64").digest, build.digest, proof]
    assert resolution.synthesis.media_type == media_types.OCI_INDEX
    assert resolution.additions[0].source == f"arm32v7/debian:jessie@{build.digest}"
    assert all(entry.is_added for entry in resolution.additions)


def _attests(source: object, content: Content) -> bool:
    return str(content.digest) in json.dumps(source) and "attestation-manifest" in json.dumps(source)


def test_an_index_without_a_fitting_image_gives_nothing() -> None:
    """At linuxserver, arm32v7-latest was pointed at amd64 images on purpose (docker-duckdns#68)."""
    world = World({DEBIAN: image("amd64"), "arm32v7/debian:jessie": index(("amd64", image("amd64")))})
    resolution = world.resolve(DEBIAN)
    assert is_untouched(resolution)
    assert "an index of linux/amd64: nothing for linux/arm/v7" in str(resolution.trail)
    assert resolution.is_complete


def test_an_index_s_only_image_without_a_platform_is_taken_by_its_name() -> None:
    build = image("arm/v7")
    world = World({DEBIAN: image("amd64"), "arm32v7/debian:jessie": index((None, build))})
    assert [entry.descriptor.digest for entry in world.resolve(DEBIAN).additions] == [build.digest]


def test_an_artifact_in_an_index_is_no_build() -> None:
    unknown = Content("application/vnd.example+json", b"{}")
    world = World({DEBIAN: image("amd64"), "arm32v7/debian:jessie": index((None, unknown))})
    assert is_untouched(world.resolve(DEBIAN))


@pytest.mark.parametrize("made", [artifact(), artifact(media_types.OCI_CONFIG, "application/x")], ids=["helm", "own"])
def test_an_artifact_under_a_stranger_s_name_is_no_build(made: Content) -> None:
    """Its config says nothing against the platform: it is none."""
    world = World({APP: image("amd64"), f"{APP}-armhf": made})
    resolution = world.resolve(APP, SUFFIX)
    assert is_untouched(resolution)
    assert f"candidate {APP}-armhf: not usable: a document of type application/" in str(resolution.trail)


def test_an_index_in_an_index_is_followed() -> None:
    build = image("arm/v7")
    nested = build
    for _ in range(MAX_INDEX_DEPTH):
        nested = index((None, nested))
    world = World({DEBIAN: image("amd64"), "arm32v7/debian:jessie": nested})
    assert [entry.descriptor.digest for entry in world.resolve(DEBIAN).additions] == [build.digest]


def test_an_index_nested_too_deep_gives_nothing() -> None:
    nested = image("arm/v7")
    for _ in range(MAX_INDEX_DEPTH + 1):
        nested = index((None, nested))
    world = World({DEBIAN: image("amd64"), "arm32v7/debian:jessie": nested})
    assert is_untouched(world.resolve(DEBIAN))
    assert len(world.asked) < 20


def test_schema_1_is_never_spliced() -> None:
    """Old namespaces may hold it, and no current client can read it (platforms.md §3.3)."""
    world = World({DEBIAN: image("amd64"), "armhf/debian:jessie": schema1()})
    resolution = world.resolve(DEBIAN)
    assert is_untouched(resolution)
    assert "armhf/debian:jessie: not usable: an image of schema 1, which no index can list" in str(resolution.trail)
    assert resolution.is_complete


def test_a_registry_that_tells_no_media_type_by_head_is_read() -> None:
    world = World({DEBIAN: image("amd64"), "arm32v7/debian:jessie": image("arm/v7")})
    conversation = resolve("library/debian", "jessie", HUB)
    questions = next(conversation)
    resolution: Resolution | None = None
    while resolution is None:
        answers = [world.answer(question) for question in questions]
        for position, question in enumerate(questions):
            answer = answers[position]
            if isinstance(question, TagQuestion) and not question.with_document and isinstance(answer, Present):
                vague = replace(answer.descriptor, media_type="application/octet-stream")
                answers[position] = Present(vague)
        try:
            questions = conversation.send(tuple(answers))
        except StopIteration as stop:
            resolution = stop.value
    (added,) = resolution.additions
    assert added.descriptor == image("arm/v7").descriptor


def test_the_first_candidate_of_a_platform_that_has_a_build_is_taken() -> None:
    """Today's namespace before the frozen one."""
    world = World({DEBIAN: image("amd64")})
    world.publish("armhf/debian:jessie", image("arm/v7", "old")).publish(
        "arm32v7/debian:jessie", image("arm/v7", "new")
    )
    (added,) = world.resolve(DEBIAN).additions
    assert added.repository == "arm32v7/debian"


def test_the_next_candidate_is_taken_where_the_first_is_not_usable() -> None:
    world = World({DEBIAN: image("amd64")})
    world.publish("arm32v7/debian:jessie", index(("amd64", image("amd64"))))
    world.publish("armhf/debian:jessie", image("arm/v7"))
    (added,) = world.resolve(DEBIAN).additions
    assert added.repository == "armhf/debian"


def test_a_more_specific_build_beats_what_is_merely_compatible() -> None:
    """An arm/v7 machine could run upstream's v5, but is offered the v6 build that there is."""
    world = World({DEBIAN: index(("amd64", image("amd64")), ("arm/v5", image("arm/v5")))})
    world.publish("arm32v6/debian:jessie", image("arm/v6"))
    resolution = world.resolve(DEBIAN, policy=Policy((linux("arm/v7"),), official_templates()))
    assert [platform for platform, _ in offers(resolution)] == ["linux/amd64", "linux/arm/v5", "linux/arm/v6"]


def test_nothing_is_asked_that_would_not_beat_what_there_is() -> None:
    world = World({DEBIAN: index(("arm/v6", image("arm/v6")))})
    world.resolve(DEBIAN, policy=Policy((linux("arm/v7"),), official_templates()))
    assert world.asked_tags == [DEBIAN, "arm32v7/debian:jessie", "armhf/debian:jessie"]


def test_added_entries_stand_in_docker_s_own_order() -> None:
    """amd64, arm64, then the others, higher variants first: an old client takes the first that matches."""
    names = ("s390x", "arm32v5", "arm32v6", "ppc64le", "arm32v7", "i386", "arm64v8", "amd64")
    world = World({f"{name}/debian:jessie": image(None, name) for name in names})
    fleet = tuple({template.platform for template in official_templates()})
    resolution = world.resolve(DEBIAN, policy=Policy(fleet, official_templates()))
    order = [str(entry.platform) for entry in resolution.entries]
    assert order[:2] == ["linux/amd64", "linux/arm64"]
    assert [text for text in order if "/arm/" in text] == ["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]


def test_an_index_that_would_be_too_large_is_not_made() -> None:
    """Upstream's own may be up to 4 MiB; what is added must not take it above that, nor above our own limits."""
    entries = [(None, image("amd64", str(number))) for number in range(4096)]
    world = World({DEBIAN: index(*entries), "arm32v7/debian:jessie": image("arm/v7")})
    resolution = world.resolve(DEBIAN)
    assert is_untouched(resolution)
    assert find_digest(resolution) == world.tags[DEBIAN].digest
    *_, answer = resolution.trail.as_lines()
    assert "would be too large" in answer
    assert answer.endswith("upstream's document, byte for byte")


# --- Candidates that are not trusted ---


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        pytest.param("amd64", "refused: its config says linux/amd64", id="another-cpu"),
        pytest.param("arm64", "refused: its config says linux/arm64", id="64-bit"),
        pytest.param("arm/v8", "refused: its config says linux/arm/v8", id="too-new"),
        pytest.param("arm/v7", "an image whose config says linux/arm/v7", id="the-same"),
        pytest.param("arm/v6", "an image whose config says linux/arm/v6", id="runs-there-too"),
        pytest.param("arm", "an image whose config says linux/arm", id="no-variant"),
        pytest.param(None, "an image whose config says an unknown platform", id="no-platform"),
    ],
)
@pytest.mark.parametrize("is_wrapped", [False, True], ids=["bare", "in-an-index-that-lies"])
def test_a_stranger_s_image_counts_unless_its_config_contradicts(
    claim: str | None,
    verdict: str,
    is_wrapped: bool,  # noqa: FBT001
) -> None:
    held = image(claim)
    world = World({APP: image("amd64"), f"{APP}-armhf": index(("arm/v7", held)) if is_wrapped else held})
    resolution = world.resolve(APP, SUFFIX)
    assert f"candidate {APP}-armhf: {verdict}" in resolution.trail.as_lines()
    assert is_untouched(resolution) is verdict.startswith("refused")
    assert resolution.is_complete


def test_two_names_of_one_image_are_read_once() -> None:
    templates = tuple(
        parse_template(f"{{repository}}:{{tag}}-{suffix}", linux(platform))
        for suffix, platform in (("armhf", "arm/v7"), ("rpi", "arm/v6"))
    )
    held = index(("arm/v6", image("arm/v6")))
    world = World({APP: image("amd64"), f"{APP}-armhf": held, f"{APP}-rpi": held})
    resolution = world.resolve(APP, Policy(FLEET, templates))
    assert [platform for platform, _ in offers(resolution)] == ["linux/amd64", "linux/arm/v7", "linux/arm/v6"]


@pytest.mark.parametrize(
    ("offered_for", "claimed", "is_contradiction"),
    [
        ("arm/v7", "arm/v7", False),
        ("arm/v7", "arm/v5", False),
        ("arm/v6", "arm/v7", True),
        ("arm/v6", "arm", False),  # Docker's own arm32v6 images say no more (bashbrew#29)
        ("arm64", "arm", True),
        ("arm64", "arm/v7", False),
        ("arm64", "arm64/v8", False),
        ("amd64", "386", False),
        ("amd64", "amd64/v3", True),
        ("386", "amd64", True),
    ],
)
def test_a_config_contradicts_what_cannot_run_it(offered_for: str, claimed: str, is_contradiction: bool) -> None:  # noqa: FBT001
    assert contradicts(linux(offered_for), linux(claimed)) is is_contradiction


def test_a_config_of_another_system_contradicts() -> None:
    assert contradicts(linux("arm/v7"), Platform("windows", "arm"))
    assert contradicts(linux("amd64"), Platform("windows", "amd64"))


# --- Candidates whose binaries are looked at ---


def _program(content: bytes) -> Program:
    binary = parse_binary(content)
    assert binary is not None
    return Program("bin/busybox", 0, binary)


def _checking(*, trusted: bool) -> Policy:
    template = replace(parse_template("{repository}:{tag}-rpi", linux("arm/v6"), trusted=trusted), checks_binaries=True)
    return Policy((linux("arm/v6"),), (template,))


@pytest.mark.parametrize("trusted", [False, True], ids=["stranger", "trusted"])
@pytest.mark.parametrize("is_wrapped", [False, True], ids=["bare", "in-an-index"])
@pytest.mark.parametrize(
    ("content", "verdict"),
    [
        pytest.param(
            elves.ARMHF,
            "refused: its /bin/busybox is ARM v7, VFPv3-D16, hard float, which linux/arm/v6 cannot run",
            id="mislabelled",
        ),
        pytest.param(
            elves.AMD64, "refused: its /bin/busybox is amd64, which linux/arm/v6 cannot run", id="another-cpu"
        ),
        pytest.param(elves.RASPBIAN, "; its /bin/busybox is ARM v6KZ, VFPv2, hard float", id="as-it-says"),
        pytest.param(elves.GO_ARM, "; its /bin/busybox is ARM", id="open"),
    ],
)
def test_a_binary_has_the_last_word(content: bytes, verdict: str, *, is_wrapped: bool, trusted: bool) -> None:
    held = image("arm/v6", program=_program(content))
    world = World({APP: image("amd64"), f"{APP}-rpi": index(("arm/v6", held)) if is_wrapped else held})
    resolution = world.resolve(APP, _checking(trusted=trusted))
    (line,) = [line for line in resolution.trail.as_lines() if line.startswith(f"candidate {APP}-rpi: ")]
    assert line.endswith(verdict)
    assert is_untouched(resolution) is verdict.startswith("refused")
    assert resolution.is_complete


def test_an_image_without_a_binary_is_believed() -> None:
    world = World({APP: image("amd64"), f"{APP}-rpi": image("arm/v6")})
    resolution = world.resolve(APP, _checking(trusted=False))
    assert "an image whose config says linux/arm/v6; no binary to look at" in str(resolution.trail)
    assert not is_untouched(resolution)


def test_no_layer_is_looked_at_of_what_is_refused_or_not_to_be_checked() -> None:
    held = image("arm/v7", program=_program(elves.ARMHF))
    world = World({APP: image("amd64"), f"{APP}-rpi": held, f"{APP}-armhf": held})
    world.resolve(APP, _checking(trusted=False))
    assert not any(isinstance(question, BinaryQuestion) for question in world.asked)
    world.resolve(APP, SUFFIX)
    assert not any(isinstance(question, BinaryQuestion) for question in world.asked)


def test_layers_that_cannot_be_read_now_leave_the_answer_open() -> None:
    held = image("arm/v6", program=_program(elves.RASPBIAN))
    world = World({APP: image("amd64"), f"{APP}-rpi": held})
    world.unreachable.add(f"owner/app@{held.children[1].digest}")
    resolution = world.resolve(APP, _checking(trusted=False))
    assert is_untouched(resolution)
    assert not resolution.is_complete
    assert "could not be read: a layer is timed out" in str(resolution.trail)
