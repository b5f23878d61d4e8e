"""Pulling until a chosen moment, at which the proxy is killed: by bytes received or bodies whole, never by time."""

import asyncio
import hashlib
import math
import random
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.lab.content import AMD64
from tests.lab.images import MANIFEST_TYPES, Blob, Image, build_image
from tests.lab.proxies import Proxy
from tests.lab.registry import DockerRegistry

SIZES = (0, 5_000, 70_000, 300_000, 900_000, 1_100_000, 2_000_000, 3_000_000, 4_500_000, 6_000_000)
AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Target:
    """Something to pull, and what it must turn out to be."""

    path: str
    blob: Blob


async def publish_targets(registry: DockerRegistry) -> list[Target]:
    """Push images of many sizes, each in a repository of its own."""
    targets: list[Target] = []
    for number, size in enumerate(SIZES):
        image = build_image(AMD64, label=f"kill {number}", padding_bytes=size)
        await registry.push(image, f"library/kill{number}", "1")
        targets.extend(_targets_of(image, f"/v2/library/kill{number}"))
    return targets


def _targets_of(image: Image, base: str) -> Iterator[Target]:
    yield Target(f"{base}/manifests/1", image.manifest)
    for blob in (image.config, *image.layers):
        yield Target(f"{base}/blobs/{blob.digest}", blob)


@dataclass(frozen=True, slots=True)
class Moment:
    """When to kill: after so many bytes, or so many whole bodies."""

    after_bytes: float = math.inf
    after_bodies: float = math.inf

    @classmethod
    def pick(cls, chance: random.Random, targets: Collection[Target]) -> "Moment":
        """Pick any moment of a pull of these."""
        if chance.random() < 0.5:
            return cls(after_bytes=chance.randint(0, sum(len(target.blob.content) for target in targets)))
        return cls(after_bodies=chance.randint(1, len(targets)))


class Pulling:
    """One pull of many things, a few at once; at its moment the proxy is killed."""

    def __init__(self, proxy: Proxy, moment: Moment) -> None:
        self.whole: set[str] = set()
        """The digests of what was received to its last byte."""
        self.wrong: list[str] = []
        """What was not what it should be, to the byte that had come."""
        self.was_killed = False
        self.committed: set[str] = set()
        """What was in the cache just before the kill."""
        self.was_filling = False
        """Whether something was being written then that had not been left by an earlier kill."""
        self._proxy, self._moment = proxy, moment
        self._left = _ingests(proxy.cache)
        self._missing: set[str] = set()
        self._bytes, self._bodies = 0, 0

    async def run(self, missing: Collection[Target], known: Collection[Target], chance: random.Random) -> None:
        """Pull in any order until all is there, or the moment has come in what is missing."""
        queue = [*missing, *known]
        chance.shuffle(queue)
        self._missing = {target.blob.digest for target in missing}
        headers = {"Accept": ", ".join(MANIFEST_TYPES)}
        opened = httpx.AsyncClient(base_url=self._proxy.url, headers=headers, trust_env=False, timeout=30)
        async with opened as client, asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(self._work(client, queue))

    async def _work(self, client: httpx.AsyncClient, queue: list[Target]) -> None:
        while queue and not self.was_killed:
            target = queue.pop()
            try:
                await self._pull(client, target)
            except httpx.TransportError as error:
                if not self.was_killed:
                    self.wrong.append(f"{target.path}: {error!r}")

    async def _pull(self, client: httpx.AsyncClient, target: Target) -> None:
        content, got, is_missing = target.blob.content, 0, target.blob.digest in self._missing
        async with client.stream("GET", target.path) as answer:
            if answer.status_code != httpx.codes.OK or answer.headers["Docker-Content-Digest"] != target.blob.digest:
                self.wrong.append(f"{target.path}: {answer.status_code} {(await answer.aread())[:200]!r}")
                return
            async for piece in answer.aiter_raw():
                if piece != content[got : got + len(piece)]:
                    self.wrong.append(f"{target.path}: after {got} bytes")
                got += len(piece)
                self._bytes += len(piece) * is_missing
                await self._strike_if_due()
        if got == len(content):
            self.whole.add(target.blob.digest)
            self._bodies += is_missing
            await self._strike_if_due()

    async def _strike_if_due(self) -> None:
        is_due = self._bytes >= self._moment.after_bytes or self._bodies >= self._moment.after_bodies
        if is_due and not self.was_killed:
            self.was_killed = True
            self.committed = stored(self._proxy.cache)
            self.was_filling = bool(_ingests(self._proxy.cache) - self._left)
            await self._proxy.kill()


def _ingests(cache: Path) -> set[tuple[str, int]]:
    found = set[tuple[str, int]]()
    for path in (cache / "ingest").iterdir():
        with suppress(FileNotFoundError):  # it has just been committed
            found.add((path.name, path.stat().st_size))
    return found


def stored(cache: Path) -> set[str]:
    """Answer the digests that files in the cache are named for."""
    return {f"{path.parent.name}:{path.name}" for path in (cache / "blobs").glob("*/*")}


def broken(cache: Path) -> list[Path]:
    """Answer the files in the cache that are not what they are named for."""
    return [
        path
        for path in (cache / "blobs").glob("*/*")
        if hashlib.new(path.parent.name, path.read_bytes()).hexdigest() != path.name
    ]
