"""polyarch as the wiring makes it, inside the test's own event loop, in front of the lab's Docker Hub."""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
from aiohttp import web

from proxy.config.schema import CacheSettings, Settings
from proxy.config.upstreams import UpstreamSettings
from proxy.server.identity import Identity
from proxy.telemetry.metrics import Metrics
from proxy.wiring import open_proxy
from tests.fakes.events import RecordingEvents
from tests.lab.content import Content, hub_content
from tests.lab.hub import HubStandIn
from tests.lab.images import MANIFEST_TYPES, digest_of
from tests.lab.programs import wait_until
from tests.lab.registry import DockerRegistry, docker_registry

AGENTS: Mapping[str, str] = {
    "linux/amd64": "docker/28.5.1 go/go1.24 git-commit/f8215cc kernel/6.1.0-25-amd64 os/linux arch/amd64",
    "linux/arm64": "docker/28.5.1 go/go1.24 git-commit/f8215cc kernel/6.1.0-25-arm64 os/linux arch/arm64",
    "linux/arm/v7": "docker/28.5.1 go/go1.24 git-commit/f8215cc kernel/6.1.21-v7+ os/linux arch/arm",
    "linux/arm/v6": "docker/28.5.1 go/go1.24 git-commit/f8215cc kernel/6.1.21+ os/linux arch/arm",
}
"""What Docker Engine sends from a machine of each platform."""


def live_content() -> Content:
    """What the lab's Docker Hub holds, without its largest image."""
    return Content({name: one for name, one in hub_content().documents.items() if not name.startswith("library/big:")})


@asynccontextmanager
async def open_backend() -> AsyncIterator[DockerRegistry]:
    """Start a `docker-registry` that has `live_content()`."""
    async with docker_registry() as registry:
        await live_content().push(registry.url)
        yield registry


@dataclass(frozen=True, slots=True)
class Live:
    """A proxy that runs."""

    port: int
    cache: Path
    events: RecordingEvents
    client: httpx.AsyncClient
    metrics: Metrics
    identity: Identity

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def stored(self) -> set[str]:
        """Answer the digests of all blobs in the cache, each held against its content."""
        found = set()
        for path in (self.cache / "blobs").rglob("*"):
            if path.is_file():
                digest = f"{path.parent.name}:{path.name}"
                assert hashlib.new(path.parent.name, path.read_bytes()).hexdigest() == path.name, digest
                found.add(digest)
        return found

    async def settle(self) -> None:
        """Wait until no download is under way, and see that none left anything behind."""

        async def is_quiet() -> bool:
            return not any((self.cache / "ingest").iterdir())

        await wait_until(is_quiet, seconds=10, purpose="the end of all downloads")


def settings_for(hub: HubStandIn, *, tag_ttl: float = 600.0, timeout: float = 10.0) -> Settings:
    """Make the settings of a proxy that takes the stand-in for Docker Hub, where strangers own names."""
    upstream = UpstreamSettings(url=hub.url, public="true", timeout=timeout)
    return Settings(upstream=(upstream,), cache=replace(CacheSettings(), tag_ttl=tag_ttl))


@asynccontextmanager
async def run_proxy(settings: Settings, cache: Path) -> AsyncIterator[Live]:
    """Run a proxy; what goes wrong inside of it fails the test."""
    events = RecordingEvents()
    async with open_proxy(settings, cache, events) as running:
        runner = web.ServerRunner(running.entrances[0].server, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            port = int(runner.addresses[0][1])
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
                live = Live(port, cache, events, client, running.metrics, running.identity)
                yield live
                await live.settle()  # a client has its last byte a moment before the disk has it
        finally:
            await runner.cleanup()
    assert events.faults == []
    assert events.named("task.crashed") == []


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull brought."""

    digest: str
    """What the tag was."""
    image: str
    """The digest of the image manifest for the client's platform."""
    config: str
    blobs: frozenset[str]
    state: str = field(compare=False)
    """What the proxy said of the tag: `Polyarch-Cache`."""


async def pull(client: httpx.AsyncClient, name: str, platform: str) -> Pulled:
    """Pull as Docker Engine does (clients.md §3): HEAD the tag, GET its digest, the child's, and the blobs."""
    repository, _, tag = name.rpartition(":")
    base, headers = f"/v2/{repository}", {"User-Agent": AGENTS[platform], "Accept": ", ".join(MANIFEST_TYPES)}
    assert (await client.get("/v2/", headers=headers)).status_code == 200
    head = _checked(await client.head(f"{base}/manifests/{tag}", headers=headers))
    digest = head.headers["Docker-Content-Digest"]
    document = await _fetch(client, f"{base}/manifests/{digest}", headers)
    assert (digest_of(document), len(document)) == (digest, int(head.headers["Content-Length"]))
    image = _pick(json.loads(document), platform)
    manifest = document
    if image is not None:
        manifest = await _fetch(client, f"{base}/manifests/{image}", headers)
        assert digest_of(manifest) == image
    fields = json.loads(manifest)
    blobs = [fields["config"], *fields["layers"]]
    for blob in blobs:
        content = await _fetch(client, f"{base}/blobs/{blob['digest']}", {"User-Agent": AGENTS[platform]})
        assert (digest_of(content), len(content)) == (blob["digest"], blob["size"])
    return Pulled(
        digest=digest,
        image=image or digest,
        config=fields["config"]["digest"],
        blobs=frozenset(blob["digest"] for blob in blobs),
        state=head.headers["Polyarch-Cache"],
    )


def code_of(body: bytes) -> str:
    """Answer the code of the one error in the registry's envelope."""
    (error,) = json.loads(body)["errors"]
    assert error["message"]
    code: str = error["code"]
    return code


def _pick(document: Mapping[str, object], platform: str) -> str | None:
    """Choose from an index as an engine does that knows exact matches only; None where it is no index."""
    entries = document.get("manifests")
    if not isinstance(entries, list):
        return None
    wanted = tuple(platform.split("/")[1:])
    for entry in entries:
        known = entry["platform"]
        variant = known.get("variant", "").removeprefix("v8")
        if tuple(part for part in (known["architecture"], variant) if part) == wanted:
            digest: str = entry["digest"]
            return digest
    raise AssertionError(f"no match for {platform} in {entries}")


async def _fetch(client: httpx.AsyncClient, path: str, headers: Mapping[str, str]) -> bytes:
    return _checked(await client.get(path, headers=headers)).content


def _checked(answer: httpx.Response) -> httpx.Response:
    assert answer.status_code == 200, f"{answer.request.url}: {answer.status_code} {answer.text}"
    return answer
