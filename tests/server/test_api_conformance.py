"""The API against its own description, by schemathesis: no fault, and nothing undescribed, whatever is sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from proxy.server.api import BASE
from tests.cli.folders import IMAGES
from tests.cli.registries import documents_of, serving
from tests.lab.proxies import StartProxy, as_docker_hub

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    negative_data_rejection,
    unsupported_method,
]
EXAMPLES = 15
"""For each call and kind of data."""
SECONDS = 20
STREAM = "text/event-stream"


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    """A real server in a process of its own, with an upstream that has a few images."""
    start = StartProxy(tmp_path)
    with serving(documents_of(IMAGES)) as upstream:
        try:
            yield (await start(config=as_docker_hub(upstream))).url
        finally:
            await start.stop_all()


@pytest.mark.timeout(180)
async def test_whatever_is_sent_is_answered_as_described(url: str) -> None:
    seen = await asyncio.to_thread(hold_to_its_description, url)
    assert len(seen) > 15
    assert all(seen.values())
    assert sum(200 in statuses or 202 in statuses for statuses in seen.values()) > len(seen) / 2
    assert sum(400 in statuses for statuses in seen.values()) > len(seen) / 2


def hold_to_its_description(url: str) -> dict[str, set[int]]:
    """Answer the statuses that each call was answered with."""
    schema = schemathesis.openapi.from_url(f"{url}{BASE}/openapi.json", timeout=SECONDS)
    seen: dict[str, set[int]] = {}
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        statuses = seen[operation.label] = set()
        takes_nothing = not {"parameters", "requestBody"} & operation.definition.raw.keys()
        for mode in [GenerationMode.POSITIVE] if takes_nothing else GenerationMode:
            hold(operation, mode, url, statuses)
    return seen


def hold(operation: Any, mode: GenerationMode, url: str, statuses: set[int]) -> None:
    """Hold one call to its description, with data of one kind."""
    contents = [one.get("content", {}) for one in operation.definition.raw["responses"].values()]
    ask = begin if any(STREAM in content for content in contents) else call

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        statuses.add(ask(case, url))

    # Where all parameters are texts of any form, nothing can be wrong.
    with suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext():
        check()


def call(case: Any, url: str) -> int:
    """Ask, and check the whole answer."""
    answer = case.call(base_url=url, timeout=SECONDS)
    case.validate_response(answer, checks=CHECKS)
    return int(answer.status_code)


def begin(case: Any, url: str) -> int:
    """Ask for an answer without an end, and check how it begins."""
    wish = case.as_transport_kwargs(base_url=url)
    with requests.request(**wish, stream=True, timeout=SECONDS) as answer:
        assert answer.status_code in {200, 400, 404}, answer.text
        if answer.status_code == requests.codes.ok:
            assert answer.headers["Content-Type"] == STREAM
            assert next(answer.iter_lines()).startswith(b":")
        return answer.status_code
