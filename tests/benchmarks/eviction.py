"""`python -m tests.benchmarks.eviction --minutes 10`: mixed traffic over ten times what the cache may hold."""

import argparse
import asyncio
import hashlib
import os
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.rig import memory_bytes, open_rig
from tests.benchmarks.traffic import FRESH_BYTES, Traffic, publish
from tests.lab.images import Image
from tests.lab.programs import run
from tests.lab.proxies import COMMAND, ENVIRONMENT, Proxy

SIZES = (20_000, 100_000, 400_000, 1_000_000) * 40
SHARE = 10
PINNED = 3
SAMPLE_SECONDS = 0.5
LINE_SECONDS = 10.0
SLACK_BYTES = FRESH_BYTES + 10_000
"""The largest blob, with what compression and headers add."""


@dataclass(slots=True)
class Watch:
    """Looks at the cache folder while it is used."""

    cache: Path
    pinned: frozenset[str]
    """File names that must always be there."""
    largest: int = 0
    gone: set[str] = field(default_factory=set)

    def look(self) -> int:
        """Answer how many bytes are there now, and remember the most, and what should be there and is not.

        A look takes a while, in which some leave and others come: only what two looks see was there between them.
        """
        before, after = dict(self._files()), dict(self._files())
        total = sum(min(size, after.get(name, 0)) for name, size in before.items())
        self.largest = max(self.largest, total)
        self.gone |= self.pinned - before.keys()
        return total

    def find_broken(self) -> list[str]:
        """Answer the files that are not what they are named for."""
        folder = self.cache / "blobs" / "sha256"
        return [one.name for one in folder.iterdir() if hashlib.sha256(one.read_bytes()).hexdigest() != one.name]

    def _files(self) -> Iterator[tuple[str, int]]:
        for folder in ("blobs/sha256", "ingest"):
            with os.scandir(self.cache / folder) as entries:
                for entry in entries:
                    try:
                        yield entry.name, entry.stat().st_size
                    except FileNotFoundError:  # it has just left
                        continue


async def evict(minutes: float) -> bool:
    """Run, print a line now and then and the judgement; answer whether it is good."""
    async with open_rig() as rig:
        images = await publish(rig.origin.url, SIZES)
        bound = sum(len(layer.content) for image in images for layer in image.layers) // SHARE
        cache = rig.folder / "cache"
        async with rig.polyarch(cache=cache, settings=f'[cache]\ntag_ttl = "5s"\nmax_bytes = {bound}\n') as proxy:
            traffic = Traffic(proxy.url, rig.origin.url, images, random.Random(0))  # noqa: S311 - no secret
            watch = Watch(proxy.cache, await _pin(proxy, traffic, images[:PINNED]))
            async with traffic.running():
                await _watch(proxy, watch, traffic, minutes * 60)
        broken = watch.find_broken()
    share = watch.largest / bound
    is_good = watch.largest <= bound + SLACK_BYTES and not (traffic.wrong or watch.gone or broken)
    print(f"bound {bound / 1e6:.1f} MB, most {watch.largest / 1e6:.2f} MB ({share:.3f} x, one blob of slack)")
    print(f"wrong {len(traffic.wrong)}, broken {len(broken)}, pinned but gone {len(watch.gone)}: {is_good}")
    print(*traffic.wrong[:20], sep="\n")
    return is_good


async def _watch(proxy: Proxy, watch: Watch, traffic: Traffic, seconds: float) -> None:
    per_line = round(LINE_SECONDS / SAMPLE_SECONDS)
    for number in range(1, round(seconds / SAMPLE_SECONDS) + 1):
        await asyncio.sleep(SAMPLE_SECONDS)
        stored = watch.look()
        if number % per_line == 0:
            memory, pulls = memory_bytes(proxy.pid) / 1e6, sum(traffic.done.values())
            line = (
                f"{number * SAMPLE_SECONDS:6.0f} s  stored {stored / 1e6:6.2f} MB  rss {memory:6.1f} MB  done {pulls}"
            )
            print(line, flush=True)


async def _pin(proxy: Proxy, traffic: Traffic, images: Sequence[Image]) -> frozenset[str]:
    """Pull some images, and pin them by the command beside the running proxy; answer their files' names."""
    await traffic.pull_once(images)
    for number, _ in enumerate(images):
        command = (*COMMAND, "cache", "pin", traffic.reference(number), "--cache", str(proxy.cache))
        (await run(*command, environment=ENVIRONMENT)).check()
    blobs = [blob for image in images for blob in (image.manifest, image.config, *image.layers)]
    return frozenset(blob.digest.removeprefix("sha256:") for blob in blobs)


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.eviction", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    sys.exit(0 if asyncio.run(evict(parser.parse_args().minutes)) else 1)


if __name__ == "__main__":
    main()
