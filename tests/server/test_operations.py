from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from proxy.config.schema import Settings
from proxy.config.serving import ApiSettings
from proxy.config.upstreams import UpstreamSettings
from proxy.server.identity import CHALLENGE, PROOF, make_challenge
from tests.live import Live, run_proxy

DEAD = UpstreamSettings(url="http://127.0.0.1:9", public="true")


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    async with run_proxy(Settings(upstream=(DEAD,), api=ApiSettings()), tmp_path / "cache") as live:
        yield live


@pytest.mark.parametrize(("path", "text"), [("/healthz", "ok\n"), ("/readyz", "ready\n")])
async def test_probes_do_not_depend_on_upstream(live: Live, path: str, text: str) -> None:
    answer = await live.client.get(path)
    assert (answer.status_code, answer.text) == (200, text)
    head = await live.client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    refused = await live.client.post(path)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD")


async def test_who_asks_by_a_challenge_is_answered_what_only_this_server_knows(live: Live) -> None:
    answer = await live.client.get("/healthz", headers={CHALLENGE: make_challenge()})
    assert (answer.text, len(answer.headers[PROOF])) == ("ok\n", 64)
    assert PROOF not in (await live.client.get("/healthz", headers={CHALLENGE: "what?"})).headers


async def test_who_comes_by_a_proxy_that_is_believed_is_in_the_log(tmp_path: Path) -> None:
    settings = Settings(upstream=(DEAD,))
    server = replace(settings.server, trusted_proxies=(ip_network("127.0.0.0/8"),))
    async with run_proxy(replace(settings, server=server), tmp_path) as live:
        await live.client.get("/v2/", headers={"X-Forwarded-For": "203.0.113.9"})
        (line,) = live.events.named("request")
        assert (line["client"], line["peer"]) == ("203.0.113.9", "127.0.0.1")


async def test_metrics_are_told(live: Live) -> None:
    answer = await live.client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "polyarch_requests_total" in answer.text


async def test_the_dashboard_is_at_the_root(live: Live) -> None:
    page = await live.client.get("/")
    assert page.headers["Content-Type"].startswith("text/html")
    assert (await live.client.get("/dashboard/style.css")).headers["Content-Type"].startswith("text/css")
    assert (await live.client.get("/dashboard/../wiring.py")).status_code == 404
    assert (await live.client.post("/")).status_code == 405


@pytest.mark.parametrize("path", ["/healthz/x", "/metricsx", "/apix/v1/status", "/nowhere"])
async def test_any_other_path_is_the_registry_s(live: Live, path: str) -> None:
    answer = await live.client.get(path)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "NAME_UNKNOWN")


async def test_pulls_are_answered_as_ever(live: Live) -> None:
    assert (await live.client.get("/v2/")).json() == {}
    assert (await live.client.get("/linux-arm-v6/v2/")).status_code == 200


async def test_a_catalog_that_cannot_be_read_is_told(live: Live) -> None:
    (live.cache / "catalog.sqlite").unlink()
    assert (await live.client.get("/healthz")).status_code == 200
