"""The dashboard of a real proxy, in a real Chromium: what is pulled is seen there, and the cache changed from there."""

from pathlib import Path

import httpx
import pytest

from tests.lab.chromium import open_chromium
from tests.lab.content import ARM_V7, Content
from tests.lab.hub import HubStandIn
from tests.lab.proxies import StartProxy, as_docker_hub
from tests.lab.pulling import pull

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

NAMES = "[...document.querySelectorAll('.image .opener')].map(one => one.textContent)"
PARTS = {"/api/v1/history", "/api/v1/image", "/api/v1/resolutions", "/api/v1/events", "/api/v1/warm"}
"""What the page shows besides the images; of what the API does not describe, the page says that it does not come."""


async def described(url: str) -> set[str]:
    """Answer the paths that the API says it has."""
    async with httpx.AsyncClient(trust_env=False) as client:
        return set((await client.get(f"{url}/api/v1/openapi.json")).json()["paths"])


async def test_it_shows_a_real_proxy_and_changes_its_cache(
    tmp_path: Path, hub: HubStandIn, content: Content, start_proxy: StartProxy
) -> None:
    proxy = await start_proxy(config=as_docker_hub(hub.url))
    there = await described(proxy.url)
    async with open_chromium(tmp_path) as page:
        await page.resize(1240, 900)
        await page.open(proxy.url)
        await page.wait_for("document.querySelector('#images-none').innerText.includes('Nothing is cached yet')")
        await pull(proxy.url, content, "library/debian:jessie")
        await pull(proxy.url, content, "library/redis:3-alpine", ARM_V7)
        await page.wait_for(f"{NAMES}.includes('debian:jessie') && {NAMES}.includes('redis:3-alpine')", seconds=30)
        if "/api/v1/resolutions" in there:
            await page.wait_for("document.querySelector('.resolution')", seconds=30)
        if "/api/v1/image" in there:
            await page.run(
                "[...document.querySelectorAll('.opener')].find(one => one.innerText === 'debian:jessie').click()"
            )
            await page.wait_for("document.querySelector('.image .entries')")
            assert "added from arm32v7/debian:jessie" in await page.text(".image .entries")
        await page.click("[aria-label='Pin debian:jessie']")
        await page.wait_for("document.querySelector('[aria-label=\"Unpin debian:jessie\"]')")
        await page.click("[aria-label='Purge redis:3-alpine']")
        await page.wait_for("document.querySelector('#confirm').open")
        await page.click("#confirm-yes")
        await page.wait_for(f"!{NAMES}.includes('redis:3-alpine')")
        if "/api/v1/warm" in there:
            await page.type("#warm-images", "redis:3-alpine")
            await page.click("#warm-form [value=run]")
            await page.wait_for("document.querySelector('.job .tag')?.innerText === 'done'", seconds=30)
            await page.wait_for(f"{NAMES}.includes('debian:jessie') && {NAMES}.includes('redis:3-alpine')", seconds=30)
        assert [one for one in page.complaints if not any(part in one for part in PARTS - there)] == []
        assert all(url.startswith(f"{proxy.url}/") for url in page.requests)
