"""Pushing over real connections, to registries with manners of their own."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proxy.oci.digests import Digest
from proxy.oci.errors import UpstreamError, UpstreamMisbehaved, UpstreamRefused, UpstreamUnreachable
from proxy.ports import Destination
from proxy.upstream.authorization import Credentials
from proxy.upstream.pushing import RegistryPusher
from tests.contracts.destination import IMAGE, REPOSITORY, DestinationContract, address, push
from tests.fakes.clock import ManualClock
from tests.fakes.pushable import Manners, PushableServer, pushable
from tests.fakes.registry import MemoryRegistry
from tests.upstream.wires import open_exchange


@asynccontextmanager
async def open_pusher(
    manners: Manners | None = None, credentials: Credentials | None = None
) -> AsyncIterator[tuple[RegistryPusher, PushableServer]]:
    """Open a registry that may be pushed to, and who pushes to it."""
    async with pushable(MemoryRegistry(), manners) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        server.url = url
        async with open_exchange(url, ManualClock(), actions="pull,push", credentials=credentials) as exchange:
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


async def test_a_source_that_fails_is_its_own_fault() -> None:
    async def read() -> AsyncGenerator[bytes, None]:
        yield b"x"
        raise UpstreamMisbehaved("the layer is damaged where it comes from")

    async with open_pusher() as (pusher, server):
        with pytest.raises(UpstreamError):
            await pusher.push_blob(REPOSITORY, Digest.of(b"xx"), 2, read)
        assert server.registry.repositories == {}
