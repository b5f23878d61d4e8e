"""What a wrong answer of upstream gets: a clear error; nothing wrong is kept, nothing told abroad.

Through the real wiring, in front of the lab's Docker Hub.
"""

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import Self

import httpx
import pytest

from tests.lab.content import AMD64, ARM_V7
from tests.lab.hub import HubStandIn, faults
from tests.lab.images import MANIFEST_TYPES, OCI_INDEX, OCI_MANIFEST, Blob, build_image, digest_of
from tests.live import AGENTS, Live, code_of, live_content, pull

pytestmark = pytest.mark.lab

IMAGE = build_image(AMD64, label="jessie")
LAYER = IMAGE.layers[0]
JESSIE = "/v2/library/debian/manifests/jessie"
BY_DIGEST = f"/v2/library/debian/manifests/{IMAGE.manifest.digest}"
BLOB = f"/v2/library/debian/blobs/{LAYER.digest}"
ACCEPT = {"Accept": ", ".join(MANIFEST_TYPES)}


# From upstream: manifests

WRONG = [
    pytest.param(faults.WrongBytes(), (502, "UNAVAILABLE"), id="wrong digest"),
    pytest.param(faults.WrongSize(-10), (502, "UNAVAILABLE"), id="too short"),
    pytest.param(faults.WrongSize(10), (503, "UNAVAILABLE"), id="shorter than announced"),
    pytest.param(faults.HTML, (502, "UNAVAILABLE"), id="HTML"),
    pytest.param(faults.oversize_manifest(), (502, "UNAVAILABLE"), id="5 MiB"),
    pytest.param(faults.index_and_image(), (502, "UNAVAILABLE"), id="index and image"),
    pytest.param(faults.index_and_image(OCI_MANIFEST), (502, "UNAVAILABLE"), id="image and index"),
    pytest.param(faults.Replace(b"{" * 100_000, OCI_INDEX), (502, "UNAVAILABLE"), id="no JSON"),
    pytest.param(faults.Replace(b'{"a":' * 5000 + b"1" + b"}" * 5000, OCI_INDEX), (502, "UNAVAILABLE"), id="too deep"),
    pytest.param(
        faults.Replace(json.dumps({"mediaType": OCI_MANIFEST, "manifests": []}).encode(), OCI_INDEX),
        (502, "UNAVAILABLE"),
        id="a type that contradicts itself",
    ),
    pytest.param(faults.RedirectLoop(), (502, "UNAVAILABLE"), id="redirect loop"),
    pytest.param(faults.METADATA_SERVICE, (502, "UNAVAILABLE"), id="redirect to link-local"),
    pytest.param(faults.RedirectTo("http://10.0.0.1/v2/"), (502, "UNAVAILABLE"), id="redirect into a private network"),
    pytest.param(faults.RedirectTo("file:///etc/passwd"), (502, "UNAVAILABLE"), id="redirect to a file"),
    pytest.param(faults.RedirectTo("http://me:secret@127.0.0.1/"), (502, "UNAVAILABLE"), id="redirect with a password"),
    pytest.param(faults.Status(418), (502, "UNAVAILABLE"), id="a teapot"),
    pytest.param(faults.Status(500), (503, "UNAVAILABLE"), id="500"),
    pytest.param(faults.Status(429), (503, "UNAVAILABLE"), id="429"),
    pytest.param(faults.DROP, (503, "UNAVAILABLE"), id="dropped"),
]


@pytest.mark.parametrize("path", [JESSIE, BY_DIGEST], ids=["by tag", "by digest"])
@pytest.mark.parametrize(("fault", "error"), WRONG)
async def test_a_wrong_manifest_is_refused_and_not_kept(
    live: Live, live_hub: HubStandIn, path: str, fault: faults.Fault, error: tuple[int, str]
) -> None:
    live_hub.inject(fault, kind="manifest-get", repository="library/debian")
    answer = await live.client.get(path, headers=ACCEPT)
    assert (answer.status_code, code_of(answer.content)) == error
    assert live_hub.host not in answer.text  # a client learns what is wrong, not how the network looks
    assert live.stored() == set()
    live_hub.reset()
    right = await live.client.get(BY_DIGEST)
    assert right.content == IMAGE.manifest.content


