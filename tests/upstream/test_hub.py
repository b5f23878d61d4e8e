"""The client in front of a stand-in for Docker Hub: what a pull costs, and what may go wrong."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from proxy.oci.digests import Digest
from proxy.oci.errors import (
    BlobUnknown,
    RegistryError,
    UpstreamMisbehaved,
    UpstreamRefused,
    UpstreamSilent,
    UpstreamUnreachable,
)
from proxy.oci.media_types import OCI_MANIFEST
from proxy.ports import Quota
from proxy.upstream.authorization import Credentials
from proxy.upstream.client import RegistryClient
from proxy.upstream.retries import RetryPolicy
from tests.contracts.upstream import PUSHED, REPOSITORY, Stage, UpstreamContract
from tests.fakes.clock import ManualClock
from tests.lab.content import Content
from tests.lab.hub import HUB, OWN, HubStandIn, faults
from tests.lab.hub.answers import Answer
from tests.lab.hub.asked import Asked
from tests.lab.hub.faults import Fault
from tests.lab.images import digest_of
from tests.lab.registry import DockerRegistry, docker_registry
from tests.upstream.wires import AT_ONCE, TableResolver, open_exchange

pytestmark = pytest.mark.lab

DEBIAN, JESSIE = "library/debian", "library/debian:jessie"
ME = Credentials("me", "secret", ("private/*",))
Ask = Callable[[RegistryClient], object]


@asynccontextmanager
async def open_client(
    hub: HubStandIn,
    clock: ManualClock | None = None,
    *,
    credentials: Credentials | None = None,
    timeout_seconds: float = 10.0,
    stall_timeout_seconds: float = 10.0,
    retries: RetryPolicy = AT_ONCE,
) -> AsyncIterator[RegistryClient]:
    """Open a client of a stand-in."""
    async with open_exchange(
        hub.url,
        clock or ManualClock(),
        credentials=credentials,
        timeout_seconds=timeout_seconds,
        stall_timeout_seconds=stall_timeout_seconds,
        retries=retries,
    ) as exchange:
        yield RegistryClient(exchange)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def client(hub: HubStandIn, clock: ManualClock) -> AsyncIterator[RegistryClient]:
    async with open_client(hub, clock) as client:
        yield client


def _layer(content: Content, name: str = JESSIE) -> tuple[Digest, bytes]:
    layer = content.image(name).layers[-1]
    return Digest.parse(layer.digest), layer.content


async def _fetch(client: RegistryClient, digest: Digest, repository: str = DEBIAN, offset: int = 0) -> bytes:
    async with (
        client.open_blob(repository, digest, offset=offset) as stream,
        aclosing(stream.chunks()) as chunks,
    ):
        return b"".join([chunk async for chunk in chunks])


# The contract


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def small_backend() -> AsyncIterator[DockerRegistry]:
    """A registry that holds what the contract asks for."""
    async with docker_registry() as registry:
        for tag, image in PUSHED.items():
            await registry.push(image, REPOSITORY, tag)
        yield registry


@pytest.fixture(params=[HUB, OWN], ids=["like-docker-hub", "of-ones-own"])
async def small_hub(small_backend: DockerRegistry, request: pytest.FixtureRequest) -> AsyncIterator[HubStandIn]:
    async with HubStandIn(small_backend.url, request.param) as hub:
        yield hub


class TestRegistryClient(UpstreamContract):
    @pytest.fixture
    async def stage(self, small_hub: HubStandIn) -> AsyncIterator[Stage]:
        def break_blobs() -> None:
            kind = "cdn" if small_hub.behaviour.redirect else "blob"
            small_hub.inject(faults.Cut(0.5), kind=kind)

        def refuse_ranges() -> None:
            small_hub.inject(IgnoresRange(), kind="cdn" if small_hub.behaviour.redirect else "blob")

        async with open_client(small_hub) as client:
            yield Stage(client, small_hub.go_offline, break_blobs, refuse_ranges, has_referrers=False)


class IgnoresRange:
    """Answers with the whole blob."""

    def apply(self, answer: Answer, asked: Asked) -> Answer:
        whole = next(
            layer.content for image in PUSHED.values() for layer in image.layers if layer.digest == asked.reference
        )
        return faults.Replace(whole, "application/octet-stream").apply(answer, asked)


# What a pull costs


async def test_the_first_question_costs_a_token_and_the_next_ones_do_not(
    hub: HubStandIn, client: RegistryClient
) -> None:
    await client.head_manifest(DEBIAN, "jessie")
    assert [record.kind for record in hub.requests()] == ["manifest-head", "token", "manifest-head"]
    hub.reset()
    await client.head_manifest(DEBIAN, "jessie")
    await client.fetch_manifest(DEBIAN, "jessie")
    assert [record.kind for record in hub.requests()] == ["manifest-head", "manifest-get"]


async def test_a_cold_blob_costs_one_request_and_one_of_the_cdn(
    hub: HubStandIn, client: RegistryClient, content: Content
) -> None:
    await client.head_manifest(DEBIAN, "jessie")
    hub.reset()
    digest, expected = _layer(content)
    assert await _fetch(client, digest) == expected
    assert [record.kind for record in hub.requests()] == ["blob", "cdn"]


async def test_a_head_spends_no_quota_and_a_get_spends_one(hub: HubStandIn, client: RegistryClient) -> None:
    await client.head_manifest(DEBIAN, "jessie")
    assert (hub.spent_pulls, client.quota) == (0, Quota(100, 100, 21600))
    await client.fetch_manifest(DEBIAN, "jessie")
    assert (hub.spent_pulls, client.quota) == (1, Quota(100, 99, 21600))


async def test_a_quota_that_is_used_up_is_unreachable_and_heads_go_on(hub: HubStandIn, client: RegistryClient) -> None:
    hub.spent_pulls = 100
    with pytest.raises(UpstreamUnreachable, match="limits our requests"):
        await client.fetch_manifest(DEBIAN, "jessie")
    assert client.quota == Quota(100, 0, 21600)
    assert (await client.head_manifest(DEBIAN, "jessie")).size
    assert len(hub.requests("manifest-get")) == 2  # the one without a token, the one that was refused


async def test_a_paid_account_has_no_quota(hub: HubStandIn, client: RegistryClient) -> None:
    hub.behaviour = replace(HUB, pull_limit=None)
    await client.fetch_manifest(DEBIAN, "jessie")
    assert client.quota is None


async def test_many_who_want_the_same_share_one_token(hub: HubStandIn, client: RegistryClient) -> None:
    found = await asyncio.gather(*(client.head_manifest(DEBIAN, "jessie") for _ in range(20)))
    assert len(set(found)) == 1
    assert len(hub.requests("token")) == 1


# Tokens


async def test_a_token_is_renewed_before_it_runs_out(
    hub: HubStandIn, client: RegistryClient, clock: ManualClock
) -> None:
    for seconds, tokens in ((0, 1), (200, 1), (100, 2)):
        clock.tick(seconds)
        await client.head_manifest(DEBIAN, "jessie")
        assert len(hub.requests("token")) == tokens


async def test_a_token_that_upstream_no_longer_knows_is_renewed(hub: HubStandIn, client: RegistryClient) -> None:
    invalid = f'Bearer realm="{hub.url}/token",service="registry.docker.io",error="invalid_token"'
    await client.head_manifest(DEBIAN, "jessie")
    hub.inject(faults.Status(401, headers={"WWW-Authenticate": invalid}), kind="manifest-head", times=1)
    hub.requests()
    await client.head_manifest(DEBIAN, "jessie")
    assert len(hub.requests("token")) == 2


async def test_what_is_absent_or_private_is_refused(hub: HubStandIn, client: RegistryClient) -> None:
    hub.behaviour = replace(HUB, private=frozenset({DEBIAN}))
    for repository in ("nobody/nothing", DEBIAN):
        with pytest.raises(UpstreamRefused, match=repository):
            await client.head_manifest(repository, "jessie")


async def test_credentials_open_what_they_are_for(hub: HubStandIn) -> None:
    hub.behaviour = replace(HUB, private=frozenset({DEBIAN, "library/redis"}), accounts={"me": "secret"})
    async with open_client(hub, credentials=replace(ME, repositories=(DEBIAN,))) as client:
        assert (await client.head_manifest(DEBIAN, "jessie")).size
        with pytest.raises(UpstreamRefused):
            await client.head_manifest("library/redis", "3-alpine")
    shown = [record.headers.get("Authorization") for record in hub.requests("token")]
    assert shown == [ME.basic, None]
    assert all(not (record.headers.get("Authorization") or "").startswith("Basic") for record in hub.requests("man"))


async def test_wrong_credentials_are_never_taken_for_an_absent_repository(hub: HubStandIn) -> None:
    hub.behaviour = replace(HUB, accounts={"me": "another"})
    async with open_client(hub, credentials=replace(ME, repositories=("*",))) as client:
        with pytest.raises(UpstreamUnreachable, match="token service answered 401"):
            await client.head_manifest(DEBIAN, "jessie")


async def test_a_foreign_realm_is_not_asked(hub: HubStandIn) -> None:
    hub.inject(faults.ForeignRealm(f"http://localhost:{urlsplit(hub.url).port}/token"))
    async with open_client(hub, credentials=replace(ME, repositories=("*",))) as client:
        with pytest.raises(UpstreamMisbehaved, match="token realm on localhost"):
            await client.head_manifest(DEBIAN, "jessie")
    assert hub.requests("token") == []


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (faults.Status(500), UpstreamUnreachable),
        (faults.Status(429), UpstreamUnreachable),
        (faults.HTML, UpstreamMisbehaved),
        (faults.Replace(b"{}", "application/json"), UpstreamMisbehaved),
        (faults.DROP, UpstreamUnreachable),
        (faults.RedirectTo("http://169.254.169.254/token"), UpstreamUnreachable),
    ],
    ids=["500", "429", "html", "no-token", "drop", "redirect"],
)
async def test_a_token_service_in_trouble_is_told(
    hub: HubStandIn, client: RegistryClient, fault: Fault, expected: type[RegistryError]
) -> None:
    hub.inject(fault, kind="token")
    with pytest.raises(expected):
        await client.head_manifest(DEBIAN, "jessie")


# The CDN


async def test_the_cdn_never_sees_what_we_are(hub: HubStandIn, content: Content) -> None:
    digest, expected = _layer(content)
    hub.behaviour = replace(HUB, accounts={"me": "secret"})
    async with open_client(hub, credentials=replace(ME, repositories=("*",))) as client:
        assert await _fetch(client, digest) == expected
        assert await _fetch(client, digest, offset=1) == expected[1:]
    assert len(hub.requests("cdn")) == 2
    assert hub.leaks() == []


async def test_a_cdn_on_another_host_is_reached_from_an_upstream_of_its_kind(
    hub_backend: DockerRegistry, content: Content
) -> None:
    digest, expected = _layer(content)
    async with HubStandIn(hub_backend.url, cdn_address="127.0.0.3") as hub, open_client(hub) as client:
        assert await _fetch(client, digest) == expected
        assert hub.leaks() == []


async def test_a_relative_location_is_followed_at_home(
    hub: HubStandIn, client: RegistryClient, content: Content
) -> None:
    hub.inject(faults.RelativeLocation(), kind="blob")
    digest, expected = _layer(content)
    assert await _fetch(client, digest) == expected


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://[fd00:ec2::254]/",
        "ftp://127.0.0.1/",
        "http://127.1/",
        "file:///etc/passwd",
        "http://metadata.example/",
    ],
)
async def test_a_redirect_into_another_network_is_refused(hub: HubStandIn, content: Content, location: str) -> None:
    hub.inject(faults.RedirectTo(location), kind="blob")
    names = TableResolver({"metadata.example": "169.254.169.254"})
    async with open_exchange(hub.url, ManualClock(), resolver=names) as exchange:
        with pytest.raises(UpstreamMisbehaved, match="redirects to"):
            await _fetch(RegistryClient(exchange), _layer(content)[0])


async def test_a_redirect_loop_is_left(hub: HubStandIn, client: RegistryClient) -> None:
    await client.head_manifest(DEBIAN, "jessie")
    hub.reset()
    hub.inject(faults.RedirectLoop(), kind="manifest")
    with pytest.raises(UpstreamMisbehaved, match="in a circle"):
        await client.fetch_manifest(DEBIAN, "jessie")
    assert len(hub.requests()) == 6


async def test_manifests_may_be_redirected_too(hub: HubStandIn, client: RegistryClient, content: Content) -> None:
    """registry.k8s.io does (protocol_and_perf.md A4)."""
    other = content.manifest("arm64v8/debian:jessie")
    hub.behaviour = OWN
    hub.inject(faults.RedirectTo("/v2/arm64v8/debian/manifests/jessie"), kind="manifest", repository=DEBIAN)
    assert (await client.fetch_manifest(DEBIAN, "jessie")).content == other.content


async def test_a_cdn_that_no_longer_takes_the_address_is_a_refusal(
    hub: HubStandIn, client: RegistryClient, content: Content
) -> None:
    hub.inject(faults.Status(403), kind="cdn")
    with pytest.raises(UpstreamRefused):
        await _fetch(client, _layer(content)[0])


@pytest.mark.parametrize("offset", [1, 20_000_000, 39_999_999])
async def test_a_blob_is_taken_up_in_its_middle(
    hub: HubStandIn, client: RegistryClient, content: Content, offset: int
) -> None:
    digest, expected = _layer(content, "library/big:1")
    assert await _fetch(client, digest, "library/big", offset) == expected[offset:]
    assert hub.requests("cdn")[0].headers["Range"] == f"bytes={offset}-"


async def test_a_broken_blob_is_made_whole_by_ranges(hub: HubStandIn, client: RegistryClient, content: Content) -> None:
    digest, expected = _layer(content, "library/big:1")
    hub.inject(faults.Cut(0.3), kind="cdn", times=3)
    got = bytearray()
    while len(got) < len(expected):
        async with client.open_blob("library/big", digest, offset=len(got)) as stream:
            assert stream.offset == len(got)
            with suppress(UpstreamUnreachable):
                await _gather(stream.chunks(), got)
    assert Digest.of(bytes(got)) == digest
    assert len(hub.requests("cdn")) == 4


async def _gather(chunks: AsyncIterator[bytes], got: bytearray) -> None:
    async for chunk in chunks:
        got += chunk


# What goes wrong


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_failure_of_the_moment_is_got_over(hub: HubStandIn, client: RegistryClient, status: int) -> None:
    await client.head_manifest(DEBIAN, "jessie")
    hub.reset()
    hub.inject(faults.Status(status), kind="manifest", times=1)
    assert (await client.head_manifest(DEBIAN, "jessie")).size
    assert [record.status for record in hub.requests()] == [status, 200]


async def test_a_429_is_not_asked_again_unless_it_names_a_short_wait(hub: HubStandIn, client: RegistryClient) -> None:
    await client.head_manifest(DEBIAN, "jessie")
    for retry_after, requests in ((None, 1), ("60", 1), ("0", 2)):
        hub.reset()
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        hub.inject(faults.Status(429, headers=headers), kind="manifest", times=1)
        if requests == 1:
            with pytest.raises(UpstreamUnreachable, match="429"):
                await client.head_manifest(DEBIAN, "jessie")
        else:
            await client.head_manifest(DEBIAN, "jessie")
        assert len(hub.requests()) == requests


@pytest.mark.parametrize(
    "fault",
    [faults.Status(500), faults.DROP, faults.Status(503, headers={"Retry-After": "3600"})],
    ids=["500", "drop", "busy"],
)
async def test_a_failure_that_lasts_is_unreachable(hub: HubStandIn, client: RegistryClient, fault: Fault) -> None:
    hub.inject(fault)
    with pytest.raises(UpstreamUnreachable):
        await client.head_manifest(DEBIAN, "jessie")


@pytest.mark.parametrize("kind", ["manifest", "token", "blob", "cdn"])
async def test_an_answer_that_does_not_begin_is_not_waited_for(hub: HubStandIn, content: Content, kind: str) -> None:
    hub.inject(faults.Stall(), kind=kind)
    async with open_client(hub, timeout_seconds=0.3) as client:
        began = time.monotonic()
        with pytest.raises(UpstreamSilent, match=r"no answer within 0\.3 s"):
            await (client.head_manifest(DEBIAN, "jessie") if kind == "manifest" else _fetch(client, _layer(content)[0]))
        assert 0.25 < time.monotonic() - began < 3


@pytest.mark.parametrize("after", [0.0, 0.5], ids=["before-the-body", "in-the-body"])
async def test_a_blob_that_stands_still_is_not_waited_for(hub: HubStandIn, content: Content, after: float) -> None:
    digest, expected = _layer(content, "library/big:1")
    hub.inject(faults.Stall(after), kind="cdn")
    got = bytearray()
    async with (
        open_client(hub, stall_timeout_seconds=0.3) as client,
        client.open_blob("library/big", digest) as stream,
        aclosing(stream.chunks()) as chunks,
    ):
        with pytest.raises(UpstreamUnreachable, match="broke off"):
            await _gather(chunks, got)
    assert len(got) == int(len(expected) * after)


async def test_an_upstream_that_is_offline_is_silent_and_comes_back(hub: HubStandIn, client: RegistryClient) -> None:
    await client.head_manifest(DEBIAN, "jessie")
    await hub.go_offline()
    with pytest.raises(UpstreamSilent):
        await client.head_manifest(DEBIAN, "jessie")
    await hub.go_online()
    assert (await client.head_manifest(DEBIAN, "jessie")).size


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        pytest.param(faults.WrongBytes(), "bytes that are not sha256:", id="wrong-bytes"),
        pytest.param(faults.WrongSize(-5), "bytes that are not sha256:", id="cut-but-consistent"),
        pytest.param(
            faults.Headers({"Docker-Content-Digest": digest_of(b"x")}), "bytes that are not sha256:", id="wrong-digest"
        ),
        pytest.param(faults.Headers({"Docker-Content-Digest": "sha256:x"}), "upstream announces", id="bad-digest"),
        pytest.param(faults.oversize_manifest(), "more than 4194304 bytes", id="too-large"),
        pytest.param(faults.Status(418), "418, which has no meaning here", id="a-teapot"),
        pytest.param(faults.METADATA_SERVICE, "redirects to", id="metadata-service"),
    ],
)
async def test_a_manifest_that_is_wrong_is_misbehaviour(
    hub: HubStandIn, client: RegistryClient, fault: Fault, expected: str
) -> None:
    hub.inject(fault, kind="manifest-get")
    with pytest.raises(UpstreamMisbehaved, match=expected):
        await client.fetch_manifest(DEBIAN, "jessie")


async def test_a_manifest_that_is_not_what_was_asked_for_is_misbehaviour(
    hub: HubStandIn, client: RegistryClient, content: Content
) -> None:
    hub.inject(faults.WrongBytes(), kind="manifest-get")
    with pytest.raises(UpstreamMisbehaved, match="bytes that are not"):
        await client.fetch_manifest(DEBIAN, Digest.parse(content.digest(JESSIE)))


async def test_a_manifest_that_breaks_off_is_unreachable(hub: HubStandIn, client: RegistryClient) -> None:
    hub.inject(faults.Cut(0.5), kind="manifest-get")
    with pytest.raises(UpstreamUnreachable, match="broke off"):
        await client.fetch_manifest(DEBIAN, "jessie")


async def test_html_is_no_manifest(hub: HubStandIn, client: RegistryClient, content: Content) -> None:
    hub.inject(faults.HTML, kind="manifest-get")
    for target in ("jessie", Digest.parse(content.digest(JESSIE))):
        with pytest.raises(UpstreamMisbehaved, match="a web page where a manifest should be"):
            await client.fetch_manifest(DEBIAN, target)


@pytest.mark.parametrize(
    "fault",
    [faults.Status(405), faults.Headers({"Docker-Content-Digest": None}), faults.Headers({"Content-Type": ""})],
    ids=["405", "no-digest", "no-type"],
)
async def test_a_head_that_says_too_little_is_followed_by_a_get(
    hub: HubStandIn, client: RegistryClient, content: Content, fault: Fault
) -> None:
    hub.inject(fault, kind="manifest-head")
    found = await client.head_manifest(DEBIAN, "jessie")
    assert (str(found.digest), found.media_type) == (content.digest(JESSIE), content.manifest(JESSIE).media_type)
    assert hub.spent_pulls == 1


async def test_a_head_with_a_wrong_digest_is_misbehaviour(
    hub: HubStandIn, client: RegistryClient, content: Content
) -> None:
    hub.inject(faults.Headers({"Docker-Content-Digest": digest_of(b"x")}), kind="manifest-head")
    with pytest.raises(UpstreamMisbehaved, match="upstream announces"):
        await client.head_manifest(DEBIAN, Digest.parse(content.digest(JESSIE)))


async def test_a_list_is_asked_for_in_all_its_types(hub: HubStandIn, client: RegistryClient, content: Content) -> None:
    """Docker Hub gives its amd64 image to whom it takes for a client without lists."""
    hub.behaviour = replace(HUB, legacy_negotiation=True)
    name = "library/redis:3-alpine"
    assert str((await client.head_manifest("library/redis", "3-alpine")).digest) == content.digest(name)


async def test_a_blob_that_is_absent_is_unknown_even_by_way_of_the_cdn(
    hub: HubStandIn, client: RegistryClient, content: Content
) -> None:
    hub.inject(faults.Status(404), kind="cdn")
    with pytest.raises(BlobUnknown):
        await _fetch(client, _layer(content)[0])


async def test_referrers_are_passed_on(hub: HubStandIn, client: RegistryClient, content: Content) -> None:
    subject = content.digest(JESSIE)
    hub.referrers[subject] = [{"mediaType": OCI_MANIFEST, "digest": digest_of(b"sbom"), "size": 4}]
    found = await client.fetch_referrers(DEBIAN, Digest.parse(subject))
    assert digest_of(b"sbom").encode() in found.content


async def test_a_registry_of_one_s_own_is_asked_without_tokens(hub_backend: DockerRegistry, content: Content) -> None:
    async with HubStandIn(hub_backend.url, OWN) as own, open_client(own) as client:
        digest, expected = _layer(content)
        assert await _fetch(client, digest) == expected
        assert (await client.fetch_manifest(DEBIAN, "jessie")).content == content.manifest(JESSIE).content
        assert [record.kind for record in own.requests()] == ["blob", "manifest-get"]


async def test_plain_registries_are_understood_too(hub_backend: DockerRegistry, content: Content) -> None:
    """`docker-registry` itself, with nothing before it."""
    digest, expected = _layer(content)
    async with open_exchange(hub_backend.url, ManualClock()) as exchange:
        client = RegistryClient(exchange)
        assert await client.head_blob(DEBIAN, digest) == len(expected)
        assert await _fetch(client, digest, offset=1) == expected[1:]
        assert "jessie" in (await client.list_tags(DEBIAN, limit=1, last="bookworm")).tags
