"""Pushing over real connections, to registries with manners of their own."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proxy.oci.digests import Digest
from proxy.oci.errors import RegistryError, UpstreamMisbehaved, UpstreamRefused, UpstreamUnreachable
from proxy.ports import Destination
from proxy.upstream.authorization import Credentials
from proxy.upstream.pushing import PIECE_BYTES, RegistryPusher
from tests.contracts.destination import IMAGE, OTHER, REPOSITORY, DestinationContract, address, push
from tests.fakes.clock import ManualClock
from tests.fakes.pushable import Manners, PushableServer, pushable
from tests.fakes.registry import MemoryRegistry
from tests.lab.images import Blob, build_image
from tests.upstream.wires import open_exchange

BIG = build_image("linux/arm/v7", label="big", padding_bytes=20_000_000).layers[-1]


@asynccontextmanager
async def open_pusher(
    manners: Manners | None = None,
    credentials: Credentials | None = None,
    *,
    timeout_seconds: float = 10.0,
    upload_timeout_seconds: float = 10.0,
) -> AsyncIterator[tuple[RegistryPusher, PushableServer]]:
    """Open a registry that may be pushed to, and who pushes to it."""
    async with pushable(MemoryRegistry(), manners) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        server.url = url
        async with open_exchange(
            url,
            ManualClock(),
            actions="pull,push",
            credentials=credentials,
            timeout_seconds=timeout_seconds,
            stall_timeout_seconds=timeout_seconds,
            upload_timeout_seconds=upload_timeout_seconds,
        ) as exchange:
            yield RegistryPusher(exchange, lambda: 0.0), server


class TestRegistryPusher(DestinationContract):
    @pytest.fixture
    async def destination(self) -> AsyncIterator[Destination]:
        async with open_pusher() as (pusher, _):
            yield pusher


@pytest.mark.parametrize("location", ["relative", "absolute", "http", "query"])
async def test_an_upload_goes_where_the_registry_says_on_its_own_host(location: str) -> None:
    async with open_pusher(Manners(location=location)) as (pusher, server):
        await push(pusher, IMAGE.config)
        assert await pusher.has_blob(REPOSITORY, address(IMAGE.config))
        (put,) = [path for method, path in server.asked if method == "PUT"]
        assert put.endswith(f"{'&' if location == 'query' else '?'}digest={IMAGE.config.digest}")


@pytest.mark.parametrize(
    ("location", "reason"), [("foreign", "elsewhere.example, which is not its own"), ("none", "not tell where")]
)
async def test_an_upload_goes_to_nobody_else(location: str, reason: str) -> None:
    async with open_pusher(Manners(location=location)) as (pusher, server):
        with pytest.raises(UpstreamMisbehaved, match=reason):
            await push(pusher, IMAGE.config)
        assert [method for method, _ in server.asked] == ["POST"]


async def test_a_token_that_allows_pushing_is_asked_for() -> None:
    credentials = Credentials("me", "secret", ("*",))
    async with open_pusher(Manners(token="letmein"), credentials) as (pusher, server):
        await push(pusher, IMAGE.config)
        assert server.scopes == [f"repository:{REPOSITORY}:pull,push"]


async def test_an_upload_that_breaks_off_is_begun_again() -> None:
    layer = IMAGE.layers[0]
    async with open_pusher(Manners(cuts_uploads=2)) as (pusher, server):
        await push(pusher, layer)
        assert await pusher.has_blob(REPOSITORY, address(layer))
        assert [method for method, path in server.asked if "uploads" in path] == ["POST", "PUT"] * 3


async def test_it_is_not_begun_again_for_ever() -> None:
    async with open_pusher(Manners(cuts_uploads=9)) as (pusher, server):
        with pytest.raises(UpstreamUnreachable):
            await push(pusher, IMAGE.layers[0])
        assert server.manners.cuts_uploads == 6


async def test_who_may_not_write_is_told_so() -> None:
    async with open_pusher() as (pusher, server):
        server.registry.is_read_only = True
        reason = rf"registry\.example does not let us write to {REPOSITORY} \(DENIED: "
        with pytest.raises(UpstreamRefused, match=reason):
            await push(pusher, IMAGE.config)
        with pytest.raises(UpstreamRefused, match=reason):
            await pusher.push_manifest(REPOSITORY, "1", IMAGE.manifest.content, IMAGE.manifest.media_type)


async def test_a_registry_that_does_not_take_a_type_says_so() -> None:
    async with open_pusher(Manners(refuses={IMAGE.manifest.media_type})) as (pusher, _):
        with pytest.raises(
            UpstreamMisbehaved, match=r"does not take manifest 1 into team/app: 400 \(MANIFEST_INVALID: "
        ):
            await pusher.push_manifest(REPOSITORY, "1", IMAGE.manifest.content, IMAGE.manifest.media_type)


async def test_a_registry_that_mounts_nothing_is_pushed_to() -> None:
    async with open_pusher() as (pusher, server):
        server.registry.can_mount = False
        await push(pusher, IMAGE.config)
        assert not await pusher.mount_blob("team/other", address(IMAGE.config), REPOSITORY)


async def test_a_token_that_only_reads_is_told_so() -> None:
    credentials = Credentials("me", "secret", ("*",))
    async with open_pusher(Manners(token="letmein", gives_reading_only=True), credentials) as (pusher, _):
        assert not await pusher.has_blob(REPOSITORY, address(IMAGE.config))
        with pytest.raises(UpstreamRefused, match=rf"does not let us write to {REPOSITORY} \(401\)"):
            await push(pusher, IMAGE.config)


async def test_to_mount_a_token_opens_both_repositories() -> None:
    credentials = Credentials("me", "secret", ("*",))
    async with open_pusher(Manners(token="letmein"), credentials) as (pusher, server):
        await push(pusher, IMAGE.config)
        assert await pusher.mount_blob(OTHER, address(IMAGE.config), REPOSITORY)
        assert server.scopes[1:] == [f"repository:{OTHER}:pull,push repository:{REPOSITORY}:pull"]


async def test_an_upload_that_is_not_known_any_more_is_begun_again() -> None:
    async with open_pusher(Manners(loses_uploads=1)) as (pusher, server):
        await push(pusher, IMAGE.config)
        assert [method for method, path in server.asked if "uploads" in path] == ["POST", "PUT"] * 2


async def test_what_is_too_much_at_once_goes_in_pieces() -> None:
    async with open_pusher(Manners(largest_request=PIECE_BYTES)) as (pusher, server):
        await push(pusher, BIG)
        assert server.registry.repositories[REPOSITORY].blobs[address(BIG)] == BIG.content
        end = len(BIG.content) - 1
        assert server.pieces == ["0-8388607", "8388608-16777215", f"16777216-{end}"]


@pytest.mark.parametrize(("largest", "blob"), [(1000, BIG), (10, IMAGE.config)], ids=["in pieces", "at once"])
async def test_what_is_too_much_in_pieces_as_well_is_told(largest: int, blob: Blob) -> None:
    async with open_pusher(Manners(largest_request=largest)) as (pusher, server):
        with pytest.raises(UpstreamMisbehaved, match="413, it is too large"):
            await push(pusher, blob)
        assert server.registry.repositories == {}


async def test_storing_may_take_its_time_after_all_has_left() -> None:
    async with open_pusher(Manners(thinks_seconds=1.5), timeout_seconds=0.5) as (pusher, server):
        await push(pusher, IMAGE.layers[0])
        assert [method for method, path in server.asked if "uploads" in path] == ["POST", "PUT"]


async def test_it_is_not_waited_for_without_end() -> None:
    async with open_pusher(Manners(holding=asyncio.Event()), upload_timeout_seconds=0.1) as (pusher, _):
        with pytest.raises(UpstreamUnreachable):
            await push(pusher, IMAGE.config)


@pytest.mark.parametrize("leads_to", ["http://elsewhere.example/v2/x", "http://127.0.0.1:1/v2/x"])
async def test_what_is_written_is_led_nowhere_else(leads_to: str) -> None:
    async with open_pusher(Manners(leads_to=leads_to)) as (pusher, server):
        with pytest.raises(UpstreamMisbehaved, match=r"sends on to .* what is written to it; refused"):
            await push(pusher, IMAGE.config)
        assert [method for method, _ in server.asked] == ["POST"]


@pytest.mark.parametrize(
    ("failure", "attempts"),
    [(UpstreamMisbehaved("damaged where it comes from"), 1), (UpstreamUnreachable("it broke off"), 3)],
    ids=["damaged", "unreachable"],
)
@pytest.mark.parametrize("largest", [None, PIECE_BYTES], ids=["at once", "in pieces"])
async def test_a_source_that_fails_is_its_own_fault(failure: RegistryError, attempts: int, largest: int | None) -> None:
    begun = 0

    async def read() -> AsyncGenerator[bytes, None]:
        nonlocal begun
        begun += 1
        yield BIG.content[:9_000_000]
        raise failure

    async with open_pusher(Manners(largest_request=largest)) as (pusher, server):
        with pytest.raises(type(failure)) as caught:
            await pusher.push_blob(REPOSITORY, address(BIG), len(BIG.content), read)
        assert caught.value is failure
        assert server.registry.repositories == {}
        assert begun >= attempts


@pytest.mark.parametrize("size", [1, 3], ids=["too much", "too little"])
async def test_a_source_of_another_size_is_not_sent(size: int) -> None:
    async def read() -> AsyncGenerator[bytes, None]:
        yield b"xx"

    async with open_pusher() as (pusher, server):
        with pytest.raises(UpstreamMisbehaved, match=f"has not the {size} bytes"):
            await pusher.push_blob(REPOSITORY, Digest.of(b"xx"), size, read)
        assert server.registry.repositories == {}
