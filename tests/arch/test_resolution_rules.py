"""What the operator says of single images, and what an index names beyond its builds."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.arch.aliases import AliasMode
from proxy.arch.candidates import parse_source, parse_template
from proxy.arch.compatibility import can_run
from proxy.arch.corrections import Correction, Corrections
from proxy.arch.image_rules import ImageRule, SharedImage
from proxy.arch.resolution import Policy, find_digest
from proxy.oci import media_types
from proxy.oci.manifests import Index, parse_manifest
from tests.arch.scenes import Scene, scenes
from tests.arch.worlds import HUB, Content, World, image, index, is_untouched, linux, offers

DEBIAN = "library/debian:jessie"
RASPBIAN = "resin/rpi-raspbian:jessie"


def with_rules(*rules: ImageRule, aliases: AliasMode = AliasMode.NEVER, base: Policy = HUB) -> Policy:
    return replace(base, rules=rules, aliases=aliases)


def corrected(claimed: str | None, true: str) -> Corrections:
    return Corrections((Correction(linux(claimed) if claimed else None, linux(true)),))


# --- A source outright ---


OUTRIGHT = ImageRule("library/debian", sources=(parse_source("resin/rpi-raspbian:{tag}", linux("arm/v6")),))


def test_a_source_outright_is_the_only_one_that_is_asked_for_its_platform() -> None:
    world = World({DEBIAN: image("amd64"), RASPBIAN: image("amd64", "liar"), "arm32v6/debian:jessie": image("arm/v6")})
    resolution = world.resolve(DEBIAN, with_rules(OUTRIGHT))
    assert ("linux/arm/v6", RASPBIAN) in offers(resolution)
    assert "arm32v6/debian:jessie" not in world.asked_tags
    assert "arm32v7/debian:jessie" in world.asked_tags


def test_a_source_outright_takes_the_place_of_upstream_s_own_entry() -> None:
    own = index(("amd64", image("amd64")), ("arm/v6", image("arm/v6")), attested=[image("arm/v6")])
    resolution = World({DEBIAN: own, RASPBIAN: image("arm/v6", "raspbian")}).resolve(DEBIAN, with_rules(OUTRIGHT))
    assert offers(resolution) == [("linux/amd64", DEBIAN), ("linux/arm/v6", RASPBIAN)]
    assert resolution.synthesis is not None
    listed = [entry.digest for entry in resolution.synthesis.manifests]
    assert listed == [image("amd64").digest, image("arm/v6", "raspbian").digest]


def test_where_a_source_outright_has_nothing_upstream_s_own_entry_stays() -> None:
    own = index(*((text, image(text)) for text in ("amd64", "arm64", "arm/v7", "arm/v6")))
    world = World({DEBIAN: own})
    assert is_untouched(world.resolve(DEBIAN, with_rules(OUTRIGHT)))
    assert world.asked_tags == [DEBIAN, RASPBIAN]


def test_a_source_outright_may_be_for_a_platform_that_is_not_of_the_fleet() -> None:
    rule = ImageRule("library/debian", sources=(parse_source("mine/debian-81:{tag}", linux("arm64/v8.1")),))
    world = World({DEBIAN: image("amd64"), "mine/debian-81:jessie": image("arm64", "fast")})
    assert ("linux/arm64/v8.1", "mine/debian-81:jessie") in offers(world.resolve(DEBIAN, with_rules(rule)))


# --- Left out ---


def test_an_excluded_candidate_is_never_asked() -> None:
    rule = ImageRule("library/*", excluded=("arm32v7/*", "armhf/debian:j*"))
    world = World({DEBIAN: image("amd64"), "arm32v7/debian:jessie": image("arm/v7")})
    assert ("linux/arm/v7", "arm32v7/debian:jessie") not in offers(world.resolve(DEBIAN, with_rules(rule)))
    assert not {"arm32v7/debian:jessie", "armhf/debian:jessie"} & set(world.asked_tags)


# --- Corrected ---


def test_a_single_image_that_lies_is_listed_as_what_it_is() -> None:
    name = "balenalib/rpi-raspbian:latest"
    world = World({name: image("amd64", "liar")})
    rule = ImageRule("balenalib/rpi-*", corrections=corrected("amd64", "arm/v6"))
    resolution = world.resolve(name, with_rules(rule))
    assert offers(resolution) == [("linux/arm/v6", name)]
    assert resolution.synthesis is not None
    (entry,) = resolution.synthesis.manifests
    assert entry.digest == world.tags[name].digest
    assert entry.platform == linux("arm/v6")
    assert world.resolve(name, with_rules(rule), is_head=True).synthesis == resolution.synthesis
    assert any("a rule says" in line for line in resolution.trail.as_lines())


def test_an_index_that_lies_is_written_anew_but_for_what_is_true() -> None:
    name = "owner/app:1"
    world = World({name: index(("amd64", image("amd64")), ("arm", image("arm/v5")), annotations={"a": "b"})})
    rule = ImageRule("owner/app", corrections=corrected("arm", "arm/v5"))
    resolution = world.resolve(name, with_rules(rule))
    assert resolution.synthesis is not None
    before, after = json.loads(world.tags[name].body), json.loads(resolution.synthesis.content)
    assert after["manifests"][0] == before["manifests"][0]
    assert after["manifests"][1]["platform"] == {"architecture": "arm", "os": "linux", "variant": "v5"}
    assert "with platforms corrected" in resolution.trail.as_lines()[-1]


def test_what_is_true_already_stays_untouched() -> None:
    name = "owner/app:1"
    world = World({name: index(("amd64", image("amd64")), ("arm/v7", image("arm/v7")))})
    rule = ImageRule("owner/app", corrections=corrected("arm64", "arm/v5"))
    assert is_untouched(world.resolve(name, with_rules(rule)))


@pytest.mark.parametrize("content", [image("arm64/v8"), index(("arm64/v8", image("arm64/v8")))], ids=["image", "index"])
def test_what_is_true_in_another_spelling_stays_untouched(content: Content) -> None:
    rule = ImageRule("owner/app", corrections=corrected(None, "arm64"))
    assert is_untouched(World({"owner/app:1": content}).resolve("owner/app:1", with_rules(rule)))


def test_a_candidate_that_lies_is_believed_where_a_rule_says_so() -> None:
    """`balenalib/rpi-…` images say amd64 in their configs (platforms.md §4.4)."""
    policy = Policy(HUB.fleet, (parse_template("balenalib/rpi-{name}", linux("arm/v6")),))
    world = World({DEBIAN: image("amd64"), "balenalib/rpi-debian:jessie": image("amd64", "liar")})
    assert is_untouched(world.resolve(DEBIAN, policy))
    rule = ImageRule("balenalib/rpi-*", corrections=corrected(None, "arm/v6"))
    assert ("linux/arm/v6", "balenalib/rpi-debian:jessie") in offers(
        world.resolve(DEBIAN, with_rules(rule, base=policy))
    )


def test_a_candidate_s_index_that_lies_is_believed_where_a_rule_says_so() -> None:
    policy = Policy(HUB.fleet, (parse_template("balenalib/rpi-{name}", linux("arm/v6")),))
    held = index(("amd64", image("amd64", "liar")))
    world = World({DEBIAN: image("amd64"), "balenalib/rpi-debian:jessie": held})
    rule = ImageRule("balenalib/rpi-*", corrections=corrected(None, "arm/v6"))
    assert ("linux/arm/v6", "balenalib/rpi-debian:jessie") in offers(
        world.resolve(DEBIAN, with_rules(rule, base=policy))
    )


# --- One image for several ---


TAGARCH = ImageRule(
    "library/debian",
    shared=(SharedImage(linux("arm/v6"), tuple(linux(text) for text in ("arm/v7", "arm64", "arm64/v8.1"))),),
)


def test_one_image_stands_for_several_platforms_by_one_digest() -> None:
    """The forum's `TAGARCH arm7 arm8 arm8.1 rpi`."""
    world = World({DEBIAN: image("amd64"), "arm32v6/debian:jessie": image("arm/v6")})
    resolution = world.resolve(DEBIAN, with_rules(TAGARCH))
    assert resolution.synthesis is not None
    listed = [(str(entry.platform), entry.digest) for entry in resolution.synthesis.manifests]
    arm = image("arm/v6").digest
    assert listed == [
        ("linux/amd64", image("amd64").digest),
        ("linux/arm64/v8.1", arm),
        ("linux/arm64/v8", arm),
        ("linux/arm/v7", arm),
        ("linux/arm/v6", arm),
    ]
    assert {entry.repository for entry in resolution.additions} == {"arm32v6/debian"}


