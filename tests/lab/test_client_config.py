"""What `polyarch client-config` prints, put in place as it is, makes real clients pull through a real polyarch."""

import json
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tests.lab.buildkit import buildkit
from tests.lab.clients import open_client
from tests.lab.conftest import RunCli
from tests.lab.content import ARM_V6, ARM_V7, Content
from tests.lab.engines import docker_engine
from tests.lab.hub import HubStandIn
from tests.lab.proxies import StartProxy, as_docker_hub

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

FILES = {
    "podman": ("podman", "registries.conf"),
    "buildah": ("podman", "registries.conf"),
    "skopeo": ("crio", "registries.conf"),
    "ctr": ("containerd", "hosts/docker.io/hosts.toml"),
    "ctr-2": ("containerd", "hosts/docker.io/hosts.toml"),
}
"""Each client of the lab, whose configuration it is given, and where it reads that."""


@pytest.mark.parametrize("name", FILES)
async def test_a_client_pulls_through_the_proxy(
    hub: HubStandIn, start_proxy: StartProxy, run_cli: RunCli, content: Content, client_folder: Path, name: str
) -> None:
    proxy = await start_proxy(config=as_docker_hub(hub.url))
    kind, place = FILES[name]
    printed = (await run_cli("client-config", kind, "--proxy", proxy.url)).check().stdout
    async with AsyncExitStack() as stack:
        client, prefix = await open_client(stack, name, client_folder, proxy.host)
        (client_folder / place).write_text(printed)
        for platform, namespace in ((ARM_V7, "arm32v7"), (ARM_V6, "arm32v6")):
            got = await client.pull(f"{prefix}debian:jessie", platform)
            assert got == content.image(f"{namespace}/debian:jessie").config.digest
    assert "/v2/library/debian/manifests/jessie" in proxy.log()


@pytest.mark.parametrize("name", ["podman", "skopeo"])
async def test_a_platform_in_the_path_is_what_the_client_gets(
    hub: HubStandIn, start_proxy: StartProxy, run_cli: RunCli, content: Content, client_folder: Path, name: str
) -> None:
    proxy = await start_proxy(config=as_docker_hub(hub.url))
    options = ("--proxy", proxy.url, "--platform", "rpi")
    printed = (await run_cli("client-config", "podman", *options)).check().stdout
    async with AsyncExitStack() as stack:
        client, prefix = await open_client(stack, name, client_folder, proxy.host)
        (client_folder / "registries.conf").write_text(printed)
        got = await client.pull(f"{prefix}debian:jessie", ARM_V6)
    assert got == content.image("arm32v6/debian:jessie").config.digest
    assert "/v2/linux-arm-v6/library/debian/manifests/jessie" in proxy.log()


def as_k3s_writes(registries: str) -> str:
    """Return the `hosts.toml` for Docker Hub that k3s makes of a `registries.yaml`.

    As its `normalizeEndpointAddress` and its template say: k3s itself is not in the lab.
    """
    (endpoint,) = yaml.safe_load(registries)["mirrors"]["docker.io"]["endpoint"]
    has_own_path = urlsplit(endpoint).path not in {"", "/", "/v2"}
    url = endpoint if has_own_path else f"{endpoint.rstrip('/').removesuffix('/v2')}/v2"
    lines = ['server = "https://registry-1.docker.io/v2"', 'capabilities = ["pull", "resolve", "push"]']
    lines += [f'[host."{url}"]', 'capabilities = ["pull", "resolve"]', *(["override_path = true"] * has_own_path)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(("options", "path"), [((), "/v2"), (("--platform", "rpi"), "/linux-arm-v6/v2")])
@pytest.mark.parametrize("name", ["ctr", "ctr-2"])
async def test_containerd_pulls_with_what_k3s_makes_of_its_file(
    hub: HubStandIn,
    start_proxy: StartProxy,
    run_cli: RunCli,
    content: Content,
    client_folder: Path,
    name: str,
    options: tuple[str, ...],
    path: str,
) -> None:
    proxy = await start_proxy(config=as_docker_hub(hub.url))
    printed = (await run_cli("client-config", "k3s", "--proxy", proxy.url, *options)).check().stdout
    async with AsyncExitStack() as stack:
        client, prefix = await open_client(stack, name, client_folder, proxy.host)
        (client_folder / "hosts/docker.io/hosts.toml").write_text(as_k3s_writes(printed))
        got = await client.pull(f"{prefix}debian:jessie", ARM_V6)
    assert got == content.image("arm32v6/debian:jessie").config.digest
    requests = [line["path"] for line in map(json.loads, proxy.log().splitlines()) if line.get("kind") == "tag"]
    assert requests
    assert all(one.startswith(f"{path}/library/debian/manifests/jessie") for one in requests)


async def test_docker_pulls_and_builds_through_the_proxy(
    hub: HubStandIn, start_proxy: StartProxy, run_cli: RunCli, content: Content, tmp_path: Path
) -> None:
    """Its own BuildKit goes by `daemon.json`, too: before Docker 28 for the `insecure-registries` in it."""
    proxy = await start_proxy(config=as_docker_hub(hub.url))
    printed = (await run_cli("client-config", "docker", "--proxy", proxy.url)).check().stdout
    source = tmp_path / "source"
    source.mkdir()
    (source / "Dockerfile").write_text("FROM debian:jessie\nCOPY Dockerfile /\n")
    async with docker_engine(proxy.url, daemon_file=printed) as engine:
        pulled = await engine.pull("debian:jessie", ARM_V7)
        assert pulled.id == content.image("arm32v7/debian:jessie").config.digest
        await engine.remove("debian:jessie")
        build = ("build", "--platform", ARM_V6, "--tag", "built", str(source))
        (await engine.docker(*build, has_buildkit=True)).check()
        assert (await engine.inspect("built")).platform == ARM_V6
    requests = [json.loads(line) for line in proxy.log().splitlines()]
    # BuildKit tells nobody its platform.
    assert [line["evidence"] for line in requests if line.get("kind") == "tag"] == ["user-agent", "none"]


@pytest.mark.parametrize("program", ["buildctl", "buildx"])
async def test_buildkit_builds_through_the_proxy(
    hub: HubStandIn, start_proxy: StartProxy, run_cli: RunCli, content: Content, tmp_path: Path, program: str
) -> None:
    """For two platforms at once, as nobody else asks: each gets its own base."""
    proxy = await start_proxy(config=as_docker_hub(hub.url))
    printed = (await run_cli("client-config", "buildkit", "--proxy", proxy.url)).check().stdout
    source = tmp_path / "source"
    source.mkdir()
    (source / "Dockerfile").write_text("FROM debian:jessie\nCOPY Dockerfile /\n")
    async with buildkit(tmp_path / "buildkit", printed) as running:
        build = running.buildctl if program == "buildctl" else running.buildx
        built = await build(source, ARM_V7, ARM_V6)
    bases = {ARM_V7: "arm32v7/debian:jessie", ARM_V6: "arm32v6/debian:jessie"}
    expected = {platform: content.image(name).layers[0].digest for platform, name in bases.items()}
    assert {one.platform: one.layers[0] for one in built} == expected
    assert "/v2/library/debian/manifests/jessie" in proxy.log()
