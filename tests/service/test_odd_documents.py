"""Odd documents of an upstream, against the real use cases: what a client gets of each, and what the trail says."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from proxy.arch.candidates import parse_template
from proxy.arch.resolution import Policy, Resolution
from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import ManifestUnknown, UpstreamError, UpstreamMisbehaved, UpstreamUnreachable
from proxy.oci.manifests import REFERENCE_DIGEST, REFERENCE_TYPE
from proxy.oci.platforms import Platform
from proxy.service.freshness import CacheState
from tests.arch.worlds import Content, artifact, image, index, offers
from tests.fakes.upstream import FakeUpstream, Kind
from tests.lab.schema1 import SIGNED, build_schema1
from tests.service.bench import ARM_V7, FLEET, Bench, Kept, asker, open_bench

NAME, APP = "library/app:1", ("library/app",)
BUILD = image("arm/v7", "the namespace's")
"""What `arm32v7/app` has."""
AMD64, ARM64, V7, V6 = image("amd64"), image("arm64"), image("arm/v7"), image("arm/v6")
NO_INDEX = media_types.DOCKER_MANIFEST
Fields = Mapping[str, object]


def publish(upstream: FakeUpstream, name: str, content: Content) -> None:
    """Put content, and all that it leads to, under `repository:tag`."""
    repository, _, tag = name.rpartition(":")
    for each in content.everything():
        upstream.put_blob(repository, each.body)
        upstream.put_manifest(repository, each.body, each.media_type)
    upstream.put_manifest(repository, content.body, content.media_type, tag=tag)


def listed(*entries: tuple[Content, Fields], media_type: str = media_types.OCI_INDEX, **more: object) -> Content:
    """Build an index whose entries say what they are told to say, odd or not."""
    written = [
        {"mediaType": one.media_type, "digest": str(one.digest), "size": len(one.body), **fields}
        for one, fields in entries
    ]
    fields = {"schemaVersion": 2, "mediaType": media_type, "manifests": written, **more}
    return Content(media_type, json.dumps(fields).encode(), tuple(one for one, _ in entries))


def on(architecture: object, variant: object = "", **more: object) -> Fields:
    """Write the platform of an entry as oddly as is wanted."""
    return {"platform": {"architecture": architecture, "os": "linux", "variant": variant, **more}}


def without_type(content: Content) -> Content:
    """Take the `mediaType` out of an image manifest."""
    fields = {key: value for key, value in json.loads(content.body).items() if key != "mediaType"}
    return Content(content.media_type, json.dumps(fields).encode(), content.children)


def about(content: Content, kind: str = "attestation-manifest") -> Fields:
    return {"annotations": {REFERENCE_TYPE: kind, REFERENCE_DIGEST: str(content.digest)}, **on("unknown")}


UNKNOWN: Fields = {"platform": {"architecture": "unknown", "os": "unknown"}}
PROOF = image(None, "proof", is_oci=True)
WINDOWS: Fields = {"platform": {"architecture": "amd64", "os": "windows", "os.version": "10.0.20348.1"}}
CHART, OWN_WORD = artifact(), artifact(media_types.OCI_CONFIG, "application/x")


@dataclass(frozen=True)
class Odd:
    """What upstream has, and what is to come of it for a machine of arm/v7."""

    content: Content
    image: Content | None
    """What the machine runs; None for nothing."""
    offered: tuple[str, ...]
    """The platforms that the tag offers, in order."""
    trail: str
    is_untouched: bool = False
    """Whether upstream's document is the answer, byte for byte."""


