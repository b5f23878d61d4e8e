import json
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci.challenges import Challenge
from proxy.oci.errors import UpstreamMisbehaved
from proxy.upstream.token_auth import (
    DEFAULT_LIFETIME_SECONDS,
    LONGEST_LIFETIME_SECONDS,
    Token,
    TokenRealm,
    check_realm,
    parse_token,
)
from tests.strategies import json_values, repositories
from tests.upstream.wires import header_texts

HUB, HUB_HOSTS = "https://registry-1.docker.io", frozenset({"auth.docker.io"})


def _bearer(realm: str, service: str = "registry.docker.io") -> Challenge:
    return Challenge("bearer", {"realm": realm, "service": service})


@pytest.mark.parametrize(
    ("upstream", "realm"),
    [
        pytest.param(HUB, "https://auth.docker.io/token", id="a-host-that-was-named"),
        pytest.param(HUB, "https://AUTH.docker.io/token", id="in-any-case"),
        pytest.param("https://ghcr.io", "https://ghcr.io/token", id="its-own-host"),
        pytest.param("https://ghcr.io", "https://ghcr.io:443/token", id="its-own-port-spelled-out"),
        pytest.param("https://ghcr.io:443", "https://ghcr.io/token", id="its-own-port-left-out"),
        pytest.param("https://r.lan:5000", "https://r.lan:5000/auth?x=1", id="its-own-port"),
        pytest.param("http://127.0.0.1:5000", "http://127.0.0.1:5000/token", id="without-tls-as-the-upstream"),
        pytest.param(
            "http://127.0.0.1:5000", "https://127.0.0.1:5000/token", id="with-tls-though-the-upstream-has-none"
        ),
        pytest.param("https://[::1]:5000", "https://[::1]:5000/token", id="ipv6"),
    ],
)
def test_tokens_may_be_asked_for_here(upstream: str, realm: str) -> None:
    assert check_realm(_bearer(realm), upstream, HUB_HOSTS) == TokenRealm(realm, "registry.docker.io")


@pytest.mark.parametrize(
    ("upstream", "realm"),
    [
        pytest.param(HUB, "https://evil.example/token", id="a-foreign-host"),
        pytest.param(HUB, "https://auth.docker.io.evil.example/token", id="a-host-that-begins-alike"),
        pytest.param(HUB, "https://evil-auth.docker.io/token", id="a-host-that-ends-alike"),
        pytest.param(HUB, "https://docker.io/token", id="a-parent-domain"),
        pytest.param(HUB, "https://registry-1.docker.io:8443/token", id="another-port"),
        pytest.param(HUB, "https://auth.docker.io:8443/token", id="another-port-of-a-named-host"),
        pytest.param(HUB, "http://auth.docker.io/token", id="without-tls"),
        pytest.param(HUB, "http://registry-1.docker.io/token", id="its-own-host-without-tls"),
        pytest.param(HUB, "https://auth.docker.io@evil.example/token", id="user-info"),
        pytest.param(HUB, "https://me:secret@registry-1.docker.io/token", id="user-info-on-its-own-host"),
        pytest.param(HUB, "https://@registry-1.docker.io/token", id="empty-user-info"),
        pytest.param(HUB, "https://registry-1.docker.io\\@evil.example/token", id="a-backslash"),
        pytest.param(HUB, "https://registry-1.docker.io.\\.evil.example/token", id="a-backslash-in-the-host"),
        pytest.param(HUB, "ftp://registry-1.docker.io/token", id="another-scheme"),
        pytest.param(HUB, "file:///etc/passwd", id="a-file"),
        pytest.param(HUB, "//registry-1.docker.io/token", id="no-scheme"),
        pytest.param(HUB, "/token", id="a-path"),
        pytest.param(HUB, "", id="empty"),
        pytest.param(HUB, "https:///token", id="no-host"),
        pytest.param(HUB, "https://[::1/token", id="no-url"),
        pytest.param(HUB, "https://registry-1.docker.io:99999/token", id="no-port"),
        pytest.param(HUB, "http://169.254.169.254/latest/meta-data", id="a-metadata-service"),
        pytest.param("http://r.lan:5000", "http://r.lan/token", id="the-default-port-of-an-upstream-on-another"),
        pytest.param("https://lscr.io", "https://ghcr.io/token", id="the-registry-behind"),
    ],
)
def test_a_realm_that_nobody_named_is_refused(upstream: str, realm: str) -> None:
    """CVE-2026-33540: a pull-through cache sent its credentials to whatever realm an upstream named."""
    with pytest.raises(UpstreamMisbehaved, match="token realm"):
        check_realm(_bearer(realm), upstream, HUB_HOSTS)


def test_the_refusal_says_what_to_do_if_the_realm_is_right() -> None:
    with pytest.raises(UpstreamMisbehaved, match=r"ghcr\.io.*token_hosts"):
        check_realm(_bearer("https://ghcr.io/token"), "https://lscr.io", frozenset())


def test_a_named_host_may_name_its_port() -> None:
    hosts = frozenset({"auth.lan:8443"})
    assert check_realm(_bearer("https://auth.lan:8443/token"), "https://r.lan", hosts).realm
    with pytest.raises(UpstreamMisbehaved):
        check_realm(_bearer("https://auth.lan/token"), "https://r.lan", hosts)


