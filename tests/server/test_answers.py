from collections.abc import Mapping
from dataclasses import replace

import pytest

from proxy.arch.aliases import AliasMode
from proxy.arch.choice import Asker, choose
from proxy.arch.detection import Detection
from proxy.arch.resolution import Resolution
from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.manifests import Descriptor
from proxy.oci.platforms import Platform
from proxy.oci.references import DOCKER_HUB
from proxy.server.answers import (
    MAX_HEADS,
    MAX_WARNING,
    TagHeads,
    blob_head,
    content_headers,
    manifest_head,
    resolution_headers,
    tag_head,
)
from proxy.service.freshness import CacheState
from proxy.service.pull import ManifestAnswer
from tests.arch.worlds import HUB, World, image, index

NAME = "library/app:1"
DIGEST = Digest.of(b"")


def world() -> World:
    """amd64 and arm/v5 by upstream itself, arm/v7 by Docker's namespace."""
    return World(
        {
            NAME: index(("amd64", image("amd64")), ("arm/v5", image("arm/v5")), is_oci=False),
            "arm32v7/app:1": image("arm/v7"),
        }
    )


def detected(platform: str | None, evidence: str = "path") -> Detection:
    return Detection(None if platform is None else Platform.parse(platform), evidence)


def answer_for(resolution: Resolution, detection: Detection, state: CacheState = CacheState.MISS) -> ManifestAnswer:
    choice = choose(resolution, Asker(detection))
    assert choice.descriptor is not None
    return ManifestAnswer(choice.descriptor, None, state, resolution, choice)


def headers_for(
    platform: str | None, *, state: CacheState = CacheState.MISS, evidence: str = "path"
) -> Mapping[str, str]:
    detection = detected(platform, evidence)
    return tag_head(answer_for(world().resolve(NAME), detection, state), detection, "", DOCKER_HUB).headers


def test_content_is_named_exactly() -> None:
    assert content_headers(Descriptor(media_types.OCI_INDEX, DIGEST, 1234)) == {
        "Content-Type": "application/vnd.oci.image.index.v1+json",
        "Content-Length": "1234",
        "Docker-Content-Digest": str(DIGEST),
        "ETag": f'"{DIGEST}"',
        "Docker-Distribution-Api-Version": "registry/2.0",
    }


@pytest.mark.parametrize(
    ("platform", "source", "warning"),
    [
        pytest.param("linux/amd64", "app:1", None, id="its own"),
        pytest.param("linux/arm/v7", "arm32v7/app:1", "linux/arm/v7 is taken from arm32v7/app:1", id="added"),
        pytest.param("linux/arm/v6", "app:1", "no build for linux/arm/v6: linux/arm/v5 runs on it", id="a lesser one"),
        pytest.param("linux/s390x", "app:1", "nothing here runs on linux/s390x", id="nothing"),
    ],
)
def test_a_client_is_told_what_it_will_run(platform: str, source: str, warning: str | None) -> None:
    headers = headers_for(platform)
    assert headers["Polyarch-Platform"] == platform
    assert headers["Polyarch-Evidence"] == "path"
    assert headers["Polyarch-Source"].startswith(f"{source}@sha256:")
    assert headers.get("Warning") == (None if warning is None else f'299 - "{warning}"')


def test_a_client_is_told_whose_image_stands_for_its_own() -> None:
    policy = replace(HUB, aliases=AliasMode.MISSING)
    held = World({NAME: image("amd64"), "arm32v5/app:1": image("arm/v5")}).resolve(NAME, policy)
    detection = detected("linux/arm/v7", "path")
    headers = tag_head(answer_for(held, detection), detection, "", DOCKER_HUB).headers
    assert headers["Warning"] == '299 - "no build for linux/arm/v7: linux/arm/v5 of arm32v5/app:1 stands for it"'


def test_who_shows_nothing_is_told_the_document() -> None:
    headers = headers_for(None, evidence="none")
    assert "Polyarch-Platform" not in headers
    assert headers["Polyarch-Evidence"] == "none"
    assert headers["Polyarch-Source"].startswith("app:1@sha256:")
    assert "Warning" not in headers


def test_a_platform_is_told_with_its_variant() -> None:
    assert headers_for("linux/arm64")["Polyarch-Platform"] == "linux/arm64/v8"


@pytest.mark.parametrize("state", CacheState)
def test_the_state_of_the_cache_is_told(state: CacheState) -> None:
    headers = headers_for("linux/amd64", state=state)
    assert headers["Polyarch-Cache"] == state.value
    assert ("Warning" in headers) is (state is CacheState.STALE)


