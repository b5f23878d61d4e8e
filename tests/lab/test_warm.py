"""Warming as scripts do it: a list of images, killed half-way, run again; and then pulled while upstream is off."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.lab.clients import open_client
from tests.lab.content import AMD64, ARM64, ARM_V7, Content
from tests.lab.hub import HubStandIn
from tests.lab.hub.asked import Kind
from tests.lab.hub.faults import Stall
from tests.lab.images import Blob, Document, Index, build_image, build_index
from tests.lab.programs import Program, wait_until
from tests.lab.proxies import COMMAND, ENVIRONMENT, StartProxy, as_docker_hub
from tests.lab.registry import docker_registry

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

PLATFORMS = (AMD64, ARM64, ARM_V7)
NAMESPACES = {AMD64: "library", ARM64: "arm64v8", ARM_V7: "arm32v7"}
PADDING = 1_200_000


def fleet_content() -> Content:
    """Twenty images: half of them indexes, half of them one image each with builds in the arch namespaces."""
    documents: dict[str, Document] = {}
    for number in range(20):
        images = {one: build_image(one, label=f"warm {number}", padding_bytes=PADDING) for one in PLATFORMS}
        if number % 2:
            documents[f"library/warm{number}:1"] = build_index(list(images.values()), attested=True)
        else:
            documents |= {f"{NAMESPACES[one]}/warm{number}:1": image for one, image in images.items()}
    return Content(documents)


NAMES = tuple(f"warm{number}:1" for number in range(20))


class Warm:
    """`polyarch warm` of the list, again and again."""

    def __init__(self, folder: Path, hub: HubStandIn) -> None:
        self._folder = folder
        self.cache = folder / "cache"
        (folder / "polyarch.toml").write_text(as_docker_hub(hub.url))
        (folder / "list.txt").write_text("# the fleet\n" + "\n".join(NAMES))

    def start(self, *arguments: str) -> Program:
        """Begin to warm."""
        self._log = self._folder / "log"
        self._log.unlink(missing_ok=True)
        places = ("--config", str(self._folder / "polyarch.toml"), "--cache", str(self.cache))
        wanted = ("--from", str(self._folder / "list.txt"), "--platform", ",".join(PLATFORMS))
        return Program(*COMMAND, "warm", "--json", *wanted, *places, *arguments, log=self._log, environment=ENVIRONMENT)

    async def run(self, *arguments: str) -> Mapping[str, Any]:
        """Warm to the end; answer what it told."""
        program = self.start(*arguments)

        async def has_ended() -> bool:
            return program.code is not None

        await wait_until(has_ended, seconds=120, purpose="the end of warming")
        assert program.code == 0, program.log()
        text = program.log()
        found: Mapping[str, Any] = json.loads(text[text.index("\n{\n") :])
        return found

    def suspended(self) -> dict[str, int]:
        """How much there is of what broke off, by digest."""
        found: dict[str, int] = {}
        for file in (self.cache / "ingest").glob("*.*.*"):  # <hex>.<pid>.<n>
            with suppress(FileNotFoundError):  # it was committed just now
                size = file.stat().st_size
                found |= {f"sha256:{file.name.partition('.')[0]}": size} if size else {}
        return found

    def stored(self) -> set[str]:
        """The digests of what is whole."""
        return {f"sha256:{file.name}" for file in (self.cache / "blobs" / "sha256").iterdir()}


@pytest.fixture
async def warm_hub() -> AsyncIterator[HubStandIn]:
    async with docker_registry() as registry:
        await fleet_content().push(registry.url)
        async with HubStandIn(registry.url) as hub:
            yield hub


def parts_of(document: Document) -> list[Blob]:
    """Answer the configs and layers of an image, or of all that an index lists."""
    images = document.images if isinstance(document, Index) else (document,)
    return [blob for image in images for blob in (image.config, *image.layers)]


def fetched(hub: HubStandIn) -> list[tuple[str, int]]:
    """What was fetched from the CDN: digests, and where each began."""
    records = [one for one in hub.requests(Kind.CDN) if one.method == "GET"]  # what is all there is asked for by HEAD
    return [(one.reference, int(one.headers.get("Range", "bytes=0-")[6:].partition("-")[0])) for one in records]


async def test_twenty_images_for_three_platforms_killed_half_way_and_pulled_offline(
    warm_hub: HubStandIn, tmp_path: Path, client_folder: Path, start_proxy: StartProxy
) -> None:
    content, hub, warm = fleet_content(), warm_hub, Warm(tmp_path, warm_hub)
    total = 20 * len(PLATFORMS) * PADDING
    held = {content.image(f"{NAMESPACES[one]}/warm0:1", one).layers[-1].digest for one in (AMD64, ARM_V7)}
    for digest in held:
        hub.inject(Stall(after=0.5), kind=Kind.CDN, reference=digest)
    program = warm.start()

    async def is_half_way() -> bool:
        sent = sum(record.sent_bytes for record in hub.requests(Kind.CDN))
        return (sent > total / 2 and held <= warm.suspended().keys()) or program.code is not None

    await wait_until(is_half_way, seconds=60, purpose="half of the bytes")
    await program.kill()
    stored, suspended = warm.stored(), warm.suspended()
    parts = {blob.digest for one in content.documents.values() for blob in parts_of(one)}
    assert 0 < len(parts & stored) < len(parts), "it was not killed half-way"
    hub.reset()
    report = await warm.run()
    again = fetched(hub)
    assert len({digest for digest, _ in again}) == len(again), "something was begun twice in one run"
    assert not {digest for digest, _ in again} & stored, "what was whole was fetched again"
    for digest, start in again:
        assert start == suspended.get(digest, 0), "what was there of it was fetched again"
    assert held <= {digest for digest, start in again if start}, "nothing was gone on with"
    assert all(image["state"] == "done" for image in report["images"])
    hub.reset()
    assert (await warm.run())["spent"] == {"requests": 0, "pulls": 0, "tokens": 0, "bytes": 0}
    assert hub.requests() == []
    await hub.go_offline()
    proxy = await start_proxy(config=as_docker_hub(hub.url), cache=warm.cache)
    async with AsyncExitStack() as stack:
        for kind in ("skopeo", "podman"):
            client, prefix = await open_client(stack, kind, client_folder / kind, proxy.host)
            for number, name in enumerate(NAMES):
                for platform in PLATFORMS:
                    source = "library" if number % 2 else NAMESPACES[platform]
                    wanted = content.image(f"{source}/{name}", platform).config.digest
                    assert await client.pull(f"{prefix}{name}", platform) == wanted


async def test_what_a_dry_run_announces_is_what_the_run_takes(warm_hub: HubStandIn, tmp_path: Path) -> None:
    warm = Warm(tmp_path, warm_hub)
    cost = (await warm.run("--dry-run"))["cost"]
    warm_hub.reset()
    spent = (await warm.run())["spent"]
    asked = warm_hub.requests()
    to_registry = [one for one in asked if one.kind not in {Kind.CDN, Kind.TOKEN} and one.status != 401]
    assert (spent["requests"], spent["bytes"]) == (cost["requests"], cost["bytes"])
    sent_bytes = sum(one.sent_bytes for one in warm_hub.requests(Kind.CDN))
    assert (len(to_registry), sent_bytes) == (cost["requests"], cost["bytes"])
    assert spent["pulls"] == 0
    assert cost["bytes"] > 60 * PADDING
