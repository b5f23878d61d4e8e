"""What must not grow: with the clients, with what is cached, with the size of a blob."""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from tests.benchmarks.load import download, request_each, requests_per_second, requests_per_second_over
from tests.benchmarks.rig import Server, StoredBlob, memory_bytes, peak_memory_bytes, settled
from tests.benchmarks.rows import Bench, Row, Sample
from tests.benchmarks.warehouse import image_paths, stock
from tests.lab.proxies import Proxy

SHARED_BYTES = 256 * 1024**2
SMALL_BYTES = 10_000_000
FEW, MANY = 100, (10_000, 100_000)
CONNECTIONS = 16
SECONDS = 4
SETTINGS = '[cache]\ntag_ttl = "24h"\n[candidates]\nofficial = false\n'
"""So that nothing is asked of upstream: what is cached is fresh, and needs nothing beside it."""
LOWEST_RATE = {"one tag": 0.9, "one digest": 0.9, "all tags": 0.1, "all digests": 0.1}
"""Of the rate with FEW blobs: whoever asks for all of many in turn finds little of it in memory."""
LONGEST_TIME = {(1, "cached"): 1.0, (8, "cached"): 1.0, (32, "cached"): 1.0, (1, "cold"): 1.25} | {
    (clients, "cold"): 0.6 for clients in (8, 32)
}
"""Of the peer's time."""


# Clients


async def _time_for(bench: Bench, *, clients: int, state: str) -> Sample:
    blob = await bench.blob_of(SHARED_BYTES)
    async with bench.rig.polyarch() as proxy:
        ours = await _seconds(proxy, blob, clients, state)
    async with bench.rig.peer() as peer:
        theirs = await _seconds(peer, blob, clients, state)
    return Sample(ours, theirs)


async def _seconds(server: Server, blob: StoredBlob, clients: int, state: str) -> float:
    url = f"{server.url}/v2/{blob.path}"
    if state == "cached":
        await download(url, blob.size)
    return await download(url, blob.size, clients=clients)


# Cached blobs


async def _rate(bench: Bench, *, blobs: int, asked: str) -> Sample:
    """Measure with few and with many, one after the other."""
    few, many = [await _rate_with(bench, count, asked) for count in (FEW, blobs)]
    return Sample(many, value=many / few)


async def _rate_with(bench: Bench, blobs: int, asked: str) -> float:
    which, _, by = asked.partition(" ")
    paths = [f"/v2/{path}" for path in image_paths(blobs, by=by.removesuffix("s"))]
    async with bench.rig.polyarch(cache=await _stocked(bench, blobs), settings=SETTINGS) as proxy:
        await settled(proxy.pid)
        if which == "one":
            url = proxy.url + paths[len(paths) // 2]
            return await requests_per_second(url, connections=CONNECTIONS, seconds=SECONDS)
        return await requests_per_second_over(
            proxy.url, paths, bench.rig.folder, connections=CONNECTIONS, seconds=SECONDS
        )


async def _start_with_nothing(bench: Bench) -> Sample:
    started = time.perf_counter()
    async with bench.rig.polyarch():
        return Sample(time.perf_counter() - started)


async def _idle_memory(bench: Bench) -> Sample:
    async with bench.rig.polyarch() as proxy:
        return Sample(memory_bytes(proxy.pid) / 1e6)


async def _start(bench: Bench, *, blobs: int) -> Sample:
    cache = await _stocked(bench, blobs)
    started = time.perf_counter()
    async with bench.rig.polyarch(cache=cache):
        return Sample(time.perf_counter() - started)


async def _stocked(bench: Bench, blobs: int) -> Path:
    cache = bench.rig.folder / f"stock-{blobs}"
    if not cache.exists():
        await stock(cache, blobs)
    return cache


async def _memory_with(bench: Bench, *, blobs: int) -> Sample:
    """Ask for every manifest there is, and for every tag."""
    async with bench.rig.polyarch(cache=await _stocked(bench, blobs), settings=SETTINGS) as proxy:
        for by in ("digest", "tag"):
            paths = [f"/v2/{path}" for path in image_paths(blobs, by=by)]
            await request_each(proxy.url, paths, bench.rig.folder, clients=CONNECTIONS)
        return Sample(peak_memory_bytes(proxy.pid) / 1e6)


# The size of a blob


async def _memory(bench: Bench, *, measure: Callable[[Proxy, StoredBlob], Awaitable[float]]) -> Sample:
    small, large = await bench.blob_of(SMALL_BYTES), await bench.blob_of(bench.large_bytes)
    async with bench.rig.polyarch() as proxy:
        with_small = await measure(proxy, small)
    async with bench.rig.polyarch() as proxy:
        with_large = await measure(proxy, large)
    return Sample(with_large, value=with_large / with_small)


async def _peak_cold_and_cached(proxy: Proxy, blob: StoredBlob) -> float:
    for _ in range(2):
        await download(f"{proxy.url}/v2/{blob.path}", blob.size, clients=2)
    return peak_memory_bytes(proxy.pid) / 1e6


def _at_most(limit: float) -> Callable[[float], bool]:
    return lambda value: value <= limit


def _at_least(limit: float) -> Callable[[float], bool]:
    return lambda value: value >= limit


GROWTH: tuple[Row, ...] = (
    *(
        Row(
            f"{clients} clients, one {state} blob of 256 MiB: time",
            "s",
            f"≤ {limit} x",
            _at_most(limit),
            partial(_time_for, clients=clients, state=state),
        )
        for (clients, state), limit in LONGEST_TIME.items()
    ),
    *(
        Row(
            f"{asked}, {blobs:,} cached blobs",
            "req/s",
            f"≥ {limit} x with {FEW}",
            _at_least(limit),
            partial(_rate, blobs=blobs, asked=asked),
        )
        for asked, limit in LOWEST_RATE.items()
        for blobs in MANY
    ),
    Row("idle: start with an empty cache", "s", "≤ 1", _at_most(1.0), _start_with_nothing),
    Row("idle: memory with an empty cache", "MB", "≤ 70", _at_most(70), _idle_memory),
    *(
        Row(f"start with a catalog of {blobs:,} blobs", "s", "≤ 1", _at_most(1.0), partial(_start, blobs=blobs))
        for blobs in (FEW, *MANY)
    ),
    *(
        Row(
            f"peak memory, all of {blobs:,} blobs asked for",
            "MB",
            "≤ 90",
            _at_most(90),
            partial(_memory_with, blobs=blobs),
        )
        for blobs in MANY
    ),
    Row(
        "peak memory, large blob against 10 MB",
        "MB",
        "≤ 1.2 x",
        _at_most(1.2),
        partial(_memory, measure=_peak_cold_and_cached),
    ),
)
