"""Each quirk of a public registry, against a stand-in that has it: docs/upstreams.md, row by row.

protocol_and_perf.md A4, and the issues that the stand-ins name.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from proxy.oci.digests import Digest
from proxy.oci.errors import (
    BlobUnknown,
    ManifestUnknown,
    NameUnknown,
    RegistryError,
    UpstreamMisbehaved,
    UpstreamRefused,
    UpstreamUnreachable,
)
from proxy.oci.manifests import Descriptor
from proxy.oci.media_types import DOCKER_LIST, DOCKER_MANIFEST, DOCKER_SCHEMA1_SIGNED, OCI_INDEX, OCI_MANIFEST
from proxy.upstream.authorization import Credentials
from proxy.upstream.client import RegistryClient
from tests.fakes.clock import ManualClock
from tests.upstream.stand_ins import (
    BLOB,
    BLOB_DIGEST,
    DIGEST,
    MANIFEST,
    Answer,
    Asked,
    StandIn,
    manifest,
    page,
    redirect,
    refusal,
    stand_in,
    token,
)
from tests.upstream.wires import open_exchange

APP, TAG = "owner/app", "/v2/owner/app/manifests/1"
DESCRIPTOR = Descriptor(OCI_MANIFEST, DIGEST, len(MANIFEST))
ME = Credentials("me", "secret", (APP,))
SECOND_ADDRESS = "127.0.0.2"


@asynccontextmanager
async def client_of(
    registry: StandIn,
    *,
    credentials: Credentials | None = None,
    token_hosts: Mapping[str, frozenset[str]] | None = None,
) -> AsyncIterator[RegistryClient]:
    async with open_exchange(registry.url, ManualClock(), credentials=credentials, token_hosts=token_hosts) as exchange:
        yield RegistryClient(exchange)


@asynccontextmanager
async def pulling(
    answer: Answer, credentials: Credentials | None = None
) -> AsyncIterator[tuple[RegistryClient, StandIn]]:
    """Open a client of a stand-in."""
    async with stand_in(answer) as registry, client_of(registry, credentials=credentials) as client:
        yield client, registry


async def read_blob(client: RegistryClient, repository: str = APP) -> bytes:
    async with client.open_blob(repository, BLOB_DIGEST) as stream, aclosing(stream.chunks()) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def refuses(client: RegistryClient, expected: type[RegistryError], match: str = ".") -> None:
    """See that a manifest is refused, by HEAD and by GET, with exactly this error."""
    for ask in (client.head_manifest, client.fetch_manifest):
        with pytest.raises(expected, match=match) as caught:
            await ask(APP, "1")
        assert type(caught.value) is expected


async def pulls(client: RegistryClient, repository: str = APP) -> None:
    """See that a manifest is had, by HEAD and by GET."""
    assert await client.head_manifest(repository, "1") == DESCRIPTOR
    assert (await client.fetch_manifest(repository, "1")).content == MANIFEST


# ghcr.io


def ghcr(asked: Asked, registry: StandIn) -> web.Response:
    """Give tokens for exactly one scope; name a placeholder in the challenge; hide an index from who takes none."""
    if asked.path == "/token":
        scopes = "|".join(asked.query.get("scope", []))
        return refusal(403, "DENIED") if scopes == "repository:owner/secret:pull" else token(scopes)
    challenge = f'Bearer realm="{registry.url}/token",service="ghcr.io",scope="repository:user/image:pull"'
    if asked.authorization is None:
        return refusal(401, "UNAUTHORIZED", "authentication required", challenge=challenge)
    repository = asked.path.removeprefix("/v2/").partition("/manifests/")[0]
    if asked.authorization != f"Bearer repository:{repository}:pull" or repository == "owner/private":
        return refusal(403, "DENIED", "requested access to the resource is denied")
    if OCI_INDEX not in asked.headers.get("Accept", ""):
        return refusal(404, "MANIFEST_UNKNOWN", "OCI index found, but Accept header does not support OCI indexes")
    return manifest() if repository == APP else refusal(404, "MANIFEST_UNKNOWN", "manifest unknown")


async def test_ghcr_s_placeholder_scope_is_never_asked_for() -> None:
    async with pulling(ghcr) as (client, registry):
        await pulls(client)
    assert registry.log == [f"HEAD {TAG}", "GET /token", f"HEAD {TAG}", f"GET {TAG}"]
    assert registry.asked[1].query == {"service": ["ghcr.io"], "scope": ["repository:owner/app:pull"]}


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        pytest.param("owner/secret", UpstreamRefused, id="no-token"),
        pytest.param("owner/private", UpstreamRefused, id="a-token-that-opens-nothing"),
        pytest.param("owner/absent", ManifestUnknown, id="absent"),
    ],
)
async def test_what_ghcr_does_not_show_is_an_answer(repository: str, expected: type[RegistryError]) -> None:
    async with pulling(ghcr) as (client, _):
        for ask in (client.head_manifest, client.fetch_manifest):
            with pytest.raises(expected):
                await ask(repository, "1")


@pytest.mark.parametrize("wait", ["531.276µs", "1.5ms", "-1"])
async def test_ghcr_s_words_for_a_wait_are_no_invitation(wait: str) -> None:
    def answer(_asked: Asked, _registry: StandIn) -> web.Response:
        headers = {"Retry-After": wait}
        return web.Response(status=429, text="denied: allowed: 44000/minute", headers=headers)

    async with pulling(answer) as (client, registry):
        await refuses(client, UpstreamUnreachable, "limits our requests")
    assert len(registry.asked) == 2


# quay.io


@pytest.mark.parametrize("target", ["1", DIGEST], ids=["tag", "digest"])
@pytest.mark.parametrize("is_redirected", [False, True], ids=["at-once", "after-a-redirect"])
async def test_quay_s_page_is_no_manifest(target: str | Digest, *, is_redirected: bool) -> None:
    async with stand_in(lambda *_: page(), address=SECOND_ADDRESS) as front:

        def answer(_asked: Asked, _registry: StandIn) -> web.Response:
            return redirect(f"{front.url}/repository/owner/app", 302, page="Moved") if is_redirected else page()

        async with pulling(answer) as (client, _):
            for ask in (client.head_manifest, client.fetch_manifest):
                with pytest.raises(UpstreamMisbehaved, match="a web page where a manifest should be"):
                    await ask(APP, target)
            with pytest.raises(UpstreamMisbehaved, match="a web page"):
                await client.fetch_referrers(APP, DIGEST)
            with pytest.raises(UpstreamMisbehaved, match="tag list"):
                await client.list_tags(APP, limit=None, last=None)


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/json", "application/octet-stream"])
async def test_a_page_in_disguise_is_no_manifest_either(content_type: str) -> None:
    def answer(_asked: Asked, _registry: StandIn) -> web.Response:
        response = page()
        response.headers["Content-Type"] = content_type
        return response

    async with pulling(answer) as (client, _):
        await refuses(client, UpstreamMisbehaved, "cannot be used: not JSON")


@pytest.mark.parametrize("status", [404, 403, 500])
async def test_the_status_counts_whatever_the_page_says(status: int) -> None:
    expected = {404: ManifestUnknown, 403: UpstreamRefused, 500: UpstreamUnreachable}[status]
    async with pulling(lambda *_: page(status)) as (client, _):
        await refuses(client, expected)


async def test_quay_s_cdn_is_followed_past_the_page_on_the_way() -> None:
    def cdn(asked: Asked, _registry: StandIn) -> web.Response:
        return web.Response(body=BLOB, content_type="application/octet-stream") if asked.query else page(403)

    async with stand_in(cdn, address=SECOND_ADDRESS) as second:

        def quay(_asked: Asked, _registry: StandIn) -> web.Response:
            return redirect(f"{second.url}/sha256/ab/abc?Expires=1&Signature=x%2By", 302, page="<h1>Redirecting</h1>")

        async with pulling(quay) as (client, _):
            assert await read_blob(client) == BLOB
    assert second.asked[0].query == {"Expires": ["1"], "Signature": ["x+y"]}


# registry.k8s.io: manifests on another host, under another name


def bearer(asked: Asked, registry: StandIn) -> web.Response | None:
    """Give a token for the scope that is asked for, and refuse who does not bring the one for its repository."""
    if asked.path == "/token":
        return token(f"{urlsplit(registry.url).hostname}:{asked.query['scope'][0]}")
    repository = asked.path.removeprefix("/v2/").rpartition("/")[0].rpartition("/")[0]
    if asked.authorization == f"Bearer {urlsplit(registry.url).hostname}:repository:{repository}:pull":
        return None
    challenge = f'Bearer realm="{registry.url}/token",service="s"'
    return refusal(401, "UNAUTHORIZED", challenge=challenge)


async def test_manifests_behind_a_307_are_followed_to_a_host_that_asks_for_nothing() -> None:
    async with stand_in(lambda *_: manifest(), address=SECOND_ADDRESS) as region:

        def k8s(asked: Asked, registry: StandIn) -> web.Response:
            if asked.method not in {"GET", "HEAD"}:
                return web.Response(status=405)
            return bearer(asked, registry) or redirect(f"{region.url}/v2/k8s-artifacts-prod/images/app/manifests/1")

        async with pulling(k8s, ME) as (client, registry):
            await pulls(client)
    assert region.log == [f"{method} /v2/k8s-artifacts-prod/images/app/manifests/1" for method in ("HEAD", "GET")]
    assert region.shown == [None, None]
    assert registry.shown == [None, ME.basic, *["Bearer 127.0.0.1:repository:owner/app:pull"] * 2]
    assert all(OCI_INDEX in asked.headers["Accept"] for asked in region.asked)


async def test_a_second_registry_gets_an_anonymous_token_for_its_own_name_of_the_repository() -> None:
    """go-containerregistry #2337 carried the first one's token on, #2349 none; #2360 asks for one."""
    async with stand_in(lambda asked, own: bearer(asked, own) or manifest(), address=SECOND_ADDRESS) as second:

        def first(asked: Asked, registry: StandIn) -> web.Response:
            return bearer(asked, registry) or redirect(f"{second.url}/v2/prod/{APP}/manifests/1")

        async with pulling(first, ME) as (client, _):
            await pulls(client)
    theirs = "Bearer 127.0.0.2:repository:prod/owner/app:pull"
    assert second.shown == [None, None, theirs, theirs]
    assert [asked.path for asked in second.asked].count("/token") == 1


