"""The main job with real clients: everybody asks for `debian:jessie`, and gets the one for its processor."""

from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.lab.clients import Crane, open_client
from tests.lab.conformance import ReadOnlyContent, run_conformance
from tests.lab.content import AMD64, ARM64, ARM_V6, ARM_V7, Content
from tests.lab.engines import ARM64_SERVER, PC, PI_2, PI_4_32BIT, PI_ZERO, Board, docker_engine
from tests.lab.hub import HubStandIn
from tests.lab.proxies import Proxy, StartProxy, as_docker_hub, in_place_of_hub
from tests.lab.registry import DockerRegistry

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

JESSIE = {
    AMD64: "library/debian:jessie",
    ARM64: "arm64v8/debian:jessie",
    ARM_V7: "arm32v7/debian:jessie",
    ARM_V6: "arm32v6/debian:jessie",
}
CLIENTS = ["podman", "buildah", "skopeo", "ctr", "ctr-2", "crane", "oras"]


@pytest.fixture
async def proxy(hub: HubStandIn, start_proxy: StartProxy) -> Proxy:
    return await start_proxy(config=as_docker_hub(hub.url))


@pytest.mark.parametrize(
    ("board", "platform"),
    [
        pytest.param(PC, AMD64, id="PC"),
        pytest.param(PI_ZERO, ARM_V6, id="Pi Zero"),
        pytest.param(PI_2, ARM_V7, id="Pi 2"),
        pytest.param(PI_4_32BIT, ARM_V7, id="Pi 4, 32 bit"),
        pytest.param(ARM64_SERVER, ARM64, id="arm64"),
    ],
)
async def test_a_docker_engine_gets_its_own(
    hub: HubStandIn, proxy: Proxy, content: Content, board: Board, platform: str
) -> None:
    """Also with upstream gone, and with the proxy started anew while it is."""
    own = content.image(JESSIE[platform]).config.digest
    async with docker_engine(proxy.url, board) as engine:
        first = await engine.pull("debian:jessie")
        assert first.id == own
        await hub.go_offline()
        await engine.remove("debian:jessie")
        assert await engine.pull("debian:jessie") == first
        await proxy.restart()
        await engine.remove("debian:jessie")
        assert await engine.pull("debian:jessie") == first
    assert hub.leaks() == []


async def test_an_engine_may_ask_for_another_platform(proxy: Proxy, content: Content) -> None:
    """The choice stays with the client: what it is answered is an index, the same for everybody."""
    async with docker_engine(proxy.url) as engine:
        digests: set[str] = set()
        for platform, source in JESSIE.items():
            image = await engine.pull("debian:jessie", platform)
            assert image.id == content.image(source).config.digest
            digests.update(image.repo_digests)
            await engine.remove("debian:jessie")
    assert len(digests) == 1


async def test_an_engine_pulls_a_complete_index_as_it_is(hub: HubStandIn, proxy: Proxy, content: Content) -> None:
    async with docker_engine(proxy.url, PI_2) as engine:
        redis = await engine.pull("redis:3-alpine")
    assert redis.repo_digests == (content.digest("library/redis:3-alpine"),)
    assert redis.id == content.image("library/redis:3-alpine", ARM_V7).config.digest


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_client_gets_what_it_asks_for(
    hub: HubStandIn, proxy: Proxy, content: Content, client_folder: Path, name: str
) -> None:
    """Also with upstream gone, and with the proxy started anew while it is; each time by a client without a memory."""
    expected = {platform: content.image(source).config.digest for platform, source in JESSIE.items()}

    async def pull_all(folder: Path) -> dict[str, str]:
        async with AsyncExitStack() as stack:
            client, prefix = await open_client(stack, name, folder, proxy.host)
            return {platform: await client.pull(f"{prefix}debian:jessie", platform) for platform in JESSIE}

    assert await pull_all(client_folder / "1") == expected
    await hub.go_offline()
    assert await pull_all(client_folder / "2") == expected
    await proxy.restart()
    assert await pull_all(client_folder / "3") == expected
    assert hub.leaks() == []


