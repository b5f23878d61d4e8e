import pytest

from proxy.oci.errors import (
    ManifestUnknown,
    RangeNotSatisfiable,
    RegistryError,
    Unavailable,
    UpstreamRefused,
    UpstreamUnreachable,
)
from proxy.server.middleware import error_response
from tests.fakes.clock import ManualClock
from tests.fakes.upstream import FakeUpstream, Kind
from tests.server.serving import Served, serve
from tests.server.test_registry import CHILD, JESSIE, PI_2, error_of
from tests.service.bench import ARM_V7, address, jessie

SECRET = "c2VjcmV0LXRva2VuLXZhbHVl"


async def test_one_line_a_request(served: Served) -> None:
    answer = await served.client.get(JESSIE, headers={"User-Agent": PI_2})
    (line,) = served.lines
    assert line == {
        "method": "GET",
        "path": JESSIE,
        "status": 200,
        "client": "127.0.0.1",
        "id": line["id"],
        "kind": "tag",
        "reference": "docker.io/library/debian:jessie",
        "bytes": len(answer.content),
        "ms": 0.0,
        "platform": ARM_V7,
        "evidence": "user-agent",
        "source": f"arm32v7/debian:jessie@{jessie(ARM_V7).manifest.digest}",
        "cache": "miss",
        "digest": line["digest"],
    }


async def test_the_line_of_a_digest_and_of_a_blob(served: Served) -> None:
    await served.client.head(CHILD)
    await served.client.get(f"/v2/arm32v7/debian/blobs/{jessie(ARM_V7).config.digest}")
    await served.client.get("/v2/library/debian/tags/list")
    told = [(line["method"], line["status"], line.get("cache")) for line in served.lines]
    assert told == [("HEAD", 404, None), ("GET", 200, "miss"), ("GET", 200, "miss")]


async def test_the_line_of_a_tag_that_nobody_has_tells_who_asked(served: Served) -> None:
    await served.client.get("/v2/library/debian/manifests/nothing", headers={"User-Agent": PI_2})
    (line,) = served.lines
    assert (line["kind"], line["status"], line["platform"], line["evidence"]) == ("tag", 404, ARM_V7, "user-agent")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v2/", "ping"),
        (CHILD, "manifest"),
        ("/v2/library/debian/blobs/sha256:" + "0" * 64, "blob"),
        ("/v2/library/debian/tags/list", "tags"),
        ("/v2/library/debian/referrers/sha256:" + "0" * 64, "referrers"),
        ("/whoami", "whoami"),
        ("/nowhere/at/all", None),
        ("/nowhere", None),
    ],
)
async def test_what_was_asked_for_is_told(served: Served, path: str, kind: str | None) -> None:
    await served.client.get(path)
    assert served.lines[0].get("kind") == kind


async def test_the_bytes_of_a_body_are_told(served: Served) -> None:
    blob = f"/v2/arm32v7/debian/blobs/{address(jessie(ARM_V7).layers[0])}"
    size = len(jessie(ARM_V7).layers[0].content)
    for headers in ({}, {}, {"Range": "bytes=1-3"}, {"Range": "bytes=0-1,4-6"}):
        await served.client.get(blob, headers=headers)
    await served.client.head(blob)
    await served.client.get(JESSIE)
    index = await served.client.get(JESSIE, headers={"Connection": "close"})
    await served.client.head(JESSIE)
    missing = await served.client.get("/v2/library/debian/manifests/nothing")
    told = [line["bytes"] for line in served.lines]
    document = len(index.content)
    assert told == [size, size, 3, 5, 0, document, document, 0, len(missing.content)]


async def test_every_request_has_a_name_of_its_own(served: Served) -> None:
    for _ in range(3):
        await served.client.get("/v2/")
    assert len({line["id"] for line in served.lines}) == 3


async def test_a_name_that_a_request_brings_along_is_kept_if_it_is_one(served: Served) -> None:
    names = ["0af7651916cd43dd8448eb211c80319c", "a b", "x" * 65, "<script>", "a=b"]
    for name in names:
        await served.client.get("/v2/", headers={"X-Request-Id": name})
    told = [line["id"] for line in served.lines]
    assert told[0] == names[0]
    assert not set(told[1:]) & set(names)


async def test_who_is_told_of_an_error_is_told_its_name_too(served: Served) -> None:
    served.upstream.fail(UpstreamUnreachable("busy"))
    answer = await served.client.get(JESSIE, headers={"X-Request-Id": "mine"})
    assert answer.headers["X-Request-Id"] == "mine"
    assert [told["id"] for told in served.events.named("request.failed")] == ["mine"]


