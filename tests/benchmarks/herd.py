"""`python -m tests.benchmarks.herd`: many clients, one large blob; what it costs in time, upstream bytes and memory."""

import argparse
import asyncio
import sys

from tests.benchmarks.load import download
from tests.benchmarks.rig import open_rig, peak_memory_bytes

MIB = 1024**2
PEAK_MB = 90.0


async def run_herd(*, clients: int, blob_bytes: int) -> bool:
    """Let all of them download it cold, and once more from the cache; print the figures, and answer whether they do."""
    async with open_rig() as rig:
        blob = await rig.origin.add_blob(blob_bytes)
        async with rig.polyarch() as proxy:
            url = f"{proxy.url}/v2/{blob.path}"
            _, before = await rig.origin.count()
            cold = await download(url, blob.size, clients=clients)
            _, after = await rig.origin.count()
            cold_peak = peak_memory_bytes(proxy.pid) / 1e6
            cached = await download(url, blob.size, clients=clients)
            peak = peak_memory_bytes(proxy.pid) / 1e6
    fetched = (after - before) / blob.size
    rate = clients * blob.size / 1e9
    print(f"{clients} clients, one blob of {blob.size / MIB:,.0f} MiB")
    print(f"cold    {cold:6.1f} s  {rate / cold:5.2f} GB/s  {fetched:.2f} x fetched  peak {cold_peak:.1f} MB")
    print(f"cached  {cached:6.1f} s  {rate / cached:5.2f} GB/s  peak {peak:.1f} MB (≤ {PEAK_MB:g})")
    return peak <= PEAK_MB and round(fetched, 2) == 1


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.herd", description=__doc__)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--blob", type=int, default=1024, metavar="MIB", help="the blob's size")
    arguments = parser.parse_args()
    sys.exit(0 if asyncio.run(run_herd(clients=arguments.clients, blob_bytes=arguments.blob * MIB)) else 1)


if __name__ == "__main__":
    main()
