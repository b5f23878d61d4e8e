"""A BuildKit of the lab's own, and what gives it work: `buildctl`, and `docker buildx` by its remote driver."""

import hashlib
import io
import json
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab import tools
from tests.lab.programs import CommandFailed, Program, run, wait_until

# Of what runs in a build nothing is kept apart from the machine: the lab may be in a container itself.
_WORKER = ("--oci-worker=true", "--containerd-worker=false", "--oci-worker-snapshotter=native", "--oci-worker-net=host")
_SECONDS = 180
BUILDER = "lab"
"""What `docker buildx` calls it."""


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """What became of a build for one platform."""

    platform: str
    config: Mapping[str, Any] = field(repr=False)
    layers: tuple[str, ...]
    """The digests of its layers, as they are in a registry; those of its base come first."""
    files: Mapping[str, str] = field(repr=False)
    """What its layers hold: by their names, the contents of files, and where links lead."""


@dataclass(frozen=True, slots=True)
class BuildKit:
    """A running `buildkitd`."""

    folder: Path

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"unix://{self.folder}/buildkitd.sock"

    async def buildctl(self, context: Path, *platforms: str) -> tuple[BuiltImage, ...]:
        """Build the Dockerfile in a folder by `buildctl`; answer the image for each platform."""
        local = ("--local", f"context={context}", "--local", f"dockerfile={context}")
        options = ("--frontend", "dockerfile.v0", *local, "--opt", f"platform={','.join(platforms)}")
        output = self.folder / "buildctl.tar"
        command = (tools.require("buildctl"), "--addr", self.address, "build", "--progress", "plain", *options)
        (await run(*command, "--output", f"type=oci,dest={output}", seconds=_SECONDS)).check()
        return read_images(output)

    async def buildx(self, context: Path, *platforms: str, file: Path | None = None) -> tuple[BuiltImage, ...]:
        """Build the Dockerfile in a folder, or another one, by `docker buildx`; answer the image for each platform."""
        buildx, environment = tools.require("docker-buildx"), await self.add_to(self.folder / "docker")
        output = self.folder / "buildx.tar"
        options = ("--platform", ",".join(platforms), "--provenance=false", "--progress", "plain")
        place = ("--file", str(file or context / "Dockerfile"), "--output", f"type=oci,dest={output}", str(context))
        (await run(buildx, "build", *options, *place, environment=environment, seconds=_SECONDS)).check()
        return read_images(output)

    async def add_to(self, folder: Path) -> dict[str, str]:
        """Let `docker buildx` build here by what is in its `DOCKER_CONFIG`; answer the environment that says so."""
        buildx, plugin = tools.require("docker-buildx"), folder / "cli-plugins" / "docker-buildx"
        environment = {"BUILDX_BUILDER": BUILDER, "DOCKER_CONFIG": str(folder), "HOME": str(self.folder)}
        if not plugin.exists():
            plugin.parent.mkdir(parents=True)
            plugin.symlink_to(buildx)
            create = ("create", "--name", BUILDER, "--driver", "remote", self.address)
            (await run(buildx, *create, environment={**environment, "BUILDX_BUILDER": ""})).check()
        return environment


@asynccontextmanager
async def buildkit(folder: Path, config: str) -> AsyncIterator[BuildKit]:
    """Run a BuildKit in a folder, with a `buildkitd.toml`."""
    tools.require_root()
    tools.require("runc")
    buildctl, running = tools.require("buildctl"), BuildKit(folder)
    program = _start(running, config)

    async def is_up() -> bool:
        if program.code is not None:
            raise CommandFailed(f"{program!r} ended while starting\n{program.log()}")
        return (await run(buildctl, "--addr", running.address, "debug", "workers")).code == 0

    try:
        await wait_until(is_up, seconds=60, purpose="buildkitd")
        yield running
    finally:
        await program.stop()


def _start(kit: BuildKit, config: str) -> Program:
    folder = kit.folder
    folder.mkdir(parents=True)
    (folder / "buildkitd.toml").write_text(config)
    places = ("--addr", kit.address, "--root", f"{folder}/root", "--config", f"{folder}/buildkitd.toml")
    return Program(tools.require("buildkitd"), *places, *_WORKER, log=folder / "log")


def read_images(archive: Path) -> tuple[BuiltImage, ...]:
    """Read the images of an OCI layout in a tar file, whether there is an index over them or not."""
    with tarfile.open(archive) as tar:

        def read(digest: str) -> bytes:
            file = tar.extractfile(f"blobs/{digest.replace(':', '/')}")
            assert file is not None
            return file.read()

        index = tar.extractfile("index.json")
        assert index is not None
        documents = [json.loads(read(entry["digest"])) for entry in json.load(index)["manifests"]]
        for document in documents[:]:
            if "manifests" in document:
                documents.remove(document)
                documents += [json.loads(read(entry["digest"])) for entry in document["manifests"]]
        return tuple(_read_image(document, read) for document in documents)


def _read_image(manifest: Mapping[str, Any], read: Callable[[str], bytes]) -> BuiltImage:
    config = json.loads(read(manifest["config"]["digest"]))
    words = [config.get(key) for key in ("os", "architecture", "variant")]
    platform = "/".join(str(word) for word in words if word)
    layers = tuple(layer["digest"] for layer in manifest["layers"])
    files = {name: held for layer in layers for name, held in _read_layer(read(layer))}
    return BuiltImage(platform, config, layers, files)


def _read_layer(content: bytes) -> Iterator[tuple[str, str]]:
    with tarfile.open(fileobj=io.BytesIO(content)) as layer:
        for entry in layer:
            file = layer.extractfile(entry) if entry.isfile() else None
            held = entry.linkname if file is None else hashlib.sha256(file.read()).hexdigest()
            yield entry.name.removeprefix("./").rstrip("/"), f"{entry.type.decode()} {entry.mode:o} {held}"
