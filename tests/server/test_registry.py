"""Manifests and the front door, on the wire. Blobs are in `test_bodies`, lists in `test_registry_lists`."""

import itertools
import json
from typing import Any

import httpx
import pytest

from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import UpstreamMisbehaved, UpstreamUnreachable
from proxy.oci.platforms import Platform
from proxy.service.freshness import Freshness
from tests.fakes.upstream import FakeUpstream, Kind
from tests.lab.images import MANIFEST_TYPES, build_image, build_index
from tests.server.serving import OWN, Served, serve
from tests.service.bench import AMD64, ARM_V6, ARM_V7, FLEET, Kept, jessie

JESSIE = "/v2/library/debian/manifests/jessie"
CHILD = f"/v2/library/debian/manifests/{jessie(ARM_V7).manifest.digest}"
PI_ZERO = "docker/28.5.1 go/go1.24 git-commit/4d60db4 kernel/6.1.21+ os/linux arch/arm"
PI_2 = "docker/28.5.1 go/go1.24 git-commit/f8215cc kernel/6.1.21-v7+ os/linux arch/arm"
S390X = "docker/28.5.1 go/go1.24 git-commit/f8215cc kernel/6.1.0 os/linux arch/s390x"
METHODS = ("PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
DIGEST = f"sha256:{'0' * 64}"


def error_of(answer: httpx.Response) -> tuple[int, str]:
    """Read the envelope; answer the status, and the code of the one error in it."""
    assert answer.headers["Content-Type"].startswith("application/json")
    (error,) = answer.json()["errors"]
    assert error["message"]
    return answer.status_code, error["code"]


# The front door


@pytest.mark.parametrize("path", ["/v2/", "/v2", "/linux-arm-v6/v2/", "/arm6/v2/"])
async def test_it_says_that_it_is_a_registry(served: Served, path: str) -> None:
    """At once, and whatever upstream does."""
    served.upstream.go_offline()
    answer = await served.client.get(path)
    assert (answer.status_code, answer.json()) == (200, {})
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert (await served.client.head(path)).status_code == 200
    assert served.upstream.asked == []


async def test_a_target_may_be_a_whole_url(served: Served) -> None:
    """Whatever host it names, it is this server that answers."""
    for target in ("http://proxy/v2/", "http://evil.example:80/v2/library/debian/manifests/jessie?ns=docker.io"):
        async with served.connect() as wire:
            await wire.send("GET", target)
            assert (await wire.head()).status == 200
    for target in ("http://proxy", "proxy:443", "*", "http://[/v2/", "http://[v1.x]/v2/", "http://[::1%25]/", "a b"):
        async with served.connect() as wire:
            await wire.send("GET", target)
            assert (await wire.head()).status in {200, 400, 404}


@pytest.mark.parametrize("path", ["/", "//", "/v1/_ping", "/favicon.ico", "/metrics", "/metrics/v2/", "/v2/_catalog"])
async def test_other_paths_are_not_there(served: Served, path: str) -> None:
    assert error_of(await served.client.get(path)) == (404, "NAME_UNKNOWN")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "path",
    [
        "/v2/",
        JESSIE,
        CHILD,
        f"/v2/library/debian/blobs/{DIGEST}",
        "/v2/library/debian/tags/list",
        f"/v2/library/debian/referrers/{DIGEST}",
        "/v2/library/debian/blobs/uploads/",
        "/v2/library/debian/blobs/uploads/1234?digest=x",
        "/v2/library/UPPER/manifests/jessie",
        "/",
    ],
)
async def test_it_takes_no_pushes(served: Served, method: str, path: str) -> None:
    answer = await served.client.request(method, path)
    assert error_of(answer) == (405, "UNSUPPORTED")
    assert answer.headers["Allow"] == "GET, HEAD"
    assert served.upstream.asked == []


async def test_a_push_with_a_body_is_refused_too(served: Served) -> None:
    answer = await served.client.put(JESSIE, content=b"x" * 3_000)
    assert error_of(answer) == (405, "UNSUPPORTED")


# A tag


async def test_a_tag_is_answered_with_exact_headers(served: Served) -> None:
    answer = await served.client.get(JESSIE)
    digest = Digest.of(answer.content)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == media_types.DOCKER_LIST
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert answer.headers["Docker-Content-Digest"] == str(digest)
    assert answer.headers["ETag"] == f'"{digest}"'
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    for absent in ("Content-Encoding", "Transfer-Encoding", "Vary", "Set-Cookie", "OCI-Namespace"):
        assert absent not in answer.headers


