"""What HTTPS costs: through TLS, the kernel cannot send files."""

import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.rig import Rig, StoredBlob, cpu_seconds, run_all
from tests.benchmarks.rows import GIB, Bench, Row, Sample
from tests.lab import tools
from tests.lab.programs import Program, pick_free_port
from tests.lab.proxies import COMMAND, ENVIRONMENT
from tests.server.serving import CERTIFICATE

DOWNLOADS = 3
LONGEST_SECONDS = 2.0
"""A GiB. aiohttp's FileResponse takes 7 to 9, by asyncio's fallback for sendfile (protocol_and_perf.md B1)."""


@dataclass(frozen=True, slots=True)
class _Served:
    url: str
    program: Program


@asynccontextmanager
async def _serve(rig: Rig) -> AsyncIterator[_Served]:
    folder, host = Path(tempfile.mkdtemp(dir=rig.folder, prefix="tls-")), f"127.0.0.1:{pick_free_port()}"
    config = (
        f'[server]\nlisten = "{host}"\ntls_certificate = "{CERTIFICATE}"\ntls_key = "{CERTIFICATE}"\n'
        f'[log]\nlevel = "warning"\n[[upstream]]\nname = "docker.io"\nurl = "{rig.origin.url}"\n'
    )
    (folder / "config.toml").write_text(config)
    command = (*COMMAND, "serve", "--config", str(folder / "config.toml"), "--cache", str(folder / "cache"))
    program = Program(*command, log=folder / "log", environment=ENVIRONMENT)
    try:
        yield _Served(f"https://{host}", program)
    finally:
        await program.stop()


async def _download(url: str, blob: StoredBlob, *options: str) -> float:
    trust = ("--cacert", str(CERTIFICATE), "--fail", "--silent", "--show-error", "--output", "/dev/null")
    started = time.perf_counter()
    command = (tools.require("curl"), *trust, *options, "--write-out", "%{size_download}", f"{url}/v2/{blob.path}")
    (size,) = await run_all(command)
    seconds = time.perf_counter() - started
    if int(size) != blob.size:
        raise RuntimeError(f"a download of {url} is not whole: {size}")
    return seconds


async def _cached(bench: Bench) -> Sample:
    async with _serve(bench.rig) as served:
        await _download(served.url, bench.blob, "--retry", "10", "--retry-connrefused")
        before = cpu_seconds(served.program.pid)
        seconds = [await _download(served.url, bench.blob) for _ in range(DOWNLOADS)]
        used = (cpu_seconds(served.program.pid) - before) / DOWNLOADS
    return Sample(bench.blob.size / min(seconds) / 1e6, value=used * GIB / bench.blob.size)


ENCRYPTED: tuple[Row, ...] = (
    Row(
        "cached blob over TLS, one client; judged: processor time",
        "MB/s",
        f"≤ {LONGEST_SECONDS:g} s/GiB",
        lambda value: value <= LONGEST_SECONDS,
        _cached,
    ),
)
