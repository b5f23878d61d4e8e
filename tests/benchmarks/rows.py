"""What is measured: one row a promise of the design (§8), for polyarch and, where it can, for the peer."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import httpx

from tests.benchmarks.load import download, requests_per_second
from tests.benchmarks.rig import TAG, Rig, Server, StoredBlob, cpu_seconds, peak_memory_bytes

GIB = 1024**3
SECONDS = 4
BLOBS_AT_START = 100_000


@dataclass(frozen=True, slots=True)
class Bench:
    """What a row works with."""

    rig: Rig
    blob: StoredBlob
    large_bytes: int = GIB
    """The size of the blob that memory must not grow with."""
    _blobs: dict[int, StoredBlob] = field(default_factory=dict)

    async def blob_of(self, size: int) -> StoredBlob:
        """Answer a blob of another size, put there when it is first asked for."""
        if size not in self._blobs:
            self._blobs[size] = await self.rig.origin.add_blob(size)
        return self._blobs[size]


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement: polyarch's figure, the peer's, and what the promise is about, where it is not their ratio."""

    ours: float
    theirs: float | None = None
    value: float | None = None

    @property
    def judged(self) -> float:
        """The number that is held against the promise."""
        if self.value is not None:
            return self.value
        return self.ours / self.theirs if self.theirs else self.ours


@dataclass(frozen=True, slots=True)
class Row:
    """A promise, and how it is measured."""

    name: str
    unit: str
    promise: str
    holds: Callable[[float], bool]
    measure: Callable[[Bench], Awaitable[Sample]]


async def _cached_requests(bench: Bench, path: str, connections: int) -> Sample:
    async def measure(server: Server) -> float:
        url = f"{server.url}/v2/{path}"
        await _get(url)
        return await requests_per_second(url, connections=connections, seconds=SECONDS)

    async with bench.rig.polyarch() as proxy:
        ours = await measure(proxy)
    async with bench.rig.peer() as peer:
        theirs = await measure(peer)
    return Sample(ours, theirs)


async def _tag(bench: Bench) -> Sample:
    return await _cached_requests(bench, TAG, 16)


async def _digest(bench: Bench) -> Sample:
    head = await _get(f"{bench.rig.origin.url}/v2/{TAG}")
    return await _cached_requests(bench, f"library/debian/manifests/{head['Docker-Content-Digest']}", 16)


_SCHEMA2 = "application/vnd.docker.distribution.manifest.v2+json"


async def _cached_speed(bench: Bench) -> Sample:
    async with bench.rig.polyarch() as proxy:
        ours = await _warm_speed(proxy, bench.blob)
    async with bench.rig.peer() as peer:
        theirs = await _warm_speed(peer, bench.blob)
    return Sample(ours, theirs)


async def _warm_speed(server: Server, blob: StoredBlob) -> float:
    url = f"{server.url}/v2/{blob.path}"
    await download(url, blob.size)
    seconds = [await download(url, blob.size) for _ in range(3)]
    return blob.size / min(seconds) / 1e6


async def _cached_cpu(bench: Bench) -> Sample:
    async with bench.rig.polyarch() as proxy:
        url = f"{proxy.url}/v2/{bench.blob.path}"
        await download(url, bench.blob.size)
        before = cpu_seconds(proxy.pid)
        for _ in range(3):
            await download(url, bench.blob.size)
        used = (cpu_seconds(proxy.pid) - before) / 3
    return Sample(used * GIB / bench.blob.size)


async def _cold_speed(bench: Bench) -> Sample:
    size, path = bench.blob.size, bench.blob.path
    async with bench.rig.polyarch() as proxy:
        ours = size / await download(f"{proxy.url}/v2/{path}", size) / 1e6
    async with bench.rig.peer() as peer:
        theirs = size / await download(f"{peer.url}/v2/{path}", size) / 1e6
    return Sample(ours, theirs)


async def _herd_time(bench: Bench) -> Sample:
    size, path = bench.blob.size, bench.blob.path
    async with bench.rig.polyarch() as proxy:
        ours = await download(f"{proxy.url}/v2/{path}", size, clients=8)
    async with bench.rig.peer() as peer:
        theirs = await download(f"{peer.url}/v2/{path}", size, clients=8)
    return Sample(ours, theirs)


