import asyncio

import httpx
import pytest

from proxy.spending import SPENDING, Purpose, Spending, UpstreamMeter
from proxy.upstream.metering import MeteredTransport, NoMeter, find_purpose
from tests.fakes.clock import ManualClock

BASE = "https://registry.example"


class Ledger:
    """An `UpstreamMeter` that keeps what it is told."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, Purpose, int | None, float]] = []

    def count_request(self, upstream: str, purpose: Purpose, status: int | None, seconds: float, /) -> None:
        self.requests.append((upstream, purpose, status, seconds))


@pytest.mark.parametrize(
    ("method", "path", "purpose"),
    [
        ("GET", "/v2/library/debian/manifests/jessie", Purpose.MANIFEST),
        ("HEAD", "/v2/library/debian/manifests/jessie", Purpose.MANIFEST_HEAD),
        ("GET", "/v2/library/debian/blobs/sha256:0", Purpose.BLOB),
        ("HEAD", "/v2/library/debian/blobs/sha256:0", Purpose.BLOB_HEAD),
        ("GET", "/v2/library/debian/tags/list", Purpose.LIST),
        ("GET", "/v2/library/debian/referrers/sha256:0", Purpose.LIST),
        ("GET", "/mirror/v2/owner/manifests/blobs/sha256:0", Purpose.BLOB),
        ("GET", "/token", None),
        ("GET", "/v2/", None),
        ("GET", "/blobs/sha256/00/data", None),
    ],
)
def test_what_a_request_is_for_stands_in_its_path(method: str, path: str, purpose: Purpose | None) -> None:
    assert find_purpose(method, path) is purpose


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def transport(meter: UpstreamMeter, clock: ManualClock) -> MeteredTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        clock.tick(0.25)
        if request.url.path.endswith("broken"):
            raise httpx.ConnectError("nobody there", request=request)
        return httpx.Response(404 if request.url.path.endswith("absent") else 200)

    return MeteredTransport(httpx.MockTransport(answer), "docker.io", meter, clock, other=Purpose.TOKEN)


async def send(transport: MeteredTransport, path: str) -> None:
    await transport.handle_async_request(httpx.Request("GET", BASE + path))


async def test_every_request_is_counted_with_its_end_and_its_time(ledger: Ledger, clock: ManualClock) -> None:
    metered = transport(ledger, clock)
    await send(metered, "/v2/library/debian/manifests/absent")
    await send(metered, "/token")
    with pytest.raises(httpx.ConnectError):
        await send(metered, "/v2/library/debian/blobs/broken")
    assert ledger.requests == [
        ("docker.io", Purpose.MANIFEST, 404, 0.25),
        ("docker.io", Purpose.TOKEN, 200, 0.25),
        ("docker.io", Purpose.BLOB, None, 0.25),
    ]
    await metered.aclose()


async def test_who_wished_for_it_pays_for_the_tasks_that_it_starts_and_nobody_else(clock: ManualClock) -> None:
    metered, spending = transport(NoMeter(), clock), Spending()
    await send(metered, "/v2/library/debian/blobs/first")

    async def wish() -> None:
        SPENDING.set(spending)
        async with asyncio.TaskGroup() as group:
            group.create_task(send(metered, "/v2/library/debian/blobs/second"))

    await asyncio.create_task(wish())
    assert SPENDING.get() is None
    assert spending.requests == {Purpose.BLOB: 1}