@pytest.mark.parametrize("path", [JESSIE, CHILD])
async def test_head_is_get_without_the_body(served: Served, path: str) -> None:
    await served.client.get(JESSIE)
    head, get = await served.client.head(path), await served.client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("Content-Type", "Content-Length", "Docker-Content-Digest", "ETag"):
        assert head.headers[name] == get.headers[name]


async def test_head_of_a_tag_then_get_of_its_digest_agree(upstream: FakeUpstream) -> None:
    """Also after a restart while upstream is gone, and at another proxy with a cache of its own."""
    kept = Kept()
    async with serve(upstream, kept) as served, serve(upstream) as other:
        head = (await served.client.head(JESSIE)).headers
        digest = head["Docker-Content-Digest"]
        assert (await other.client.head(JESSIE)).headers["Docker-Content-Digest"] == digest
    upstream.go_offline()
    async with serve(upstream, kept) as served:
        answer = await served.client.get(f"/v2/library/debian/manifests/{digest}")
        assert str(Digest.of(answer.content)) == digest
        assert str(len(answer.content)) == head["Content-Length"]


async def test_the_order_of_accept_decides_nothing(served: Served) -> None:
    """An engine sends its lines in random order; others send one line."""
    expected = (await served.client.get(JESSIE)).headers["Docker-Content-Digest"]
    for types in itertools.permutations(MANIFEST_TYPES):
        for lines in ([("Accept", each) for each in types], [("Accept", ", ".join(types))]):
            answer = await served.client.get(JESSIE, headers=lines)
            assert answer.headers["Docker-Content-Digest"] == expected


@pytest.mark.parametrize("accept", ["*/*", "application/*", "", f"{media_types.DOCKER_LIST};q=0.1, text/html"])
async def test_who_takes_anything_gets_the_index(served: Served, accept: str) -> None:
    answer = await served.client.get(JESSIE, headers={"Accept": accept})
    assert answer.headers["Content-Type"] == media_types.DOCKER_LIST


@pytest.mark.parametrize("encoding", ["gzip", "zstd;q=1.0, gzip;q=0.8, deflate;q=0.5", "br"])
async def test_nothing_is_ever_compressed(served: Served, encoding: str) -> None:
    headers = {"Accept-Encoding": encoding}
    answer = await served.client.get(JESSIE, headers=headers)
    assert "Content-Encoding" not in answer.headers
    assert len(answer.content) == int(answer.headers["Content-Length"])


async def test_who_knows_the_digest_gets_no_body(served: Served) -> None:
    first = await served.client.get(JESSIE)
    for header in (first.headers["ETag"], f'"other", W/{first.headers["ETag"]}'):
        for method in ("GET", "HEAD"):
            answer = await served.client.request(method, JESSIE, headers={"If-None-Match": header})
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer.headers["ETag"] == first.headers["ETag"]
            assert answer.headers["Docker-Content-Digest"] == first.headers["Docker-Content-Digest"]
    for unknown in (f'"{DIGEST}"', f'"{first.headers["Docker-Content-Digest"]}-gzip"'):
        answer = await served.client.get(JESSIE, headers={"If-None-Match": unknown})
        assert (answer.status_code, answer.content) == (200, first.content)


async def test_who_knows_anything_needs_no_body_of_what_is_there(served: Served) -> None:
    assert (await served.client.get(JESSIE, headers={"If-None-Match": "*"})).status_code == 304
    missing = await served.client.get("/v2/library/debian/manifests/nothing", headers={"If-None-Match": "*"})
    assert error_of(missing) == (404, "MANIFEST_UNKNOWN")


async def test_a_complete_index_is_upstreams_own_to_the_byte(served: Served) -> None:
    index = build_index([build_image(str(platform), label="full") for platform in FLEET], attested=True)
    served.upstream.push("library/full:1", index)
    for name in ("full", "library/full"):
        answer = await served.client.get(f"/v2/{name}/manifests/1", headers={"User-Agent": PI_ZERO})
        assert answer.content == index.manifest.content
        assert answer.headers["Content-Type"] == media_types.OCI_INDEX


# By digest


async def test_a_digest_is_answered_whatever_the_client_accepts(served: Served) -> None:
    await served.client.get(JESSIE)
    for accept in ("*/*", "application/json", media_types.OCI_INDEX):
        answer = await served.client.get(CHILD, headers={"Accept": accept})
        assert answer.content == jessie(ARM_V7).manifest.content
        assert answer.headers["Content-Type"] == media_types.DOCKER_MANIFEST
    assert answer.headers["Polyarch-Cache"] == "hit"
    assert "Polyarch-Source" not in answer.headers