# gcr.io, *.pkg.dev


def google(asked: Asked, registry: StandIn) -> web.Response:
    """Refuse without a word, but for `/v2/`; send blobs on by a relative address."""
    if asked.path == "/v2/token":
        return token("g") if "service" not in asked.query else refusal(400, "UNKNOWN")
    if asked.path == "/v2/":
        return refusal(401, "UNAUTHORIZED", challenge=f'Bearer realm="{registry.url}/v2/token"')
    if asked.authorization != "Bearer g" or "/absent/" in asked.path:
        return web.Response(status=401, text="Unauthorized")
    if asked.path.startswith("/artifacts-downloads/"):
        return web.Response(body=BLOB)
    if "/blobs/" in asked.path:
        return redirect("/artifacts-downloads/namespaces/p/repositories/r/downloads/AbC?x=1", 302)
    return manifest()


async def test_a_401_without_a_challenge_is_asked_about_at_v2() -> None:
    async with pulling(google) as (client, registry):
        await pulls(client)
    assert registry.log == [f"HEAD {TAG}", "GET /v2/", "GET /v2/token", f"HEAD {TAG}", f"GET {TAG}"]
    assert registry.shown == [None, None, None, "Bearer g", "Bearer g"]


async def test_a_relative_redirect_is_followed_on_the_same_host() -> None:
    async with pulling(google) as (client, registry):
        assert await read_blob(client) == BLOB
    assert str(registry.asked[-1]) == "GET /artifacts-downloads/namespaces/p/repositories/r/downloads/AbC"
    assert registry.shown[-1] == "Bearer g"


