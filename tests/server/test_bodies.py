"""Blobs on the wire: whole and in parts, from the store and on their way, through TLS; cut short, and left."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci.digests import Digest
from proxy.server.bodies import PIECE_BYTES
from proxy.service.small_blobs import SMALL_BYTES
from tests.fakes.upstream import FakeUpstream, Kind
from tests.lab.programs import wait_until
from tests.server.serving import Served, serve
from tests.server.test_registry import error_of
from tests.service.bench import Kept
from tests.service.filling import noise

REPOSITORY = "library/big"
SMALL, LARGE = noise(5000, "small"), noise(3 * PIECE_BYTES + 17, "large")
HUGE = LARGE * 8
"""More than the kernel keeps for a client that does not read."""


def path_of(content: bytes) -> str:
    return f"/v2/{REPOSITORY}/blobs/{Digest.of(content)}"


@pytest.fixture
def upstream() -> FakeUpstream:
    """A repository with blobs of all sizes."""
    upstream = FakeUpstream()
    for content in (b"", SMALL, LARGE, HUGE):
        upstream.put_blob(REPOSITORY, content)
    return upstream


@pytest.fixture(params=["memory", "disk", "TLS"])
async def served(request: pytest.FixtureRequest, upstream: FakeUpstream) -> AsyncIterator[Served]:
    """From memory there is no file to send; from the disk the kernel sends it; through TLS it cannot."""
    kept: Kept = Kept() if request.param == "memory" else request.getfixturevalue("disk")
    async with serve(upstream, kept, tls=request.param == "TLS") as served:
        yield served
    assert served.events.faults == []


async def settled(served: Served) -> None:
    async def no_fill() -> bool:
        return repr(served.bench.fills) == "<Fills: []>"

    await wait_until(no_fill, seconds=10, purpose="the end of all fills")


async def warm(served: Served, content: bytes) -> None:
    """Bring a blob into the store."""
    await served.client.get(path_of(content))
    await settled(served)


# Whole


@pytest.mark.parametrize("content", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
async def test_a_blob_is_sent_whole(served: Served, content: bytes) -> None:
    for state in ("miss", "hit"):
        answer = await served.client.get(path_of(content), headers={"Accept-Encoding": "zstd, gzip"})
        assert (answer.status_code, answer.content) == (200, content)
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Content-Length"] == str(len(content))
        assert answer.headers["Docker-Content-Digest"] == str(Digest.of(content))
        assert answer.headers["ETag"] == f'"{Digest.of(content)}"'
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["Polyarch-Cache"] == state
        assert not {"Content-Encoding", "Transfer-Encoding", "Content-Range"} & set(answer.headers)
        await settled(served)
    assert served.upstream.counts == {"get-blob": 1}


async def test_one_connection_serves_many(served: Served) -> None:
    """What is sent past aiohttp, by the kernel, leaves the connection in order."""
    await warm(served, LARGE)
    for content in (SMALL, LARGE, SMALL, LARGE):
        assert (await served.client.get(path_of(content))).content == content
        assert (await served.client.get("/v2/")).json() == {}


async def test_head_is_get_without_the_body(served: Served) -> None:
    cold = await served.client.head(path_of(LARGE))
    assert served.upstream.counts == {"head-blob": 1}
    await warm(served, LARGE)
    head, get = await served.client.head(path_of(LARGE)), await served.client.get(path_of(LARGE))
    assert (head.status_code, head.content) == (200, b"")
    for name in ("Content-Type", "Content-Length", "Docker-Content-Digest", "ETag", "Accept-Ranges"):
        assert cold.headers[name] == head.headers[name] == get.headers[name]
    ranged = await served.client.head(path_of(LARGE), headers={"Range": "bytes=0-9"})
    assert (ranged.status_code, ranged.headers["Content-Length"]) == (200, str(len(LARGE)))


async def test_who_knows_the_digest_gets_no_body(served: Served) -> None:
    await warm(served, SMALL)
    for method in ("GET", "HEAD"):
        answer = await served.client.request(method, path_of(SMALL), headers={"If-None-Match": f'"{Digest.of(SMALL)}"'})
        assert (answer.status_code, answer.content) == (304, b"")


@pytest.mark.parametrize("known", ['"{}"', 'W/"{}"', '"sha256:00", "{}"', "*"])
async def test_who_knows_it_starts_no_download(served: Served, known: str) -> None:
    """A proof that the repository has the blob is enough, and is asked for once."""
    headers = {"If-None-Match": known.format(Digest.of(LARGE))}
    for method in ("GET", "HEAD", "GET"):
        answer = await served.client.request(method, path_of(LARGE), headers=headers)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["ETag"] == f'"{Digest.of(LARGE)}"'
    assert served.upstream.count(Kind.GET_BLOB) == 0


async def test_who_knows_another_gets_this_one(served: Served) -> None:
    for known in (f'"{Digest.of(LARGE)}"', f'"{Digest.of(SMALL)}-gzip"', '"sha256:"'):
        answer = await served.client.get(path_of(SMALL), headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (200, SMALL)


async def test_who_knows_what_another_repository_has_learns_nothing(served: Served) -> None:
    """304 is an answer about the repository: it takes the same proof as the blob itself."""
    await warm(served, SMALL)
    headers = {"If-None-Match": f'"{Digest.of(SMALL)}"'}
    answer = await served.client.get(path_of(SMALL).replace(REPOSITORY, "library/other"), headers=headers)
    assert error_of(answer) == (404, "BLOB_UNKNOWN")


async def test_the_upstream_that_was_meant_is_named(served: Served) -> None:
    for method in ("HEAD", "GET", "GET"):
        answer = await served.client.request(method, path_of(SMALL), params={"ns": "docker.io"})
        assert answer.headers["OCI-Namespace"] == "docker.io"


async def test_a_blob_that_nobody_has_is_unknown(served: Served) -> None:
    assert error_of(await served.client.get(path_of(b"nobody"))) == (404, "BLOB_UNKNOWN")
    head = await served.client.head(path_of(b"nobody"))
    assert (head.status_code, head.content) == (404, b"")


# From memory


async def test_a_small_blob_is_read_once(plain: Served, tmp_path: Path) -> None:
    await warm(plain, SMALL)
    digest = Digest.of(SMALL)
    assert (await plain.client.get(path_of(SMALL))).content == SMALL
    file = tmp_path / "cache" / "blobs" / "sha256" / digest.encoded
    file.chmod(0o600)
    file.write_bytes(b"!" * len(SMALL))
    for method, content in (("GET", SMALL), ("HEAD", b"")):
        answer = await plain.client.request(method, path_of(SMALL))
        assert (answer.status_code, answer.content) == (200, content)
        assert answer.headers["Content-Length"] == str(len(SMALL))


async def test_a_small_blob_that_is_damaged_is_fetched_again(plain: Served, tmp_path: Path) -> None:
    await warm(plain, SMALL)
    file = tmp_path / "cache" / "blobs" / "sha256" / Digest.of(SMALL).encoded
    file.chmod(0o600)
    file.write_bytes(b"!" * len(SMALL))
    answer = await plain.client.get(path_of(SMALL))
    assert (answer.content, answer.headers["Polyarch-Cache"]) == (SMALL, "miss")
    assert [told["digest"] for told in plain.events.named("blob.quarantined")] == [str(Digest.of(SMALL))]


async def test_a_small_blob_that_was_taken_away_is_not_served_from_memory(plain: Served) -> None:
    """Whether it is there, the store says; the memory only spares reading it."""
    await warm(plain, SMALL)
    await plain.client.get(path_of(SMALL))
    await plain.bench.store.remove(Digest.of(SMALL))
    answer = await plain.client.get(path_of(SMALL))
    assert (answer.content, answer.headers["Polyarch-Cache"]) == (SMALL, "miss")


# In parts

PARTS = [
    pytest.param("bytes=0-0", (0, 1), id="the first byte"),
    pytest.param("bytes=500-1499", (500, 1500), id="in the middle"),
    pytest.param("bytes=500-", (500, None), id="from somewhere on"),
    pytest.param("bytes=-500", (-500, None), id="the end"),
    pytest.param("bytes=4000-99999999999", (4000, None), id="beyond the end"),
    pytest.param("bytes=-99999999999", (0, None), id="more than there is"),
    pytest.param("bytes=0-", (0, None), id="all of it"),
]


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize(("header", "span"), PARTS)
async def test_a_part_is_sent(served: Served, header: str, span: tuple[int, int | None], content: bytes) -> None:
    expected = content[span[0] : span[1]]
    start = span[0] % len(content)
    for _ in range(2):
        answer = await served.client.get(path_of(content), headers={"Range": header})
        assert (answer.status_code, answer.content) == (206, expected)
        assert answer.headers["Content-Length"] == str(len(expected))
        assert answer.headers["Content-Range"] == f"bytes {start}-{start + len(expected) - 1}/{len(content)}"
        assert answer.headers["Docker-Content-Digest"] == str(Digest.of(content))
        await settled(served)


@pytest.mark.parametrize("header", ["bytes=5000-", "bytes=5000-6000", "bytes=-0", "bytes=500-0", "bytes=9-1,6000-"])
async def test_a_part_that_is_not_there_is_refused(served: Served, header: str) -> None:
    for _ in range(2):
        answer = await served.client.get(path_of(SMALL), headers={"Range": header})
        assert error_of(answer) == (416, "RANGE_INVALID")
        assert answer.headers["Content-Range"] == "bytes */5000"
        await settled(served)
    assert (await served.client.get(path_of(SMALL))).content == SMALL


async def test_no_part_of_nothing_is_there(served: Served) -> None:
    answer = await served.client.get(path_of(b""), headers={"Range": "bytes=0-"})
    assert error_of(answer) == (416, "RANGE_INVALID")
    assert answer.headers["Content-Range"] == "bytes */0"


@pytest.mark.parametrize("header", ["bytes", "bytes=", "bytes=x-1", "bytes=-", "items=0-5", "bytes=1-2-3", "bytes=--1"])
async def test_a_range_that_is_none_is_ignored(served: Served, header: str) -> None:
    answer = await served.client.get(path_of(SMALL), headers={"Range": header})
    assert (answer.status_code, answer.content) == (200, SMALL)


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
async def test_a_part_of_the_same_bytes_is_sent(served: Served, content: bytes) -> None:
    headers = {"Range": "bytes=5-9", "If-Range": f'"{Digest.of(content)}"'}
    for _ in range(2):
        answer = await served.client.get(path_of(content), headers=headers)
        assert (answer.status_code, answer.content) == (206, content[5:10])
        await settled(served)


@pytest.mark.parametrize("known", ['W/"{}"', '"sha256:00"', "Tue, 24 Nov 2026 02:05:12 GMT"])
@pytest.mark.parametrize("asked", ["bytes=5-9", "bytes=99999999-", "bytes=0-1,5-9"])
async def test_who_has_a_part_of_something_else_gets_the_whole(served: Served, known: str, asked: str) -> None:
    headers = {"Range": asked, "If-Range": known.format(Digest.of(SMALL))}
    answer = await served.client.get(path_of(SMALL), headers=headers)
    assert (answer.status_code, answer.content) == (200, SMALL)


def read_parts(answer: httpx.Response) -> list[tuple[str, bytes]]:
    """Read a `multipart/byteranges` body back: each part's Content-Range, and its bytes."""
    found = re.fullmatch(r"multipart/byteranges; boundary=([0-9a-f]{32})", answer.headers["Content-Type"])
    assert found is not None
    mark = b"\r\n--" + found[1].encode()
    opening, *parts, closing = answer.content.split(mark)
    assert (opening, closing) == (b"", b"--\r\n")
    read = []
    for part in parts:
        head, _, body = part.partition(b"\r\n\r\n")
        fields = dict(line.split(": ") for line in head.decode().strip().split("\r\n"))
        assert fields["Content-Type"] == "application/octet-stream"
        read.append((fields["Content-Range"], body))
    return read


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
async def test_several_parts_are_sent_one_after_the_other(served: Served, content: bytes) -> None:
    """As podman asks for the chunks of a zstd:chunked layer; those that are not there are left out."""
    header = f"bytes=0-9, 1000-1999, -5, {len(content) * 2}-"
    for _ in range(2):
        answer = await served.client.get(path_of(content), headers={"Range": header})
        assert answer.status_code == 206
        assert answer.headers["Content-Length"] == str(len(answer.content))
        assert "Content-Range" not in answer.headers
        total = len(content)
        assert read_parts(answer) == [
            (f"bytes 0-9/{total}", content[:10]),
            (f"bytes 1000-1999/{total}", content[1000:2000]),
            (f"bytes {total - 5}-{total - 1}/{total}", content[-5:]),
        ]
        await settled(served)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("bytes=" + ",".join(f"{start}-{start}" for start in range(100)), id="a hundred"),
        pytest.param("bytes=0-4000,10-4999", id="more than the whole"),
    ],
)
async def test_too_many_parts_are_not_sent(served: Served, header: str) -> None:
    answer = await served.client.get(path_of(SMALL), headers={"Range": header})
    assert (answer.status_code, answer.content) == (200, SMALL)


