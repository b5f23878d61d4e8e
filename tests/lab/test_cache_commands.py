"""`polyarch cache` among real programs: beside a server that runs, and archives that other tools read and write."""

import json
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.lab import tools
from tests.lab.conftest import RunCli
from tests.lab.containerd import containerd
from tests.lab.content import AMD64, ARM64, ARM_V6, ARM_V7, Content
from tests.lab.engines import PI_2, docker_engine
from tests.lab.hub import HubStandIn
from tests.lab.images import digest_of
from tests.lab.programs import run, wait_until
from tests.lab.proxies import Proxy, StartProxy, as_docker_hub
from tests.lab.registry import DockerRegistry
from tests.live import Pulled, pull

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
JESSIE, MULTI = "library/debian:jessie", "library/multi:latest"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
async def proxy(hub: HubStandIn, start_proxy: StartProxy) -> Proxy:
    """A proxy that a PC and a Pi 2 have pulled two images from."""
    proxy = await start_proxy(config=as_docker_hub(hub.url))
    for name in (JESSIE, MULTI):
        for platform in (AMD64, ARM_V7):
            await pull_from(proxy, name, platform)
    return proxy


async def pull_from(proxy: Proxy, name: str, platform: str) -> Pulled:
    async with httpx.AsyncClient(base_url=proxy.url, trust_env=False, timeout=30) as client:
        return await pull(client, name, platform)


async def references(run_cli: RunCli, proxy: Proxy) -> set[str]:
    listed = (await run_cli("cache", "ls", "--json", "--cache", str(proxy.cache))).check()
    return {one["reference"] for one in json.loads(listed.stdout)}


# Beside a server, and without one


@pytest.mark.parametrize("is_running", [True, False], ids=["running", "stopped"])
async def test_every_command_works_on_the_cache_of_a_server(
    proxy: Proxy, run_cli: RunCli, tmp_path: Path, content: Content, *, is_running: bool
) -> None:
    options = ("--cache", str(proxy.cache))
    before = await pull_from(proxy, JESSIE, ARM_V7)
    if not is_running:
        await proxy.stop()
    assert "docker.io/library/debian:jessie" in await references(run_cli, proxy)
    assert json.loads((await run_cli("cache", "du", "--json", *options)).check().stdout)["blobs"] > 0
    (await run_cli("cache", "pin", "debian:jessie", *options)).check()
    assert (await run_cli("cache", "purge", "debian:jessie", *options)).code == 1
    (await run_cli("cache", "unpin", "debian:jessie", *options)).check()
    (await run_cli("cache", "verify", *options)).check()
    archive = str(tmp_path / "debian.tar")
    (await run_cli("cache", "export", "debian:jessie", archive, *options)).check()
    (await run_cli("cache", "purge", "debian:jessie", *options)).check()
    assert "docker.io/library/debian:jessie" not in await references(run_cli, proxy)
    (await run_cli("cache", "gc", *options)).check()
    (await run_cli("cache", "import", archive, *options)).check()
    assert "docker.io/library/debian:jessie" in await references(run_cli, proxy)
    (await run_cli("cache", "verify", *options)).check()
    # The layout's index is in step with the commands; skopeo finds OCI documents in it by their names, no Docker ones.
    assert '"docker.io/library/debian:jessie"' in (proxy.cache / "index.json").read_text()
    layout = f"oci:{proxy.cache}:docker.io/{MULTI}"
    raw = (await run(tools.require("skopeo"), "inspect", "--raw", layout)).check()
    assert digest_of(raw.stdout.encode()) == content.digest(MULTI)
    if not is_running:
        await proxy.start()
    assert await pull_from(proxy, JESSIE, ARM_V7) == before
    assert await proxy.stop() == 0


async def test_a_server_that_runs_does_not_serve_what_was_purged(
    proxy: Proxy, hub: HubStandIn, run_cli: RunCli
) -> None:
    await pull_from(proxy, JESSIE, ARM_V7)
    known = len(hub.requests())
    assert (await pull_from(proxy, JESSIE, ARM_V7)).state == "hit"
    assert len(hub.requests()) == known
    (await run_cli("cache", "purge", "debian:jessie", "--cache", str(proxy.cache))).check()

    async def asks_upstream() -> bool:
        return (await pull_from(proxy, JESSIE, ARM_V7)).state == "miss"

    await wait_until(asks_upstream, seconds=20, purpose="a pull that goes upstream")
    assert any(one.kind == "blob" for one in hub.requests()[known:])