ODD = {
    "an index in an index": Odd(
        listed((index(("amd64", AMD64), ("arm/v7", V7)), {})),
        V7,
        ("linux/amd64", "linux/arm/v7"),
        "looked into what does not tell its platform",
        is_untouched=True,
    ),
    "an index in an index without the platform": Odd(
        listed((index(("amd64", AMD64)), {})),
        BUILD,
        ("linux/amd64", "linux/arm/v7"),
        "candidate arm32v7/app:1: an image, taken for linux/arm/v7 by its name",
    ),
    "an index too deep": Odd(
        listed((listed((listed((listed((index(("arm/v7", V7)), {})), {})), {})), {})),
        BUILD,
        ("None", "linux/arm/v7"),
        "upstream: index of no platform",
    ),
    "an index without platforms": Odd(
        listed((AMD64, {}), (V7, {})),
        V7,
        ("linux/amd64", "linux/arm/v7"),
        "looked into what does not tell its platform, 2 in all: linux/amd64, linux/arm/v7",
        is_untouched=True,
    ),
    "empty platforms": Odd(
        listed((AMD64, {"platform": {}}), (V7, {"platform": None})),
        V7,
        ("linux/amd64", "linux/arm/v7"),
        "2 in all: linux/amd64, linux/arm/v7",
        is_untouched=True,
    ),
    "a variant that is a number": Odd(
        listed((AMD64, on("amd64")), (V7, on("arm", 7))), V7, ("linux/amd64", "linux/arm/v7"), "1 in all", True
    ),
    "unknown platforms alone": Odd(listed((PROOF, UNKNOWN)), BUILD, ("linux/arm/v7",), "upstream: index of nothing"),
    "attestations alone": Odd(listed((PROOF, about(AMD64))), BUILD, ("linux/arm/v7",), "upstream: index of nothing"),
    "something else about an image": Odd(
        listed((AMD64, on("amd64")), (PROOF, {**about(AMD64, "another"), **on("arm", "v7")})),
        BUILD,
        ("linux/amd64", "linux/arm/v7"),
        "upstream: index of linux/amd64;",
    ),
    "no entries": Odd(listed(), BUILD, ("linux/arm/v7",), "upstream: index of nothing"),
    "an artifact": Odd(CHART, CHART, ("None",), "application/vnd.cncf.helm.config.v1+json: passed on as it is", True),
    "an artifact by its own word": Odd(OWN_WORD, OWN_WORD, ("None",), "application/x: passed on", True),
    "an index of artifacts": Odd(
        listed((CHART, {"artifactType": "application/x"})), None, ("None",), "application/x: passed on", True
    ),
    "an index that is an artifact": Odd(
        listed((AMD64, on("amd64")), artifactType="application/y"), None, ("None",), "application/y: passed on", True
    ),
    "an artifact among images": Odd(
        listed((CHART, {"artifactType": "application/x"}), (V7, on("arm", "v7"))),
        V7,
        ("linux/arm/v7",),
        "upstream: index of linux/arm/v7;",
        is_untouched=True,
    ),
    "Windows with its builds": Odd(
        listed((AMD64, WINDOWS), (ARM64, on("arm64", "v8"))),
        BUILD,
        ("windows/amd64", "linux/arm64/v8", "linux/arm/v7"),
        "upstream: index of windows/amd64, linux/arm64/v8",
    ),
    "a feature that nobody has": Odd(
        listed((V7, on("arm", "v7", **{"os.features": ["x"]}))),
        BUILD,
        ("linux/arm/v7", "linux/arm/v7"),
        "added",
    ),
    "capital letters": Odd(listed((V7, on("ARM", "V7"))), V7, ("linux/ARM/V7",), "index of linux/ARM/V7", True),
    "a number for a variant": Odd(listed((V7, on("arm", "7"))), V7, ("linux/arm/7",), "index of linux/arm/7", True),
    "no variant": Odd(listed((V7, on("arm"))), V7, ("linux/arm",), "index of linux/arm;", True),
    "Debian's word": Odd(listed((V7, on("armhf"))), V7, ("linux/arm/v7",), "index of linux/arm/v7", True),
    "a platform twice": Odd(
        listed((V7, on("arm", "v7")), (V6, on("arm", "7"))), V7, ("linux/arm/v7", "linux/arm/7"), "nothing to add", True
    ),
    "an image that does not say what it is": Odd(
        without_type(AMD64), BUILD, ("linux/amd64", "linux/arm/v7"), "one image for linux/amd64"
    ),
    "a config that lies": Odd(
        image("amd64", "truly for arm/v7"), BUILD, ("linux/amd64", "linux/arm/v7"), "linux/amd64, as its config says"
    ),
    "a config that tells nothing": Odd(
        image(None), BUILD, ("None", "linux/arm/v7"), "one image for an unknown platform, as its config says"
    ),
}


async def resolve(bench: Bench) -> Resolution:
    return (await bench.resolver.resolve("library/app", "1", is_head=False)).resolution


def offered(resolution: Resolution) -> tuple[str, ...]:
    return tuple(platform for platform, _ in offers(resolution))