@given(spans=st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 6000)), min_size=1, max_size=6))
async def test_any_parts_are_what_they_are_called(spans: list[tuple[int, int]]) -> None:
    upstream = FakeUpstream()
    upstream.put_blob(REPOSITORY, SMALL)
    header = "bytes=" + ",".join(f"{start}-{last}" for start, last in spans)
    expected = [SMALL[start : last + 1] for start, last in spans if SMALL[start : last + 1]]
    async with serve(upstream) as served:
        answer = await served.client.get(path_of(SMALL), headers={"Range": header})
    if not expected:
        assert answer.status_code == 416
    elif len(expected) > 1 and sum(len(part) for part in expected) > len(SMALL):
        assert (answer.status_code, answer.content) == (200, SMALL)  # they overlap: the whole is less
    elif len(expected) == 1:
        assert (answer.status_code, answer.content) == (206, expected[0])
    else:
        assert [body for _, body in read_parts(answer)] == expected


# On its way


async def test_parts_of_a_blob_that_is_on_its_way(served: Served) -> None:
    """As containerd fetches a layer: several open ranges at once, each closed early by the client."""
    manners = served.upstream.manners
    manners.pauses_at, manners.chunk_bytes = 2 * PIECE_BYTES, PIECE_BYTES
    served.bench.clock.tick(1)
    whole = asyncio.ensure_future(served.client.get(path_of(LARGE)))
    await served.upstream.wait_asked(Kind.GET_BLOB)
    parts = [
        asyncio.ensure_future(served.client.get(path_of(LARGE), headers={"Range": f"bytes={start}-{start + 99}"}))
        for start in (0, PIECE_BYTES, len(LARGE) - 100)
    ]
    manners.resume.set()
    for start, part in zip((0, PIECE_BYTES, len(LARGE) - 100), parts, strict=True):
        answer = await part
        assert (answer.status_code, answer.content) == (206, LARGE[start : start + 100])
    assert (await whole).content == LARGE
    assert served.upstream.count(Kind.GET_BLOB) == 1