def test_a_more_specific_build_goes_before_a_shared_one() -> None:
    world = World(
        {
            DEBIAN: image("amd64"),
            "arm32v6/debian:jessie": image("arm/v6"),
            "arm32v7/debian:jessie": image("arm/v7"),
        }
    )
    found = dict(offers(world.resolve(DEBIAN, with_rules(TAGARCH))))
    assert found["linux/arm/v7"] == "arm32v7/debian:jessie"
    assert found["linux/arm64"] == "arm32v6/debian:jessie"


def test_upstream_s_own_image_may_be_shared_too() -> None:
    name = "library/debian:1"
    world = World({name: image("arm/v6")})
    resolution = world.resolve(name, with_rules(TAGARCH))
    assert [platform for platform, _ in offers(resolution)] == [
        "linux/arm/v6",
        "linux/arm64/v8.1",
        "linux/arm64",
        "linux/arm/v7",
    ]


# --- For clients that match exactly ---


def test_an_index_that_is_made_anyway_names_something_for_the_whole_fleet() -> None:
    world = World({DEBIAN: image("amd64"), "arm32v5/debian:jessie": image("arm/v5")})
    resolution = world.resolve(DEBIAN, with_rules(aliases=AliasMode.MISSING))
    assert [platform for platform, _ in offers(resolution)] == [
        "linux/amd64",
        "linux/arm/v8",
        "linux/arm/v7",
        "linux/arm/v6",
        "linux/arm/v5",
    ]
    assert len({entry.descriptor.digest for entry in resolution.entries}) == 2
    assert "alias: the image for linux/arm/v5 stands for linux/arm/v7 too" in resolution.trail.as_lines()


