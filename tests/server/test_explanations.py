import dataclasses
import json

import pytest

from proxy.arch.detection import Detection
from proxy.oci import media_types
from proxy.oci.errors import ManifestUnknown, NameUnknown
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference
from proxy.server.explanations import Explanation, explain
from proxy.server.fronts import Front
from tests.fakes.upstream import FakeUpstream
from tests.service.bench import AMD64, ARM_V6, ARM_V7, HUB, SOURCES, jessie, open_bench

NOBODY = Detection(None, "none")


def of(platform: str) -> Detection:
    return Detection(Platform.parse(platform), "path")


async def ask(upstream: FakeUpstream, reference: str, detection: Detection = NOBODY) -> Explanation:
    async with open_bench(upstream) as bench:
        front = Front(bench.puller, has_library=True)
        return await explain({HUB: front}, Reference.parse(reference), detection)


@pytest.mark.parametrize("platform", SOURCES)
async def test_it_names_the_image_and_the_reasons(upstream: FakeUpstream, platform: str) -> None:
    told = await ask(upstream, "debian:jessie", of(platform))
    source = SOURCES[platform].removeprefix("library/")
    assert told.reference == "docker.io/library/debian:jessie"
    assert told.image == f"{source}:jessie@{jessie(platform).manifest.digest}"
    assert told.image_platform == told.platform == str(Platform.parse(platform).explicit())
    assert (told.evidence, told.media_type, told.cache) == ("path", media_types.DOCKER_LIST, "miss")
    assert told.trail[0].startswith("library/debian:jessie: sha256:")
    assert told.trail[-2].startswith("answer: synthesised index")
    assert told.trail[-1] == "this client: the synthesised index"
    assert bool(told.warning) is (platform != AMD64)
    assert '"' not in told.warning


async def test_everybody_is_told_the_same_digest(upstream: FakeUpstream) -> None:
    told = [await ask(upstream, "debian:jessie", detection) for detection in (NOBODY, of(ARM_V6), of(ARM_V7))]
    assert len({one.digest for one in told}) == 1
    assert (told[0].platform, told[0].image_platform) == (None, None)


async def test_a_digest_is_never_rewritten(upstream: FakeUpstream) -> None:
    digest = jessie(ARM_V7).manifest.digest
    told = await ask(upstream, f"arm32v7/debian@{digest}", of(ARM_V6))
    assert (told.digest, told.image) == (digest, f"docker.io/arm32v7/debian@{digest}")
    assert told.trail == ["a digest is never rewritten"]


async def test_it_can_be_written_as_json(upstream: FakeUpstream) -> None:
    told = dataclasses.asdict(await ask(upstream, "debian:jessie"))
    assert json.loads(json.dumps(told)) == told


async def test_it_fails_as_the_client_would(upstream: FakeUpstream) -> None:
    with pytest.raises(ManifestUnknown):
        await ask(upstream, "nothing:1")
    with pytest.raises(NameUnknown):
        await ask(upstream, "ghcr.io/me/app:1")