async def test_a_server_that_runs_serves_what_was_imported(
    proxy: Proxy, run_cli: RunCli, tmp_path: Path, content: Content
) -> None:
    """The imported tag is one that the server knows as something else."""
    archive = str(tmp_path / "multi.tar")
    (await run_cli("cache", "export", "multi", archive, "--cache", str(proxy.cache))).check()
    (await run_cli("cache", "import", archive, "--as", "debian:jessie", "--cache", str(proxy.cache))).check()

    async def is_served() -> bool:
        return (await pull_from(proxy, JESSIE, ARM_V7)).digest == content.digest(MULTI)

    await wait_until(is_served, seconds=20, purpose="the imported image")


async def test_damage_is_found_beside_a_server_and_mended_by_the_next_pull(
    proxy: Proxy, run_cli: RunCli, content: Content
) -> None:
    layer = content.image("arm32v7/debian:jessie").layers[0]
    file = proxy.cache / "blobs" / layer.digest.replace(":", "/")
    file.chmod(0o644)
    file.write_bytes(bytes(len(layer.content)))
    found = await run_cli("cache", "verify", "--json", "--cache", str(proxy.cache))
    assert found.code == 1
    assert [one["digest"] for one in json.loads(found.stdout)["damaged"]] == [layer.digest]

    async def is_whole() -> bool:
        await pull_from(proxy, JESSIE, ARM_V7)
        return file.exists()

    await wait_until(is_whole, seconds=20, purpose="the layer that was put aside")
    assert file.read_bytes() == layer.content


async def test_damage_is_repaired_beside_a_server(
    proxy: Proxy, hub: HubStandIn, run_cli: RunCli, content: Content
) -> None:
    layer = content.image("arm32v7/debian:jessie").layers[0]
    file = proxy.cache / "blobs" / layer.digest.replace(":", "/")
    file.chmod(0o644)
    file.write_bytes(b"something else")
    options = ("--cache", str(proxy.cache), "--upstream", hub.url)
    assert f"{layer.digest}: repaired" in (await run_cli("cache", "verify", "--repair", *options)).check().stdout
    assert file.read_bytes() == layer.content
    await pull_from(proxy, JESSIE, ARM_V7)


# What we wrote, others read


@pytest.fixture
async def archive(proxy: Proxy, run_cli: RunCli, tmp_path: Path) -> Path:
    """`debian:jessie` for a Pi 2."""
    path = tmp_path / "jessie.tar"
    options = ("--platform", "arm7", "--cache", str(proxy.cache))
    (await run_cli("cache", "export", "debian:jessie", str(path), *options)).check()
    return path


@pytest.fixture
def image_id(content: Content) -> str:
    """The digest of its config."""
    return content.image("arm32v7/debian:jessie").config.digest


@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive"])
async def test_skopeo_reads_it(archive: Path, image_id: str, tmp_path: Path, transport: str) -> None:
    command = (tools.require("skopeo"), "--insecure-policy", "copy", f"{transport}:{archive}", f"dir:{tmp_path}/copy")
    (await run(*command)).check()
    config = json.loads((tmp_path / "copy" / "manifest.json").read_bytes())["config"]["digest"]
    assert config == image_id


async def test_skopeo_reads_each_platform_out_of_an_index(
    proxy: Proxy, run_cli: RunCli, content: Content, tmp_path: Path
) -> None:
    path = tmp_path / "multi.tar"
    exported = await run_cli("cache", "export", "multi", str(path), "--cache", str(proxy.cache))
    assert f"not cached, and not in it: {ARM64}, {ARM_V6}" in exported.check().stdout
    for architecture, platform in (("amd64", AMD64), ("arm", ARM_V7)):
        override = (f"--override-arch={architecture}", *(["--override-variant=v7"] if architecture == "arm" else []))
        copy = tmp_path / architecture
        command = (tools.require("skopeo"), "--insecure-policy", *override, "copy", "--preserve-digests")
        (await run(*command, f"oci-archive:{path}", f"dir:{copy}")).check()
        assert (copy / "manifest.json").read_bytes() == content.image(MULTI, platform).manifest.content