async def _herd_bytes(bench: Bench) -> Sample:
    size, path, origin = bench.blob.size, bench.blob.path, bench.rig.origin
    async with bench.rig.polyarch() as proxy:
        _, before = await origin.count()
        await download(f"{proxy.url}/v2/{path}", size, clients=8)
        _, after = await origin.count()
    ours = (after - before) / size
    async with bench.rig.peer() as peer:
        await download(f"{peer.url}/v2/{path}", size, clients=8)
        _, last = await origin.count()
    return Sample(ours, (last - after) / size, value=ours)


async def _herd_memory(bench: Bench) -> Sample:
    size, path = bench.blob.size, bench.blob.path
    async with bench.rig.polyarch() as proxy:
        await download(f"{proxy.url}/v2/{path}", size, clients=8)
        ours = peak_memory_bytes(proxy.pid) / 1e6
    async with bench.rig.peer() as peer:
        await download(f"{peer.url}/v2/{path}", size, clients=8)
        theirs = peak_memory_bytes(peer.pid) / 1e6
    return Sample(ours, theirs, value=ours)


async def _requests(bench: Bench, path: str, *, settings: str = "", warm: bool = False) -> Sample:
    async def measure(server: Server) -> float:
        url = f"{server.url}/v2/{path}"
        if warm:
            await _get(url)
        before, _ = await bench.rig.origin.count()
        await _get(url)
        after, _ = await bench.rig.origin.count()
        return sum(after.get(handler, 0) - before.get(handler, 0) for handler in ("blob", "manifest", "base"))

    async with bench.rig.polyarch(settings=settings) as proxy:
        ours = await measure(proxy)
    async with bench.rig.peer() as peer:
        theirs = await measure(peer)
    return Sample(ours, theirs, value=ours)


async def _cold_blob_requests(bench: Bench) -> Sample:
    return await _requests(bench, bench.blob.path)


async def _fresh_tag_requests(bench: Bench) -> Sample:
    return await _requests(bench, TAG, warm=True)


async def _stale_tag_requests(bench: Bench) -> Sample:
    settings = '[cache]\ntag_ttl = "0s"\n[candidates]\nofficial = false\n'
    return await _requests(bench, TAG, warm=True, settings=settings)


async def _start(bench: Bench) -> Sample:
    cache = bench.rig.folder / "many-blobs"
    if not cache.exists():
        fill_layout(cache, BLOBS_AT_START)
    started = time.perf_counter()
    async with bench.rig.polyarch(cache=cache):
        seconds = time.perf_counter() - started
    return Sample(seconds)


def fill_layout(cache: Path, count: int) -> None:
    """Put many small blobs into a cache folder, as if they had been pulled."""
    folder = cache / "blobs" / "sha256"
    folder.mkdir(parents=True)
    for number in range(count):
        content = f"blob {number}".encode()
        (folder / sha256(content).hexdigest()).write_bytes(content)


async def _get(url: str) -> httpx.Headers:
    async with httpx.AsyncClient(trust_env=False, timeout=120) as client:
        return (await client.get(url, headers={"Accept": f"*/*, {_SCHEMA2}"})).raise_for_status().headers


def _at_least(limit: float) -> Callable[[float], bool]:
    return lambda value: value >= limit


def _at_most(limit: float) -> Callable[[float], bool]:
    return lambda value: value <= limit


ROWS: tuple[Row, ...] = (
    Row("cached tag manifest, 16 connections", "req/s", "≥ 40 x", _at_least(40), _tag),
    Row("cached manifest by digest, 16 connections", "req/s", "≥ 10 x", _at_least(10), _digest),
    Row("cached blob, one client", "MB/s", "≥ 1.0 x", _at_least(1.0), _cached_speed),
    Row("cached blob, processor time", "s/GiB", "≤ 0.35", _at_most(0.35), _cached_cpu),
    Row("cold blob, one client", "MB/s", "≥ 0.8 x", _at_least(0.8), _cold_speed),
    Row("8 clients, one cold blob: time", "s", "≤ 0.6 x", _at_most(0.6), _herd_time),
    Row("8 clients, one cold blob: upstream bytes", "x size", "1.0", _at_most(1.01), _herd_bytes),
    Row("8 clients, one cold blob: peak memory", "MB", "≤ 90", _at_most(90), _herd_memory),
    Row("upstream requests for a cold blob", "requests", "1", _at_most(1), _cold_blob_requests),
    Row("upstream requests for a fresh tag", "requests", "0", _at_most(0), _fresh_tag_requests),
    Row("upstream requests for a stale tag", "requests", "1", _at_most(1), _stale_tag_requests),
    Row(f"start with {BLOBS_AT_START:,} cached blobs", "s", "≤ 1", _at_most(1.0), _start),
)
