import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from proxy.oci.manifests import MAX_MANIFEST_BYTES, Descriptor
from proxy.oci.media_types import ACCEPT_MANIFESTS, OCI_INDEX, OCI_MANIFEST
from proxy.ports import FetchedManifest, Quota, TagPage
from proxy.upstream.client import MAX_TAG_LIST_BYTES, RegistryClient, _parse_next, _parse_tags
from tests.fakes.clock import ManualClock
from tests.lab.schema1 import SIGNED, build_schema1
from tests.strategies import any_text, json_values
from tests.upstream.wires import Line, open_exchange, open_line, raw_server, sending

REPOSITORY = "library/debian"
MANIFEST = b'{"schemaVersion": 2}'
DIGEST = Digest.of(MANIFEST)
DESCRIPTOR = Descriptor(OCI_MANIFEST, DIGEST, len(MANIFEST))
TYPE = {"Content-Type": OCI_MANIFEST}
DESCRIBED = {**TYPE, "Docker-Content-Digest": str(DIGEST), "Content-Length": str(len(MANIFEST))}
BLOB = b"0123456789"
BLOB_DIGEST = Digest.of(BLOB)


@asynccontextmanager
async def _client(
    get: httpx.Response, head: httpx.Response | None = None
) -> AsyncIterator[tuple[RegistryClient, Line]]:
    """Open a client of an upstream that answers every GET and every HEAD the same way."""

    def answer(request: httpx.Request) -> httpx.Response:
        return head if request.method == "HEAD" and head is not None else get

    async with open_line(answer) as line:
        yield RegistryClient(line.exchange), line


def _methods(line: Line) -> list[str]:
    return [request.method for request in line.sent]


# Manifests


@pytest.mark.parametrize("target", ["jessie", DIGEST], ids=["tag", "digest"])
async def test_a_head_is_enough_where_upstream_says_all(target: str | Digest) -> None:
    async with _client(httpx.Response(500), httpx.Response(200, headers=DESCRIBED)) as (client, line):
        assert await client.head_manifest(REPOSITORY, target) == DESCRIPTOR
    assert _methods(line) == ["HEAD"]
    assert line.sent[0].url.path == f"/v2/library/debian/manifests/{target}"
    assert line.sent[0].headers["accept"] == ACCEPT_MANIFESTS


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(httpx.Response(405), id="405"),
        pytest.param(httpx.Response(200, headers={**DESCRIBED, "Content-Type": ""}), id="no-type"),
        pytest.param(httpx.Response(200, headers={**DESCRIBED, "Content-Length": "0"}), id="no-length"),
        pytest.param(httpx.Response(200, headers={**DESCRIBED, "Content-Length": "many"}), id="a-word-for-a-length"),
        pytest.param(httpx.Response(200, headers={**DESCRIBED, "Content-Length": str(2**64)}), id="beyond-all-numbers"),
        pytest.param(httpx.Response(200, headers={**DESCRIBED, "Content-Length": "9" * 5000}), id="without-end"),
        pytest.param(httpx.Response(200, headers=TYPE), id="no-digest"),
    ],
)
async def test_a_head_that_does_not_say_all_is_followed_by_a_get(head: httpx.Response) -> None:
    async with _client(httpx.Response(200, headers=TYPE, content=MANIFEST), head) as (client, line):
        assert await client.head_manifest(REPOSITORY, "jessie") == DESCRIPTOR
    assert _methods(line) == ["HEAD", "GET"]


async def test_parameters_of_the_content_type_are_noise() -> None:
    headers = {**DESCRIBED, "Content-Type": f"{OCI_MANIFEST.upper()}; charset=utf-8"}
    async with _client(httpx.Response(200, headers=headers, content=MANIFEST)) as (client, _):
        assert await client.head_manifest(REPOSITORY, "jessie") == DESCRIPTOR
        assert (await client.fetch_manifest(REPOSITORY, "jessie")).media_type == OCI_MANIFEST