async def test_what_google_does_not_show_with_a_token_is_refused_in_the_end() -> None:
    async with pulling(google) as (client, registry):
        with pytest.raises(UpstreamRefused, match="absent, or private"):
            await client.head_manifest("owner/absent", "1")
        before = len(registry.asked)
        with pytest.raises(UpstreamRefused):
            await client.head_manifest("owner/absent", "1")
    assert registry.log.count("GET /v2/") == 1
    assert (before, len(registry.asked)) == (6, 11)


@pytest.mark.parametrize(
    ("ping", "expected"),
    [
        pytest.param(web.Response, UpstreamRefused, id="asks-for-nothing"),
        pytest.param(lambda: web.Response(status=401), UpstreamRefused, id="says-nothing-either"),
        pytest.param(lambda: web.Response(status=404), UpstreamRefused, id="is-not-there"),
        pytest.param(lambda: redirect("http://127.0.0.1:1/v2/"), UpstreamRefused, id="leads-elsewhere"),
        pytest.param(lambda: web.Response(status=503), UpstreamUnreachable, id="has-trouble"),
        pytest.param(lambda: web.Response(status=429), UpstreamUnreachable, id="is-limited"),
    ],
)
async def test_a_401_that_nothing_explains(ping: Callable[[], web.Response], expected: type[RegistryError]) -> None:
    def answer(asked: Asked, _registry: StandIn) -> web.Response:
        return ping() if asked.path == "/v2/" else web.Response(status=401)

    async with pulling(answer) as (client, registry):
        await refuses(client, expected)
    assert registry.log == [f"HEAD {TAG}", "GET /v2/", f"GET {TAG}", "GET /v2/"]


