"""Registries with ways of their own, through the real wiring: a gateway, and a password that runs out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from aiohttp import web

from proxy.config.schema import CacheSettings, Settings
from proxy.config.upstreams import UpstreamSettings
from proxy.upstream.authorization import Credentials
from tests.lab.images import MANIFEST_TYPES, build_image
from tests.live import Live, pull, run_proxy
from tests.upstream.stand_ins import Asked, StandIn, page, redirect, refusal, stand_in, token

PLATFORM = "linux/arm/v7"
IMAGE = build_image(PLATFORM, label="app")
PREFIX, ACCEPT = "/v2/gateway.lan/owner/app", {"Accept": ", ".join(MANIFEST_TYPES)}


def serve_image(asked: Asked, _registry: StandIn) -> web.Response:
    """Answer what `owner/app:1` consists of."""
    if asked.path in {"/v2/owner/app/manifests/1", f"/v2/owner/app/manifests/{IMAGE.manifest.digest}"}:
        headers = {"Docker-Content-Digest": IMAGE.manifest.digest, "Content-Type": IMAGE.manifest.media_type}
        return web.Response(body=IMAGE.manifest.content, headers=headers)
    blobs = {f"/v2/owner/app/blobs/{blob.digest}": blob for blob in (IMAGE.config, *IMAGE.layers)}
    found = blobs.get(asked.path)
    return web.Response(body=found.content) if found else refusal(404, "MANIFEST_UNKNOWN")


@asynccontextmanager
async def proxy_of(upstream: UpstreamSettings, cache: Path) -> AsyncIterator[Live]:
    settings = Settings(upstream=(upstream,), cache=replace(CacheSettings(), tag_ttl=0.0, retry_interval=0.0))
    async with run_proxy(settings, cache) as live:
        yield live


async def test_an_image_is_pulled_through_a_gateway_by_a_token_of_the_registry_behind(tmp_path: Path) -> None:
    def behind(asked: Asked, own: StandIn) -> web.Response:
        if asked.path == "/token":
            return token("theirs")
        challenge = f'Bearer realm="{own.url}/token",service="ghcr.io",scope="repository:user/image:pull"'
        if asked.authorization != "Bearer theirs":
            return refusal(401, "UNAUTHORIZED", challenge=challenge)
        return serve_image(asked, own)

    async with stand_in(behind, address="127.0.0.2") as second:

        def gateway(asked: Asked, own: StandIn) -> web.Response:
            if asked.path == "/token":
                return token("ours")
            challenge = f'Bearer realm="{own.url}/token",service="gateway"'
            is_good = asked.authorization == "Bearer ours"
            return redirect(second.url + asked.path) if is_good else refusal(401, "UNAUTHORIZED", challenge=challenge)

        async with stand_in(gateway) as first:
            upstream = UpstreamSettings(
                name="gateway.lan", url=first.url, username="me", password="secret", repositories=("owner/*",)
            )
            async with proxy_of(upstream, tmp_path) as live:
                pulled = await pull(live.client, "gateway.lan/owner/app:1", PLATFORM)
    assert pulled.image == IMAGE.manifest.digest
    assert {first.shown[0], first.shown[1]} == {None, Credentials("me", "secret").basic}
    assert set(first.shown[2:]) == {"Bearer ours"}
    assert second.shown[:2] == [None, None]
    assert set(second.shown[2:]) == {"Bearer theirs"}


async def test_a_password_that_has_run_out_is_served_from_the_cache_until_there_is_a_new_one(tmp_path: Path) -> None:
    taken = "of today"
    file = tmp_path / "password"
    file.write_text(taken)

    def ecr(asked: Asked, own: StandIn) -> web.Response:
        if asked.authorization is None:
            return web.Response(status=401, text="Not Authorized\n", headers={"WWW-Authenticate": 'Basic realm="ecr"'})
        if asked.authorization != Credentials("AWS", taken).basic:
            return refusal(403, "DENIED", "Your authorization token has expired. Reauthenticate and try again.")
        return serve_image(asked, own)

    async with stand_in(ecr) as registry:
        upstream = UpstreamSettings(
            name="gateway.lan", url=registry.url, username="AWS", password_file=file, repositories=("owner/*",)
        )
        async with proxy_of(upstream, tmp_path / "cache") as live:
            await pull(live.client, "gateway.lan/owner/app:1", PLATFORM)
            taken = "of tomorrow"
            states = []
            for written in ("of yesterday", taken):
                file.write_text(written)
                answer = await live.client.get(f"{PREFIX}/manifests/1", headers=ACCEPT)
                assert (answer.status_code, answer.content) == (200, IMAGE.manifest.content)
                states.append(answer.headers["Polyarch-Cache"])
            assert states == ["stale", "revalidated"]
            assert (await live.client.get(f"{PREFIX}/manifests/2", headers=ACCEPT)).status_code == 404


async def test_a_registry_that_shows_its_website_is_a_bad_gateway(tmp_path: Path) -> None:
    async with (
        stand_in(lambda *_: page()) as registry,
        proxy_of(UpstreamSettings(name="gateway.lan", url=registry.url), tmp_path) as live,
    ):
        answer = await live.client.get(f"{PREFIX}/manifests/1", headers=ACCEPT)
        assert answer.status_code == 502
        assert "a web page where a manifest should be" in answer.text
        assert live.stored() == set()
