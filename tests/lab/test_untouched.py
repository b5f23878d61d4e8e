"""What polyarch must not change: the choice of a client that names a platform, pinned digests, and what is signed."""

from pathlib import Path

import pytest

from tests.lab.clients import Crane, Podman
from tests.lab.content import AMD64, ARM_V6, ARM_V7, Content
from tests.lab.engines import PI_2, docker_engine
from tests.lab.hub import HubStandIn
from tests.lab.images import Image
from tests.lab.proxies import StartProxy, as_docker_hub
from tests.lab.pulling import registry_client
from tests.lab.registry import DockerRegistry
from tests.lab.signing import Signer, signature_tag

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

MULTI = "library/multi:latest"


async def test_an_arm_engine_that_asks_for_amd64_gets_it(
    hub: HubStandIn, start_proxy: StartProxy, content: Content
) -> None:
    proxy = await start_proxy(config=as_docker_hub(hub.url))
    sources = {
        "debian:jessie": "library/debian:jessie",
        "multi:latest": MULTI,
        "redis:3-alpine": "library/redis:3-alpine",
    }
    async with docker_engine(proxy.url, PI_2) as engine:
        for name, source in sources.items():
            image = await engine.pull(name, AMD64)
            assert image.id == content.image(source, AMD64).config.digest


async def test_a_pinned_digest_is_never_rewritten(
    hub: HubStandIn, start_proxy: StartProxy, content: Content, client_folder: Path
) -> None:
    """Neither an index's, nor that of one image, which is not for the platform of whoever asks."""
    proxy = await start_proxy(config=as_docker_hub(hub.url))
    index, jessie = content.manifest(MULTI), content.image("library/debian:jessie")
    async with docker_engine(proxy.url, PI_2) as engine:
        pinned = await engine.pull(f"multi@{index.digest}")
        assert pinned.id == content.image(MULTI, ARM_V7).config.digest
        assert pinned.repo_digests == (index.digest,)
        child = content.image(MULTI, ARM_V6)
        assert (await engine.pull(f"multi@{child.manifest.digest}")).id == child.config.digest
        assert (await engine.pull(f"debian@{jessie.manifest.digest}")).id == jessie.config.digest
    podman, crane = Podman(client_folder / "podman", mirror=proxy.host), Crane(client_folder, registry=proxy.host)
    for platform in (AMD64, ARM_V7):
        wanted = content.image(MULTI, platform).config.digest
        assert await podman.pull(f"docker.io/library/multi@{index.digest}", platform) == wanted
        assert await crane.pull(f"library/multi@{index.digest}", platform) == wanted
    async with registry_client(proxy.url) as client:
        for repository, manifest in (("multi", index), ("multi", child.manifest), ("debian", jessie.manifest)):
            answer = await client.get(f"/v2/library/{repository}/manifests/{manifest.digest}")
            assert (answer.content, answer.headers["Content-Type"]) == (manifest.content, manifest.media_type)


async def test_what_is_signed_still_verifies(
    writable_hub: HubStandIn, own_registry: DockerRegistry, start_proxy: StartProxy, content: Content, tmp_path: Path
) -> None:
    """By cosign's tag and by the referrers of the index; also with upstream gone, after a restart."""
    index, signer = content.manifest(MULTI), Signer(tmp_path)
    await signer.create_key()
    signature = await signer.sign(index, "library/multi")
    await own_registry.push(content.documents[MULTI], "library/multi", "latest")
    await own_registry.push(signature, "library/multi", signature_tag(index.digest))
    writable_hub.referrers[index.digest] = [{**signature.manifest.descriptor(), "artifactType": "application/x-lab"}]
    proxy = await start_proxy(config=as_docker_hub(writable_hub.url))
    await _verify(proxy.url, signer, index.digest, signature)
    await writable_hub.go_offline()
    await proxy.restart()
    await _verify(proxy.url, signer, index.digest, signature)


async def _verify(url: str, signer: Signer, digest: str, signature: Image) -> None:
    async with registry_client(f"{url}/v2/library/multi/") as client:
        assert (await client.get("manifests/latest")).headers["Docker-Content-Digest"] == digest
        by_tag = await client.get(f"manifests/{signature_tag(digest)}")
        assert by_tag.content == signature.manifest.content
        (referrer,) = (await client.get(f"referrers/{digest}")).json()["manifests"]
        by_referrer = await client.get(f"manifests/{referrer['digest']}")
        assert by_referrer.content == signature.manifest.content
        payload = await client.get(f"blobs/{signature.layers[0].digest}")
    await signer.verify(by_tag.content, payload.content, digest)