@given(
    realm=header_texts
    | st.builds("https://{}".format, header_texts)
    | st.builds("https://registry-1.docker.io{}".format, header_texts)
    | st.builds("https://{}registry-1.docker.io/token".format, header_texts)
)
def test_whatever_realm_passes_is_asked_on_the_upstream_s_own_host(realm: str) -> None:
    """Two parsers of URLs must not be played off against each other: the check's and httpx's."""
    try:
        url = check_realm(_bearer(realm), HUB, frozenset()).url_for("library/debian")
        asked = httpx.URL(url)
    except (UpstreamMisbehaved, httpx.InvalidURL):
        return
    assert (asked.scheme, asked.host, asked.port, asked.userinfo) == ("https", "registry-1.docker.io", None, b"")


@given(repository=repositories, service=header_texts.filter(lambda text: text.isprintable() and text.isascii()))
def test_a_token_is_asked_for_one_repository_and_for_pulling_only(repository: str, service: str) -> None:
    url = urlsplit(TokenRealm("https://auth.example/token?account=x&empty=", service).url_for(repository))
    query = parse_qs(url.query, keep_blank_values=True)
    expected = {"account": ["x"], "empty": [""], "scope": [f"repository:{repository}:pull"]}
    assert (url.netloc, url.path) == ("auth.example", "/token")
    assert query == (expected | {"service": [service]} if service else expected)


def test_the_request_for_a_token_is_the_one_of_the_spec() -> None:
    """As `docs/content/spec/auth/token.md` of distribution has it, "Requesting a Token"."""
    realm = TokenRealm("https://auth.docker.io/token", "registry.docker.io")
    assert realm.url_for("library/debian") == (
        "https://auth.docker.io/token?service=registry.docker.io&scope=repository:library/debian:pull"
    )


def test_who_mounts_asks_for_both_repositories() -> None:
    url = TokenRealm("https://auth.example/token", "").url_for("me/app", "pull,push", "library/debian")
    scopes = parse_qs(urlsplit(url).query)["scope"]
    assert scopes == ["repository:me/app:pull,push", "repository:library/debian:pull"]


@pytest.mark.parametrize(
    ("answer", "text", "seconds"),
    [
        pytest.param({"token": "t", "expires_in": 300}, "t", 270, id="docker-hub"),
        pytest.param({"access_token": "t", "expires_in": 300}, "t", 270, id="oauth"),
        pytest.param({"token": "t", "access_token": "u", "expires_in": 300}, "t", 270, id="both"),
        pytest.param({"token": "", "access_token": "u", "expires_in": 300}, "u", 270, id="one-of-them-empty"),
        pytest.param({"token": "t"}, "t", 30, id="no-lifetime-means-a-minute"),
        pytest.param({"token": "t", "expires_in": 60}, "t", 30, id="a-minute"),
        pytest.param({"token": "t", "expires_in": 10}, "t", 5, id="a-moment-is-used-by-half"),
        pytest.param({"token": "t", "expires_in": 86400}, "t", 3570, id="a-day-is-cut"),
        pytest.param({"token": "t", "expires_in": 0}, "t", 30, id="zero"),
        pytest.param({"token": "t", "expires_in": -5}, "t", 30, id="negative"),
        pytest.param({"token": "t", "expires_in": "300"}, "t", 30, id="a-text"),
        pytest.param({"token": "t", "expires_in": True}, "t", 30, id="a-flag"),
        pytest.param({"token": "t", "expires_in": 10**400}, "t", 3570, id="beyond-all-numbers"),
        pytest.param({"token": "t", "expires_in": float("inf")}, "t", 3570, id="infinite"),
        pytest.param({"token": "t", "expires_in": float("nan")}, "t", 30, id="no-number"),
    ],
)
def test_a_token_is_renewed_in_time(answer: object, text: str, seconds: float) -> None:
    assert parse_token(json.dumps(answer).encode(), 1000.0) == Token(text, 1000.0 + seconds)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>", id="html"),
        pytest.param(b"\xff\xfe", id="no-utf-8"),
        pytest.param(b"[" * 60_000, id="nested-without-end"),
        pytest.param(b"9" * 5000, id="a-number-without-end"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"token"', id="a-text"),
        pytest.param(b'["token"]', id="a-list"),
        pytest.param(b"{}", id="no-token"),
        pytest.param(b'{"token": "", "access_token": ""}', id="empty-tokens"),
        pytest.param(b'{"token": 5}', id="a-number-for-a-token"),
        pytest.param(b'{"token": "a\\r\\nX-Injected: b"}', id="a-header-injected"),
        pytest.param('{"token": "ключ"}'.encode(), id="not-ascii"),
    ],
)
def test_an_answer_without_a_token_is_misbehaviour(content: bytes) -> None:
    with pytest.raises(UpstreamMisbehaved, match="the token service answered"):
        parse_token(content, 0.0)


@given(content=st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_answer_is_a_token_or_misbehaviour(content: bytes) -> None:
    try:
        token = parse_token(content, 0.0)
    except UpstreamMisbehaved:
        return
    assert token.text
    assert 0 < token.renew_at <= LONGEST_LIFETIME_SECONDS


@given(lifetime=st.floats(0.001, 1e9) | st.integers(1, 10**12))
def test_a_token_is_renewed_before_it_ends(lifetime: float) -> None:
    token = parse_token(json.dumps({"token": "t", "expires_in": lifetime}).encode(), 0.0)
    assert 0 < token.renew_at < min(lifetime, LONGEST_LIFETIME_SECONDS)


def test_a_token_does_not_show_itself() -> None:
    token = Token("secret", 5.0)
    assert "secret" not in repr(token)
    assert token.bearer == "Bearer secret"
    assert DEFAULT_LIFETIME_SECONDS == 60
