"""What entries that do not say what they are lead to: read through whole resolutions, which is how it is used."""

import json
from dataclasses import replace

import pytest

from proxy.arch.candidates import parse_template
from proxy.arch.corrections import Correction, Corrections
from proxy.arch.image_rules import ImageRule
from proxy.arch.questions import ConfigQuestion, ManifestQuestion
from proxy.arch.resolution import Policy, Resolution
from proxy.arch.unfolding import MAX_INDEX_DEPTH, MAX_LOOKS
from tests.arch.worlds import FLEET, Content, World, artifact, image, index, is_untouched, linux, offers

APP = "owner/app:1"
PLAIN = Policy(FLEET)
SUFFIX = Policy(FLEET, (parse_template("{repository}:{tag}-armhf", linux("arm/v7")),))
AMD64, ARM64, V7 = image("amd64"), image("arm64"), image("arm/v7")


def platforms(resolution: Resolution) -> list[str]:
    return [platform for platform, _ in offers(resolution)]


def nested(content: Content, depth: int) -> Content:
    for _ in range(depth):
        content = index((None, content))
    return content


@pytest.mark.parametrize("policy", [PLAIN, SUFFIX], ids=["nothing to add", "a candidate"])
def test_the_images_of_an_inner_index_stand_in_its_place(policy: Policy) -> None:
    held = index(("amd64", AMD64), (None, index(("arm64", ARM64), ("arm/v7", V7))), ("arm/v6", image("arm/v6")))
    world = World({APP: held, f"{APP}-armhf": image("arm/v7", "other")})
    resolution = world.resolve(APP, policy)
    assert is_untouched(resolution)
    assert platforms(resolution) == ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6"]
    assert [entry.descriptor.digest for entry in resolution.entries][1:3] == [ARM64.digest, V7.digest]
    assert "looked into what does not tell its platform, 1 in all" in str(resolution.trail)


def test_what_an_inner_index_lacks_is_looked_for() -> None:
    """It stays where upstream has it, in front of what is added."""
    held = index((None, index(("amd64", AMD64), ("arm64", ARM64))))
    resolution = World({APP: held, f"{APP}-armhf": V7}).resolve(APP, SUFFIX)
    assert platforms(resolution) == ["linux/amd64", "linux/arm64", "linux/arm/v7"]
    assert resolution.synthesis is not None
    assert [entry.digest for entry in resolution.synthesis.manifests] == [held.children[0].digest, V7.digest]


def test_an_inner_index_that_is_listed_for_a_platform_is_its_best_image_for_that() -> None:
    """Nobody else is led into it, whatever it has for others."""
    inner = index(("arm/v6", image("arm/v6")), ("arm/v7", V7), ("amd64", AMD64))
    resolution = World({APP: index(("arm/v7", inner), ("arm64", index((None, ARM64))))}).resolve(APP, PLAIN)
    assert platforms(resolution) == ["linux/arm/v7", "linux/arm64"]
    assert [entry.descriptor.digest for entry in resolution.entries] == [V7.digest, ARM64.digest]


def test_an_inner_index_without_an_image_for_its_platform_is_none() -> None:
    held = index(("arm/v7", index(("amd64", AMD64))), ("arm64", index()), ("amd64", AMD64))
    assert platforms(World({APP: held}).resolve(APP, PLAIN)) == ["linux/amd64"]


def test_what_attests_is_no_image_of_an_inner_index_either() -> None:
    held = index((None, index(("amd64", AMD64), attested=[AMD64])))
    assert platforms(World({APP: held}).resolve(APP, PLAIN)) == ["linux/amd64"]


def test_indexes_are_followed_so_deep_and_no_further() -> None:
    world = World({APP: nested(index(("amd64", AMD64)), MAX_INDEX_DEPTH)})
    assert platforms(world.resolve(APP, PLAIN)) == ["linux/amd64"]
    world = World({APP: nested(index(("amd64", AMD64)), MAX_INDEX_DEPTH + 1)})
    resolution = world.resolve(APP, PLAIN)
    assert platforms(resolution) == ["None"]
    assert resolution.entries[0].descriptor.is_index
    assert len(world.asked) == 1 + MAX_INDEX_DEPTH
    assert is_untouched(resolution)


