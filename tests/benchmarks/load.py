"""Load from compiled clients: wrk for many small answers, curl for large ones."""

import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.benchmarks.rig import run_all
from tests.lab import tools

_REQUESTS = re.compile(r"Requests/sec:\s+([0-9.]+)")
# A script for wrk: takes the name of a file with a path a line.
_IN_TURN = """\
local paths, last = {}, 0
function init(arguments)
  for line in io.lines(arguments[1]) do paths[#paths + 1] = line end
end
function request()
  last = last % #paths + 1
  return wrk.format("GET", paths[last])
end
"""
_FAILED = re.compile(r"Non-2xx or 3xx responses: ([0-9]+)")


async def requests_per_second(url: str, *, connections: int, seconds: int) -> float:
    """Ask for the same thing over and over, and answer how often a second it was answered."""
    return await _run_wrk(url, connections=connections, seconds=seconds)


async def requests_per_second_over(
    url: str, paths: Iterable[str], folder: Path, *, connections: int, seconds: int
) -> float:
    """Ask for many things in turn, and answer how often a second one was answered."""
    (folder / "paths").write_text("".join(f"{path}\n" for path in paths))
    (folder / "in-turn.lua").write_text(_IN_TURN)
    options = ("--script", str(folder / "in-turn.lua"))
    return await _run_wrk(
        url, *options, connections=connections, seconds=seconds, arguments=("--", str(folder / "paths"))
    )


async def _run_wrk(url: str, *options: str, connections: int, seconds: int, arguments: tuple[str, ...] = ()) -> float:
    wrk = tools.require("wrk")
    (text,) = await run_all((wrk, "-t1", f"-c{connections}", f"-d{seconds}", *options, url, *arguments))
    found = _REQUESTS.search(text)
    if found is None or _FAILED.search(text):
        raise RuntimeError(f"wrk failed on {url}: {text}")
    return float(found[1])


async def request_each(url: str, paths: Sequence[str], folder: Path, *, clients: int) -> None:
    """Ask for each of many things once."""
    curl = tools.require("curl")
    commands: list[tuple[str, ...]] = []
    for number in range(clients):
        config = folder / f"each-{number}"
        lines = (f'url = "{url}{path}"\noutput = "/dev/null"\n' for path in paths[number::clients])
        config.write_text("".join(lines))
        commands.append((curl, "--silent", "--show-error", "--fail", "--config", str(config)))
    await run_all(*commands)


async def download(url: str, size: int, *, clients: int = 1) -> float:
    """Download the same thing with some clients at once; answer the seconds until the last one has it whole."""
    curl = tools.require("curl")
    command = (curl, "--silent", "--show-error", "--fail", "--output", "/dev/null", "--write-out", "%{size_download}")
    started = time.perf_counter()
    outputs = await run_all(*[(*command, url)] * clients)
    seconds = time.perf_counter() - started
    if {int(text) for text in outputs} != {size}:
        raise RuntimeError(f"a download of {url} is not whole: {outputs}")
    return seconds