async def test_a_digest_that_is_none_is_refused(live: Live, live_hub: HubStandIn) -> None:
    live_hub.inject(faults.Headers({"Docker-Content-Digest": "nonsense"}), kind="manifest-get")
    answer = await live.client.get(JESSIE, headers=ACCEPT)
    assert (answer.status_code, code_of(answer.content)) == (502, "UNAVAILABLE")
    assert live.stored() == set()
    assert (await live.client.get(BY_DIGEST)).content == IMAGE.manifest.content  # who names it needs no header


async def test_what_upstream_forbids_is_as_good_as_absent(live: Live, live_hub: HubStandIn) -> None:
    live_hub.inject(faults.Status(403), kind="manifest")
    for path in (JESSIE, BY_DIGEST):
        assert (await live.client.get(path, headers=ACCEPT)).status_code == 404


@pytest.mark.parametrize("fault", [faults.HTML, faults.oversize_manifest(), faults.index_and_image()])
async def test_a_wrong_child_is_refused_and_not_kept(live: Live, live_hub: HubStandIn, fault: faults.Fault) -> None:
    """The index is good, and what it lists is not: the client is told, and may come again."""
    name = "library/multi:latest"
    child = live_content().digest(name, ARM_V7)
    await live.client.get("/v2/library/multi/manifests/latest", headers=ACCEPT)
    known = live.stored()
    live_hub.inject(fault, kind="manifest-get", reference=child)
    answer = await live.client.get(f"/v2/library/multi/manifests/{child}")
    assert (answer.status_code, code_of(answer.content)) == (502, "UNAVAILABLE")
    assert live.stored() == known
    live_hub.reset()
    assert (await pull(live.client, name, ARM_V7)).image == child


async def test_a_candidate_that_is_nonsense_is_left_out(live: Live, live_hub: HubStandIn) -> None:
    live_hub.inject(faults.HTML, kind="manifest", repository="arm32v7/debian")
    answer = await live.client.get(JESSIE, headers={**ACCEPT, "User-Agent": AGENTS[ARM_V7]})
    listed = {entry["digest"] for entry in answer.json()["manifests"]}
    assert digest_of(faults.HTML.body) not in listed
    assert live_content().digest("arm32v6/debian:jessie") in listed
    assert digest_of(faults.HTML.body) not in live.stored()


# From upstream: blobs


@dataclass(frozen=True, slots=True)
class BadBlob:
    """How a blob is wrong, and what a client is told: an error, or a body that is cut short."""

    fault: faults.Fault
    kind: str
    statuses: frozenset[int]


CUT = frozenset({200, 502})
"""It depends on who is quicker: whether the body had begun when the last byte showed that it is wrong."""

BLOBS = [
    pytest.param(BadBlob(faults.WrongBytes(), "cdn", CUT), id="wrong digest"),
    pytest.param(BadBlob(faults.WrongSize(-1), "cdn", frozenset({502})), id="wrong size"),
    pytest.param(BadBlob(faults.WrongSize(1), "cdn", frozenset({502})), id="another wrong size"),
    pytest.param(BadBlob(faults.HTML, "cdn", frozenset({502})), id="HTML"),
    pytest.param(BadBlob(faults.Replace(b"", "application/octet-stream"), "cdn", frozenset({502})), id="nothing"),
    pytest.param(BadBlob(faults.Headers({"Content-Encoding": "gzip"}), "cdn", frozenset({502})), id="compressed"),
    pytest.param(BadBlob(faults.Status(404), "cdn", frozenset({404})), id="gone"),
    pytest.param(BadBlob(faults.Status(500), "cdn", frozenset({503})), id="500"),
    pytest.param(BadBlob(faults.RedirectLoop(), "blob", frozenset({502})), id="redirect loop"),
    pytest.param(BadBlob(faults.METADATA_SERVICE, "blob", frozenset({502})), id="redirect to link-local"),
    pytest.param(
        BadBlob(faults.RedirectTo("http://10.0.0.1/x"), "blob", frozenset({502})), id="redirect into a private network"
    ),
    pytest.param(
        BadBlob(faults.RedirectTo("ftp://127.0.0.1/x"), "blob", frozenset({502})), id="redirect to another scheme"
    ),
]


@pytest.mark.parametrize("bad", BLOBS)
async def test_a_wrong_blob_is_never_whole_and_not_kept(live: Live, live_hub: HubStandIn, bad: BadBlob) -> None:
    await live.client.get(BY_DIGEST)
    live_hub.inject(bad.fault, kind=bad.kind)
    status, body = await fetch(live, BLOB)
    assert status in bad.statuses
    assert body != LAYER.content
    await live.settle()
    assert live.stored() == {IMAGE.manifest.digest}
    live_hub.reset()
    assert await fetch(live, BLOB) == (200, LAYER.content)


