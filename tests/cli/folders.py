"""Cache folders with something in them, as a proxy filled them, and a registry of one's own behind it."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from proxy.config.schema import CacheSettings, Settings
from proxy.config.upstreams import UpstreamSettings
from tests.lab.images import Image, build_image
from tests.live import Pulled, pull, run_proxy

AMD64, ARM_V7 = build_image("linux/amd64", label="jessie"), build_image("linux/arm/v7", label="jessie")
IMAGES: Mapping[str, Image] = {"library/debian:jessie": AMD64, "arm32v7/debian:jessie": ARM_V7}
"""What the registry holds: one image, and a build of it for another processor."""


def fill(
    folder: Path,
    url: str,
    name: str = "library/debian:jessie",
    platform: str = "linux/arm/v7",
    *,
    cache: CacheSettings | None = None,
) -> Pulled:
    """Pull an image through a proxy with this cache folder, and stop the proxy."""

    async def run() -> Pulled:
        settings = Settings(upstream=(UpstreamSettings(url=url, public="true"),), cache=cache or CacheSettings())
        async with run_proxy(settings, folder) as live:
            return await pull(live.client, name, platform)

    return asyncio.run(run())


def blob_file(folder: Path, digest: str) -> Path:
    """Answer where a blob is in a cache folder."""
    return folder / "blobs" / digest.replace(":", "/")


def damage(folder: Path, digest: str) -> None:
    """Change one byte of a stored blob, as a failing disk does."""
    file = blob_file(folder, digest)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(content)
