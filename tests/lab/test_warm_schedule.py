"""`[[warm]]`: the server warms by itself, after its start and again; and leaves clients their share of allowances."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.lab.clients import open_client
from tests.lab.content import AMD64, ARM_V7, Content
from tests.lab.hub import HUB, HubStandIn
from tests.lab.hub.asked import Kind
from tests.lab.images import Index, build_image, build_index
from tests.lab.programs import wait_until
from tests.lab.proxies import Proxy, StartProxy, as_docker_hub
from tests.lab.pushing import push
from tests.lab.registry import docker_registry

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

NEWEST_AT_FIRST, NEWEST_LATER = "1.10", "1.11"
ROUND_SECONDS = 60
"""`every`: the shortest that the settings take."""


def version(tag: str) -> Index:
    """Build what is under a tag of `library/rolling`."""
    return build_index([build_image(one, label=f"rolling {tag}") for one in (AMD64, ARM_V7)])


CONTENT = Content(
    {
        **{f"library/rolling:{tag}": version(tag) for tag in ("1.9", NEWEST_AT_FIRST, "1.10-alpine", "2.0")},
        **{f"library/plain{number}:1": build_image(AMD64, label=f"plain {number}") for number in range(4)},
    }
)


@dataclass(frozen=True, slots=True)
class Upstream:
    """Docker Hub, and the registry behind it, for who moves tags."""

    hub: HubStandIn
    registry_url: str

    def fetched(self) -> set[str]:
        """The blobs that were fetched."""
        return {record.reference for record in self.hub.requests(Kind.CDN)}


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with docker_registry() as registry:
        await CONTENT.push(registry.url)
        async with HubStandIn(registry.url) as hub:
            yield Upstream(hub, registry.url)


def blobs_of(index: Index) -> set[str]:
    """Answer the configs and layers of all images."""
    return {blob.digest for image in index.images for blob in (image.config, *image.layers)}


def told(proxy: Proxy, event: str) -> list[Mapping[str, Any]]:
    """Answer the log lines of an event."""
    lines = [json.loads(line) for line in proxy.log().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


async def wait_told(proxy: Proxy, event: str, count: int, *, seconds: float) -> list[Mapping[str, Any]]:
    """Wait until an event was told so often."""

    async def is_told() -> bool:
        return len(told(proxy, event)) >= count

    await wait_until(is_told, seconds=seconds, purpose=f"{count} times {event}")
    return told(proxy, event)


async def test_it_warms_after_its_start_and_again_and_takes_the_newest_of_a_pattern(
    upstream: Upstream, client_folder: Path, start_proxy: StartProxy
) -> None:
    hub, first = upstream.hub, version(NEWEST_AT_FIRST)
    warm = (
        '[[warm]]\nimages = ["rolling:1.*"]\nplatforms = ["amd64", "armhf"]\nevery = "1m"\njitter = "0s"\npin = true\n'
    )
    proxy = await start_proxy(config=as_docker_hub(hub.url) + warm)
    (ended,) = await wait_told(proxy, "warm.ended", 1, seconds=30)
    assert (ended["state"], ended["failed"]) == ("done", {})
    assert upstream.fetched() == blobs_of(first)
    hub.reset()
    later = version(NEWEST_LATER)
    await push(later, "library/rolling", NEWEST_LATER, registry_url=upstream.registry_url)
    ended = (await wait_told(proxy, "warm.ended", 2, seconds=ROUND_SECONDS * 3))[1]
    assert (ended["state"], ended["failed"]) == ("done", {})
    assert upstream.fetched() == blobs_of(later)
    await hub.go_offline()
    async with AsyncExitStack() as stack:
        client, prefix = await open_client(stack, "skopeo", client_folder, proxy.host)
        for tag, index in ((NEWEST_AT_FIRST, first), (NEWEST_LATER, later)):
            for image in index.images:
                assert await client.pull(f"{prefix}rolling:{tag}", str(image.platform)) == image.config.digest


async def test_it_leaves_the_reserve_to_clients_and_says_so(upstream: Upstream, start_proxy: StartProxy) -> None:
    hub = upstream.hub
    hub.behaviour = replace(HUB, pull_limit=10)
    names = [f"plain{number}:1" for number in range(4)]
    warm = f'[[warm]]\nimages = {json.dumps(names)}\nplatforms = ["amd64"]\nevery = "1h"\nreserve = 8\nparallel = 1\n'
    proxy = await start_proxy(config=as_docker_hub(hub.url) + warm)
    (postponed,) = await wait_told(proxy, "warm.postponed", 1, seconds=30)
    assert postponed["images"] == ["docker.io/library/plain2:1", "docker.io/library/plain3:1"]
    assert hub.spent_pulls == 2
    (ended,) = told(proxy, "warm.ended")
    assert (ended["state"], ended["failed"]) == ("done", {})
    hub.reset()
    hub.spent_pulls = 2
    await proxy.restart()  # it knows of no allowance then, and asks before it spends any
    await wait_told(proxy, "warm.postponed", 2, seconds=30)
    assert hub.spent_pulls == 2
    await proxy.stop()
    hub.spent_pulls = 0
    await proxy.start()
    await wait_told(proxy, "warm.ended", 3, seconds=30)
    assert hub.spent_pulls == 2
