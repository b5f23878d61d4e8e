"""What broken files in the cache get: they are put aside, and fetched again."""

from pathlib import Path

import pytest

from tests.lab.content import ARM_V7
from tests.lab.hub import HubStandIn
from tests.live import Live, pull, run_proxy, settings_for

pytestmark = pytest.mark.lab


async def test_a_broken_file_is_put_aside_and_fetched_again(live: Live, live_hub: HubStandIn) -> None:
    name = "library/debian:jessie"
    first = await pull(live.client, name, ARM_V7)
    await live.settle()
    for digest in first.blobs:
        path = live.cache / "blobs" / digest.replace(":", "/")
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-1])
    assert await pull(live.client, name, ARM_V7) == first
    await live.settle()
    assert live.stored() >= first.blobs
    assert {path.name for path in (live.cache / "quarantine").iterdir()} == {
        digest.removeprefix("sha256:") for digest in first.blobs
    }


async def test_a_broken_manifest_is_put_aside_and_fetched_again(live_hub: HubStandIn, tmp_path: Path) -> None:
    name = "library/debian:jessie"
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        first = await pull(live.client, name, ARM_V7)
    path = tmp_path / "blobs" / first.image.replace(":", "/")
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"2", b"3"))
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        assert await pull(live.client, name, ARM_V7) == first
        assert first.image in live.stored()


async def test_a_catalog_that_cannot_be_read_is_begun_anew(live_hub: HubStandIn, tmp_path: Path) -> None:
    name = "library/debian:jessie"
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        first = await pull(live.client, name, ARM_V7)
    (tmp_path / "catalog.sqlite").write_bytes(b"no database at all" * 1000)
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        assert await pull(live.client, name, ARM_V7) == first
