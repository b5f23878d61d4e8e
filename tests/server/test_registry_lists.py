"""Tag lists and referrers, on the wire."""

import json

import pytest

from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.ports import TagPage
from tests.fakes.upstream import FakeUpstream
from tests.server.serving import OWN, Served, serve
from tests.server.test_registry import error_of
from tests.service.bench import AMD64, jessie

TAGS = ["bookworm", "buster", "jessie", "sid", "stretch"]
LIST = "/v2/library/debian/tags/list"
SUBJECT = Digest.parse(jessie(AMD64).manifest.digest)
REFERRERS = f"/v2/library/debian/referrers/{SUBJECT}"


@pytest.fixture
def upstream() -> FakeUpstream:
    """A repository of five tags."""
    upstream = FakeUpstream()
    for tag in TAGS:
        upstream.push(f"library/debian:{tag}", jessie(AMD64))
    return upstream


async def test_tags_are_listed_under_the_whole_name(served: Served) -> None:
    for path in (LIST, "/v2/debian/tags/list", "/v2/arm6/debian/tags/list"):
        answer = await served.client.get(path)
        assert answer.json() == {"name": "library/debian", "tags": TAGS}
        assert answer.headers["Content-Type"].startswith("application/json")
        assert "Link" not in answer.headers


@pytest.mark.parametrize("query", ["n=2", "n=2&ns=docker.io", "n=2&last=a"])
async def test_pages_are_linked(served: Served, query: str) -> None:
    found: list[str] = []
    url: str | None = f"{LIST}?{query}"
    while url is not None:
        answer = await served.client.get(url)
        found += answer.json()["tags"]
        url = answer.links.get("next", {}).get("url")
        if url is not None:
            assert len(answer.json()["tags"]) == 2
            assert ("ns=docker.io" in url) is ("ns" in query)
    assert found == TAGS


async def test_a_page_of_a_prefixed_path_stays_there(served: Served) -> None:
    answer = await served.client.get("/linux-arm-v6/v2/library/debian/tags/list?n=1")
    assert answer.links["next"]["url"] == "/linux-arm-v6/v2/library/debian/tags/list?n=1&last=bookworm"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("n=0", [], id="none"),
        pytest.param("n=5", TAGS, id="exactly all"),
        pytest.param("n=1000000000", TAGS, id="more than we ask for"),
        pytest.param("last=jessie", ["sid", "stretch"], id="after a tag"),
        pytest.param("last=zzz", [], id="after the last"),
        pytest.param("last=", TAGS, id="after nothing"),
    ],
)
async def test_a_list_that_ends_has_no_link(served: Served, query: str, expected: list[str]) -> None:
    answer = await served.client.get(f"{LIST}?{query}")
    assert answer.json()["tags"] == expected
    assert "Link" not in answer.headers


@pytest.mark.parametrize(
    ("query", "error"),
    [
        pytest.param("n=-1", (400, "NAME_INVALID"), id="negative"),
        pytest.param("n=x", (400, "NAME_INVALID"), id="no number"),
        pytest.param("n=", (400, "NAME_INVALID"), id="empty"),
        pytest.param("n=%C2%B2", (400, "NAME_INVALID"), id="a digit, but not ours"),
        pytest.param("n=99999999999999999999", (400, "NAME_INVALID"), id="beyond any"),
        pytest.param("last=..%2F", (400, "MANIFEST_INVALID"), id="no tag"),
        pytest.param("last=a%0d%0ab", (400, "MANIFEST_INVALID"), id="a line break"),
    ],
)
async def test_a_bad_query_is_refused(served: Served, query: str, error: tuple[int, str]) -> None:
    assert error_of(await served.client.get(f"{LIST}?{query}")) == error
    assert served.upstream.asked == []