@pytest.mark.parametrize("fault", [faults.WrongSize(-1), faults.WrongSize(1000), faults.WrongBytes()])
async def test_what_was_wrong_about_an_unknown_blob_is_not_remembered(
    live: Live, live_hub: HubStandIn, fault: faults.Fault
) -> None:
    """Nobody told its size beforehand: what a HEAD or a download announced is not held against the next one."""
    live_hub.inject(fault, kind="cdn")
    await live.client.head(BLOB)
    _, body = await fetch(live, BLOB)
    assert body != LAYER.content
    live_hub.reset()
    assert await fetch(live, BLOB) == (200, LAYER.content)


async def test_a_blob_of_a_manifest_that_lies_about_its_size(live: Live, live_hub: HubStandIn) -> None:
    lie = {**LAYER.descriptor(), "size": len(LAYER.content) + 1}
    fields = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": IMAGE.config.descriptor(), "layers": [lie]}
    liar = Blob.of(OCI_MANIFEST, json.dumps(fields).encode())
    with live_hub.failing(faults.Replace(liar.content, liar.media_type), kind="manifest-get"):
        assert (await live.client.get(f"/v2/library/debian/manifests/{liar.digest}")).status_code == 200
    assert (await fetch(live, BLOB))[0] == 502
    await live.client.get(BY_DIGEST)  # the true manifest, of the same repository
    assert await fetch(live, BLOB) == (200, LAYER.content)


async def fetch(live: Live, path: str) -> tuple[int, bytes | None]:
    """Answer the status, and the body if it is whole."""
    async with live.client.stream("GET", path) as answer:
        with contextlib.suppress(httpx.RemoteProtocolError):
            return answer.status_code, await answer.aread()
        return answer.status_code, None


# From upstream: where it sends us


class Trap:
    """A host that nobody may be led to: counts who comes."""

    def __init__(self) -> None:
        self.visits = 0
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._greet, "127.0.0.2", 0)
        self.url = f"http://127.0.0.2:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _greet(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        writer.close()


@pytest.mark.parametrize("path", ["/token", "/token?service=registry.docker.io"])
async def test_a_token_realm_on_a_foreign_host_is_not_asked(live: Live, live_hub: HubStandIn, path: str) -> None:
    async with Trap() as trap:
        live_hub.inject(faults.ForeignRealm(f"{trap.url}{path}"))
        answer = await live.client.get(JESSIE, headers=ACCEPT)
        assert (answer.status_code, code_of(answer.content)) == (502, "UNAVAILABLE")
        assert "token_hosts" in answer.text  # what to do if it is right
        assert trap.visits == 0
    assert live_hub.requests("token") == []
    assert live.stored() == set()


@pytest.mark.parametrize(
    "realm", ["", "/token", "ftp://127.0.0.1/token", "http://user:password@127.0.0.1/token", "http://[bad/token"]
)
async def test_a_token_realm_that_is_none_is_not_asked(live: Live, live_hub: HubStandIn, realm: str) -> None:
    live_hub.inject(faults.ForeignRealm(realm))
    answer = await live.client.get(JESSIE, headers=ACCEPT)
    assert answer.status_code in {404, 502}
    assert live_hub.requests("token") == []


async def test_no_token_is_carried_to_where_a_redirect_leads(live: Live, live_hub: HubStandIn) -> None:
    await pull(live.client, "library/debian:jessie", ARM_V7)
    assert live_hub.requests("cdn")
    assert live_hub.leaks() == []
    assert all("Authorization" in record.headers for record in live_hub.requests("blob"))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(faults.HTML, id="HTML"),
        pytest.param(faults.Replace(b"{}", "application/json"), id="no token"),
        pytest.param(faults.Replace(b'{"token": "a\\r\\nX-Evil: 1"}', "application/json"), id="a line break"),
        pytest.param(faults.Replace(b'{"token": "' + b"x" * 100_000 + b'"}', "application/json"), id="too large"),
    ],
)
async def test_a_token_that_is_none_is_not_used(live: Live, live_hub: HubStandIn, answer: faults.Fault) -> None:
    live_hub.inject(answer, kind="token")
    refused = await live.client.get(JESSIE, headers=ACCEPT)
    assert (refused.status_code, code_of(refused.content)) == (502, "UNAVAILABLE")
    assert not [record for record in live_hub.requests() if "X-Evil" in record.headers]