async def test_a_second_host_is_asked_at_its_own_v2() -> None:
    """registry.k8s.io leads on to pkg.dev, which may refuse without a word."""
    async with (
        stand_in(google, address=SECOND_ADDRESS) as region,
        pulling(lambda *_: redirect(region.url + TAG), ME) as (client, registry),
    ):
        await pulls(client)
    assert region.log == [f"HEAD {TAG}", "GET /v2/", "GET /v2/token", f"HEAD {TAG}", f"GET {TAG}"]
    assert region.shown == [None, None, None, "Bearer g", "Bearer g"]
    assert registry.shown == [None, None]


# mcr.microsoft.com


async def test_mcr_shows_its_index_to_who_names_all_types_and_its_blobs_elsewhere() -> None:
    index = b'{"schemaVersion":2,"manifests":[]}'

    async with stand_in(lambda *_: web.Response(body=BLOB), address=SECOND_ADDRESS) as front_door:

        def mcr(asked: Asked, _registry: StandIn) -> web.Response:
            if "/blobs/" in asked.path:
                return redirect(f"{front_door.url}/eastus/docker/registry/v2/blobs/sha256/ab/data?sig=x")
            takes_lists = {DOCKER_LIST, DOCKER_MANIFEST} <= set(asked.headers.get("Accept", "").split(", "))
            found = web.Response(body=index)
            found.headers["Content-Type"] = DOCKER_LIST if takes_lists else DOCKER_SCHEMA1_SIGNED
            return found

        async with pulling(mcr) as (client, registry):
            fetched = await client.fetch_manifest(APP, "1")
            assert (fetched.content, fetched.media_type) == (index, DOCKER_LIST)
            assert await read_blob(client) == BLOB
    assert set(registry.shown) == set(front_door.shown) == {None}


# lscr.io and other gateways of Scarf


async def test_a_gateway_names_the_token_service_of_the_registry_behind() -> None:
    """getwud/wud #143: lscr.io's realm is https://ghcr.io/token, and that token opens it."""
    async with stand_in(lambda *_: token("g"), address=SECOND_ADDRESS) as behind:

        def gateway(asked: Asked, _registry: StandIn) -> web.Response:
            challenge = f'Bearer realm="{behind.url}/token",service="ghcr.io",scope="repository:owner/app:pull"'
            return (
                manifest() if asked.authorization == "Bearer g" else refusal(401, "UNAUTHORIZED", challenge=challenge)
            )

        async with stand_in(gateway) as registry:
            known = {urlsplit(registry.url).netloc: frozenset({urlsplit(behind.url).netloc})}
            async with client_of(registry, token_hosts=known) as client:
                await pulls(client)
            async with client_of(registry, credentials=ME) as client:
                await refuses(client, UpstreamMisbehaved, "token_hosts")
    assert behind.log == ["GET /token"]
    assert behind.shown == [None]


async def test_a_gateway_leads_on_to_a_registry_that_asks_for_itself_and_on_to_its_blobs() -> None:
    async with stand_in(lambda *_: web.Response(body=BLOB), address="127.0.0.3") as cdn:

        def ghcr_behind(asked: Asked, own: StandIn) -> web.Response:
            blob = redirect(f"{cdn.url}/ghcr1/blobs/sha256:ab?se=2026&sig=x")
            return bearer(asked, own) or (blob if "/blobs/" in asked.path else manifest())

        async with stand_in(ghcr_behind, address=SECOND_ADDRESS) as behind:

            def gateway(asked: Asked, own: StandIn) -> web.Response:
                return bearer(asked, own) or redirect(behind.url + asked.path)

            async with pulling(gateway, ME) as (client, registry):
                await pulls(client)
                assert await read_blob(client) == BLOB
    theirs, ours = (f"Bearer {host}:repository:owner/app:pull" for host in (SECOND_ADDRESS, "127.0.0.1"))
    assert behind.shown == [None, None, theirs, theirs, theirs]
    assert registry.shown == [None, ME.basic, ours, ours, ours]
    assert cdn.shown == [None]


