"""What `polyarch client-config` prints, put in place as it is, makes real clients pull through a real polyarch."""

import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

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
