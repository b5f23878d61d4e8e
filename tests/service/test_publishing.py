"""Publishing, over registries in memory."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.arch.synthesis import Synthesis
from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidSetting, RegistryError, UpstreamMisbehaved, UpstreamRefused, UpstreamUnreachable
from proxy.oci.manifests import Descriptor, Index, parse_manifest
from proxy.oci.platforms import Platform
from proxy.ports import FetchedManifest
from proxy.service.publishing import Origin, Part, Place, Publication, Publisher, Step
from tests.fakes.registry import MemoryRegistry
from tests.lab.images import Image, build_image, build_index
from tests.service.bench import address

AMD64, RPI, ARM_V7, ARM64 = map(Platform.parse, ("linux/amd64", "linux/arm/v6", "linux/arm/v7", "linux/arm64"))
PC, PI = build_image("linux/amd64", label="app"), build_image("linux/arm/v6", label="app")
PLACE = Place("team/app", "1")


def part_of(image: Image, source: MemoryRegistry, *platforms: Platform, registry: str = "", name: str = "src") -> Part:
    manifest = image.manifest
    descriptor = Descriptor(manifest.media_type, address(manifest), len(manifest.content))
    return Part(platforms, descriptor, Origin(registry, name, source))


@pytest.fixture
def source() -> MemoryRegistry:
    registry = MemoryRegistry()
    registry.fill("src", PC, PI)
    return registry


def publication(source: MemoryRegistry, **more: object) -> Publication:
    parts = (part_of(PC, source, AMD64), part_of(PI, source, RPI, ARM_V7, ARM64))
    return Publication("registry.lan", PLACE, parts, **more)  # type: ignore[arg-type]


async def publish(
    destination: MemoryRegistry, wanted: Publication, *, is_dry: bool = False
) -> tuple[Synthesis, list[Step]]:
    steps = list[Step]()
    return await Publisher(destination, steps.append).publish(wanted, is_dry=is_dry), steps


def entries(destination: MemoryRegistry, place: Place = PLACE) -> list[tuple[str, Digest]]:
    held = destination.repositories[place.repository]
    found = held.manifests[held.tags[place.tag]]
    index = parse_manifest(found.content, found.media_type)
    assert isinstance(index, Index)
    return [(str(one.platform), one.digest) for one in index.manifests]


async def test_an_image_for_several_platforms_is_stored_once(source: MemoryRegistry) -> None:
    destination = MemoryRegistry()
    index, _ = await publish(destination, publication(source))
    pi = address(PI.manifest)
    assert entries(destination) == [
        ("linux/amd64", address(PC.manifest)),
        ("linux/arm/v6", pi),
        ("linux/arm/v7", pi),
        ("linux/arm64/v8", pi),
    ]
    assert [step for step in destination.steps if step[0] == "manifest" and step[2] == str(pi)] == [
        ("manifest", "team/app", str(pi))
    ]
    assert destination.tags() == {"team/app:1": index.digest}


async def test_tags_come_last_and_the_index_s_own_at_the_very_end(source: MemoryRegistry) -> None:
    destination = MemoryRegistry()
    wanted = publication(source)
    places = ((Place("amd64/app", "1"), wanted.parts[0]), (Place("arm32v6/app", "1"), wanted.parts[1]))
    index, _ = await publish(destination, publication(source, places=places))
    kinds = [kind for kind, _, _ in destination.steps]
    assert kinds == sorted(kinds, key=lambda kind: kind == "tag")
    assert destination.steps[-3:] == [("tag", "amd64/app", "1"), ("tag", "arm32v6/app", "1"), ("tag", "team/app", "1")]
    assert destination.tags() == {
        "amd64/app:1": address(PC.manifest),
        "arm32v6/app:1": address(PI.manifest),
        "team/app:1": index.digest,
    }
    blobs = [step for step in destination.steps if step[0] == "blob"]
    assert len(blobs) == len({step[2] for step in blobs}), "something was pushed twice instead of mounted"


async def test_within_a_registry_nothing_is_pushed_but_manifests(source: MemoryRegistry) -> None:
    parts = (part_of(PC, source, AMD64, registry="registry.lan"),)
    _, steps = await publish(source, Publication("registry.lan", PLACE, parts))
    assert {step.action for step in steps if step.what != "1"} == {"mount", "push"}
    assert {kind for kind, _, _ in source.steps} == {"mount", "manifest", "tag"}


async def test_where_nothing_can_be_mounted_it_is_pushed(source: MemoryRegistry) -> None:
    source.can_mount = False
    parts = (part_of(PC, source, AMD64, registry="registry.lan"),)
    await publish(source, Publication("registry.lan", PLACE, parts))
    assert {kind for kind, _, _ in source.steps} == {"blob", "manifest", "tag"}


async def test_what_is_there_is_left_alone(source: MemoryRegistry) -> None:
    destination = MemoryRegistry()
    first, _ = await publish(destination, publication(source))
    before = len(destination.steps)
    second, steps = await publish(destination, publication(source))
    assert first == second
    assert destination.steps[before:] == []
    assert [step.action for step in steps] == ["skip"] * 4


async def test_a_tag_that_leads_elsewhere_is_moved(source: MemoryRegistry) -> None:
    destination = MemoryRegistry()
    destination.fill(PLACE.repository, PC, tag=PLACE.tag)
    index, steps = await publish(destination, publication(source))
    assert destination.tags() == {"team/app:1": index.digest}
    assert steps[-1] == Step("tag", "team/app", "1", len(index.content))


async def test_dry_nothing_is_done_and_the_same_is_told(source: MemoryRegistry) -> None:
    destination = MemoryRegistry()
    foreseen, dry = await publish(destination, publication(source), is_dry=True)
    assert (destination.steps, destination.repositories) == ([], {})
    done, steps = await publish(destination, publication(source))
    assert foreseen == done
    assert sorted(map(str, dry)) == sorted(map(str, steps))


@given(breaks_after=st.integers(0, 12))
async def test_whenever_it_breaks_no_tag_leads_to_less_than_all(breaks_after: int) -> None:
    source, destination = MemoryRegistry(), MemoryRegistry()
    source.fill("src", PC, PI)
    destination.breaks_after = breaks_after
    try:
        await publish(destination, publication(source))
    except UpstreamUnreachable:
        assert destination.tags() == {}
    else:
        assert len(destination.steps) <= breaks_after
    destination.breaks_after = None
    await publish(destination, publication(source))
    assert len(entries(destination)) == 4


async def test_who_may_not_write_moves_no_tag(source: MemoryRegistry) -> None:
    destination = MemoryRegistry()
    destination.is_read_only = True
    with pytest.raises(UpstreamRefused, match="does not let us write"):
        await publish(destination, publication(source))
    assert destination.tags() == {}


async def test_a_layer_that_is_damaged_where_it_comes_from_is_not_published(source: MemoryRegistry) -> None:
    blobs = source.repositories["src"].blobs
    blobs[address(PC.layers[0])] = b"x" * len(PC.layers[0].content)
    destination = MemoryRegistry()
    with pytest.raises(UpstreamMisbehaved):
        await publish(destination, publication(source))
    assert destination.tags() == {}


async def test_an_index_is_no_image(source: MemoryRegistry) -> None:
    index = build_index([PC])

    found = FetchedManifest(index.manifest.content, index.manifest.media_type, address(index.manifest))
    source.repositories["src"].manifests[found.digest] = found
    part = Part((AMD64,), found.descriptor, Origin("", "src", source))
    with pytest.raises(InvalidSetting, match="is no image"):
        await publish(MemoryRegistry(), Publication("registry.lan", PLACE, (part,)))


async def test_attestations_travel_with_their_image(source: MemoryRegistry) -> None:
    index = build_index([PC], attested=True)
    (attestation,) = index.attestations
    source.fill("src", attestation)
    manifest = attestation.manifest
    told = Descriptor(manifest.media_type, address(manifest), len(manifest.content), attests=address(PC.manifest))
    own = part_of(PC, source, AMD64)
    destination = MemoryRegistry()
    written, _ = await publish(
        destination, Publication("registry.lan", PLACE, (Part((AMD64,), own.descriptor, own.origin, (told,)),))
    )
    assert [digest for _, digest in entries(destination)] == [address(PC.manifest), address(manifest)]
    assert written.media_type == media_types.OCI_INDEX


def test_the_same_parts_are_the_same_bytes() -> None:
    def write(platforms: Sequence[Platform]) -> Digest:
        return Publication("r", PLACE, (part_of(PI, MemoryRegistry(), *platforms),)).write_index().digest

    assert write([RPI, ARM_V7]) == write([RPI, ARM_V7])
    assert write([RPI, ARM_V7]) != write([RPI])


def test_an_index_of_more_than_fits_is_refused() -> None:
    platforms = [Platform("linux", "amd64", f"v{number}") for number in range(5000)]
    with pytest.raises(InvalidSetting, match="do not fit"):
        Publication("r", PLACE, (part_of(PI, MemoryRegistry(), *platforms),)).write_index()


async def test_an_image_that_is_nowhere_is_said(source: MemoryRegistry) -> None:
    other = build_image("linux/s390x", label="nowhere")
    with pytest.raises(RegistryError, match="no manifest"):
        await publish(MemoryRegistry(), Publication("r", PLACE, (part_of(other, source, AMD64),)))
