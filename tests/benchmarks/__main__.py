"""`python -m tests.benchmarks`: measure, print a table, write JSON."""

import argparse
import asyncio
import json
import statistics
from pathlib import Path

from tests.benchmarks.encryption import ENCRYPTED
from tests.benchmarks.growth import GROWTH
from tests.benchmarks.rig import open_rig
from tests.benchmarks.rows import GIB, ROWS, Bench, Row, Sample

MIB = 1024**2


async def measure(rows: list[Row], *, rounds: int, blob_bytes: int, large_bytes: int = GIB) -> dict[str, list[Sample]]:
    """Measure the rows one after the other, and all of them again as often as there are rounds."""
    samples: dict[str, list[Sample]] = {row.name: [] for row in rows}
    async with open_rig() as rig:
        bench = Bench(rig, await rig.origin.add_blob(blob_bytes), large_bytes)
        for number in range(rounds):
            for row in rows:
                sample = await row.measure(bench)
                samples[row.name].append(sample)
                print(f"# round {number + 1}: {row.name}: {sample}", flush=True)
    return samples


def write_table(rows: list[Row], samples: dict[str, list[Sample]]) -> str:
    """Write medians as a Markdown table."""
    lines = ["| Work | unit | docker-registry | polyarch | judged | promise | |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        found = samples[row.name]
        theirs = [sample.theirs for sample in found if sample.theirs is not None]
        judged = statistics.median(sample.judged for sample in found)
        columns = (
            row.name,
            row.unit,
            f"{statistics.median(theirs):.4g}" if theirs else "-",
            f"{statistics.median(sample.ours for sample in found):.4g}",
            f"{judged:.3g}",
            row.promise,
            "ok" if row.holds(judged) else "**missed**",
        )
        lines.append(f"| {' | '.join(columns)} |")
    return "\n".join(lines)


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--blob", type=int, default=GIB // MIB, metavar="MIB", help="the large blob's size")
    parser.add_argument(
        "--large", type=int, default=GIB // MIB, metavar="MIB", help="the size up to which memory is seen not to grow"
    )
    parser.add_argument("--only", default="", help="measure only rows that have this in their name")
    parser.add_argument("--json", type=Path, help="write every sample to this file")
    arguments = parser.parse_args()
    rows = [row for row in (*ROWS, *ENCRYPTED, *GROWTH) if arguments.only in row.name]
    sizes = {"blob_bytes": arguments.blob * MIB, "large_bytes": arguments.large * MIB}
    samples = asyncio.run(measure(rows, rounds=arguments.rounds, **sizes))
    print(write_table(rows, samples))
    if arguments.json:
        content = {
            name: [{"ours": one.ours, "theirs": one.theirs, "judged": one.judged} for one in found]
            for name, found in samples.items()
        }
        arguments.json.write_text(json.dumps(content, indent=2))


if __name__ == "__main__":
    main()