async def test_no_line_holds_a_secret(served: Served) -> None:
    headers = {"Authorization": f"Bearer {SECRET}", "Cookie": f"session={SECRET}", "X-Token": SECRET}
    await served.client.get(JESSIE, headers=headers, params={"token": SECRET})
    await served.client.get("/v2/x/manifests/!", headers=headers, params={"token": SECRET})
    assert SECRET not in repr(served.events.told)
    assert SECRET not in repr(served.bench.events.told)


async def test_a_line_cannot_be_forged(served: Served) -> None:
    """A path may decode to line breaks and terminal codes; in the log it is encoded again."""
    await served.client.get("/v2/x%0d%0a2026-01-01%20fake%1b[31m/manifests/1")
    (line,) = served.lines
    assert line["path"] == "/v2/x%0D%0A2026-01-01%20fake%1B%5B31m/manifests/1"


async def test_the_time_that_it_took_is_told(upstream: FakeUpstream) -> None:
    async with serve(upstream, clock=ManualClock(step=0.25)) as served:
        await served.client.get("/v2/")
        assert served.lines[0]["ms"] == 250.0


# Errors


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        pytest.param(UpstreamUnreachable("busy"), 503, "UNAVAILABLE", id="unreachable"),
        pytest.param(UpstreamRefused("private"), 404, "NAME_UNKNOWN", id="refused"),
        pytest.param(Unavailable("disk"), 503, "UNAVAILABLE", id="ours"),
        pytest.param(RegistryError("odd"), 500, "UNKNOWN", id="any"),
        pytest.param(
            RangeNotSatisfiable("no", headers={"Content-Range": "bytes */5"}), 416, "RANGE_INVALID", id="with headers"
        ),
    ],
)
def test_an_error_is_written_in_the_envelope(error: RegistryError, status: int, code: str) -> None:
    answer = error_response(error)
    assert (answer.status, answer.content_type) == (status, "application/json")
    assert answer.body == error.envelope()
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert error.headers.items() <= dict(answer.headers).items()
    assert code in str(answer.body)


async def test_what_was_not_found_is_no_trouble(served: Served) -> None:
    await served.client.get("/v2/library/debian/manifests/nothing")
    assert served.events.warnings == []


async def test_what_failed_is_told_with_its_reason(served: Served) -> None:
    served.upstream.fail(UpstreamUnreachable("it limits our requests (429)"))
    await served.client.get(JESSIE)
    (told,) = served.events.named("request.failed")
    assert (told["code"], told["path"]) == ("UNAVAILABLE", JESSIE)
    assert "429" in str(told["reason"])


async def test_a_fault_of_ours_is_told_to_the_log_not_to_the_client() -> None:
    class Broken(FakeUpstream):
        async def list_tags(self, *_: object, **__: object) -> object:  # type: ignore[override]  # broken on purpose
            raise ZeroDivisionError(SECRET)

    async with serve(Broken()) as served:
        answer = await served.client.get("/v2/library/debian/tags/list")
        assert error_of(answer) == (500, "UNKNOWN")
        assert SECRET not in answer.text
        (fault,) = served.events.faults
        assert fault.name == "request.crashed"
        assert SECRET in str(fault.fields["error"])
        assert (await served.client.get("/v2/")).status_code == 200


async def test_a_client_that_leaves_early_is_no_fault(served: Served) -> None:
    gate = served.upstream.hold(Kind.GET_BLOB)
    digest = address(jessie(ARM_V7).layers[0])
    async with served.connect() as wire:
        await wire.send("GET", f"/v2/arm32v7/debian/blobs/{digest}")
        await served.upstream.wait_asked(Kind.GET_BLOB)
    gate.set()
    answer = await served.client.get(f"/v2/arm32v7/debian/blobs/{digest}")
    assert answer.content == jessie(ARM_V7).layers[0].content
    assert served.upstream.count(Kind.GET_BLOB) == 1
    assert served.events.faults == []
    assert served.events.warnings == []


def test_a_failure_says_why_in_its_status_line() -> None:
    """Docker, podman and ctr show that line of a 5xx, and nothing of the body."""
    answer = error_response(UpstreamUnreachable("docker.io cannot be asked now: connection refused"))
    assert (answer.status, answer.reason) == (503, "docker.io cannot be asked now: connection refused")


def test_a_status_line_stays_one_line_of_ascii() -> None:
    answer = error_response(UpstreamUnreachable("gone\r\nSet-Cookie: evil=1 " + "\u00e9" * 500))
    assert answer.reason.startswith("gone  Set-Cookie: evil=1 ???")
    assert len(answer.reason) == 200


def test_what_the_client_got_wrong_keeps_the_words_of_http() -> None:
    assert error_response(ManifestUnknown("library/never has no manifest 1")).reason == "Not Found"
