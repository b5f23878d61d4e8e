"""Pulling without a client program: every body is held against what it must be."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.lab.content import ARM_V7, Content
from tests.lab.images import MANIFEST_TYPES, digest_of
from tests.lab.programs import wait_until

SOME = (("library/debian:jessie", None), ("library/redis:3-alpine", ARM_V7), ("library/multi:latest", ARM_V7))
"""Images of every form, each with the platform that is pulled."""


@asynccontextmanager
async def registry_client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Open a client for the registry at an address."""
    headers = {"Accept": ", ".join(MANIFEST_TYPES)}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=50) as client:
        yield client


async def pull(url: str, content: Content, name: str, platform: str | None = None) -> set[str]:
    """Pull `repository:tag` as a client does; return the digests of all that it got.

    The tag may be answered with an index that was put together; the image in it, and its blobs, are known to the byte.
    """
    repository, _, tag = name.rpartition(":")
    base = f"/v2/{repository}"
    image = content.image(name, platform)
    async with registry_client(url) as client:
        head = await client.head(f"{base}/manifests/{tag}")
        digest = head.headers.get("Docker-Content-Digest", f"none: {head.status_code}")
        document = await client.get(f"{base}/manifests/{digest}")
        assert digest_of(document.content) == digest, document.text
        assert image.manifest.digest in document.text or image.manifest.content == document.content
        parts = (image.manifest, image.config, *image.layers)
        kinds = ("manifests", *("blobs" for _ in parts[1:]))
        answers = await asyncio.gather(
            *(client.get(f"{base}/{kind}/{part.digest}") for kind, part in zip(kinds, parts, strict=True))
        )
    for part, answer in zip(parts, answers, strict=True):
        assert answer.content == part.content, f"{name} {part.digest}: {answer.status_code} {answer.content[:200]!r}"
    return {digest, *(part.digest for part in parts)}


async def pull_until_kept(url: str, content: Content, cache: Path) -> None:
    """Pull SOME until all of it is in the cache: a client has its last byte a moment before the disk has it."""

    async def is_kept() -> bool:
        pulled = [await pull(url, content, name, platform) for name, platform in SOME]
        return all((cache / "blobs" / digest.replace(":", "/")).exists() for digest in set().union(*pulled))

    await wait_until(is_kept, seconds=20, purpose="everything in the cache")