@pytest.fixture
def upstream() -> FakeUpstream:
    """An upstream where only the namespace of arm/v7 has the application."""
    upstream = FakeUpstream()
    publish(upstream, "arm32v7/app:1", BUILD)
    return upstream


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_what_is_made_of_an_odd_document(bench: Bench, odd: Odd) -> None:
    publish(bench.upstream, NAME, odd.content)
    resolution = await resolve(bench)
    assert (resolution.synthesis is None) is odd.is_untouched
    assert odd.trail in str(resolution.trail)
    whole = await bench.puller.get_tag(APP, "1", asker(ARM_V7))
    assert whole.content is not None
    assert whole.descriptor.digest.matches(whole.content)
    written = json.loads(odd.content.body).get("manifests", ())
    if odd.is_untouched:
        assert whole.content == odd.content.body
    else:  # upstream's own entries come first, each as it was
        assert json.loads(whole.content)["manifests"][: len(written)] == list(written)
    assert offered(resolution) == odd.offered
    if odd.image is not None:
        one = await bench.puller.get_tag(APP, "1", asker(ARM_V7, NO_INDEX))
        assert one.descriptor.digest == odd.image.digest
        child = await bench.puller.get_manifest(APP, odd.image.digest)
        assert child.content == odd.image.body


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_an_odd_document_is_the_same_while_upstream_is_gone(upstream: FakeUpstream, odd: Odd) -> None:
    publish(upstream, NAME, odd.content)
    kept = Kept()
    async with open_bench(upstream, kept) as bench:
        before = await bench.puller.get_tag(APP, "1", asker(ARM_V7))
    upstream.go_offline()
    async with open_bench(upstream, kept) as bench:
        bench.clock.tick(1_000_000)
        after = await bench.puller.get_tag(APP, "1", asker(ARM_V7))
    assert (after.content, after.state) == (before.content, CacheState.STALE)


# What may not be served


async def test_what_is_index_and_image_at_once_is_refused(bench: Bench) -> None:
    fields = {**json.loads(AMD64.body), "manifests": []}
    bench.upstream.put_manifest(*APP, json.dumps(fields).encode(), media_types.DOCKER_MANIFEST, tag="1")
    with pytest.raises(UpstreamMisbehaved, match="both an index and an image"):
        await bench.puller.get_tag(APP, "1", asker(ARM_V7))
    assert "both an index and an image" in str((await resolve(bench)).trail)


async def test_an_index_that_names_itself_is_an_inner_one_that_cannot_be_read(bench: Bench) -> None:
    """No index has its own digest in it: whoever sends another under that is not believed."""
    false = Digest.of(b"a circle")
    entry = {"mediaType": media_types.OCI_INDEX, "digest": str(false), "size": 100}
    fields = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [entry]}
    content = json.dumps(fields).encode()
    bench.upstream.put_manifest(*APP, content, media_types.OCI_INDEX, tag="1")
    bench.upstream.put_manifest(*APP, content, media_types.OCI_INDEX, digest=false)
    resolution = await resolve(bench)
    assert offered(resolution) == ("None", "linux/arm/v7")
    assert not resolution.is_complete


async def test_a_config_that_is_missing_leaves_the_platform_open(bench: Bench) -> None:
    bench.upstream.put_manifest(*APP, AMD64.body, AMD64.media_type, tag="1")
    resolution = await resolve(bench)
    assert offered(resolution) == ("None", "linux/arm/v7")
    assert "one image for an unknown platform: its config is library/app has no blob" in str(resolution.trail)


async def test_an_attestation_travels_with_its_image_alone(bench: Bench) -> None:
    publish(bench.upstream, NAME, AMD64)
    other = image(None, "proof of another", is_oci=True)
    held = listed((V7, on("arm", "v7")), (PROOF, about(V7)), (ARM64, on("arm64")), (other, about(ARM64)))
    publish(bench.upstream, "arm32v7/app:1", held)
    resolution = await resolve(bench)
    assert [entry.descriptor.digest for entry in resolution.additions] == [V7.digest, PROOF.digest]


STRANGERS = Policy(FLEET, (parse_template("{repository}:{tag}-armhf", Platform.parse(ARM_V7)),))


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        pytest.param(CHART, "not usable: a document of type application/vnd.cncf.helm", id="an artifact"),
        pytest.param(image("amd64", "a lie"), "refused: its config says linux/amd64", id="a config that lies"),
        pytest.param(listed((PROOF, UNKNOWN)), "an index of nothing: nothing for linux/arm/v7", id="unknown"),
        pytest.param(listed(), "an index of nothing: nothing for linux/arm/v7", id="no entries"),
        pytest.param(listed((V7, {})), "an index of no platform: nothing for linux/arm/v7", id="no platform"),
    ],
)
async def test_an_odd_candidate_is_left_out_and_told(upstream: FakeUpstream, held: Content, reason: str) -> None:
    publish(upstream, NAME, AMD64)
    publish(upstream, f"{NAME}-armhf", held)
    async with open_bench(upstream, policy=STRANGERS) as bench:
        resolution = await resolve(bench)
    assert resolution.synthesis is None
    assert reason in str(resolution.trail)