@pytest.mark.parametrize(
    "realm", ["http://127.0.0.1:1/token", "http://127.0.0.3:1/token", "{first}/token", "/token", ""]
)
async def test_a_second_registry_s_realm_is_its_own_or_in_the_table(realm: str) -> None:
    """Not even the first one's: nobody could tell whose tokens those were."""
    first_url = ""

    def behind(_asked: Asked, _own: StandIn) -> web.Response:
        return refusal(401, "UNAUTHORIZED", challenge=f'Bearer realm="{realm.format(first=first_url)}",service="s"')

    async with (
        stand_in(behind, address=SECOND_ADDRESS) as second,
        pulling(lambda *_: redirect(second.url + TAG), ME) as (client, registry),
    ):
        first_url = registry.url
        await refuses(client, UpstreamMisbehaved, "token realm")
    assert registry.log == [f"HEAD {TAG}", f"GET {TAG}"]
    assert set(registry.shown) == set(second.shown) == {None}


async def test_a_second_registry_s_known_token_service_is_asked() -> None:
    async with stand_in(lambda *_: token("t"), address="127.0.0.3") as tokens:

        def behind(asked: Asked, _own: StandIn) -> web.Response:
            challenge = f'Bearer realm="{tokens.url}/token",service="s"'
            return manifest() if asked.authorization == "Bearer t" else refusal(401, "U", challenge=challenge)

        async with (
            stand_in(behind, address=SECOND_ADDRESS) as second,
            stand_in(lambda *_: redirect(second.url + TAG)) as registry,
        ):
            known = {urlsplit(second.url).netloc: frozenset({urlsplit(tokens.url).netloc})}
            async with client_of(registry, credentials=ME, token_hosts=known) as client:
                await pulls(client)
    assert tokens.asked[0].query == {"service": ["s"], "scope": ["repository:owner/app:pull"]}
    assert set(tokens.shown) == set(registry.shown) == {None}


@pytest.mark.parametrize("challenge", ['Basic realm="behind"', "Negotiate"])
async def test_a_second_registry_that_wants_a_password_gets_none(challenge: str) -> None:
    async with (
        stand_in(lambda *_: refusal(401, "U", challenge=challenge), address=SECOND_ADDRESS) as second,
        pulling(lambda *_: redirect(second.url + TAG), ME) as (client, registry),
    ):
        await refuses(client, UpstreamRefused, "absent, or private")
    assert set(registry.shown) == set(second.shown) == {None}


async def test_a_second_registry_that_gives_no_token_says_absent_or_private() -> None:
    def behind(asked: Asked, own: StandIn) -> web.Response:
        return refusal(403, "DENIED") if asked.path == "/token" else bearer(asked, own) or manifest()

    async with (
        stand_in(behind, address=SECOND_ADDRESS) as second,
        pulling(lambda *_: redirect(second.url + TAG)) as (client, _),
    ):
        await refuses(client, UpstreamRefused, "no anonymous token")


# Amazon


AWS = Credentials("AWS", "a-token-of-twelve-hours", (APP,))


def private_ecr(asked: Asked, status: int) -> web.Response | None:
    """Ask for Basic, in plain text; answer a wrong or expired password with this status, everywhere."""
    if asked.authorization is None:
        headers = {
            "WWW-Authenticate": 'Basic realm="https://1.dkr.ecr.eu-west-1.amazonaws.com/",service="ecr.amazonaws.com"'
        }
        return web.Response(status=401, text="Not Authorized\n", headers=headers)
    if asked.authorization != AWS.basic:
        return refusal(status, "DENIED", "Your authorization token has expired. Reauthenticate and try again.")
    return None