def test_an_index_of_many_is_looked_into_so_often_and_no_more() -> None:
    many = [index(("arm/v7", image("arm/v7", str(number)))) for number in range(3 * MAX_LOOKS)]
    world = World({APP: index(*((None, one) for one in many))})
    resolution = world.resolve(APP, PLAIN)
    assert len(world.asked) == 1 + MAX_LOOKS
    assert platforms(resolution) == ["linux/arm/v7"] * MAX_LOOKS + ["None"] * 2 * MAX_LOOKS


def test_an_index_that_is_listed_twice_is_read_once() -> None:
    inner = index(("amd64", AMD64))
    world = World({APP: index((None, inner), (None, inner), ("amd64", inner))})
    assert platforms(world.resolve(APP, PLAIN)) == ["linux/amd64"] * 3
    assert len([one for one in world.asked if isinstance(one, ManifestQuestion)]) == 1


def test_an_image_without_a_platform_is_for_what_its_config_says_where_it_matters() -> None:
    world = World({APP: index((None, AMD64), (None, V7)), f"{APP}-armhf": image("arm/v7", "other")})
    resolution = world.resolve(APP, SUFFIX)
    assert platforms(resolution) == ["linux/amd64", "linux/arm/v7"]
    assert is_untouched(resolution)
    assert world.rounds[1:3] == [2, 2]  # both manifests, then both configs
    world.resolve(APP, PLAIN)
    assert world.asked_names == [APP]


def test_an_image_whose_config_tells_nothing_stays_without_a_platform() -> None:
    for silent in (image(None), image("unknown")):
        resolution = World({APP: index((None, silent), ("amd64", AMD64)), f"{APP}-armhf": V7}).resolve(APP, SUFFIX)
        assert platforms(resolution) == ["None", "linux/amd64", "linux/arm/v7"]


def test_what_turns_out_to_be_no_image_is_none() -> None:
    resolution = World({APP: index((None, artifact()), ("amd64", AMD64)), f"{APP}-armhf": V7}).resolve(APP, SUFFIX)
    assert platforms(resolution) == ["linux/amd64", "linux/arm/v7"]


def test_what_is_meant_counts_inside_an_index_too() -> None:
    rule = ImageRule("owner/app", corrections=Corrections((Correction(linux("amd64"), linux("arm/v7")),)))
    policy = replace(PLAIN, rules=(rule,), refuse_missing=True)
    world = World({APP: index((None, index(("amd64", V7))), (None, AMD64))})
    assert platforms(world.resolve(APP, policy)) == ["linux/arm/v7", "linux/arm/v7"]


@pytest.mark.parametrize("is_gone", [False, True], ids=["unreachable", "gone"])
@pytest.mark.parametrize("lost", [index(("arm64", ARM64)), V7, V7.children[0]], ids=["index", "image", "config"])
def test_what_cannot_be_read_stays_as_it_is_listed(lost: Content, *, is_gone: bool) -> None:
    held = index(("amd64", AMD64), (None, lost if lost.children else V7))
    world = World({APP: held})
    (world.denied if is_gone else world.unreachable).add(f"owner/app@{lost.digest}")
    resolution = world.resolve(APP, SUFFIX)
    assert platforms(resolution) == ["linux/amd64", "None"]
    assert resolution.is_complete is is_gone


def test_every_question_is_about_the_content_and_not_about_its_listing() -> None:
    held = index((None, index(("arm64", ARM64))), (None, V7))
    world = World({APP: held})
    world.resolve(APP, SUFFIX)
    assert json.loads(held.body)["manifests"][0].keys() == {"mediaType", "digest", "size"}
    looked = [one.descriptor for one in world.asked if isinstance(one, ManifestQuestion)]
    assert looked == [held.children[0].descriptor, V7.descriptor]
    assert [one for one in world.asked if isinstance(one, ConfigQuestion)] == [
        ConfigQuestion("owner/app", V7.children[0].descriptor)
    ]
