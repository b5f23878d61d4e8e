"""`python -m tests.lab`, as somebody who plays with it runs it."""

import sys
from pathlib import Path

import httpx
import pytest

from tests.lab.content import own_content
from tests.lab.programs import Program, wait_until
from tests.lab.proxies import ENVIRONMENT

pytestmark = pytest.mark.lab


async def test_a_registry_is_served_until_interrupted(free_port: int, tmp_path: Path) -> None:
    command = (sys.executable, "-m", "tests.lab", "own", "--port", str(free_port))
    program = Program(*command, log=tmp_path / "log", environment=ENVIRONMENT)

    async def shows_the_request() -> bool:
        return "manifest-head  HEAD /v2/arm6/app/manifests/1" in program.log()

    try:
        await program.wait_for_http(f"http://127.0.0.1:{free_port}/v2/")
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.head(f"http://127.0.0.1:{free_port}/v2/arm6/app/manifests/1")
        assert answer.headers["Docker-Content-Digest"] == own_content().digest("arm6/app:1")
        await wait_until(shows_the_request, seconds=10, purpose="the request on the screen")
    finally:
        assert await program.stop() == 0
