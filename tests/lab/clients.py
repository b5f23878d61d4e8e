"""Real clients, each with storage and configuration of its own.

Every `pull` returns the digest of the config that was got: it identifies an image whatever form a client keeps it in.
Clients that know mirrors are told one for Docker Hub; crane and oras name the proxy in the reference.
"""

import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

from tests.lab import tools
from tests.lab.containerd import CONTAINERD_1, CONTAINERD_2, Release, containerd
from tests.lab.images import Platform
from tests.lab.programs import CommandFailed, run

_REGISTRIES_CONF = """\
unqualified-search-registries = ["docker.io"]
[[registry]]
prefix = "docker.io"
location = "docker.io"
[[registry.mirror]]
location = "{mirror}"
insecure = true
"""
# As a mirror's users, they would go on to ask the real Docker Hub, again and again where it cannot be reached.
_IN_PLACE_OF_HUB = """\
[[registry]]
prefix = "docker.io"
location = "{host}"
insecure = true
"""
# Naming the mirror as the server too keeps a failing mirror from being passed over for the real Docker Hub.
_HOSTS_TOML = """\
server = "http://{mirror}"
[host."http://{mirror}"]
capabilities = ["pull", "resolve"]
"""


class Client(Protocol):
    """What the clients have in common."""

    async def pull(self, reference: str, platform: str, /) -> str:
        """Pull an image for a platform, and return its config's digest."""
        ...


class Podman:
    """`podman pull`."""

    def __init__(self, folder: Path, *, mirror: str) -> None:
        self._podman = (tools.require("podman"), *_storage_options(folder), "--events-backend", "none")
        self._environment = _write_registries_conf(folder, mirror)

    async def pull(self, reference: str, platform: str) -> str:
        """Pull for a platform, and forget the image again."""
        command = (*self._podman, "pull", "--quiet", *_platform_options(platform), reference)
        pulled = (await run(*command, environment=self._environment)).check()
        image_id = pulled.stdout.split()[-1]
        (await run(*self._podman, "image", "rm", "--force", image_id, environment=self._environment)).check()
        return f"sha256:{image_id}"


class Buildah:
    """`buildah bud` of a Dockerfile that needs nothing run."""

    def __init__(self, folder: Path, *, mirror: str) -> None:
        self._folder = folder / "context"
        self._folder.mkdir(parents=True)
        self._buildah = (tools.require("buildah"), *_storage_options(folder))
        self._environment = _write_registries_conf(folder, mirror)

    async def pull(self, reference: str, platform: str) -> str:
        """Build upon an image, and return the config digest of that base."""
        (self._folder / "Dockerfile").write_text(f"FROM {reference}\nLABEL built=yes\n")
        options = ("--isolation", "chroot", "--pull-always", *_platform_options(platform))
        command = (*self._buildah, "bud", *options, str(self._folder))
        (await run(*command, environment=self._environment)).check()
        inspect = (*self._buildah, "inspect", "--type", "image", reference)
        base = json.loads((await run(*inspect, environment=self._environment)).check().stdout)
        return f"sha256:{base['FromImageID']}"


class Skopeo:
    """`skopeo copy` into a folder."""

    def __init__(self, folder: Path, *, mirror: str) -> None:
        self._folder = folder / "copy"
        _write_registries_conf(folder, mirror)
        options = ("--insecure-policy", "--registries-conf", str(folder / "registries.conf"))
        self._skopeo = (tools.require("skopeo"), *options)

    async def pull(self, reference: str, platform: str) -> str:
        """Copy the image for a platform."""
        options = _platform_options(platform, prefix="--override-")
        command = (*self._skopeo, *options, "copy", f"docker://{reference}", f"dir:{self._folder}")
        (await run(*command)).check()
        return _config_digest((self._folder / "manifest.json").read_bytes())


class Crane:
    """`crane pull` into an OCI layout."""

    def __init__(self, folder: Path, *, registry: str) -> None:
        self._crane, self._folder, self._registry = tools.require("crane"), folder, registry
        self._count = 0

    async def pull(self, name: str, platform: str) -> str:
        """Pull the image for a platform."""
        self._count += 1
        layout = self._folder / f"layout-{self._count}"
        command = (self._crane, "pull", "--platform", platform, "--format", "oci")
        (await run(*command, f"{self._registry}/{name}", str(layout))).check()
        (entry,) = json.loads((layout / "index.json").read_bytes())["manifests"]
        return _config_digest((layout / "blobs" / entry["digest"].replace(":", "/")).read_bytes())

    async def digest(self, name: str) -> str:
        """Return the digest of whatever the tag points at, asked by HEAD."""
        return (await run(self._crane, "digest", f"{self._registry}/{name}")).check().stdout.strip()


