from pathlib import Path

from proxy.config.schema import Settings
from proxy.config.upstreams import UpstreamSettings
from proxy.telemetry.logs import SilentEvents
from proxy.warm_folder import Ended, Moved, Planned, WarmLimits, open_warming
from tests.service.warmth import order


async def test_every_upstream_of_the_settings_can_be_warmed_from(tmp_path: Path) -> None:
    settings = Settings(upstream=(UpstreamSettings(url="http://127.0.0.1:9"), UpstreamSettings(name="ghcr.io")))
    told: list[Planned | Moved | Ended] = []
    async with open_warming(settings, tmp_path / "cache", SilentEvents(), WarmLimits(), told.append) as warming:
        (result,) = await warming.run([order("debian:jessie")])
    assert "cannot be asked now" in result.error
    assert told == [Ended(result)]
    assert repr(warming) == "<Warming by docker.io, ghcr.io>"
