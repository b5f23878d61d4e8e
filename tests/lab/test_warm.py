"""Warming as scripts do it: a list of images, killed half-way, run again; and then pulled while upstream is off."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.lab.clients import open_client
from tests.lab.hub import HubStandIn
from tests.lab.hub.asked import Kind
from tests.lab.proxies import StartProxy, as_docker_hub
from tests.lab.warming import NAMES, NAMESPACES, PADDING, PLATFORMS, Warm, fetched, fleet_content, parts_of

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


async def test_twenty_images_for_three_platforms_killed_half_way_and_pulled_offline(
    warm_hub: HubStandIn, tmp_path: Path, client_folder: Path, start_proxy: StartProxy
) -> None:
    content, hub, warm = fleet_content(), warm_hub, Warm(tmp_path, warm_hub)
    warm.hold()
    program = warm.start()
    await warm.wait_half_way(program)
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
    assert warm.held <= {digest for digest, start in again if start}, "nothing was gone on with"
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