async def test_a_head_that_announces_another_digest_is_misbehaviour() -> None:
    async with _client(httpx.Response(500), httpx.Response(200, headers=DESCRIBED)) as (client, _):
        with pytest.raises(UpstreamMisbehaved, match=str(DIGEST)):
            await client.head_manifest(REPOSITORY, Digest.of(b"another"))


@pytest.mark.parametrize("digest", ["sha256:short", "md5:abc", "", "blake3:" + "0" * 64])
async def test_a_digest_that_is_none_is_misbehaviour(digest: str) -> None:
    headers = {**DESCRIBED, "Docker-Content-Digest": digest}
    async with _client(httpx.Response(200, headers=headers, content=MANIFEST)) as (client, _):
        with pytest.raises(UpstreamMisbehaved, match="upstream announces not a sha256 or sha512 digest"):
            await client.head_manifest(REPOSITORY, "jessie")
        with pytest.raises(UpstreamMisbehaved, match="upstream announces"):
            await client.fetch_manifest(REPOSITORY, "jessie")


@pytest.mark.parametrize("target", ["jessie", DIGEST], ids=["tag", "digest"])
@pytest.mark.parametrize("headers", [TYPE, DESCRIBED], ids=["bare", "described"])
async def test_a_manifest_is_fetched(target: str | Digest, headers: Mapping[str, str]) -> None:
    async with _client(httpx.Response(200, headers=headers, content=MANIFEST)) as (client, line):
        fetched = await client.fetch_manifest(REPOSITORY, target)
    assert fetched == FetchedManifest(MANIFEST, OCI_MANIFEST, DIGEST)
    assert fetched.descriptor == DESCRIPTOR
    assert line.sent[0].headers["accept"] == ACCEPT_MANIFESTS


@pytest.mark.parametrize("is_named", [False, True], ids=["tag", "digest"])
async def test_a_signed_manifest_of_schema_1_goes_by_its_payload(*, is_named: bool) -> None:
    old = build_schema1()
    digest = Digest.parse(old.digest)
    headers = {"Content-Type": SIGNED, "Docker-Content-Digest": old.digest}
    async with _client(httpx.Response(200, headers=headers, content=old.content)) as (client, _):
        fetched = await client.fetch_manifest(REPOSITORY, digest if is_named else "1")
    assert fetched == FetchedManifest(old.content, SIGNED, digest)


async def test_a_signed_manifest_that_is_not_its_digest_is_misbehaviour() -> None:
    headers = {"Content-Type": SIGNED, "Docker-Content-Digest": build_schema1(tag="another").digest}
    async with _client(httpx.Response(200, headers=headers, content=build_schema1().content)) as (client, _):
        with pytest.raises(UpstreamMisbehaved, match="that are not sha256"):
            await client.fetch_manifest(REPOSITORY, "1")


async def test_a_manifest_is_verified_by_the_algorithm_of_its_digest() -> None:
    digest = Digest("sha512", hashlib.sha512(MANIFEST).hexdigest())
    async with _client(httpx.Response(200, headers=TYPE, content=MANIFEST)) as (client, _):
        assert (await client.fetch_manifest(REPOSITORY, digest)).digest == digest


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        pytest.param(Digest.of(b"another"), TYPE, id="asked-for-another"),
        pytest.param("jessie", {**TYPE, "Docker-Content-Digest": str(Digest.of(b"another"))}, id="announced-another"),
    ],
)
async def test_bytes_that_are_not_their_digest_are_misbehaviour(
    target: str | Digest, headers: Mapping[str, str]
) -> None:
    async with _client(httpx.Response(200, headers=headers, content=MANIFEST)) as (client, _):
        with pytest.raises(UpstreamMisbehaved, match=f"{len(MANIFEST)} bytes that are not"):
            await client.fetch_manifest(REPOSITORY, target)