async def test_podman_loads_it(archive: Path, image_id: str, client_folder: Path) -> None:
    podman, environment = podman_in(client_folder)
    loaded = (await run(*podman, "load", "--quiet", "--input", str(archive), environment=environment)).check()
    assert "docker.io/library/debian:jessie" in loaded.stdout
    inspect = (*podman, "image", "inspect", "--format", "{{.Id}}", "docker.io/library/debian:jessie")
    assert (await run(*inspect, environment=environment)).check().stdout.strip() == image_id.removeprefix("sha256:")


async def test_containerd_imports_it(archive: Path, image_id: str, client_folder: Path) -> None:
    async with containerd(client_folder / "containerd") as socket:
        ctr = (tools.require("ctr"), "--address", str(socket))
        (await run(*ctr, "images", "import", "--no-unpack", "--all-platforms", str(archive))).check()
        assert "docker.io/library/debian:jessie" in (await run(*ctr, "images", "ls", "--quiet")).check().stdout
        assert image_id in (await run(*ctr, "content", "ls", "--quiet")).check().stdout


async def test_an_engine_loads_it(archive: Path, image_id: str) -> None:
    async with docker_engine(NOWHERE, PI_2) as engine:
        assert "debian:jessie" in (await engine.docker("load", "--input", str(archive))).check().stdout
        image = await engine.inspect("debian:jessie")
        assert (image.id, image.platform) == (image_id, ARM_V7)


async def test_crane_pushes_the_folder_that_it_is(
    proxy: Proxy, own_registry: DockerRegistry, run_cli: RunCli, tmp_path: Path, content: Content
) -> None:
    options = ("--platform", "arm7", "--cache", str(proxy.cache))
    (await run_cli("cache", "export", "debian:jessie", f"{tmp_path}/layout/", *options)).check()
    target = f"{own_registry.url.removeprefix('http://')}/pushed/debian:jessie"
    pushed = (await run(tools.require("crane"), "push", f"{tmp_path}/layout", target)).check()
    assert content.digest("arm32v7/debian:jessie") in pushed.stdout


# What others wrote, we serve


async def serve_offline(start_proxy: StartProxy, cache: Path) -> Proxy:
    return await start_proxy(NOWHERE, cache=cache)


@pytest.mark.parametrize(
    ("transport", "is_named"), [("oci-archive", True), ("docker-archive", True), ("oci-archive", False), ("oci", False)]
)
async def test_what_skopeo_copied_is_served(
    proxy: Proxy,
    run_cli: RunCli,
    start_proxy: StartProxy,
    tmp_path: Path,
    content: Content,
    transport: str,
    *,
    is_named: bool,
) -> None:
    target = f"{transport}:{tmp_path}/copied" + (":docker.io/library/debian:jessie" if is_named else "")
    override = ("--override-arch=arm", "--override-variant=v7", "--insecure-policy")
    command = (tools.require("skopeo"), *override, "copy", "--src-tls-verify=false")
    (await run(*command, f"docker://{proxy.host}/library/debian:jessie", target)).check()
    name = () if is_named else ("--as", "debian:jessie")
    imported = await run_cli("cache", "import", str(tmp_path / "copied"), *name, "--cache", str(tmp_path / "other"))
    assert imported.check().stdout.startswith("imported debian:jessie, sha256:")
    other = await serve_offline(start_proxy, tmp_path / "other")
    pulled = await pull_from(other, JESSIE, ARM_V7)
    assert layers_of(other, pulled) == json.loads(content.image("arm32v7/debian:jessie").config.content)["rootfs"]