class Oras:
    """`oras manifest fetch`."""

    def __init__(self, *, registry: str) -> None:
        self._oras, self._registry = tools.require("oras"), registry

    async def fetch(self, name: str, *options: str) -> bytes:
        """Return a manifest's bytes."""
        command = (self._oras, "manifest", "fetch", "--plain-http", *options, f"{self._registry}/{name}")
        return (await run(*command)).check().stdout.encode()

    async def pull(self, name: str, platform: str) -> str:
        """Fetch the manifest for a platform."""
        return _config_digest(await self.fetch(name, "--platform", platform))


class Ctr:
    """`ctr images pull` with a `hosts.toml`, in a containerd of its own."""

    def __init__(self, folder: Path, socket: Path, *, mirror: str, release: Release = CONTAINERD_1) -> None:
        self._ctr = (tools.require(release.ctr), "--address", str(socket))
        self._hosts = folder / "hosts"
        self._options = ("--hosts-dir", str(self._hosts), "--snapshotter", "native", *release.pull_options)
        self._count = 0
        (self._hosts / "docker.io").mkdir(parents=True)
        (self._hosts / "docker.io" / "hosts.toml").write_text(_HOSTS_TOML.format(mirror=mirror))

    async def pull(self, reference: str, platform: str) -> str:
        """Pull and unpack the image for a platform; each time into a fresh namespace, which shares nothing."""
        self._count += 1
        ctr = (*self._ctr, "--namespace", f"lab-{self._count}")
        (await run(*ctr, "images", "pull", *self._options, "--platform", platform, reference)).check()
        listing = (await run(*ctr, "content", "ls")).check().stdout
        configs = re.findall(r"gc\.ref\.content\.config=(sha256:[0-9a-f]+)", listing)
        if not configs:  # containerd 2.x calls it a success
            raise CommandFailed(f"{ctr[0]}: pulled the index of {reference}, and no image for {platform}")
        (digest,) = configs
        return str(digest)


@asynccontextmanager
async def ctr_client(folder: Path, *, mirror: str, release: Release = CONTAINERD_1) -> AsyncIterator[Ctr]:
    """Run a containerd, and yield a client for it."""
    async with containerd(folder / "containerd", release) as socket:
        yield Ctr(folder, socket, mirror=mirror, release=release)


async def open_client(stack: AsyncExitStack, name: str, folder: Path, mirror: str) -> tuple[Client, str]:
    """Start a client for a mirror; return it, and what it needs before `debian:jessie`."""
    match name:
        case "podman":
            return Podman(folder, mirror=mirror), "docker.io/library/"
        case "buildah":
            return Buildah(folder, mirror=mirror), "docker.io/library/"
        case "skopeo":
            return Skopeo(folder, mirror=mirror), "docker.io/library/"
        case "ctr" | "ctr-2":
            release = CONTAINERD_2 if name == "ctr-2" else CONTAINERD_1
            ctr = await stack.enter_async_context(ctr_client(folder, mirror=mirror, release=release))
            return ctr, "docker.io/library/"
        case "crane":
            return Crane(folder, registry=mirror), "library/"
        case _:
            return Oras(registry=mirror), "library/"


def put_in_place_of_hub(folder: Path, host: str) -> None:
    """Let the podman, buildah or skopeo in a folder take a proxy for Docker Hub itself, and ask nobody else."""
    (folder / "registries.conf").write_text(_IN_PLACE_OF_HUB.format(host=host))


def _storage_options(folder: Path) -> tuple[str, ...]:
    return ("--root", f"{folder}/storage", "--runroot", f"{folder}/run", "--storage-driver", "vfs")


def _write_registries_conf(folder: Path, mirror: str) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "registries.conf"
    file.write_text(_REGISTRIES_CONF.format(mirror=mirror))
    return {"CONTAINERS_REGISTRIES_CONF": str(file), "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}


def _platform_options(platform: str, *, prefix: str = "--") -> tuple[str, ...]:
    parsed = Platform.parse(platform)
    options = (f"{prefix}os", parsed.os, f"{prefix}arch", parsed.architecture)
    return (*options, f"{prefix}variant", parsed.variant) if parsed.variant else options


def _config_digest(manifest: bytes) -> str:
    return str(json.loads(manifest)["config"]["digest"])