async def test_a_page_that_upstream_ends_with_nonsense_breaks_no_header() -> None:
    class Odd(FakeUpstream):
        async def list_tags(self, repository: str, /, *, limit: int | None, last: str | None) -> TagPage:
            return TagPage(("a",), 'a\r\nSet-Cookie: b>; rel="prev"')

    async with serve(Odd()) as served:
        answer = await served.client.get(LIST)
        assert answer.status_code == 200
        assert "Set-Cookie" not in answer.headers
        assert list(answer.links) == ["next"]


async def test_lists_without_upstream(served: Served) -> None:
    await served.client.get("/v2/library/debian/manifests/sid")
    served.upstream.go_offline()
    answer = await served.client.get(LIST)
    assert answer.json()["tags"] == ["sid"]
    assert answer.headers["Polyarch-Cache"] == "stale"
    assert error_of(await served.client.get("/v2/library/other/tags/list")) == (503, "UNAVAILABLE")


async def test_a_list_of_nothing(served: Served) -> None:
    assert error_of(await served.client.get("/v2/library/nothing/tags/list")) == (404, "NAME_UNKNOWN")


async def test_head_of_a_list(served: Served) -> None:
    head, get = await served.client.head(LIST), await served.client.get(LIST)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


# Referrers


def descriptor(name: str, artifact_type: str) -> dict[str, object]:
    content = name.encode()
    return {
        "mediaType": media_types.OCI_MANIFEST,
        "digest": str(Digest.of(content)),
        "size": len(content),
        "artifactType": artifact_type,
        "annotations": {"name": name},
    }


SBOM, SIGNATURE = descriptor("sbom", "application/spdx+json"), descriptor("signature", "application/vnd.example")
INDEX = json.dumps(
    {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [SBOM, SIGNATURE]}, indent=3
).encode()


async def test_referrers_are_upstreams_own(served: Served) -> None:
    served.upstream.put_referrers("library/debian", SUBJECT, INDEX, media_types.OCI_INDEX)
    for state in ("miss", "hit"):
        answer = await served.client.get(REFERRERS)
        assert answer.content == INDEX
        assert answer.headers["Content-Type"] == media_types.OCI_INDEX
        assert answer.headers["Polyarch-Cache"] == state
        assert "OCI-Filters-Applied" not in answer.headers


async def test_referrers_are_filtered(served: Served) -> None:
    served.upstream.put_referrers("library/debian", SUBJECT, INDEX, media_types.OCI_INDEX)
    answer = await served.client.get(REFERRERS, params={"artifactType": "application/spdx+json"})
    assert answer.json()["manifests"] == [SBOM]
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"


async def test_where_nothing_refers_the_list_is_empty(served: Served) -> None:
    """Never a 404: by that, a client would take the API for missing."""
    for state in ("online", "offline"):
        answer = await served.client.get(REFERRERS)
        assert answer.status_code == 200, state
        assert answer.json() == {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": []}
        served.upstream.go_offline()
        served.bench.clock.tick(10_000)


async def test_referrers_of_a_spliced_image_are_asked_for_where_it_is(upstream: FakeUpstream) -> None:
    upstream.push("arm32v7/debian:sid", jessie("linux/arm/v7"))
    subject = Digest.parse(jessie("linux/arm/v7").manifest.digest)
    upstream.put_referrers("arm32v7/debian", subject, INDEX, media_types.OCI_INDEX)
    async with serve(upstream) as served:
        await served.client.get("/v2/library/debian/manifests/sid")
        answer = await served.client.get(f"/v2/library/debian/referrers/{subject}", params={"ns": "docker.io"})
        assert answer.content == INDEX
        assert answer.headers["OCI-Namespace"] == "docker.io"


async def test_a_bad_digest_has_no_referrers(served: Served) -> None:
    assert error_of(await served.client.get("/v2/library/debian/referrers/sha256:12")) == (400, "DIGEST_INVALID")


async def test_lists_of_other_registries(served: Served) -> None:
    served.own.push("app:1", jessie(AMD64))
    answer = await served.client.get("/v2/app/tags/list", params={"ns": OWN, "n": "10"})
    assert answer.json() == {"name": "app", "tags": ["1"]}