async def test_ecr_takes_basic_and_its_store_gets_none_of_it() -> None:
    async with stand_in(lambda *_: web.Response(body=BLOB), address=SECOND_ADDRESS) as store:

        def ecr(asked: Asked, _own: StandIn) -> web.Response:
            blob = redirect(f"{store.url}/prod-eu-west-1-starport-layer-bucket/x?X-Amz-Signature=1")
            return private_ecr(asked, 403) or (blob if "/blobs/" in asked.path else manifest())

        async with pulling(ecr, AWS) as (client, registry):
            await pulls(client)
            assert await read_blob(client) == BLOB
    assert registry.shown == [None, *[AWS.basic] * 3]
    assert store.shown == [None]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_password_that_has_run_out_makes_nothing_absent(status: int) -> None:
    """flipt-io/flipt #3043: ECR answers 403 then. What is in the cache goes on being served."""
    expired = Credentials("AWS", "of yesterday", (APP,))
    async with pulling(lambda asked, _: private_ecr(asked, status) or manifest(), expired) as (client, _):
        await refuses(client, UpstreamUnreachable, f"does not take the credentials .*{status}")


async def test_a_repository_that_a_good_password_does_not_open_is_refused() -> None:
    def answer(asked: Asked, _own: StandIn) -> web.Response:
        if asked.path == "/v2/":
            return private_ecr(asked, 403) or web.Response()
        return private_ecr(asked, 403) or refusal(403, "DENIED", "User is not authorized to perform: ecr:BatchGetImage")

    async with pulling(answer, AWS) as (client, _):
        await refuses(client, UpstreamRefused, "403")


async def test_a_repository_outside_the_list_gets_no_password_and_is_refused() -> None:
    async with pulling(lambda asked, _: private_ecr(asked, 403) or manifest(), AWS) as (client, registry):
        with pytest.raises(UpstreamRefused):
            await client.head_manifest("somebody/else", "1")
    assert registry.shown == [None]


async def test_public_ecr_s_400_for_an_old_token_is_answered_with_a_new_one() -> None:
    """aws/containers-roadmap #2835."""
    given = 0

    def ecr(asked: Asked, registry: StandIn) -> web.Response:
        nonlocal given
        if asked.path == "/token/":
            given += 1
            return token(f"t{given}")
        if asked.authorization is None:
            challenge = f'Bearer realm="{registry.url}/token/",service="public.ecr.aws",scope="aws"'
            return web.Response(status=401, text="Not Authorized\n", headers={"WWW-Authenticate": challenge})
        is_good = asked.authorization == f"Bearer t{max(given, goes_from)}"
        return manifest() if is_good else refusal(400, "DENIED", "Your Authorization Token is invalid.")

    goes_from = 1
    async with pulling(ecr) as (client, registry):
        await pulls(client)
        goes_from = 2  # the first token has run out
        await pulls(client)
        assert given == 2
        goes_from = 99
        before = len(registry.asked)
        with pytest.raises(UpstreamMisbehaved, match="400"):
            await client.head_manifest(APP, "1")
    assert len(registry.asked) - before == 3


@pytest.mark.parametrize("text", ["Rate exceeded", "Data limit exceeded"])
async def test_public_ecr_s_limits_are_no_absence(text: str) -> None:
    async with pulling(lambda *_: refusal(429, "TOOMANYREQUESTS", text)) as (client, registry):
        await refuses(client, UpstreamUnreachable, "limits our requests")
    assert len(registry.asked) == 2


# Red Hat, Harbor, and all


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda *_: refusal(404, "UNKNOWN", "Not Found"), id="red-hat-s-unknown"),
        pytest.param(lambda *_: web.Response(status=404, text="404 page not found"), id="plain-text"),
        pytest.param(lambda *_: page(404), id="html"),
        pytest.param(lambda *_: web.Response(status=404), id="nothing"),
    ],
)
async def test_a_404_is_absent_whatever_stands_in_it(answer: Answer) -> None:
    async with pulling(answer) as (client, _):
        await refuses(client, ManifestUnknown)
        with pytest.raises(BlobUnknown):
            await client.head_blob(APP, BLOB_DIGEST)
        with pytest.raises(NameUnknown):
            await client.list_tags(APP, limit=None, last=None)


async def test_a_tag_list_may_hold_more_than_tags() -> None:
    """Google's have `manifest` and `child` beside them."""
    body = {"child": ["x"], "manifest": {"sha256:0": {"tag": ["1"]}}, "name": APP, "tags": ["1"]}
    async with pulling(lambda *_: web.json_response(body)) as (client, _):
        assert (await client.list_tags(APP, limit=None, last=None)).tags == ("1",)