@pytest.mark.parametrize("media_type", [media_types.DOCKER_CONFIG, "application/vnd.oci.empty.v1+json"])
async def test_a_config_is_no_manifest(served: Served, media_type: str) -> None:
    """JSON it is, and the repository's own; but whoever asks for a manifest must not be given it for one."""
    config = b"{}"
    digest = served.upstream.put_blob("library/odd", config)
    entry = {"mediaType": media_type, "digest": str(digest), "size": len(config)}
    manifest = {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "config": entry, "layers": []}
    served.upstream.put_manifest("library/odd", json.dumps(manifest).encode(), media_types.OCI_MANIFEST, tag="1")
    assert (await served.client.get("/v2/library/odd/manifests/1")).status_code == 200
    path = f"/v2/library/odd/manifests/{digest}"
    assert error_of(await served.client.get(path)) == (404, "MANIFEST_UNKNOWN")
    assert (await served.client.get(path.replace("manifests", "blobs"))).content == config
    for method in ("GET", "HEAD"):
        assert (await served.client.request(method, path)).status_code == 404


# Who asks


async def answer_for(served: Served, path: str, **headers: str) -> httpx.Response:
    answer = await served.client.get(path, headers={key.replace("_", "-"): value for key, value in headers.items()})
    assert answer.status_code == 200
    return answer


@pytest.mark.parametrize(
    "path",
    [
        "/v2/arm6/debian/manifests/jessie",
        "/v2/arm6/library/debian/manifests/jessie",
        "/v2/linux-arm-v6/library/debian/manifests/jessie",
        "/linux-arm-v6/v2/library/debian/manifests/jessie",
        "/linux-arm-v6/library/debian/manifests/jessie",
        "/v2/rpi/debian/manifests/jessie",
    ],
)
async def test_a_platform_in_the_path_gets_its_image(served: Served, path: str) -> None:
    """All four shapes that clients make of a mirror's path, whatever the User-Agent says."""
    answer = await answer_for(served, path, User_Agent=PI_2)
    assert answer.content == jessie(ARM_V6).manifest.content
    assert answer.headers["Polyarch-Platform"] == "linux/arm/v6"
    assert answer.headers["Polyarch-Evidence"] == "path"
    digest = jessie(ARM_V6).manifest.digest
    assert answer.headers["Polyarch-Source"] == f"arm32v6/debian:jessie@{digest}"
    again = path.replace("jessie", digest)
    assert (await answer_for(served, again)).content == answer.content


async def test_a_path_that_begins_with_no_platform_is_not_there(served: Served) -> None:
    answer = await served.client.get("/mirror/v2/library/debian/manifests/jessie")
    assert error_of(answer) == (404, "NAME_UNKNOWN")


async def test_a_client_that_knows_no_index_gets_its_image(served: Served) -> None:
    answer = await answer_for(served, JESSIE, User_Agent=PI_ZERO, Accept=media_types.DOCKER_MANIFEST)
    assert answer.content == jessie(ARM_V6).manifest.content
    same = await answer_for(served, "/v2/arm6/debian/manifests/jessie")
    assert same.content == answer.content
    head = await served.client.head(
        JESSIE, headers={"User-Agent": PI_ZERO, "Accept": media_types.DOCKER_MANIFEST, "Connection": "close"}
    )
    assert head.headers["Docker-Content-Digest"] == answer.headers["Docker-Content-Digest"]


@pytest.mark.parametrize(
    ("agent", "platform", "evidence", "source", "warning"),
    [
        pytest.param(PI_ZERO, "linux/arm/v6", "user-agent", "arm32v6/debian:jessie", "linux/arm/v6 is taken", id="v6"),
        pytest.param(PI_2, "linux/arm/v7", "user-agent", "arm32v7/debian:jessie", "linux/arm/v7 is taken", id="v7"),
        pytest.param(
            S390X, "linux/s390x", "user-agent", "debian:jessie", "nothing here runs on linux/s390x", id="none"
        ),
        pytest.param("curl/8", None, "none", "debian:jessie", None, id="unknown"),
    ],
)
async def test_the_answer_tells_how_it_came_about(
    served: Served, agent: str, platform: str | None, evidence: str, source: str, warning: str | None
) -> None:
    answer = await answer_for(served, JESSIE, User_Agent=agent)
    assert answer.headers.get("Polyarch-Platform") == platform
    assert answer.headers["Polyarch-Evidence"] == evidence
    assert answer.headers["Polyarch-Source"].startswith(f"{source}@sha256:")
    assert answer.headers["Polyarch-Cache"] == "miss"
    if warning is None:
        assert "Warning" not in answer.headers
    else:
        assert answer.headers["Warning"].startswith(f'299 - "{warning}')


async def test_an_unknown_client_may_be_taken_for_something(upstream: FakeUpstream) -> None:
    async with serve(upstream, default_platform=Platform.parse("linux/arm/v7")) as served:
        answer = await answer_for(served, JESSIE, Accept=media_types.DOCKER_MANIFEST)
    assert answer.content == jessie(ARM_V7).manifest.content
    assert answer.headers["Polyarch-Evidence"] == "default"


