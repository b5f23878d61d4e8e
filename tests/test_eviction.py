"""A bounded cache, through the whole proxy: what leaves can be pulled again at any time, what is pinned stays."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from proxy.config.schema import Settings
from proxy.ports import Pin
from proxy.storage.catalog import SqliteCatalog
from proxy.telemetry.logs import SilentEvents
from proxy.wiring import CATALOG_FILE
from tests.lab.content import AMD64, ARM64, ARM_V6, ARM_V7, Content
from tests.lab.hub import HubStandIn
from tests.lab.images import build_image
from tests.lab.programs import wait_until
from tests.lab.registry import docker_registry
from tests.live import Live, Pulled, code_of, live_content, pull, run_proxy, settings_for

pytestmark = pytest.mark.lab

PADDING = 200_000
IMAGES = tuple(f"library/app:{number}" for number in range(12))
LARGEST = PADDING + 10_000
BOUND = 5 * LARGEST


def large_content() -> Content:
    """Twelve images of 200 kB each, and a Debian that has to be put together."""
    images = {name: build_image(ARM_V7, label=name, padding_bytes=PADDING) for name in IMAGES}
    builds = {name: one for name, one in live_content().documents.items() if name.endswith("/debian:jessie")}
    return Content({**builds, **images})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backend() -> AsyncIterator[str]:
    async with docker_registry() as registry:
        await large_content().push(registry.url)
        yield registry.url


@pytest.fixture
async def hub(backend: str) -> AsyncIterator[HubStandIn]:
    async with HubStandIn(backend) as hub:
        yield hub


def bounded(hub: HubStandIn, *, max_bytes: int | None = BOUND, tag_ttl: float = 600.0) -> Settings:
    settings = settings_for(hub, tag_ttl=tag_ttl)
    return replace(settings, cache=replace(settings.cache, max_bytes=max_bytes))


async def pin(cache: Path, tag: str) -> None:
    """Do what `polyarch cache pin` does, beside the running proxy."""
    with (
        ThreadPoolExecutor(1) as scribe,
        SqliteCatalog(cache / CATALOG_FILE, scribe, SilentEvents()) as catalog,
    ):
        await catalog.put_pin(Pin("docker.io", "library/debian", tag))


def size_of(cache: Path) -> int:
    return sum(path.stat().st_size for path in (cache / "blobs").rglob("*") if path.is_file())


async def until_within(live: Live, bound: int) -> None:
    async def is_within() -> bool:
        return size_of(live.cache) <= bound

    await wait_until(is_within, seconds=10, purpose=f"a cache of at most {bound} bytes")


async def pull_all(live: Live) -> dict[str, Pulled]:
    return {name: await pull(live.client, name, ARM_V7) for name in IMAGES}


async def test_the_bound_holds_within_one_blob(hub: HubStandIn, tmp_path: Path) -> None:
    async with run_proxy(bounded(hub), tmp_path) as live:
        for name in IMAGES:
            await pull(live.client, name, ARM_V7)
            await live.settle()
            assert size_of(tmp_path) <= BOUND + LARGEST, name
        await until_within(live, BOUND)
        hub.reset()
        assert (await pull(live.client, IMAGES[-1], ARM_V7)).state == "hit"
        assert hub.requests() == []
        assert live.events.named("cache.evicted")


async def test_what_has_left_is_pulled_again(hub: HubStandIn, tmp_path: Path) -> None:
    async with run_proxy(bounded(hub), tmp_path) as live:
        first = await pull_all(live)
        assert await pull_all(live) == first
        await until_within(live, BOUND)


async def test_everything_of_an_image_can_be_asked_for_alone_once_it_has_left(hub: HubStandIn, tmp_path: Path) -> None:
    """By the tag, by the digest of the index that was made here, by those of its images, and the blobs."""
    async with run_proxy(bounded(hub), tmp_path) as live:
        pulled = [await pull(live.client, "library/debian:jessie", one) for one in (AMD64, ARM64, ARM_V7, ARM_V6)]
        await pull_all(live)
        await until_within(live, BOUND)
        assert not live.stored() & {digest for one in pulled for digest in (one.image, *one.blobs)}
        for one in pulled:
            for digest in one.blobs:
                assert (await live.client.get(f"/v2/library/debian/blobs/{digest}")).status_code == 200
            assert (await live.client.get(f"/v2/library/debian/manifests/{one.image}")).status_code == 200
            assert (await live.client.get(f"/v2/library/debian/manifests/{one.digest}")).status_code == 200
        again = [await pull(live.client, "library/debian:jessie", one) for one in (AMD64, ARM64, ARM_V7, ARM_V6)]
        assert again == pulled


async def test_what_is_pinned_stays(hub: HubStandIn, tmp_path: Path) -> None:
    async with run_proxy(bounded(hub), tmp_path) as live:
        pinned = await pull(live.client, "library/debian:jessie", ARM_V7)
        await pin(tmp_path, "jessie")
        await pull_all(live)
        await until_within(live, BOUND)
        await hub.go_offline()
        assert await pull(live.client, "library/debian:jessie", ARM_V7) == pinned


async def test_what_has_left_cannot_be_had_offline_and_the_error_says_so(hub: HubStandIn, tmp_path: Path) -> None:
    async with run_proxy(bounded(hub), tmp_path) as live:
        first = await pull_all(live)
        await until_within(live, BOUND)
        await hub.go_offline()
        assert await pull(live.client, IMAGES[-1], ARM_V7) == first[IMAGES[-1]]
        gone = first[IMAGES[0]]
        for path in ("manifests/0", f"manifests/{gone.image}", f"blobs/{gone.config}"):
            answer = await live.client.get(f"/v2/library/app/{path}")
            assert (answer.status_code, code_of(answer.content)) == (503, "UNAVAILABLE"), path
            assert "docker.io cannot be asked now" in answer.text


async def test_what_is_larger_than_the_cache_is_served_without_it(hub: HubStandIn, tmp_path: Path) -> None:
    async with run_proxy(bounded(hub, max_bytes=PADDING // 2), tmp_path) as live:
        first = await pull(live.client, IMAGES[0], ARM_V7)
        assert await pull(live.client, IMAGES[0], ARM_V7) == first
        assert size_of(tmp_path) < PADDING // 2


async def test_a_bound_that_is_set_later_holds(hub: HubStandIn, tmp_path: Path) -> None:
    async with run_proxy(bounded(hub, max_bytes=None), tmp_path) as live:
        first = await pull_all(live)
        await live.settle()
        assert size_of(tmp_path) > BOUND
    async with run_proxy(bounded(hub), tmp_path) as live:
        await until_within(live, BOUND)
        assert await pull(live.client, IMAGES[-1], ARM_V7) == first[IMAGES[-1]]
        assert len(live.events.named("cache.evicted")) == 1
