from dataclasses import replace

import pytest

from proxy.arch.choice import Asker, choose
from proxy.arch.detection import Detection
from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.manifests import Descriptor
from proxy.oci.platforms import Platform
from proxy.server.answers import MAX_WARNING, content_headers, resolution_headers
from proxy.service.freshness import CacheState
from proxy.service.pull import ManifestAnswer
from tests.arch.worlds import World, image, index

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


def headers_for(platform: str | None, *, state: CacheState = CacheState.MISS, evidence: str = "path") -> dict[str, str]:
    detection = Detection(None if platform is None else Platform.parse(platform), evidence)
    resolution = world().resolve(NAME)
    choice = choose(resolution, Asker(detection))
    assert choice.descriptor is not None
    return resolution_headers(ManifestAnswer(choice.descriptor, None, state, resolution, choice), detection)


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