@pytest.mark.parametrize("name", CLIENTS)
async def test_candidates_may_be_indexes_with_attestations(
    proxy: Proxy, content: Content, client_folder: Path, name: str
) -> None:
    async with AsyncExitStack() as stack:
        client, prefix = await open_client(stack, name, client_folder, proxy.host)
        for platform, namespace in ((AMD64, "library"), (ARM64, "arm64v8"), (ARM_V7, "arm32v7")):
            image = content.image(f"{namespace}/debian:bookworm", platform)
            assert await client.pull(f"{prefix}debian:bookworm", platform) == image.config.digest


@pytest.fixture
async def own_proxy(own_registry: DockerRegistry, start_proxy: StartProxy) -> Proxy:
    """A proxy in front of a registry of one's own."""
    return await start_proxy(config=in_place_of_hub(own_registry.url))


@pytest.mark.parametrize("name", CLIENTS)
async def test_the_forums_form_on_a_registry_of_ones_own(
    own_proxy: Proxy, content: Content, client_folder: Path, name: str
) -> None:
    async with AsyncExitStack() as stack:
        client, prefix = await open_client(stack, name, client_folder, own_proxy.host)
        for platform, namespace in ((AMD64, "library"), (ARM_V7, "arm7"), (ARM_V6, "arm6")):
            assert await client.pull(f"{prefix}app:1", platform) == content.image(f"{namespace}/app:1").config.digest


async def test_the_forums_form_is_not_asked_for_on_docker_hub(
    hub: HubStandIn, proxy: Proxy, content: Content, client_folder: Path
) -> None:
    """There `arm6` is a stranger's name; the amd64 image is all there is, and is answered as it is."""
    crane = Crane(client_folder, registry=proxy.host)
    assert await crane.digest("library/app:1") == content.digest("library/app:1")
    assert hub.requests("manifest", "library/app")
    assert not [record for record in hub.requests() if record.repository.startswith(("arm6/", "arm7/"))]


async def test_what_a_pull_costs(hub: HubStandIn, proxy: Proxy, content: Content) -> None:
    """By one Pi: a cold pull, and then a warm one within the tag's time, which asks upstream nothing."""
    async with docker_engine(proxy.url, PI_2) as engine:
        await engine.pull("debian:jessie")
        cold = Counter(f"{record.kind} {record.repository}" for record in hub.requests())
        print(*(f"{count} x {what}" for what, count in sorted(cold.items())), sep="\n")
        hub.reset()
        await engine.remove("debian:jessie")
        await engine.pull("debian:jessie")
    assert hub.requests() == []
    image = content.image("arm32v7/debian:jessie")
    assert cold["blob arm32v7/debian"] == cold["cdn arm32v7/debian"] == 1 + len(image.layers)
    assert not any(cold[f"{kind} {name}/debian"] for kind in ("blob", "cdn") for name in ("arm32v6", "arm64v8"))


async def test_conformance(proxy: Proxy, content: Content, tmp_path: Path) -> None:
    """The OCI suite in read-only mode, on a tag that is synthesised and with what it lists."""
    async with httpx.AsyncClient(base_url=proxy.url, timeout=30) as client:
        synthesised = await client.head("/v2/library/debian/manifests/jessie")
    image = content.image("arm32v6/debian:jessie")
    asked = ReadOnlyContent(
        "library/debian",
        tags=("jessie", "bookworm"),
        manifests=(synthesised.headers["Docker-Content-Digest"], image.manifest.digest),
        blobs=(image.config.digest, *(layer.digest for layer in image.layers)),
    )
    report = await run_conformance(proxy.host, asked, folder=tmp_path)
    assert report.failed == (), report.text
    assert "read-only/pull/blob-get" in report.passed
