"""Registries that an upstream leads on to: who authorizes there, and which repository a URL is about."""

import json

import httpx
import pytest
from hypothesis import given

from proxy.oci.challenges import parse_challenges
from proxy.oci.digests import Digest
from proxy.oci.errors import UpstreamMisbehaved
from proxy.upstream.second_hosts import MAX_HOSTS, SecondHosts, authority, find_repository
from tests.fakes.clock import ManualClock
from tests.strategies import any_text, repositories

DIGEST = Digest.of(b"")
GHCR = httpx.URL("https://ghcr.io/v2/owner/app/manifests/1")


def _challenge(realm: str) -> str:
    return f'Bearer realm="{realm}",service="s"'


@pytest.fixture
def asked() -> list[tuple[str, str | None]]:
    return []


@pytest.fixture
def hosts(asked: list[tuple[str, str | None]]) -> SecondHosts:
    async def fetch_token(url: str, authorization: str | None) -> bytes:
        asked.append((url, authorization))
        return json.dumps({"token": f"t{len(asked)}"}).encode()

    known = {"lscr.io": frozenset({"ghcr.io"})}
    return SecondHosts(known, clock=ManualClock(), fetch_token=fetch_token)


async def test_a_host_s_tokens_are_its_own(hosts: SecondHosts, asked: list[tuple[str, str | None]]) -> None:
    for realm, url in (("https://ghcr.io/token", GHCR), ("https://quay.io/auth", httpx.URL("https://quay.io/v2/"))):
        challenges = parse_challenges([_challenge(realm)])
        await hosts.authorizer_for(url).answer(challenges, "owner/app", None)
    assert await hosts.authorizer_for(GHCR).header_for("owner/app") == "Bearer t1"
    assert await hosts.authorizer_for(httpx.URL("https://quay.io:443/v2/")).header_for("owner/app") == "Bearer t2"
    assert await hosts.authorizer_for(httpx.URL("https://quay.io:8443/v2/")).header_for("owner/app") is None
    assert [authorization for _, authorization in asked] == [None, None]
    assert "https://ghcr.io" in repr(hosts)


@pytest.mark.parametrize(
    ("host", "realm", "is_known"),
    [
        ("ghcr.io", "https://ghcr.io/token", True),
        ("lscr.io", "https://lscr.io/token", True),
        ("lscr.io", "https://ghcr.io/token", True),
        ("ghcr.io", "https://lscr.io/token", False),
        ("ghcr.io", "https://evil.example/token", False),
        ("ghcr.io", "http://ghcr.io/token", False),
        ("lscr.io:8443", "https://ghcr.io/token", False),
    ],
)
async def test_a_realm_is_pinned_to_the_host_or_to_the_table(
    hosts: SecondHosts, asked: list[tuple[str, str | None]], host: str, realm: str, *, is_known: bool
) -> None:
    authorizer = hosts.authorizer_for(httpx.URL(f"https://{host}/v2/owner/app/manifests/1"))
    challenges = parse_challenges([_challenge(realm)])
    if is_known:
        assert await authorizer.answer(challenges, "owner/app", None) == "Bearer t1"
        return
    with pytest.raises(UpstreamMisbehaved, match="token realm"):
        await authorizer.answer(challenges, "owner/app", None)
    assert asked == []


def test_hosts_do_not_grow_without_end(hosts: SecondHosts) -> None:
    assert repr(hosts) == "<SecondHosts: none yet>"
    for number in range(3 * MAX_HOSTS):
        hosts.authorizer_for(httpx.URL(f"https://host-{number}.example/"))
    assert repr(hosts).count("https://") == MAX_HOSTS


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://ghcr.io/", "ghcr.io"),
        ("https://GHCR.io:443/", "ghcr.io"),
        ("https://ghcr.io:8443/", "ghcr.io:8443"),
        ("http://127.0.0.1:80/", "127.0.0.1"),
        ("https://[::1]:5000/", "[::1]:5000"),
    ],
)
def test_a_port_counts_unless_it_is_the_scheme_s_own(url: str, expected: str) -> None:
    assert authority(httpx.URL(url)) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2/owner/app/manifests/1?ns=x", "owner/app"),
        (f"/v2/app/blobs/{DIGEST}", "app"),
        ("/v2/k8s-artifacts-prod/images/pause/tags/list", "k8s-artifacts-prod/images/pause"),
        ("/v2/a%2Fb/manifests/1", "a/b"),
        ("/v2/", None),
        ("/", None),
        ("/artifacts-downloads/namespaces/p/repositories/r/downloads/AbC", None),
        (f"/docker/registry/v2/blobs/sha256/e3/{DIGEST.encoded}/data?verify=1", None),
        ("/v2/UPPER/manifests/1", None),
        ("/v2/a/manifests/..", None),
        ("/v2/a/blobs/sha256:short", None),
    ],
)
def test_a_url_is_about_a_repository_or_no_registry_s(path: str, expected: str | None) -> None:
    assert find_repository(httpx.URL(f"https://second.example{path}")) == expected


@given(repositories)
def test_every_repository_is_found(repository: str) -> None:
    assert find_repository(httpx.URL(f"https://second.example/v2/{repository}/manifests/1")) == repository


@given(any_text)
def test_any_path_is_about_a_repository_or_none(path: str) -> None:
    try:
        url = httpx.URL(scheme="https", host="second.example", path=f"/v2/{path}")
    except (httpx.InvalidURL, ValueError):
        return
    found = find_repository(url)
    assert found is None or "/" in f"/{found}"
