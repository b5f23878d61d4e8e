"""The test bed: one upstream, and the two caches in front of it, each to be had fresh as often as a row wants."""

import asyncio
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx

from tests.lab import tools
from tests.lab.content import hub_content
from tests.lab.programs import Program, pick_free_port, wait_until
from tests.lab.proxies import Proxy

TAG = "library/debian/manifests/jessie"
PIECE = 4 * 1024 * 1024
TOUCHED_BYTES = 6 * 1024**3
_METRIC = re.compile(
    r'^registry_http_requests_total\{.*handler="(?P<handler>[a-z_]+)".*\} (?P<count>[0-9.e+]+)$', re.MULTILINE
)
_SENT = re.compile(r'^registry_http_response_size_bytes_sum\{handler="blob"\} (?P<bytes>[0-9.e+]+)$', re.MULTILINE)
_TICKS = os.sysconf("SC_CLK_TCK")
_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob that upstream holds."""

    digest: str
    size: int

    @property
    def path(self) -> str:
        """Where it is, below `/v2/`."""
        return f"library/blobs/blobs/{self.digest}"


class Server(Protocol):
    """A running cache."""

    @property
    def url(self) -> str:
        """The base address."""

    @property
    def pid(self) -> int:
        """Its process."""


@dataclass(frozen=True, slots=True)
class Peer:
    """`docker-registry` in pull-through mode."""

    url: str
    program: Program

    @property
    def pid(self) -> int:
        """Its process."""
        return self.program.pid


@dataclass(frozen=True, slots=True)
class Origin:
    """The upstream: a `docker-registry` that counts."""

    url: str
    metrics_url: str

    async def count(self) -> tuple[dict[str, int], float]:
        """Answer the requests so far by handler, and the bytes of blobs sent."""
        async with httpx.AsyncClient(trust_env=False) as client:
            text = (await client.get(self.metrics_url)).text
        requests: dict[str, int] = {}
        for found in _METRIC.finditer(text):
            requests[found["handler"]] = requests.get(found["handler"], 0) + round(float(found["count"]))
        sent = _SENT.search(text)
        return requests, float(sent["bytes"]) if sent else 0.0

    async def add_blob(self, size: int) -> StoredBlob:
        """Put a blob of some size there, different for every size."""
        hasher, count = hashlib.sha256(), 0
        for piece in _pieces(size):
            hasher.update(piece)
        digest = f"sha256:{hasher.hexdigest()}"
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=600) as client:
            started = (await client.post("/v2/library/blobs/blobs/uploads/")).raise_for_status()
            address = httpx.URL(started.headers["Location"])
            for piece in _pieces(size):
                span = f"{count}-{count + len(piece) - 1}"
                answer = await client.patch(address, content=piece, headers={"Content-Range": span})
                address, count = httpx.URL(answer.raise_for_status().headers["Location"]), count + len(piece)
            (await client.put(address.copy_merge_params({"digest": digest}))).raise_for_status()
        return StoredBlob(digest, size)


@dataclass(frozen=True, slots=True)
class Rig:
    """The whole test bed."""

    folder: Path
    origin: Origin

    @asynccontextmanager
    async def polyarch(self, *, cache: Path | None = None, settings: str = "") -> AsyncIterator[Proxy]:
        """Run polyarch with an empty cache, or a given one."""
        folder = Path(tempfile.mkdtemp(dir=self.folder, prefix="polyarch-"))
        config = f'[log]\nlevel = "warning"\n{settings}\n[[upstream]]\nname = "docker.io"\nurl = "{self.origin.url}"\n'
        (folder / "config.toml").write_text(config + 'public = "true"\n')
        proxy = Proxy(
            folder,
            f"127.0.0.1:{pick_free_port()}",
            cache or folder / "cache",
            ("--config", str(folder / "config.toml")),
        )
        await proxy.start()
        try:
            yield proxy
        finally:
            await proxy.stop()
            shutil.rmtree(folder, ignore_errors=True)

    @asynccontextmanager
    async def peer(self) -> AsyncIterator[Peer]:
        """Run `docker-registry` in pull-through mode with an empty cache."""
        folder = Path(tempfile.mkdtemp(dir=self.folder, prefix="peer-"))
        host = f"127.0.0.1:{pick_free_port()}"
        program = await _registry(folder, host, f'proxy: {{remoteurl: "{self.origin.url}"}}\n')
        try:
            yield Peer(f"http://{host}", program)
        finally:
            await program.stop()
            shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def open_rig() -> AsyncIterator[Rig]:
    """Start the upstream with the lab's images in it."""
    folder = Path(tempfile.mkdtemp(prefix="polyarch-bench-"))
    host, metrics = (f"127.0.0.1:{pick_free_port()}" for _ in range(2))
    debug = f"  debug: {{addr: '{metrics}', prometheus: {{enabled: true, path: /metrics}}}}\n"
    program = await _registry(folder, host, "", debug=debug)
    try:
        await hub_content().push(f"http://{host}")
        touch_memory(folder / "touched", TOUCHED_BYTES)
        yield Rig(folder, Origin(f"http://{host}", f"http://{metrics}/metrics"))
    finally:
        await program.stop()
        shutil.rmtree(folder, ignore_errors=True)


def touch_memory(path: Path, size: int) -> None:
    """Fill the page cache once, and let it go.

    On a virtual machine, memory that was never used before costs the host a fault a page: whoever writes first would
    pay for it, and the other one be compared with somebody who did not.
    """
    with path.open("wb") as file:
        for piece in _pieces(size):
            file.write(piece)
    path.unlink()


async def _registry(folder: Path, host: str, extra: str, *, debug: str = "") -> Program:
    config = (
        "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/registry}}}}\nhttp:\n  addr: '{host}'\n{debug}{extra}"
    )
    (folder / "registry.yml").write_text(config)
    program = Program(tools.require("docker-registry"), "serve", str(folder / "registry.yml"), log=folder / "log")
    await program.wait_for_http(f"http://{host}/v2/")
    return program


def _pieces(size: int) -> Iterator[bytes]:
    seed = json.dumps(size).encode()
    block = b"".join(hashlib.sha256(seed + bytes([number])).digest() for number in range(256)) * (PIECE // 8192)
    for start in range(0, size, PIECE):
        yield block[: min(PIECE, size - start)]


def cpu_seconds(pid: int) -> float:
    """Answer the processor time that a process has used, its own and the kernel's for it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def peak_memory_bytes(pid: int) -> int:
    """Answer the largest resident size that a process has had."""
    return _read_status(pid, "VmHWM")


def memory_bytes(pid: int) -> int:
    """Answer a process's resident size."""
    return _read_status(pid, "VmRSS")


async def settled(pid: int, *, seconds: float = 120) -> None:
    """Wait until a process has next to nothing to do: after its start it looks through its cache, once."""

    async def is_idle() -> bool:
        before = cpu_seconds(pid)
        await asyncio.sleep(_LOOK_SECONDS)
        return cpu_seconds(pid) - before < _LOOK_SECONDS / 20

    await wait_until(is_idle, seconds=seconds, purpose=f"process {pid} to be idle")


def _read_status(pid: int, field: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{field}:\s+([0-9]+) kB$", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


async def run_all(*commands: tuple[str, ...]) -> list[str]:
    """Run commands side by side to their ends; answer what each printed."""
    running = [await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE) for command in commands]
    outputs = [(await process.communicate())[0].decode() for process in running]
    if any(process.returncode for process in running):
        raise RuntimeError(f"a client failed: {outputs}")
    return outputs