async def test_what_skopeo_copied_whole_is_served_to_each_machine(
    proxy: Proxy, run_cli: RunCli, start_proxy: StartProxy, tmp_path: Path, content: Content
) -> None:
    command = (tools.require("skopeo"), "--insecure-policy", "copy", "--all", "--preserve-digests")
    source = f"docker://{proxy.host}/library/multi:latest"
    target = f"oci-archive:{tmp_path}/multi.tar:docker.io/library/multi:latest"
    (await run(*command, "--src-tls-verify=false", source, target)).check()
    (await run_cli("cache", "import", str(tmp_path / "multi.tar"), "--cache", str(tmp_path / "other"))).check()
    other = await serve_offline(start_proxy, tmp_path / "other")
    for platform in (AMD64, ARM64, ARM_V7, ARM_V6):
        pulled = await pull_from(other, MULTI, platform)
        assert (pulled.digest, pulled.image) == (content.digest(MULTI), content.digest(MULTI, platform))


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
async def test_what_podman_saved_is_served(
    archive: Path,
    run_cli: RunCli,
    start_proxy: StartProxy,
    client_folder: Path,
    tmp_path: Path,
    content: Content,
    form: str,
) -> None:
    podman, environment = podman_in(client_folder)
    (await run(*podman, "load", "--quiet", "--input", str(archive), environment=environment)).check()
    save = ("save", "--quiet", "--format", form, "--output", str(tmp_path / "saved.tar"))
    (await run(*podman, *save, "docker.io/library/debian:jessie", environment=environment)).check()
    (await run_cli("cache", "import", str(tmp_path / "saved.tar"), "--cache", str(tmp_path / "other"))).check()
    other = await serve_offline(start_proxy, tmp_path / "other")
    pulled = await pull_from(other, JESSIE, ARM_V7)
    assert layers_of(other, pulled) == json.loads(content.image("arm32v7/debian:jessie").config.content)["rootfs"]


async def test_what_an_engine_saved_is_served_to_an_engine(
    proxy: Proxy, run_cli: RunCli, start_proxy: StartProxy, tmp_path: Path, image_id: str
) -> None:
    """The whole way: pulled by a Pi 2, saved by it, imported, and pulled by the next one without any upstream."""
    other = tmp_path / "other"
    async with docker_engine(proxy.url, PI_2) as engine:
        pulled = await engine.pull("debian:jessie")
        assert pulled.id == image_id
        (await engine.docker("tag", "debian:jessie", "debian:8")).check()
        (await engine.docker("save", "--output", str(tmp_path / "saved.tar"), "debian:jessie", "debian:8")).check()
        imported = await run_cli("cache", "import", str(tmp_path / "saved.tar"), "--cache", str(other))
        assert "debian:jessie" in imported.check().stdout
        assert "debian:8" in imported.stdout
        for name in ("debian:jessie", "debian:8"):
            await engine.remove(name)
    async with AsyncExitStack() as stack:
        served = await serve_offline(start_proxy, other)
        engine = await stack.enter_async_context(docker_engine(served.url, PI_2))
        for name in ("debian:jessie", "debian:8"):
            again = await engine.pull(name)
            assert (again.id, again.platform) == (image_id, ARM_V7)


async def test_what_containerd_exported_is_served(
    archive: Path, run_cli: RunCli, start_proxy: StartProxy, client_folder: Path, tmp_path: Path, image_id: str
) -> None:
    async with containerd(client_folder / "containerd") as socket:
        ctr = (tools.require("ctr"), "--address", str(socket))
        (await run(*ctr, "images", "import", "--no-unpack", "--all-platforms", str(archive))).check()
        export = ("images", "export", "--platform", ARM_V7, str(tmp_path / "exported.tar"))
        (await run(*ctr, *export, "docker.io/library/debian:jessie")).check()
    (await run_cli("cache", "import", str(tmp_path / "exported.tar"), "--cache", str(tmp_path / "other"))).check()
    other = await serve_offline(start_proxy, tmp_path / "other")
    assert (await pull_from(other, JESSIE, ARM_V7)).config == image_id


async def test_the_cache_folder_itself_is_a_layout_to_import(
    proxy: Proxy, run_cli: RunCli, start_proxy: StartProxy, tmp_path: Path, content: Content
) -> None:
    """One proxy's cache, copied to a stick, fills another's."""
    await proxy.stop()
    (await run_cli("cache", "import", str(proxy.cache), "--cache", str(tmp_path / "other"))).check()
    other = await serve_offline(start_proxy, tmp_path / "other")
    for platform in (AMD64, ARM_V7):
        pulled = await pull_from(other, MULTI, platform)
        assert (pulled.state, pulled.image) == ("hit", content.digest(MULTI, platform))


def layers_of(proxy: Proxy, pulled: Pulled) -> object:
    """Answer an image's uncompressed layers: containers/image writes the rest of a config anew for an OCI archive."""
    return json.loads((proxy.cache / "blobs" / pulled.config.replace(":", "/")).read_bytes())["rootfs"]


def podman_in(folder: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """Answer the command of a podman with storage of its own, and its environment."""
    storage = ("--root", f"{folder}/storage", "--runroot", f"{folder}/run", "--storage-driver", "vfs")
    return (tools.require("podman"), *storage, "--events-backend", "none"), {
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
    }
