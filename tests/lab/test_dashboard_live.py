"""The dashboard of a real proxy, in a real Chromium: what is pulled is seen there, and the cache changed from there."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.chromium import Page, open_chromium
from tests.lab.content import ARM_V7, Content
from tests.lab.hub import HubStandIn
from tests.lab.hub.asked import Kind
from tests.lab.hub.faults import Stall
from tests.lab.proxies import Proxy, StartProxy, as_docker_hub
from tests.lab.pulling import pull

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

NAMES = "[...document.querySelectorAll('.image .opener')].map(one => one.textContent)"
LIVE = "document.querySelector('#connection').dataset.state === 'live'"
TROUBLE = "document.querySelector('#trouble')"


@dataclass(frozen=True, slots=True)
class Shown:
    """A proxy with an empty cache, and the page that shows it."""

    proxy: Proxy
    page: Page

    async def open_detail(self, name: str) -> str:
        """Open an image's line, and answer what it says of its builds."""
        await self.page.run(
            f"[...document.querySelectorAll('.opener')].find(one => one.innerText === '{name}').click()"
        )
        await self.page.wait_for("document.querySelector('.image .entries')")
        return await self.page.text(".image .entries")

    async def wait_for_image(self, name: str) -> None:
        await self.page.wait_for(f"{NAMES}.includes('{name}')", seconds=30)


@pytest.fixture
async def shown(tmp_path: Path, hub: HubStandIn, start_proxy: StartProxy) -> AsyncIterator[Shown]:
    proxy = await start_proxy(config=as_docker_hub(hub.url))
    async with open_chromium(tmp_path) as page:
        await page.resize(1240, 900)
        await page.open(proxy.url)
        await page.wait_for(f"{LIVE} && document.querySelector('#images-none').innerText.includes('Nothing is cached')")
        yield Shown(proxy, page)
        assert await page.run(f"{TROUBLE}.hidden"), await page.text("#trouble")
        assert page.complaints == []
        assert {url for url in page.requests if not url.startswith(f"{proxy.url}/")} == set()


async def test_a_pull_is_seen_while_it_goes_on(shown: Shown, hub: HubStandIn, content: Content) -> None:
    page, layer = shown.page, content.image("library/big:1").layers[0]
    hub.inject(Stall(0.5), kind=Kind.CDN, reference=layer.digest, times=1)
    async with asyncio.TaskGroup() as group:
        group.create_task(pull(shown.proxy.url, content, "library/big:1"))
        await page.wait_for("document.querySelector('.fill')?.innerText.includes('big')", seconds=30)
        await page.wait_for("document.querySelector('.fill progress').value > 0.4")
        assert "1 client" in await page.text(".fill")
        await page.wait_for("document.querySelector('.resolution')?.innerText.includes('big:1')")
        hub.release()
    await page.wait_for("!document.querySelector('.fill')")
    await shown.wait_for_image("big:1")
    assert (await page.text("#saved-note")).endswith("fetched")


async def test_what_was_resolved_is_shown_with_its_trail_and_its_builds(shown: Shown, content: Content) -> None:
    page = shown.page
    await pull(shown.proxy.url, content, "library/debian:jessie", ARM_V7)
    await shown.wait_for_image("debian:jessie")
    await page.click(".resolution .opener")
    assert "candidate arm32v7/debian:jessie for linux/arm/v7" in await page.text(".resolution .trail")
    told = await shown.open_detail("debian:jessie")
    assert "upstream's own" in told
    assert "added from arm32v7/debian:jessie" in told
    assert "candidate arm32v7/debian:jessie" in await page.text(".image .trail")


async def test_a_search_a_pin_and_a_purge_change_the_real_cache(shown: Shown, content: Content) -> None:
    page, proxy = shown.page, shown.proxy
    await pull(proxy.url, content, "library/debian:jessie")
    await pull(proxy.url, content, "library/big:1")
    for name in ("debian:jessie", "big:1"):
        await shown.wait_for_image(name)
    await page.type("#search", "big")
    await page.wait_for(f"!{NAMES}.includes('debian:jessie') && {NAMES}.includes('big:1')")
    await page.click("[aria-label='Pin big:1']")
    await page.wait_for("document.querySelector('[aria-label=\"Unpin big:1\"]')")
    await page.click("[aria-label='Unpin big:1']")
    await page.wait_for("document.querySelector('[aria-label=\"Pin big:1\"]')")
    await page.click("[aria-label='Purge big:1']")
    await page.wait_for("document.querySelector('#confirm').open")
    await page.click("#confirm-yes")
    await page.wait_for(f"!{NAMES}.includes('big:1')")
    manifest = content.image("library/big:1").manifest
    assert not (proxy.cache / "blobs" / manifest.digest.replace(":", "/")).exists()


@pytest.mark.parametrize(("width", "theme"), [(1240, "light"), (360, "dark")], ids=["desk", "phone in the dark"])
async def test_an_image_is_warmed_from_the_page(
    shown: Shown, hub: HubStandIn, content: Content, width: int, theme: str
) -> None:
    page, layer = shown.page, content.image("library/big:1").layers[0]
    await page.resize(width, 800, is_phone=width < 500)
    await page.prefer(prefers_color_scheme=theme)
    hub.inject(Stall(0.5), kind=Kind.CDN, reference=layer.digest, times=1)
    await page.type("#warm-images", "big:1 nowhere:1")
    await page.click("#warm-form [value=run]")
    await page.wait_for("document.querySelector('.job progress')?.value > 0.4", seconds=30)
    assert await page.run("document.documentElement.scrollWidth") == width
    hub.release()
    await page.wait_for("document.querySelector('.job .tag')?.innerText === 'failed'", seconds=30)
    orders = await page.text(".job .orders")
    assert "big:1" in orders
    assert "nowhere:1" in orders
    await shown.wait_for_image("big:1")
    assert (shown.proxy.cache / "blobs" / layer.digest.replace(":", "/")).exists()


async def test_a_warm_job_is_ended_from_the_page(shown: Shown, hub: HubStandIn) -> None:
    page = shown.page
    hub.inject(Stall(), kind=Kind.CDN)
    await page.type("#warm-images", "big:1")
    await page.click("#warm-form [value=run]")
    await page.wait_for("document.querySelector('.job .tag')?.innerText === 'running'")
    await page.click("[aria-label='Cancel warming big:1']")
    await page.wait_for("document.querySelector('.job .tag').innerText === 'cancelled'")