async def test_the_cache_says_what_it_did(served: Served) -> None:
    states: list[Any] = [(await served.client.get(JESSIE)).headers["Polyarch-Cache"] for _ in range(2)]
    served.bench.clock.tick(Freshness().tag_seconds)
    states.append((await served.client.get(JESSIE)).headers["Polyarch-Cache"])
    served.bench.clock.tick(Freshness().tag_seconds)
    served.upstream.go_offline()
    stale = await served.client.get(JESSIE)
    assert [*states, stale.headers["Polyarch-Cache"]] == ["miss", "hit", "revalidated", "stale"]
    assert "upstream cannot be asked" in stale.headers["Warning"]


# Which upstream


@pytest.mark.parametrize("namespace", ["docker.io", "registry-1.docker.io", "index.docker.io", "DOCKER.IO"])
async def test_docker_hub_has_many_names(served: Served, namespace: str) -> None:
    answer = await served.client.get(JESSIE, params={"ns": namespace})
    assert answer.status_code == 200
    assert answer.headers["OCI-Namespace"] == namespace


async def test_an_empty_namespace_is_none(served: Served) -> None:
    answer = await served.client.get(f"{JESSIE}?ns=")
    assert answer.status_code == 200
    assert "OCI-Namespace" not in answer.headers


@pytest.mark.parametrize("namespace", ["ghcr.io", "169.254.169.254", "registry.lan", "docker.io:443", "x" * 5000, "\n"])
async def test_other_registries_are_never_asked(served: Served, namespace: str) -> None:
    answer = await served.client.get(JESSIE, params={"ns": namespace})
    assert error_of(answer) == (404, "NAME_UNKNOWN")
    assert served.upstream.asked == []


async def test_a_configured_registry_is_asked_under_its_name(served: Served) -> None:
    served.own.push("debian:jessie", build_image(AMD64, label="own"))
    answer = await served.client.get("/v2/debian/manifests/jessie", params={"ns": OWN})
    assert answer.headers["OCI-Namespace"] == OWN
    assert answer.content == build_image(AMD64, label="own").manifest.content
    assert served.upstream.asked == []
    assert served.own.count(Kind.GET_MANIFEST, "debian") == 1  # there, one component is a whole name


async def test_on_a_registry_of_ones_own_a_word_may_be_a_namespace(served: Served) -> None:
    served.own.push("arm6/app:1", build_image(ARM_V6, label="app"))
    served.own.push("app:1", build_image(AMD64, label="app"))
    spliced = await served.client.get("/v2/app/manifests/1", params={"ns": OWN})
    digests = {entry["digest"] for entry in json.loads(spliced.content)["manifests"]}
    assert digests == {build_image(platform, label="app").manifest.digest for platform in (AMD64, ARM_V6)}
    literal = await served.client.get("/v2/arm6/app/manifests/1", params={"ns": OWN})
    assert literal.content == build_image(ARM_V6, label="app").manifest.content


async def test_on_docker_hub_a_word_is_never_a_namespace(served: Served) -> None:
    """A stranger may own it."""
    served.upstream.push("arm6/debian:jessie", build_image(ARM_V6, label="a stranger's"))
    answer = await answer_for(served, "/v2/arm6/debian/manifests/jessie")
    assert answer.content == jessie(ARM_V6).manifest.content
    assert served.upstream.count(repository="arm6/debian") == 0


# What goes wrong


async def test_what_is_not_there_is_unknown(served: Served) -> None:
    for path in ("/v2/library/nothing/manifests/1", "/v2/library/debian/manifests/nothing"):
        assert error_of(await served.client.get(path)) == (404, "MANIFEST_UNKNOWN")
        head = await served.client.head(path)
        assert (head.status_code, head.content) == (404, b"")
    assert error_of(await served.client.get(f"/v2/library/debian/manifests/{DIGEST}")) == (404, "MANIFEST_UNKNOWN")
    served.upstream.denied.add("library/private")
    assert error_of(await served.client.get(f"/v2/library/private/manifests/{DIGEST}")) == (404, "NAME_UNKNOWN")


async def test_an_upstream_that_fails_is_told(served: Served) -> None:
    served.upstream.fail(UpstreamUnreachable("it limits our requests (429)"))
    assert error_of(await served.client.get(JESSIE)) == (503, "UNAVAILABLE")
    served.upstream.recover()
    served.upstream.fail(UpstreamMisbehaved("a hotel's sign-in page"))
    assert error_of(await served.client.get("/v2/library/other/manifests/1")) == (502, "UNAVAILABLE")
