"""`python -m tests.benchmarks.soak --minutes 10`: mixed traffic for a long time; memory is to stay what it was."""

import argparse
import asyncio
import random
import statistics
import sys
from collections.abc import Sequence

from tests.benchmarks.rig import memory_bytes, open_rig, peak_memory_bytes
from tests.benchmarks.traffic import Traffic, publish

SAMPLE_SECONDS = 10.0
WARM_UP = 0.1
"""Of all samples: so many at the start are not judged."""
MOST_GROWTH = 1.1
SIZES = (20_000, 200_000, 1_000_000, 3_000_000, 8_000_000) * 8
SETTINGS = '[cache]\ntag_ttl = "5s"\nabsent_ttl = "5s"\nmemory = "256KiB"\n'
"""So that tags expire all the time, and what is kept in memory on purpose is full before memory is judged."""


def judge(samples: Sequence[float]) -> float:
    """Answer the last third's median as a multiple of the first third's, after the warm-up."""
    judged = samples[int(len(samples) * WARM_UP) :]
    third = max(1, len(judged) // 3)
    return statistics.median(judged[-third:]) / statistics.median(judged[:third])


async def soak(minutes: float) -> bool:
    """Run, print a line a sample and the judgement; answer whether it is good."""
    async with open_rig() as rig:
        images = await publish(rig.origin.url, SIZES)
        async with rig.polyarch(settings=SETTINGS) as proxy:
            traffic = Traffic(proxy.url, rig.origin.url, images, random.Random(0))  # noqa: S311 - no secret
            samples: list[float] = []
            async with traffic.running():
                for number in range(round(minutes * 60 / SAMPLE_SECONDS)):
                    await asyncio.sleep(SAMPLE_SECONDS)
                    samples.append(memory_bytes(proxy.pid) / 1e6)
                    done = ", ".join(f"{name} {count}" for name, count in sorted(traffic.done.items()))
                    print(f"{(number + 1) * SAMPLE_SECONDS:6.0f} s  {samples[-1]:6.1f} MB  {done}", flush=True)
            peak = peak_memory_bytes(proxy.pid) / 1e6
    growth = judge(samples)
    is_good = growth <= MOST_GROWTH and not traffic.wrong
    print(f"growth {growth:.3f} (≤ {MOST_GROWTH}), peak {peak:.1f} MB, wrong {len(traffic.wrong)}: {is_good}")
    print(*traffic.wrong[:20], sep="\n")
    return is_good


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    sys.exit(0 if asyncio.run(soak(parser.parse_args().minutes)) else 1)


if __name__ == "__main__":
    main()