async def test_a_manifest_may_be_large_but_not_larger() -> None:
    largest = b" " * MAX_MANIFEST_BYTES
    async with _client(httpx.Response(200, headers=TYPE, content=largest)) as (client, _):
        assert len((await client.fetch_manifest(REPOSITORY, "jessie")).content) == MAX_MANIFEST_BYTES
    async with _client(httpx.Response(200, headers=TYPE, content=largest + b" ")) as (client, _):
        with pytest.raises(UpstreamMisbehaved, match="more than"):
            await client.fetch_manifest(REPOSITORY, "jessie")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, ManifestUnknown),
        (403, UpstreamRefused),
        (401, UpstreamRefused),
        (400, UpstreamMisbehaved),
        (204, UpstreamMisbehaved),
        (304, UpstreamMisbehaved),
        (410, UpstreamMisbehaved),
        (418, UpstreamMisbehaved),
        (429, UpstreamUnreachable),
        (500, UpstreamUnreachable),
    ],
)
async def test_a_status_means_this_for_a_manifest(status: int, expected: type[RegistryError]) -> None:
    async with _client(httpx.Response(status)) as (client, _):
        for ask in (client.head_manifest, client.fetch_manifest):
            with pytest.raises(expected) as caught:
                await ask(REPOSITORY, "jessie")
            assert type(caught.value) is expected


async def test_a_405_on_a_get_is_misbehaviour() -> None:
    async with _client(httpx.Response(405)) as (client, line):
        with pytest.raises(UpstreamMisbehaved, match="405"):
            await client.head_manifest(REPOSITORY, "jessie")
    assert _methods(line) == ["HEAD", "GET"]


# Blobs


async def _read(client: RegistryClient, offset: int = 0) -> tuple[int | None, int, bytes]:
    async with (
        client.open_blob(REPOSITORY, BLOB_DIGEST, offset=offset) as stream,
        aclosing(stream.chunks()) as chunks,
    ):
        return stream.size, stream.offset, b"".join([chunk async for chunk in chunks])


async def test_the_size_of_a_blob_is_its_length() -> None:
    async with _client(httpx.Response(500), httpx.Response(200, headers={"Content-Length": "10"})) as (client, line):
        assert await client.head_blob(REPOSITORY, BLOB_DIGEST) == 10
    assert line.sent[0].url.path == f"/v2/library/debian/blobs/{BLOB_DIGEST}"


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "x"}, {"Content-Length": "9" * 19}])
async def test_a_blob_without_a_length_is_misbehaviour(headers: dict[str, str]) -> None:
    async with _client(httpx.Response(500), httpx.Response(200, headers=headers)) as (client, _):
        with pytest.raises(UpstreamMisbehaved, match="how large"):
            await client.head_blob(REPOSITORY, BLOB_DIGEST)


async def test_a_whole_blob_is_asked_for_without_a_range() -> None:
    async with _client(httpx.Response(200, content=BLOB)) as (client, line):
        assert await _read(client) == (10, 0, BLOB)
    assert "range" not in line.sent[0].headers
    assert line.sent[0].headers["accept-encoding"] == "identity"


async def test_a_blob_without_a_length_is_a_blob() -> None:
    async with _client(httpx.Response(200, stream=httpx.ByteStream(BLOB))) as (client, _):
        assert await _read(client) == (None, 0, BLOB)


@pytest.mark.parametrize(("content_range", "size"), [("bytes 4-9/10", 10), ("bytes 4-9/*", None)])
async def test_the_rest_of_a_blob_is_asked_for_by_a_range(content_range: str, size: int | None) -> None:
    answer = httpx.Response(206, headers={"Content-Range": content_range}, content=BLOB[4:])
    async with _client(answer) as (client, line):
        assert await _read(client, 4) == (size, 4, BLOB[4:])
    assert line.sent[0].headers["range"] == "bytes=4-"


