"""Every kind of client pulls every kind of tag, all through one proxy; `docs/client-matrix.md` is what they got.

What a client must get follows from what polyarch is to offer and from how that client chooses. The page is written by
`LAB_WRITE_MATRIX=1 .venv/bin/python -m pytest tests/lab/test_client_matrix.py`.
"""

import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from tests.lab import tools
from tests.lab.clients import open_client, put_in_place_of_hub
from tests.lab.content import AMD64, ARM64, ARM_V6, ARM_V7, ARM_V8, Content
from tests.lab.engines import ARM64_SERVER, PC, PI_3, PI_4_32BIT, PI_ZERO, docker_engine
from tests.lab.engines.userland import provide_userland
from tests.lab.hub import HUB, HubStandIn
from tests.lab.matrix import rules
from tests.lab.matrix.columns import COLUMNS
from tests.lab.matrix.document import WRITE, describe, read_rows, write_document
from tests.lab.matrix.rules import Outcome, Rule, read_failure
from tests.lab.programs import CommandFailed, run
from tests.lab.proxies import Proxy, StartProxy, as_docker_hub
from tests.lab.registry import DockerRegistry

pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("one proxy, one table"),
]

STRANGERS_PATTERN = """\
[[candidates.template]]
pattern = "resin/rpi-{name}:{tag}"
platform = "rpi"
trusted = false
"""
# The platform is what Docker 20.10 takes the machine for.
ENGINES = {
    "Docker Engine, amd64": (PC, AMD64),
    "Docker Engine, Pi Zero": (PI_ZERO, ARM_V6),
    "Docker Engine, Pi 3": (PI_3, ARM_V7),
    "Docker Engine, Pi 4, 32-bit userland on a 64-bit kernel": (PI_4_32BIT, ARM_V8),
    "Docker Engine, arm64": (ARM64_SERVER, ARM64),
}
CLIENTS: Mapping[str, tuple[str, Rule]] = {
    "containerd 1.6, ctr": ("ctr", rules.take_exactly),
    "containerd 2, ctr": ("ctr-2", rules.take_exactly),
    "podman": ("podman", rules.take_own_variants),
    "buildah": ("buildah", rules.take_own_variants),
    "skopeo": ("skopeo", rules.take_own_variants),
    "crane": ("crane", rules.take_exactly),
    "oras": ("oras", rules.take_exactly_or_refuse),
}
PLATFORMS = (AMD64, ARM64, ARM_V8, ARM_V7, ARM_V6)
PROGRAMS = {
    "Docker Engine": "dockerd",
    "containerd": "containerd",
    "containerd 2": "containerd-2",
    "podman": "podman",
    "buildah": "buildah",
    "skopeo": "skopeo",
}
ROWS = (*ENGINES, *(f"{name} {platform}" for name in CLIENTS for platform in PLATFORMS))

Row = tuple[str, ...]
Pull = Callable[[str], Awaitable[str]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def proxy(hub_backend: DockerRegistry, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Proxy]:
    """One proxy for everybody, which is warm for all but the first."""
    start = StartProxy(tmp_path_factory.mktemp("matrix"))
    async with HubStandIn(hub_backend.url, replace(HUB, pull_limit=None)) as hub:
        yield await start(config=as_docker_hub(hub.url) + STRANGERS_PATTERN)
        await start.stop_all()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def table() -> AsyncIterator[dict[str, Row]]:
    """What was got, by row; it becomes the document if the environment asks for that, in place of what was there."""
    got: dict[str, Row] = {}
    yield got
    if got and WRITE in os.environ:
        known = {**(read_rows() if len(got) < len(ROWS) else {}), **got}
        write_document({name: known[name] for name in ROWS if name in known}, await _versions())


@pytest.fixture
async def internet_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever turns from the mirror to the real Docker Hub is refused at once."""
    for architecture in ("armhf", "arm64"):
        await provide_userland(architecture)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")


@pytest.mark.parametrize("name", ENGINES)
async def test_a_docker_engine(
    proxy: Proxy, content: Content, table: dict[str, Row], internet_is_off: None, name: str
) -> None:
    board, platform = ENGINES[name]
    async with docker_engine(proxy.url, board) as engine:

        async def pull(image: str) -> str:
            return (await engine.pull(image)).id

        got = await _pull_all(pull, content)
    table[name] = tuple(describe(outcome, content) for outcome in got.values())
    assert got == {column.name: rules.take_own_variants_or_first_arm(platform, column) for column in COLUMNS}
    _assert_documented(table, name)


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_client_that_is_told_a_platform(
    proxy: Proxy, content: Content, table: dict[str, Row], client_folder: Path, name: str
) -> None:
    program, rule = CLIENTS[name]
    async with AsyncExitStack() as stack:
        client, prefix = await open_client(stack, program, client_folder, proxy.host)
        put_in_place_of_hub(client_folder, proxy.host)
        for platform in PLATFORMS:

            async def pull(image: str, platform: str = platform) -> str:
                return await client.pull(f"{prefix}{image}", platform)

            got = await _pull_all(pull, content)
            table[f"{name} {platform}"] = tuple(describe(outcome, content) for outcome in got.values())
            assert got == {column.name: rule(platform, column) for column in COLUMNS}
            _assert_documented(table, f"{name} {platform}")


async def test_the_document_has_all_rows_and_no_others() -> None:
    if WRITE not in os.environ:
        assert tuple(read_rows()) == ROWS


async def _pull_all(pull: Pull, content: Content) -> dict[str, Outcome]:
    got: dict[str, Outcome] = {}
    for column in COLUMNS:
        try:
            got[column.name] = column.find(await pull(column.name), content)
        except CommandFailed as failure:
            got[column.name] = read_failure(failure)
    return got


def _assert_documented(table: Mapping[str, Row], name: str) -> None:
    if WRITE not in os.environ:
        assert read_rows()[name] == table[name]


async def _versions() -> dict[str, str]:
    versions = {}
    for name, program in PROGRAMS.items():
        printed = (await run(tools.require(program), "--version")).check().stdout
        versions[name] = re.findall(r"\d+\.\d+\.\d+", printed)[0]
    return versions
