"""The dashboard in a real Chromium: what it shows and changes, and that it complains of nothing and asks nobody else.

The pictures of the documentation are made here: `POLYARCH_PICTURES=1` writes them to `docs/images`.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.lab.chromium import Page, open_chromium
from tests.lab.fake_api import FLEET, MIB, FakeApi, a_fill, digest_of, moment
from tests.lab.programs import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

PICTURES = Path(__file__).parents[2] / "docs" / "images"
SHOWN = "document.querySelectorAll('.image').length && document.querySelectorAll('.resolution').length"
LIVE = "document.querySelector('#connection').dataset.state === 'live'"
NAMES = "[...document.querySelectorAll('.image .opener')].map(one => one.textContent)"
JESSIE = "docker.io/library/debian:jessie"
REDIS = "docker.io/library/redis:7"
CONTRAST = """(() => {
    const parse = color => color.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const groundOf = element => {
        for (let one = element; one; one = one.parentElement) {
            const color = parse(getComputedStyle(one).backgroundColor);
            if (color.length === 3 || color[3] === 1) return color;
        }
        return [255, 255, 255];
    };
    const bad = [];
    for (const element of document.querySelectorAll("body *")) {
        const hasText = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
        if (!hasText || !element.checkVisibility({visibilityProperty: true})) continue;
        const style = getComputedStyle(element);
        const color = element instanceof SVGElement ? style.fill : style.color;
        const [one, other] = [light(parse(color)), light(groundOf(element))].sort((a, b) => b - a);
        const contrast = (one + 0.05) / (other + 0.05);
        if (contrast < 4.5) bad.push([element.textContent, color, contrast]);
    }
    return bad;
})()"""
UNNAMED = """[...document.querySelectorAll("button, input, textarea, progress, dialog, [role=img]")].filter(one =>
    !(one.textContent.trim() || one.labels?.length || one.getAttribute("aria-label")
      || one.getAttribute("aria-labelledby"))).map(one => one.outerHTML)"""


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi() as api:
        yield api


@pytest.fixture
async def page(tmp_path: Path, api: FakeApi) -> AsyncIterator[Page]:
    """The dashboard, open on a desk in daylight."""
    async with open_chromium(tmp_path) as page:
        await page.resize(1240, 900)
        await page.prefer(prefers_color_scheme="light")
        yield page
        assert page.complaints == []
        assert {url for url in page.requests if not url.startswith(f"{api.url}/")} == set()


async def open_dashboard(page: Page, api: FakeApi, until: str = LIVE) -> None:
    await page.open(api.url)
    await page.wait_for(f"{SHOWN} && {until}")


async def keep_picture(page: Page, name: str) -> None:
    """Take a picture; keep it for the documentation if that is wanted."""
    await page.run("scrollTo(0, 0)")
    picture = await page.photograph(seen_only="phone" in name)
    assert picture.startswith(b"\x89PNG")
    if os.environ.get("POLYARCH_PICTURES"):
        await asyncio.to_thread(_write_picture, name, picture)


def _write_picture(name: str, picture: bytes) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / f"{name}.png").write_bytes(picture)


async def change_named(api: FakeApi, name: str) -> object:
    """Wait for a change, and answer it."""

    async def has_come() -> bool:
        return any(one[1] == name for one in api.changes)

    await wait_until(has_come, seconds=10, purpose=name)
    return next(one for one in reversed(api.changes) if one[1] == name)


async def test_it_shows_what_there_is(page: Page, api: FakeApi) -> None:
    await open_dashboard(page, api)
    assert await page.text("#ratio") == "96.8 %"
    assert await page.text("#saved-note") == "712 GiB served, 48.0 GiB fetched"
    assert await page.text("#stored-note") == "64.5 % of 64.0 GiB · 9.2 GiB pinned · 112 GiB free on disk"
    assert (await page.text("#quotas")).startswith("76 of 100\n")
    assert len(await page.run(NAMES)) == len(api.images)
    assert (await page.text(".resolution")).split("\n")[1:4] == ["debian:jessie", "arm/v6", "hit"]
    assert await page.run("document.querySelectorAll('#chart .line path').length") == 2
    assert (await page.text("#chart-reading")).startswith("Last 1 h: ")
    assert await page.run(CONTRAST) == []
    assert await page.run(UNNAMED) == []


async def test_an_image_tells_where_its_platforms_come_from_and_why(page: Page, api: FakeApi) -> None:
    await open_dashboard(page, api)
    await page.click(".image .opener")
    await page.wait_for("document.querySelector('.image .entries')")
    told = await page.text(".image .entries")
    assert "upstream's own" in told
    assert "added from arm32v7/debian:jessie" in told
    assert "another platform's image from arm32v5/debian:jessie, shared with arm/v5" in told
    assert "candidate arm32v6/debian:jessie for linux/arm/v6: absent" in await page.text(".image .trail")
    await page.click(".resolution .opener")
    assert "which runs on it" in await page.text(".resolution .trail")
    await page.click(".image .opener")
    assert await page.run("document.querySelector('.image .detail').hidden")


async def test_a_pull_is_shown_while_it_goes_on(page: Page, api: FakeApi) -> None:
    await open_dashboard(page, api)
    assert "Nothing is fetched" in await page.text("#fills-none")
    api.fills = [a_fill(1, "library/redis", 0, 64 * MIB, 1)]
    api.tell("fill", {**api.fills[0], "state": "started"})
    await page.wait_for("document.querySelector('.fill')")
    assert "for arm64" in await page.text(".fill")
    for written in (16, 32, 48):
        api.fills = [a_fill(1, "library/redis", written * MIB, 64 * MIB, 2)]
        api.tell("fill", {**api.fills[0], "state": "progress"})
        await page.wait_for(f"document.querySelector('.fill').innerText.includes('{written}.0\\u00a0MiB of')")
    assert await page.run("document.querySelector('.fill progress').value") == 0.75
    assert "2 clients" in await page.text(".fill")
    api.fills = []
    api.tell("fill", {"digest": digest_of(1), "state": "ended"})
    await page.wait_for("!document.querySelector('.fill')")
    told = {**api.resolutions[0], "at": moment(0), "reference": "docker.io/library/alpine:3.20", "cache": "miss"}
    api.resolutions = [told, *api.resolutions]
    api.tell("resolution", told)
    await page.wait_for("document.querySelector('.resolution').innerText.includes('alpine:3.20')")


async def test_without_events_it_asks_again_and_again(page: Page, api: FakeApi) -> None:
    api.has_events = False
    await open_dashboard(page, api, "document.querySelector('#connection').dataset.state === 'polling'")
    api.fills = [a_fill(1, "library/redis", 16 * MIB, 64 * MIB, 1)]
    await page.wait_for("document.querySelector('.fill')")
    assert [one for one in page.complaints if "events" not in one] == []
    page.complaints.clear()  # the console tells of the 404 itself


async def test_a_search_narrows_the_list(page: Page, api: FakeApi) -> None:
    await open_dashboard(page, api)
    await page.press("/")
    assert await page.run("document.activeElement.id") == "search"
    await page.type("#search", "debian")
    await page.wait_for(f"{NAMES}.length === 2")
    assert await page.run(NAMES) == ["debian:jessie", "debian:bookworm-slim"]
    await page.type("#search", " nowhere")
    await page.wait_for("!document.querySelector('#images-none').hidden")
    assert "debian nowhere" in await page.text("#images-none")


async def test_a_pin_is_set_and_taken_off(page: Page, api: FakeApi) -> None:
    await open_dashboard(page, api)
    await page.click("[aria-label='Pin redis:7']")
    await page.wait_for("document.querySelector('[aria-label=\"Unpin redis:7\"]')")
    assert api.changes == [("POST", "pins", {"reference": REDIS})]
    assert await page.text("#said") == "redis:7 is pinned: it stays in the cache."
    await page.click("[aria-label='Unpin redis:7']")
    await page.wait_for("document.querySelector('[aria-label=\"Pin redis:7\"]')")
    assert api.changes[1:] == [("DELETE", "pins", {"reference": REDIS})]


async def test_a_purge_asks_first_and_can_be_done_by_keys_alone(page: Page, api: FakeApi) -> None:
    await open_dashboard(page, api)
    purge = "document.querySelector('[aria-label=\"Purge debian:jessie\"]')"
    await page.run(f"{purge}.focus()")
    await page.press("Enter")
    await page.wait_for("document.querySelector('#confirm').open")
    assert await page.text("#confirm h2") == "Purge debian:jessie?"
    await page.press("Enter")  # what is chosen at first is harmless
    await page.wait_for("!document.querySelector('#confirm').open")
    assert api.changes == []
    await page.run(f"{purge}.focus()")
    await page.press("Enter")
    await page.wait_for("document.querySelector('#confirm').open")
    await page.press("Tab")
    await page.press("Enter")
    assert await change_named(api, "purge") == ("POST", "purge", {"reference": JESSIE})
    await page.wait_for(f"!{NAMES}.includes('debian:jessie')")


async def test_a_token_is_asked_for_once_and_kept_by_the_tab(page: Page, api: FakeApi) -> None:
    api.token = "open sesame"
    await open_dashboard(page, api)
    await page.click("[aria-label='Pin redis:7']")
    await page.wait_for("document.querySelector('#ask-token').open")
    assert "changing needs the token" in await page.text("#token-reason")
    await page.type("#token", "open sesame")
    await page.press("Enter")
    await page.wait_for("document.querySelector('[aria-label=\"Unpin redis:7\"]')")
    await page.click("[aria-label='Unpin redis:7']")
    await page.wait_for("document.querySelector('[aria-label=\"Pin redis:7\"]')")
    assert len(api.changes) == 2
    assert await page.run("Object.values(localStorage).concat(document.cookie).join('')") == ""
    page.complaints[:] = [one for one in page.complaints if "401" not in one]  # the console tells of it itself


async def test_images_are_warmed_from_the_page(page: Page, api: FakeApi) -> None:
    await open_dashboard(page, api)
    await page.type("#warm-images", "postgres:17\nmemcached:1.6")
    await page.click("#warm-form [value=dry]")
    await page.wait_for("document.querySelector('.job')?.innerText.includes('would cost 17 requests, 168\\u00a0MiB')")
    await page.click("#warm-platforms input")
    await page.click("#warm-form [value=run]")
    await page.wait_for("document.querySelector('.job .tag').innerText === 'running'")
    assert api.changes[-1] == (
        "POST",
        "warm",
        {"images": ["postgres:17", "memcached:1.6"], "platforms": FLEET[1:], "pin": False, "dry_run": False},
    )
    api.jobs = [api.job("running", 42 * MIB)]
    api.tell("warm", api.jobs[0])
    await page.wait_for("document.querySelector('.job progress').value === 0.5")
    api.jobs = [api.job("done", 84 * MIB)]
    api.tell("warm", api.jobs[0])
    await page.wait_for("document.querySelector('#said').innerText === 'Warming postgres:17 is done.'")
    assert await page.text(".job .tag") == "done"


async def test_a_strangers_name_is_text_and_nothing_else(page: Page, api: FakeApi) -> None:
    evil = '<img src="http://198.51.100.1/x" onerror="document.title=1">'
    api.images[0]["platforms"] = [evil, None]
    api.resolutions[0] |= {"client_platform": evil, "evidence": evil, "source": evil, "trail": [evil]}
    api.fills = [a_fill(1, evil, 1, 2, 1)]
    await open_dashboard(page, api)
    await page.click(".resolution .opener")
    assert evil in await page.text(".resolution .trail")
    assert evil in await page.text(".image .chips")
    assert await page.run("document.querySelectorAll('main img').length") == 0
    assert await page.run("document.title") == "polyarch"


async def test_a_proxy_that_is_gone_is_told_and_found_again(page: Page, api: FakeApi) -> None:
    await open_dashboard(page, api)
    await api.stop()
    await page.wait_for("!document.querySelector('#trouble').hidden")
    assert "cannot be reached" in await page.text("#trouble")
    assert len(await page.run(NAMES)) == len(api.images)
    await api.start()
    await page.wait_for(f"{LIVE} && document.querySelector('#trouble').hidden", seconds=40)
    page.complaints.clear()  # the console tells of connections that were refused


async def test_the_chart_is_read_by_keys(page: Page, api: FakeApi) -> None:
    await open_dashboard(page, api)
    await page.click("#spans button:last-child")
    assert await page.run("[...document.querySelectorAll('#spans button')].at(-1).ariaPressed") == "true"
    await page.run("document.querySelector('#chart svg').focus()")
    await page.press("ArrowLeft")
    assert "served" in await page.text("#chart-reading")
    assert ":" in (await page.text("#chart-reading")).split(" · ")[0]


async def test_it_fits_a_phone(page: Page, api: FakeApi) -> None:
    await page.resize(360, 740, is_phone=True, scale=2)
    await open_dashboard(page, api)
    assert await page.run("document.documentElement.scrollWidth") == 360
    assert await page.run("document.querySelector('#chart svg').getBoundingClientRect().right <= 360")
    wide = "[...document.querySelectorAll('main *')].filter(one => one.getBoundingClientRect().right > 361).length"
    assert await page.run(wide) == 0
    await page.click(".image .opener")
    await page.wait_for("document.querySelector('.image .entries')")
    assert await page.run("document.documentElement.scrollWidth") == 360
    await page.click(".image .opener")
    await keep_picture(page, "dashboard-phone")


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_it_is_light_or_dark_as_the_system_is(page: Page, api: FakeApi, theme: str) -> None:
    api.fills = [a_fill(1, "library/redis", 31 * MIB, 64 * MIB, 2), a_fill(2, "library/debian", 9 * MIB, 46 * MIB, 1)]
    api.changes.append(("POST", "warm", {"images": ["postgres:17", "grafana/grafana:11.3.0"]}))
    api.jobs = [api.job("running", 35 * MIB)]
    await page.prefer(prefers_color_scheme=theme, prefers_reduced_motion="reduce")
    await open_dashboard(page, api)
    await page.click("#spans button:nth-child(2)")
    await page.click(".image .opener")
    await page.wait_for("document.querySelector('.image .entries')")
    await page.run("document.activeElement.blur()")
    await page.send("Input.dispatchMouseEvent", type="mouseMoved", x=620, y=4)
    ground = await page.run("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(245, 246, 248)", "dark": "rgb(16, 20, 26)"}[theme]
    assert await page.run(CONTRAST) == []
    await keep_picture(page, f"dashboard-{theme}")


async def test_a_theme_can_be_chosen_and_stays(page: Page, api: FakeApi) -> None:
    await open_dashboard(page, api)
    await page.click("#theme")
    await page.click("#theme")
    assert await page.text("#theme") == "Theme: dark"
    await open_dashboard(page, api)
    assert await page.run("document.documentElement.dataset.theme") == "dark"
    assert await page.run(CONTRAST) == []
