"""`polyarch warm`. The interrupted and the offline day are in `tests/lab/test_warm.py`."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.config.schema import Settings
from proxy.config.upstreams import UpstreamSettings
from tests.cli.conftest import Invoke
from tests.cli.folders import AMD64, ARM_V7, IMAGES
from tests.cli.jobs import job_of, order_of, part_of
from tests.cli.registries import documents_of, serving
from tests.cli.warm_server import standing_apart
from tests.lab.images import Image, build_image, build_index
from tests.live import pull, run_proxy

APP = build_image("linux/arm64", label="app")
MORE = {**IMAGES, "library/app:1": APP}


@pytest.fixture
def url() -> Iterator[str]:
    with serving(documents_of(MORE)) as url:
        yield url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def warm_json(invoke: Invoke, folder: Path, url: str, *arguments: str, code: int = 0) -> dict[str, Any]:
    result = invoke("warm", "--json", "--cache", str(folder), "--upstream", url, *arguments)
    assert result.exit_code == code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def size_of(image: Image) -> int:
    return sum(len(blob.content) for blob in (image.config, *image.layers))


def test_what_is_warmed_is_pulled_without_upstream(invoke: Invoke, folder: Path, url: str) -> None:
    found = warm_json(invoke, folder, url, "debian:jessie", "--platform", "amd64,armhf")
    (image,) = found["images"]
    assert image["platforms"] == {
        "linux/amd64": AMD64.manifest.digest,
        "linux/arm/v7": ARM_V7.manifest.digest,
    }
    assert (image["state"], image["size"]) == ("done", size_of(AMD64) + size_of(ARM_V7))
    assert found["spent"]["bytes"] <= image["size"]

    async def pull_offline() -> None:
        dead = Settings(upstream=(UpstreamSettings(url="http://127.0.0.1:9", public="true"),))
        async with run_proxy(dead, folder) as live:
            for platform in ("linux/amd64", "linux/arm/v7"):
                await pull(live.client, "library/debian:jessie", platform)

    asyncio.run(pull_offline())


def test_a_dry_run_tells_what_the_run_then_takes(invoke: Invoke, folder: Path, url: str) -> None:
    images = ("debian:jessie", "app:1", "--platform", "amd64,arm/v7,arm64")
    dry = warm_json(invoke, folder, url, "--dry-run", *images, code=1)  # amd64 and arm/v7 have no app
    ran = warm_json(invoke, folder, url, *images, code=1)
    assert (ran["spent"]["requests"], ran["spent"]["bytes"]) == (dry["cost"]["requests"], dry["cost"]["bytes"])
    assert ran["spent"]["bytes"] > 0
    assert warm_json(invoke, folder, url, *images, code=1)["spent"] == {
        "requests": 0,
        "pulls": 0,
        "tokens": 0,
        "bytes": 0,
    }


def test_lists_are_read_and_joined(invoke: Invoke, folder: Path, url: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TAG=1\n")
    compose = tmp_path / "compose.yaml"
    compose.write_text(
        "services: {a: {image: 'app:$TAG', platform: arm64}, b: {image: debian:jessie, platform: amd64}}"
    )
    found = warm_json(invoke, folder, url, "debian:jessie", "--platform", "arm/v7", "--from", str(compose))
    assert {one["reference"]: sorted(one["platforms"]) for one in found["images"]} == {
        "docker.io/library/debian:jessie": ["linux/amd64", "linux/arm/v7"],
        "docker.io/library/app:1": ["linux/arm64"],
    }


def test_one_that_fails_stops_no_other_and_is_told(invoke: Invoke, folder: Path, url: str) -> None:
    result = invoke("warm", "nowhere:1", "debian:jessie", "--cache", str(folder), "--upstream", url)
    assert result.exit_code == 1
    rows = result.stdout.splitlines()
    assert rows[1].startswith("nowhere:1")
    assert "absent" in rows[1]
    assert rows[2].split()[0] == "debian:jessie"
    assert "done; nothing for linux/arm/v6" in rows[2]
    assert "2 images, 1 not done, 1 without a platform:" in rows[-1]
    assert "debian:jessie: done in " in result.stderr


def test_platforms_that_were_named_have_to_be_there(invoke: Invoke, folder: Path, url: str) -> None:
    assert warm_json(invoke, folder, url, "app:1")["images"][0]["missing_platforms"]
    found = warm_json(invoke, folder, url, "app:1", "--platform", "arm64,amd64", code=1)
    assert found["images"][0]["missing_platforms"] == ["linux/amd64"]


def test_pins_are_set(invoke: Invoke, folder: Path, url: str) -> None:
    warm_json(invoke, folder, url, "app:1", "--pin")
    listed = json.loads(invoke("cache", "ls", "--json", "--cache", str(folder)).stdout)
    assert [one["reference"] for one in listed if one["pinned"]] == ["docker.io/library/app:1"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "name an image, or a list of them by --from"),
        (("debian", "--platform", ","), "--platform names no platform"),
        (("debian", "--platform", "arm66"), "arm66"),
        (("Not A Name",), "Not A Name"),
        (("debian", "--server", "polyarch.lan"), "--server works on its own cache: leave out --local, --cache"),
    ],
)
def test_bad_input_is_one_line(invoke: Invoke, folder: Path, arguments: tuple[str, ...], reason: str) -> None:
    result = invoke("warm", "--cache", str(folder), *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not folder.exists()


def test_a_name_in_a_list_that_is_none_is_told_with_its_place(invoke: Invoke, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("# mine\ndebian:jessie\nBad\n")
    (tmp_path / "compose.yaml").write_text("services:\n  web:\n    image: Bad\n")
    for name, place in (("list", "list:3"), ("compose.yaml", "compose.yaml: services.web")):
        result = invoke("warm", "--cache", str(folder), "--from", str(tmp_path / name))
        assert result.exit_code == 2
        assert f"{tmp_path}/{place}: 'Bad' is no image reference" in result.stderr


def test_a_list_that_is_no_text_is_told(invoke: Invoke, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"\xff\xfe")
    result = invoke("warm", "--cache", str(folder), "--from", str(tmp_path / "list"))
    assert result.exit_code == 2
    assert "is no text" in result.stderr


def test_an_index_is_warmed_for_the_platforms_that_are_asked_for(invoke: Invoke, folder: Path) -> None:
    index = build_index([AMD64, ARM_V7], attested=True)
    documents = documents_of({"library/multi:1": AMD64, "library/multi:2": ARM_V7})
    for target in ("1", index.manifest.digest):
        documents[f"/v2/library/multi/manifests/{target}"] = index.manifest
    with serving(documents) as url:
        found = warm_json(invoke, folder, url, "multi:1", "--platform", "arm/v7")
    assert found["images"][0]["size"] == size_of(ARM_V7)


def test_a_server_is_told_by_the_command_line(invoke: Invoke, tmp_path: Path) -> None:
    with standing_apart() as server:
        server.streams = [[job_of(order_of("done", {**part_of(b"layer", 100, 30), "written": 100}), state="done")]]
        (tmp_path / "token").write_text("sesame")
        arguments = ("--server", server.host, "--token-file", str(tmp_path / "token"), "--concurrency", "2", "--json")
        result = invoke("warm", "debian:jessie", "--platform", "arm7,arm6", *arguments)
    assert result.exit_code == 1, result.output  # arm6 was named, and has none
    (image,) = json.loads(result.stdout)["images"]
    assert (image["state"], image["to_fetch"], image["fetched"]) == ("done", 70, 70)
    assert server.asked[0][2]["images"] == [
        {"reference": "docker.io/library/debian:jessie", "platforms": ["arm7", "arm6"]}
    ]
    assert server.asked[0][2]["parallel"] == 2
    assert result.stderr.splitlines()[0] == f"warming by the server at {server.host}"


def test_a_server_that_is_not_there_is_one_line(invoke: Invoke) -> None:
    result = invoke("warm", "debian:jessie", "--platform", "arm7", "--server", "http://127.0.0.1:9")
    assert (result.exit_code, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1