async def test_an_upstream_that_knows_no_ranges_begins_anew() -> None:
    async with _client(httpx.Response(200, content=BLOB)) as (client, _):
        assert await _read(client, 4) == (10, 0, BLOB)


@pytest.mark.parametrize(
    "content_range",
    ["bytes 5-9/10", "bytes 0-9/10", "bytes */10", "items 4-9/10", "", "bytes 4-9", "bytes 4-9/" + "9" * 5000],
)
async def test_another_range_than_the_one_asked_for_is_misbehaviour(content_range: str) -> None:
    answer = httpx.Response(206, headers={"Content-Range": content_range}, content=BLOB[4:])
    async with _client(answer) as (client, _):
        with pytest.raises(UpstreamMisbehaved, match="another range"):
            await _read(client, 4)


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "gzip, identity"])
async def test_a_blob_that_is_encoded_on_its_way_is_misbehaviour(encoding: str) -> None:
    async with _client(httpx.Response(200, headers={"Content-Encoding": encoding})) as (client, _):
        with pytest.raises(UpstreamMisbehaved, match="encodes a blob"):
            await _read(client)


async def test_a_blob_whose_encoding_is_none_is_a_blob() -> None:
    async with _client(httpx.Response(200, headers={"Content-Encoding": "identity"}, content=BLOB)) as (client, _):
        assert await _read(client) == (10, 0, BLOB)


@pytest.mark.parametrize(
    ("status", "expected"),
    [(404, BlobUnknown), (403, UpstreamRefused), (416, UpstreamMisbehaved), (500, UpstreamUnreachable)],
)
async def test_a_status_means_this_for_a_blob(status: int, expected: type[RegistryError]) -> None:
    async with _client(httpx.Response(status)) as (client, _):
        with pytest.raises(expected):
            await _read(client)
        with pytest.raises(expected):
            await client.head_blob(REPOSITORY, BLOB_DIGEST)


async def test_a_blob_that_breaks_off_is_told_where_it_is_read() -> None:
    async with (
        raw_server(sending(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")) as port,
        open_exchange(f"http://localhost:{port}", ManualClock()) as exchange,
        RegistryClient(exchange).open_blob(REPOSITORY, BLOB_DIGEST) as stream,
        aclosing(stream.chunks()) as chunks,
    ):
        assert await anext(chunks) == b"01234"
        with pytest.raises(UpstreamUnreachable, match="the blob broke off: the body ended before its time"):
            await anext(chunks)


# Lists


@pytest.mark.parametrize(
    ("limit", "last", "query"),
    [
        (None, None, ""),
        (5, None, "n=5"),
        (None, "a", "last=a"),
        (0, "1.0", "n=0&last=1.0"),
        (5, "a b&n=9", "n=5&last=a+b%26n%3D9"),
    ],
)
async def test_a_page_of_tags_is_asked_for(limit: int | None, last: str | None, query: str) -> None:
    async with _client(httpx.Response(200, json={"name": REPOSITORY, "tags": ["a", "b"]})) as (client, line):
        assert await client.list_tags(REPOSITORY, limit=limit, last=last) == TagPage(("a", "b"), None)
    assert line.sent[0].url.path == "/v2/library/debian/tags/list"
    assert line.sent[0].url.query.decode() == query


async def test_the_next_page_begins_where_upstream_says() -> None:
    headers = {"Link": '</v2/library/debian/tags/list?last=b&n=2>; rel="next"'}
    async with _client(httpx.Response(200, headers=headers, json={"tags": ["a", "b"]})) as (client, _):
        assert await client.list_tags(REPOSITORY, limit=2, last=None) == TagPage(("a", "b"), "b")


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("", None),
        ('</v2/x/tags/list?n=2&last=b>; rel="next"', "b"),
        ("</v2/x/tags/list?n=2&last=b>; rel=next", "b"),
        ('</v2/x/tags/list?last=a%20b>;rel="next"', "a b"),
        ('<https://r.example/v2/x/tags/list?last=b>; title="x"; rel="next"', "b"),
        ('</first>; rel="first", </v2/x?last=b>; rel="next"', "b"),
        ('</v2/x?last=b>; rel="prev"', None),
        ('</v2/x?n=2>; rel="next"', None),
        ("</v2/x?last=b", None),
        ('<https://[::1?last=b>; rel="next"', "b"),
        ('</v2/x?last=b#last=c>; rel="next"', "b"),
    ],
)
def test_a_link_leads_on_from_here(link: str, expected: str | None) -> None:
    assert _parse_next(link) == expected


