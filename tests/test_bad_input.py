"""What bad input from clients gets: a clear error; none of it reaches upstream, nothing is told abroad.

Through the real wiring, in front of the lab's Docker Hub.
"""

import pytest

from tests.lab.content import AMD64
from tests.lab.hub import HubStandIn
from tests.lab.images import build_image
from tests.live import Live, code_of
from tests.server.serving import connect

pytestmark = pytest.mark.lab

DIGEST = f"sha256:{'0' * 64}"
IMAGE = build_image(AMD64, label="jessie")
LAYER = IMAGE.layers[0]
JESSIE = "/v2/library/debian/manifests/jessie"
BY_DIGEST = f"/v2/library/debian/manifests/{IMAGE.manifest.digest}"
BLOB = f"/v2/library/debian/blobs/{LAYER.digest}"


async def ask(live: Live, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    """Send a path exactly as it is; answer status and code."""
    async with connect(live.port) as wire:
        await wire.send(method, path, Connection="close", **headers)
        head = await wire.head()
        body = await wire.rest()
    assert head.headers["Content-Type"].startswith("application/json"), body
    return head.status, code_of(body)


# From clients: none of it reaches upstream


@pytest.mark.parametrize(
    ("path", "error"),
    [
        pytest.param("/v2/UPPER/manifests/1", (400, "NAME_INVALID"), id="upper case"),
        pytest.param("/v2/-a/manifests/1", (400, "NAME_INVALID"), id="begins with a hyphen"),
        pytest.param("/v2/a_/manifests/1", (400, "NAME_INVALID"), id="ends with an underscore"),
        pytest.param("/v2/a...b/manifests/1", (400, "NAME_INVALID"), id="dots"),
        pytest.param("/v2/a//b/manifests/1", (400, "NAME_INVALID"), id="an empty part"),
        pytest.param("/v2//manifests/1", (400, "NAME_INVALID"), id="no name"),
        pytest.param(f"/v2/{'a' * 256}/manifests/1", (400, "NAME_INVALID"), id="too long"),
        pytest.param("/v2/a%00b/manifests/1", (400, "NAME_INVALID"), id="a zero byte"),
        pytest.param("/v2/a%0d%0ab/manifests/1", (400, "NAME_INVALID"), id="a line break"),
        pytest.param("/v2/%C3%A4/manifests/1", (400, "NAME_INVALID"), id="an umlaut"),
        pytest.param("/v2/%ff/manifests/1", (400, "NAME_INVALID"), id="no UTF-8"),
        pytest.param("/v2/a%20b/tags/list", (400, "NAME_INVALID"), id="a blank"),
        pytest.param(f"/v2/{'a/' * 600}b/manifests/1", (404, "NAME_UNKNOWN"), id="a path of more than a kilobyte"),
        pytest.param("/v2/a/manifests/.x", (400, "MANIFEST_INVALID"), id="a tag that begins with a dot"),
        pytest.param(f"/v2/a/manifests/{'t' * 129}", (400, "MANIFEST_INVALID"), id="a tag that is too long"),
        pytest.param("/v2/a/manifests/a%20b", (400, "MANIFEST_INVALID"), id="a tag with a blank"),
        pytest.param("/v2/a/manifests/", (400, "MANIFEST_INVALID"), id="no tag"),
        pytest.param("/v2/a/manifests/sha256:12", (400, "DIGEST_INVALID"), id="a short digest"),
        pytest.param(f"/v2/a/manifests/sha256:{'A' * 64}", (400, "DIGEST_INVALID"), id="an upper-case digest"),
        pytest.param(f"/v2/a/manifests/sha1:{'0' * 40}", (400, "DIGEST_INVALID"), id="an algorithm of old"),
        pytest.param(f"/v2/a/blobs/blake3:{'0' * 64}", (400, "DIGEST_INVALID"), id="an algorithm not verified here"),
        pytest.param("/v2/a/blobs/latest", (400, "DIGEST_INVALID"), id="a blob by tag"),
        pytest.param("/v2/a/blobs/sha256:../../../catalog.sqlite", (404, "NAME_UNKNOWN"), id="a digest with a path"),
        pytest.param(f"/v2/a/blobs/sha256:{'%2e' * 64}", (400, "DIGEST_INVALID"), id="a digest of dots"),
        pytest.param("/v2/a/referrers/x", (400, "DIGEST_INVALID"), id="referrers of a tag"),
        pytest.param("/v2/a/tags/list?n=-1", (400, "NAME_INVALID"), id="a negative page"),
        pytest.param("/v2/a/tags/list?last=%2e%2e%2f", (400, "MANIFEST_INVALID"), id="a page after a path"),
        pytest.param(f"{JESSIE}?ns=ghcr.io", (404, "NAME_UNKNOWN"), id="an upstream that is not configured"),
        pytest.param(f"{BLOB}?ns=169.254.169.254", (404, "NAME_UNKNOWN"), id="an upstream that is an address"),
        pytest.param(f"{JESSIE}?ns=docker.io%0d%0aX:1", (404, "NAME_UNKNOWN"), id="an upstream with a line break"),
        pytest.param("/v2/_catalog", (404, "NAME_UNKNOWN"), id="the catalog"),
        pytest.param("/v2/a/blobs/uploads/", (404, "NAME_UNKNOWN"), id="uploads"),
        pytest.param("/nothing", (404, "NAME_UNKNOWN"), id="nothing"),
    ],
)
async def test_a_bad_path_is_refused(live: Live, live_hub: HubStandIn, path: str, error: tuple[int, str]) -> None:
    assert await ask(live, path) == error
    assert live_hub.requests() == []


TRAVERSALS = [
    "/v2/../../etc/passwd",
    "/v2/library/../../../etc/passwd",
    "/v2/%2e%2e/%2e%2e/etc/passwd",
    "/v2/..%2f..%2fetc%2fpasswd",
    "/v2/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/v2/%252e%252e%252fetc%252fpasswd",
    "/v2/..%5c..%5cetc%5cpasswd",
    "/v2/..\\..\\etc\\passwd",
    "/v2/%c0%ae%c0%ae/etc/passwd",
    "/v2/..;/..;/etc/passwd",
    "/v2/library/debian/manifests/../../../../catalog.sqlite",
    "/v2/library/debian/manifests/..",
    "/v2/library/debian/manifests/%2e%2e",
    "/v2/library/debian/manifests/..%2f..%2f..%2fcatalog.sqlite",
    "/v2/library/debian/manifests/..%00",
    "/v2/library/debian/blobs/..%2f..%2fcatalog.sqlite",
    "/v2/library/debian/blobs/sha256:..%2f..%2foci-layout",
    "/v2/library/debian/blobs/sha256%3a..%2f..%2foci-layout",
    f"/v2/library/debian/blobs/../../{DIGEST}",
    f"/v2/library/%2e%2e/debian/blobs/{DIGEST}",
    f"/v2/../library/debian/blobs/{DIGEST}",
    "/../v2/",
    "/%2e%2e/v2/",
    "/linux-arm-v6/../v2/library/debian/manifests/jessie",
    "//v2/library/debian/manifests/jessie",
    "/v2/library/debian/tags/list/../../../../x",
    "/v2/library/debian/manifests/jessie%23",
    "/v2/library/debian/manifests/jessie%3f",
]


@pytest.mark.parametrize("path", TRAVERSALS)
async def test_no_encoding_leads_out_of_the_grammar(live: Live, live_hub: HubStandIn, path: str) -> None:
    status, code = await ask(live, path)
    assert status in {400, 404}
    assert code in {"NAME_INVALID", "NAME_UNKNOWN", "MANIFEST_INVALID", "DIGEST_INVALID"}
    assert live_hub.requests() == []


async def test_a_path_in_another_encoding_is_the_same_path(live: Live, live_hub: HubStandIn) -> None:
    plain = await live.client.get(BY_DIGEST)
    async with connect(live.port) as wire:
        await wire.send("GET", BY_DIGEST.replace("/manifests/", "%2Fmanifests%2F").replace("sha256:", "%73ha256%3A"))
        head = await wire.head()
        assert await wire.exactly(int(head.headers["Content-Length"])) == plain.content
    assert {record.repository for record in live_hub.requests("manifest")} == {"library/debian"}


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", [JESSIE, BLOB, "/v2/library/debian/blobs/uploads/", "/v2/../x", "/v2/"])
async def test_a_push_is_refused(live: Live, live_hub: HubStandIn, method: str, path: str) -> None:
    assert await ask(live, path, method) == (405, "UNSUPPORTED")
    assert live_hub.requests() == []


@pytest.mark.parametrize("header", ["bytes=1000000-", "bytes=-0", "bytes=5-2"])
async def test_a_range_outside_of_the_blob_is_refused(live: Live, header: str) -> None:
    assert await ask(live, BLOB, Range=header) == (416, "RANGE_INVALID")


@pytest.mark.parametrize("header", ["bytes=a-b", "lines=0-1", "bytes=" + "0-0," * 1000])
async def test_a_range_that_is_none_is_ignored(live: Live, header: str) -> None:
    answer = await live.client.get(BLOB, headers={"Range": header})
    assert (answer.status_code, answer.content) == (200, LAYER.content)


async def test_a_head_that_is_too_large_is_refused(live: Live, live_hub: HubStandIn) -> None:
    answer = await live.client.get("/v2/", headers={"X-Large": "x" * 100_000})
    assert answer.status_code == 400
    assert live_hub.requests() == []


async def test_a_clients_own_credentials_stay_here(live: Live, live_hub: HubStandIn) -> None:
    await live.client.get(JESSIE, headers={"Authorization": "Basic c2VjcmV0", "Cookie": "c2VjcmV0"})
    assert live_hub.requests()
    assert "c2VjcmV0" not in repr([dict(record.headers) for record in live_hub.requests()])