TRIXIE = index(*((text, image(text)) for text in ("amd64", "arm64", "arm/v7", "arm/v5")))


@pytest.mark.parametrize(
    ("mode", "is_made"), [(AliasMode.NEVER, False), (AliasMode.MISSING, False), (AliasMode.EXACT, True)]
)
def test_only_the_operator_s_word_makes_an_index_of_aliases_alone(mode: AliasMode, *, is_made: bool) -> None:
    """`debian:trixie` has v7 and v5, and stays byte for byte what Docker signed."""
    name = "library/debian:trixie"
    resolution = World({name: TRIXIE}).resolve(name, with_rules(aliases=mode))
    assert (resolution.synthesis is not None) is is_made
    assert (("linux/arm/v6", name) in offers(resolution)) is is_made
    if not is_made:
        assert find_digest(resolution) == TRIXIE.digest


def test_a_single_image_gets_its_aliases_where_every_index_does() -> None:
    name = "owner/app:1"
    resolution = World({name: image("arm/v6")}).resolve(name, with_rules(aliases=AliasMode.EXACT))
    assert [platform for platform, _ in offers(resolution)] == ["linux/arm/v6", "linux/arm/v8", "linux/arm/v7"]
    assert resolution.synthesis is not None
    assert resolution.synthesis.media_type == media_types.DOCKER_LIST


@given(scenes(), st.sampled_from(AliasMode))
def test_aliases_change_nothing_else(scene: Scene, mode: AliasMode) -> None:
    """The same builds are found, and what stands for more runs there; upstream's entries stay first."""
    plain = scene.look()
    resolution = scene.world.resolve("library/app:1", replace(scene.policy, aliases=mode))
    aliases = [entry for entry in resolution.entries if entry.alias_of is not None]
    builds = [entry for entry in resolution.entries if entry.alias_of is None]
    assert builds == list(plain.entries)
    for alias in aliases:
        assert alias.platform is not None
        assert alias.alias_of is not None
        assert can_run(alias.platform, alias.alias_of)
    if mode is not AliasMode.EXACT and plain.synthesis is None:
        assert resolution.synthesis is None
    if resolution.synthesis is not None:
        made = parse_manifest(resolution.synthesis.content, resolution.synthesis.media_type)
        assert isinstance(made, Index)
        for alias in aliases:
            assert (alias.descriptor.digest, alias.platform) in {
                (entry.digest, entry.platform.normalised()) for entry in made.manifests if entry.platform
            }