@pytest.mark.parametrize("clients", [8])
async def test_a_herd_costs_one_download(served: Served, clients: int) -> None:
    gate = served.upstream.hold(Kind.GET_BLOB)
    herd = [asyncio.ensure_future(served.client.get(path_of(LARGE))) for _ in range(clients)]
    await served.upstream.wait_asked(Kind.GET_BLOB)
    gate.set()
    assert {(await one).content for one in herd} == {LARGE}
    assert served.upstream.count(Kind.GET_BLOB) == 1


# Cut short


@pytest.fixture
async def plain(upstream: FakeUpstream, disk: Kept) -> AsyncIterator[Served]:
    """A server that a raw connection can talk to."""
    async with serve(upstream, disk) as served:
        yield served
    assert served.events.faults == []


@pytest.mark.parametrize("header", [{}, {"Range": "bytes=100-"}, {"Range": "bytes=100-4999,0-9"}])
async def test_a_body_that_fails_is_cut_visibly_short(
    plain: Served, header: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """The connection is closed before the length that was announced, and nothing else is written to it."""
    plain.upstream.manners.sends, plain.upstream.manners.pauses_at = SMALL[:-1] + b"!", 0
    async with plain.connect() as wire:
        await wire.send("GET", path_of(SMALL), **header)
        head = await wire.head()
        plain.upstream.manners.resume.set()
        body = await wire.rest()
    assert head.status == (206 if header else 200)
    assert len(body) < int(head.headers["Content-Length"])
    assert b"!" not in body[-1:]
    assert b"HTTP/1.1" not in body
    assert b"errors" not in body
    assert plain.bench.store.find_size(Digest.of(SMALL)) is None
    (told,) = plain.events.named("body.cut_short")
    assert "are not sha256" in str(told["reason"])
    assert plain.lines[0]["body"] == "cut short"
    assert caplog.records == []  # aiohttp has nothing to add
    plain.upstream.manners.sends = None
    assert (await plain.client.get(path_of(SMALL))).content == SMALL


async def test_what_arrived_before_the_failure_is_sent(plain: Served) -> None:
    manners = plain.upstream.manners
    manners.breaks_at, manners.pauses_at = [2 * PIECE_BYTES] * 20, PIECE_BYTES
    async with plain.connect() as wire:
        await wire.send("GET", path_of(LARGE))
        head = await wire.head()
        first = await wire.exactly(1)
        manners.resume.set()
        body = first + await wire.rest()
    assert head.status == 200
    assert body == LARGE[: 2 * PIECE_BYTES - 1]


async def test_a_failure_before_the_first_byte_is_an_error(plain: Served) -> None:
    plain.upstream.go_offline()
    assert error_of(await plain.client.get(path_of(SMALL))) == (503, "UNAVAILABLE")


# Left


async def leave_early(served: Served, *, read: int) -> None:
    async with served.connect() as wire:
        await wire.send("GET", path_of(HUGE))
        await wire.head()
        await wire.exactly(read)


@pytest.mark.parametrize("is_warm", [False, True], ids=["on its way", "stored"])
async def test_a_client_that_leaves_in_the_middle_is_no_fault(
    plain: Served, caplog: pytest.LogCaptureFixture, *, is_warm: bool
) -> None:
    if is_warm:
        await warm(plain, HUGE)
    for read in (0, 1, SMALL_BYTES):
        await leave_early(plain, read=read)
    assert (await plain.client.get(path_of(HUGE))).content == HUGE

    async def all_told() -> bool:
        return len(plain.lines) >= 4 + is_warm

    await wait_until(all_told, seconds=10, purpose="the end of all requests")
    assert plain.upstream.count(Kind.GET_BLOB) == 1
    assert plain.events.warnings == []
    assert caplog.records == []
    assert "left by the client" in {line.get("body") for line in plain.lines}


async def test_a_download_goes_on_without_its_client(plain: Served) -> None:
    plain.upstream.manners.pauses_at = PIECE_BYTES
    await leave_early(plain, read=0)
    plain.upstream.manners.resume.set()
    await settled(plain)
    assert plain.bench.store.find_size(Digest.of(HUGE)) == len(HUGE)


async def test_a_client_that_does_not_read_slows_nobody(plain: Served) -> None:
    """Its connection is full, and stays so; others get the blob meanwhile."""
    async with plain.connect() as wire:
        await wire.send("GET", path_of(HUGE))
        await wire.head()
        assert (await plain.client.get(path_of(HUGE))).content == HUGE
        assert await wire.exactly(len(HUGE)) == HUGE