@given(link=any_text | st.builds("<{}>; rel=next".format, any_text))
def test_any_link_leads_on_or_not(link: str) -> None:
    found = _parse_next(link)
    assert found is None or isinstance(found, str)


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b'{"tags": ["b", "a"]}', ("b", "a")), (b'{"tags": null}', ()), (b'{"tags": []}', ()), (b"{}", ())],
)
def test_a_tag_list_is_read(content: bytes, expected: tuple[str, ...]) -> None:
    assert _parse_tags(content) == expected


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'"x"',
        b'{"tags": "a"}',
        b'{"tags": {"a": 1}}',
        b'{"tags": [1]}',
        b'{"tags": [null]}',
        b"\xff",
        b"[" * 100_000,
        b'{"tags": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda content: repr(content[:20]),
)
def test_a_tag_list_that_is_none_is_misbehaviour(content: bytes) -> None:
    with pytest.raises(UpstreamMisbehaved, match="tag list"):
        _parse_tags(content)


@given(content=st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_content_is_a_tag_list_or_misbehaviour(content: bytes) -> None:
    try:
        tags = _parse_tags(content)
    except UpstreamMisbehaved:
        return
    assert all(isinstance(tag, str) for tag in tags)


async def test_a_tag_list_without_end_is_misbehaviour() -> None:
    async with _client(httpx.Response(200, content=b" " * (MAX_TAG_LIST_BYTES + 1))) as (client, _):
        with pytest.raises(UpstreamMisbehaved, match="more than"):
            await client.list_tags(REPOSITORY, limit=None, last=None)


async def test_an_absent_repository_has_no_tags() -> None:
    async with _client(httpx.Response(404)) as (client, _):
        with pytest.raises(NameUnknown, match=REPOSITORY):
            await client.list_tags(REPOSITORY, limit=None, last=None)


async def test_referrers_are_fetched_as_they_are() -> None:
    content = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
    answer = httpx.Response(200, headers={"Content-Type": OCI_INDEX}, content=content)
    async with _client(answer) as (client, line):
        assert await client.fetch_referrers(REPOSITORY, DIGEST) == FetchedManifest(
            content, OCI_INDEX, Digest.of(content)
        )
    assert line.sent[0].url.path == f"/v2/library/debian/referrers/{DIGEST}"


async def test_an_upstream_without_a_referrers_api_says_404() -> None:
    async with _client(httpx.Response(404)) as (client, _):
        with pytest.raises(ManifestUnknown, match="no referrers API"):
            await client.fetch_referrers(REPOSITORY, DIGEST)


async def test_the_quota_is_the_exchange_s() -> None:
    headers = {**DESCRIBED, "ratelimit-limit": "100;w=21600", "ratelimit-remaining": "99;w=21600"}
    async with _client(httpx.Response(200, headers=headers)) as (client, _):
        before = client.quota
        await client.head_manifest(REPOSITORY, "jessie")
        assert (before, client.quota) == (None, Quota(100, 99, 21600))


async def test_a_client_is_known_by_its_upstream() -> None:
    async with _client(httpx.Response(200)) as (client, _):
        assert repr(client) == "<RegistryClient registry.example>"
        await client.aclose()