# Schema 1

OLD = build_schema1("library/app", "1")
OLD_DIGEST = Digest.parse(OLD.digest)


def publish_old(upstream: FakeUpstream, repository: str = "library/app") -> None:
    upstream.put_manifest(repository, OLD.content, SIGNED, tag="1", digest=OLD_DIGEST)


@pytest.mark.parametrize("accepted", [(), (SIGNED,), ("*/*",)], ids=["anything", "schema 1", "all"])
async def test_schema_1_passes_through_under_its_own_digest(bench: Bench, accepted: tuple[str, ...]) -> None:
    publish_old(bench.upstream)
    for is_head in (True, False):
        answer = await bench.puller.get_tag(APP, "1", asker(ARM_V7, *accepted), is_head=is_head)
        assert (answer.descriptor.digest, answer.descriptor.media_type) == (OLD_DIGEST, SIGNED)
        assert answer.descriptor.size == len(OLD.content)
    assert answer.content == OLD.content
    assert (await bench.puller.get_manifest(APP, OLD_DIGEST)).content == OLD.content
    assert bench.upstream.count(Kind.GET_MANIFEST) == 1
    assert await bench.store.list_blobs() == []
    assert "an image of schema 1, which no index can list: passed on as it is" in str((await resolve(bench)).trail)


async def test_who_does_not_read_schema_1_is_told_what_to_do(bench: Bench) -> None:
    publish_old(bench.upstream)
    with pytest.raises(ManifestUnknown, match=r"^library/app:1: an image in a form of before 2016.*skopeo"):
        await bench.puller.get_tag(APP, "1", asker(ARM_V7, *media_types.MANIFESTS))


async def test_schema_1_is_no_candidate(bench: Bench) -> None:
    publish(bench.upstream, NAME, AMD64)
    bench.upstream.remove("arm32v7/app")
    publish_old(bench.upstream, "arm32v7/app")
    resolution = await resolve(bench)
    assert resolution.synthesis is None
    assert "candidate arm32v7/app:1: not usable: an image of schema 1" in str(resolution.trail)


async def test_schema_1_cannot_be_had_once_upstream_and_the_memory_are_gone(upstream: FakeUpstream) -> None:
    """The price of a store whose files are what their names say (docs/decisions/0013)."""
    publish_old(upstream)
    kept = Kept()
    async with open_bench(upstream, kept) as bench:
        await bench.puller.get_tag(APP, "1", asker(ARM_V7))
        upstream.go_offline()
        bench.clock.tick(1_000_000)
        stale = await bench.puller.get_tag(APP, "1", asker(ARM_V7))
        assert (stale.content, stale.state) == (OLD.content, CacheState.STALE)
    async with open_bench(upstream, kept) as bench:
        with pytest.raises(UpstreamUnreachable):
            await bench.puller.get_tag(APP, "1", asker(ARM_V7))


# Docker from 29.1 on asks for the referrers of what it has pulled; an error there fails the pull (clients.md §7)


@pytest.mark.parametrize("has_api", [True, False], ids=["with the API", "without the API"])
async def test_a_synthesised_index_has_no_referrers(bench: Bench, *, has_api: bool) -> None:
    publish(bench.upstream, NAME, AMD64)
    bench.upstream.has_referrers = has_api
    made = (await bench.puller.get_tag(APP, "1", asker(ARM_V7))).descriptor.digest
    assert bench.puller.find_origin(*APP, made) == "library/app"
    for state in (CacheState.MISS, CacheState.HIT):
        found = await bench.listings.list_referrers(*APP, *APP, made, artifact_type=None)
        assert (json.loads(found.content)["manifests"], found.state) == ([], state)


@pytest.mark.parametrize("error", [UpstreamMisbehaved("a web page"), UpstreamUnreachable("busy")], ids=["odd", "busy"])
async def test_whatever_upstream_makes_of_the_question_there_are_none(bench: Bench, error: UpstreamError) -> None:
    publish(bench.upstream, NAME, AMD64)
    made = (await bench.puller.get_tag(APP, "1", asker(ARM_V7))).descriptor.digest
    bench.upstream.fail(error, kind=Kind.REFERRERS)
    bench.upstream.fail(error, kind=Kind.GET_MANIFEST)
    found = await bench.listings.list_referrers(*APP, *APP, made, artifact_type=None)
    assert json.loads(found.content)["manifests"] == []