def test_all_remarks_stand_in_one_warning() -> None:
    warning = headers_for("linux/arm/v7", state=CacheState.STALE)["Warning"]
    assert warning.startswith('299 - "upstream cannot be asked')
    assert warning.endswith('; linux/arm/v7 is taken from arm32v7/app:1"')


def test_a_warning_is_bounded() -> None:
    detection = Detection(Platform("linux", "x" * 5000), "header")
    resolution = world().resolve(NAME)
    choice = choose(resolution, Asker(detection))
    assert choice.descriptor is not None
    answer = ManifestAnswer(choice.descriptor, None, CacheState.MISS, resolution, choice)
    assert len(resolution_headers(answer, detection)["Warning"]) <= MAX_WARNING + len('299 - ""')


def test_an_image_without_a_platform_is_no_substitution() -> None:
    detection = Detection(Platform.parse("linux/arm/v7"), "path")
    lone = World({NAME: image(None)}).resolve(NAME)
    choice = choose(lone, Asker(detection))
    assert choice.descriptor is not None
    answer = ManifestAnswer(choice.descriptor, None, CacheState.MISS, lone, replace(choice, entry=lone.entries[0]))
    assert "Warning" not in resolution_headers(answer, detection)


def test_an_answer_to_a_digest_has_no_name() -> None:
    answer = ManifestAnswer(Descriptor(media_types.OCI_INDEX, DIGEST, 2), b"{}", CacheState.HIT)
    headers = resolution_headers(answer, Detection(None, "none"))
    assert headers["Polyarch-Source"] == f"@{DIGEST}"


# Heads


def test_the_head_of_a_digest_tells_what_it_is() -> None:
    head = manifest_head(media_types.OCI_INDEX, DIGEST, 1234, CacheState.HIT, "")
    assert head.headers == {**content_headers(Descriptor(media_types.OCI_INDEX, DIGEST, 1234)), "Polyarch-Cache": "hit"}
    assert head.remarks == {"cache": "hit", "digest": str(DIGEST)}


def test_the_head_of_a_blob_offers_its_parts() -> None:
    head = blob_head(DIGEST, 7, CacheState.MISS, "ghcr.io")
    expected = content_headers(Descriptor(media_types.OCTET_STREAM, DIGEST, 7))
    told = {"Accept-Ranges": "bytes", "Polyarch-Cache": "miss", "OCI-Namespace": "ghcr.io"}
    assert head.headers == {**expected, **told}
    assert head.remarks == {"cache": "miss"}


def test_the_same_is_told_as_long_as_a_resolution_holds() -> None:
    heads, resolution, detection = TagHeads(), world().resolve(NAME), detected("linux/arm/v7")
    first = heads.find(answer_for(resolution, detection), detection, "", DOCKER_HUB)
    assert heads.find(answer_for(resolution, detection), detection, "", DOCKER_HUB) is first
    assert first == tag_head(answer_for(resolution, detection), detection, "", DOCKER_HUB)
    assert repr(heads) == "<TagHeads: 1>"


def test_whatever_makes_a_difference_is_told_apart() -> None:
    heads, resolution, detection = TagHeads(), world().resolve(NAME), detected("linux/arm/v7")
    other = detected("linux/amd64")
    asked = [
        (answer_for(resolution, detection), detection, ""),
        (answer_for(resolution, detection), detection, "docker.io"),
        (answer_for(resolution, detection, CacheState.STALE), detection, ""),
        (answer_for(resolution, other), other, ""),
        (answer_for(world().resolve(NAME), detection), detection, ""),
        (replace(answer_for(resolution, detection), descriptor=Descriptor("a/b", DIGEST, 0)), detection, ""),
    ]
    for _ in range(2):
        for answer, client, namespace in asked:
            assert heads.find(answer, client, namespace, DOCKER_HUB) == tag_head(answer, client, namespace, DOCKER_HUB)
    assert repr(heads) == f"<TagHeads: {len(asked)}>"


def test_heads_are_bounded_and_never_mistaken() -> None:
    """An object that is gone leaves its number to another one: who is remembered must not be gone."""
    heads, detection = TagHeads(), detected(None, "none")
    for number in range(MAX_HEADS + 5):
        resolution = replace(world().resolve(NAME), tag=str(number))
        head = heads.find(answer_for(resolution, detection), detection, "", DOCKER_HUB)
        assert head.headers["Polyarch-Source"].startswith(f"app:{number}@")
    assert repr(heads) == "<TagHeads: 5>"