def _without_length() -> web.StreamResponse:
    return web.StreamResponse(headers={"Content-Type": OCI_MANIFEST, "Docker-Content-Digest": str(DIGEST)})


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(lambda: web.Response(status=405), id="405"),
        pytest.param(lambda: web.Response(body=MANIFEST, content_type=OCI_MANIFEST), id="no-digest"),
        pytest.param(_without_length, id="no-length"),
        pytest.param(lambda: manifest(None), id="no-type"),
        pytest.param(lambda: manifest("text/html"), id="a-page-s-type"),
        pytest.param(lambda: web.Response(content_type=OCI_MANIFEST), id="no-digest-and-no-length"),
    ],
)
async def test_a_head_that_says_too_little_costs_one_get(head: Callable[[], web.StreamResponse]) -> None:
    def answer(asked: Asked, _registry: StandIn) -> web.StreamResponse:
        return head() if asked.method == "HEAD" else manifest()

    async with pulling(answer) as (client, registry):
        assert await client.head_manifest(APP, "1") == DESCRIPTOR
    assert registry.log == [f"HEAD {TAG}", f"GET {TAG}"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/json; charset=utf-8", "application/octet-stream"])
async def test_a_vague_type_does_not_turn_a_head_into_a_get(content_type: str) -> None:
    """docs/decisions/0001: the digest is what a HEAD is for; the type is told by the document, once it is there."""
    async with pulling(lambda *_: manifest(content_type)) as (client, registry):
        assert (await client.head_manifest(APP, "1")).digest == DIGEST
        assert registry.log == [f"HEAD {TAG}"]
        assert (await client.fetch_manifest(APP, "1")).media_type == OCI_MANIFEST


@pytest.mark.parametrize("content_type", [f"{OCI_MANIFEST}; charset=utf-8", f"{OCI_MANIFEST.upper()} ;x=y", "", None])
async def test_a_manifest_s_type_is_told_whatever_stands_behind_it(content_type: str | None) -> None:
    async with pulling(lambda *_: manifest(content_type)) as (client, _):
        await pulls(client)


@pytest.mark.parametrize("name", ["Docker-Content-Digest", "docker-content-digest", "DOCKER-CONTENT-DIGEST"])
@pytest.mark.parametrize("value", [str(DIGEST), str(DIGEST).upper(), f"  {DIGEST} "])
async def test_a_digest_is_read_in_any_case(name: str, value: str) -> None:
    def answer(_asked: Asked, _registry: StandIn) -> web.Response:
        response = manifest()
        del response.headers["Docker-Content-Digest"]
        response.headers[name] = value
        return response

    async with pulling(answer) as (client, registry):
        await pulls(client)
    assert registry.log == [f"HEAD {TAG}", f"GET {TAG}"]


NOW = "Tue, 24 Nov 2026 08:00:00 GMT"


@pytest.mark.parametrize(
    ("status", "wait", "requests"),
    [
        pytest.param(503, NOW, 2, id="a-date-that-is-now"),
        pytest.param(429, NOW, 2, id="limited-until-now"),
        pytest.param(503, "Tue, 24 Nov 2026 09:00:00 GMT", 1, id="a-date-in-an-hour"),
        pytest.param(429, "Tue, 24 Nov 2026 07:00:00 GMT", 1, id="limited-until-an-hour-ago"),
        pytest.param(503, "0.05", 2, id="a-fraction"),
        pytest.param(429, "0.05", 2, id="limited-for-a-fraction"),
        pytest.param(429, "-5", 1, id="limited-for-less-than-nothing"),
        pytest.param(503, "1790000000", 1, id="a-timestamp"),
        pytest.param(503, "9" * 400, 2, id="no-number-at-all"),
        pytest.param(429, "soon", 1, id="a-word"),
    ],
)
async def test_a_wait_is_kept_if_it_is_short_and_makes_sense(status: int, wait: str, requests: int) -> None:
    def answer(_asked: Asked, registry: StandIn) -> web.Response:
        is_first = len(registry.asked) == 1
        headers = {"Retry-After": wait, "Date": NOW}
        return web.Response(status=status, headers=headers) if is_first else manifest()

    async with pulling(answer) as (client, registry):
        if requests == 2:
            assert await client.head_manifest(APP, "1") == DESCRIPTOR
        else:
            with pytest.raises(UpstreamUnreachable):
                await client.head_manifest(APP, "1")
    assert len(registry.asked) == requests
