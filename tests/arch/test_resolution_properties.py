"""What holds of every resolution, whatever the world is like."""

import json
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given

from proxy.arch.candidates import Template
from proxy.arch.compatibility import can_run, rank
from proxy.arch.examination import contradicts
from proxy.arch.questions import Present
from proxy.arch.resolution import find_digest
from proxy.oci import media_types
from proxy.oci.manifests import Index, parse_manifest
from proxy.oci.platforms import Platform
from tests.arch.scenes import NAME, Scene, scenes
from tests.arch.worlds import Content


def _images_of(content: Content) -> list[Content]:
    return [each for each in content.everything() if each.media_type in media_types.IMAGE_MANIFESTS]


@given(scenes())
def test_no_world_makes_it_ask_twice_or_raise(scene: Scene) -> None:
    """`World.ask` sees to the former, for every property below too."""
    resolution = scene.look()
    assert resolution.trail.reasons
    assert all(count > 0 for count in scene.world.rounds)


@given(scenes())
def test_the_same_world_gives_the_same_resolution_to_whoever_asks(scene: Scene) -> None:
    """Nothing of a client goes in; a HEAD comes to the same digest, with fewer questions."""
    first = scene.look()
    questions = len(scene.world.asked)
    assert scene.look() == first
    by_head = scene.look(is_head=True)
    assert find_digest(by_head) == find_digest(first)
    assert len(scene.world.asked) <= questions


@given(scenes())
def test_upstream_s_document_is_untouched_exactly_if_nothing_is_added(scene: Scene) -> None:
    resolution = scene.look()
    assert (resolution.synthesis is None) is (not resolution.additions)
    if resolution.synthesis is None:
        upstream = scene.world.tags.get(NAME)
        is_there = isinstance(resolution.upstream, Present)
        assert find_digest(resolution) == (upstream.digest if upstream and is_there else None)
        assert not any(entry.is_added for entry in resolution.entries)


@given(scenes())
def test_a_synthesised_index_lists_what_the_resolution_says(scene: Scene) -> None:
    resolution = scene.look()
    if resolution.synthesis is None:
        return
    made = parse_manifest(resolution.synthesis.content, resolution.synthesis.media_type)
    assert isinstance(made, Index)
    images = [(entry.digest, entry.platform) for entry in made.manifests if entry.is_runnable]
    own = [entry for entry in resolution.entries if not entry.is_added]
    added = [(e.descriptor.digest, e.platform.explicit()) for e in resolution.entries if e.is_added and e.platform]
    assert images[len(images) - len(added) :] == added
    upstream = scene.world.tags.get(NAME)
    inside = {each.digest for each in upstream.everything()} if upstream is not None else set()
    assert {entry.descriptor.digest for entry in own} <= inside
    if not any(entry.is_index or entry.platform is None for entry in made.manifests):
        assert images[: len(own)] == [(entry.descriptor.digest, entry.platform) for entry in own]
    if upstream is not None and isinstance(upstream.document, Index) and isinstance(resolution.upstream, Present):
        kept = json.loads(upstream.body)["manifests"]
        assert json.loads(resolution.synthesis.content)["manifests"][: len(kept)] == kept


@given(scenes())
def test_every_added_image_is_one_that_a_template_names_for_its_platform(scene: Scene) -> None:
    resolution = scene.look()
    for entry in resolution.additions:
        name = f"{entry.repository}:{entry.tag}"
        assert name in scene.world.tags
        assert entry.descriptor.digest in {each.digest for each in _images_of(scene.world.tags[name])}
        if entry.platform is not None:
            named = [template.apply("library/app", "1") for template in scene.policy.templates]
            assert (name, entry.platform) in {(str(found), found.platform) for found in named if found is not None}


@given(scenes())
def test_no_image_is_offered_for_a_platform_that_it_is_not_for(scene: Scene) -> None:
    """What the index says that it is from and, of a stranger, what the config says, must run there.

    A trusted name fills in what an index leaves open: Docker's own of before 2023 say `arm` and no variant, which is v7
    to containerd, of builds for v6 (platforms.md §3.4: docker-library/bashbrew#29).
    """
    for entry in scene.look().additions:
        if entry.platform is None:
            continue
        held = scene.world.tags[f"{entry.repository}:{entry.tag}"]
        listed = {
            child.platform
            for each in held.everything()
            if each.media_type in media_types.INDEXES
            for child in each.document.children
            if child.digest == entry.descriptor.digest and child.is_runnable
        }
        is_trusted = _is_trusted(scene.policy.templates, entry.repository, entry.platform)
        assert not listed or any(_may_be_for(entry.platform, platform, is_trusted=is_trusted) for platform in listed)
        if not is_trusted:
            (claim,) = {each.claim for each in _images_of(held) if each.digest == entry.descriptor.digest}
            assert claim is None or not contradicts(entry.platform, claim)


def _may_be_for(machine: Platform, listed: Platform | None, *, is_trusted: bool) -> bool:
    if listed is None or can_run(machine, listed):
        return True
    return is_trusted and not listed.variant and not contradicts(machine, listed)


def _is_trusted(templates: Sequence[Template], repository: str, platform: Platform) -> bool:
    named = [template.apply("library/app", "1") for template in templates]
    first = next(c for c in named if c is not None and (c.repository, c.platform) == (repository, platform))
    return first.trusted


@given(scenes())
def test_it_is_incomplete_exactly_if_something_that_was_asked_could_not_be(scene: Scene) -> None:
    resolution = scene.look()
    was_cut = any(name in scene.world.unreachable for name in scene.world.asked_names[1:])
    assert resolution.is_complete is not was_cut


@given(scenes())
def test_attestations_come_only_with_their_subject_and_from_its_repository(scene: Scene) -> None:
    resolution = scene.look()
    subjects = {entry.descriptor.digest: entry.repository for entry in resolution.additions if entry.platform}
    for entry in resolution.additions:
        if entry.platform is None:
            assert entry.descriptor.attests in subjects


@given(scenes())
def test_every_machine_of_the_fleet_gets_the_best_build_that_any_namespace_has(scene: Scene) -> None:
    """Of plain images under trusted names, with nothing cut off: nothing better is left lying."""
    world, policy = scene.world, scene.policy
    world.unreachable.clear()
    resolution = scene.look()
    upstream = world.tags.get(NAME)
    if upstream is not None and upstream.media_type in media_types.SCHEMA1:
        return
    offered = [entry.platform for entry in resolution.entries if entry.platform is not None]
    candidates = [found for template in policy.templates if (found := template.apply("library/app", "1")) is not None]
    for candidate in candidates:
        held = world.tags.get(str(candidate))
        if held is None or not candidate.trusted or held.media_type not in media_types.IMAGE_MANIFESTS:
            continue
        for machine in policy.fleet:
            possible = rank(machine, candidate.platform)
            got = [value for platform in offered if (value := rank(machine, platform)) is not None]
            assert possible is None or min(got) <= possible


@given(scenes())
def test_added_images_are_sorted_as_docker_sorts_them(scene: Scene) -> None:
    added = [entry.platform for entry in scene.look().additions if entry.platform is not None]
    for one, other in pairwise(added):
        if one.architecture == other.architecture:
            assert one.variant >= other.variant
        else:
            assert one.architecture == "amd64" or other.architecture not in {"amd64", "arm64"}
