"""`polyarch cache ls | du | pin | unpin`, on a folder that no server has open."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke
from tests.cli.folders import AMD64, ARM_V7, IMAGES, blob_file, fill
from tests.cli.registries import documents_of, serving
from tests.live import Pulled


@pytest.fixture
def registry() -> Iterator[str]:
    with serving(documents_of(IMAGES)) as url:
        yield url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def pulled(folder: Path, registry: str) -> Pulled:
    """What a Pi 2 pulled as `debian:jessie`."""
    return fill(folder, registry)


def listed(invoke: Invoke, folder: Path, *arguments: str) -> list[dict[str, object]]:
    result = invoke("cache", "ls", "--json", "--cache", str(folder), *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    found: list[dict[str, object]] = json.loads(result.stdout)
    return found


def test_it_lists_what_a_client_gets_and_what_of_it_is_there(invoke: Invoke, folder: Path, pulled: Pulled) -> None:
    result = invoke("cache", "ls", "--cache", str(folder))
    assert (result.exit_code, result.stderr) == (0, "")
    heading, *lines = result.stdout.splitlines()
    assert heading.split() == ["REFERENCE", "PLATFORMS", "SIZE", "USED", "CHECKED", "STATE", "PIN", "DIGEST"]
    spliced = next(line for line in lines if line.startswith("debian:jessie "))
    assert "linux/arm/v7 +1 " in spliced
    assert "fresh" in spliced
    assert spliced.endswith(pulled.digest.removeprefix("sha256:")[:12])
    assert [line.split()[0] for line in lines] == ["arm32v7/debian:jessie", "debian:jessie"]


def test_json_tells_everything(invoke: Invoke, folder: Path, pulled: Pulled) -> None:
    build, spliced = listed(invoke, folder)
    assert spliced["reference"] == "docker.io/library/debian:jessie"
    assert (spliced["digest"], spliced["answer"]) == (AMD64.manifest.digest, pulled.digest)
    assert (spliced["platforms"], spliced["missing_platforms"]) == (["linux/arm/v7"], ["linux/amd64"])
    assert (spliced["fresh"], spliced["pinned"]) == (True, False)
    assert isinstance(spliced["used_at"], str)
    assert spliced["used_at"].endswith("Z")
    parts = (ARM_V7.manifest, ARM_V7.config, *ARM_V7.layers)
    assert build["size"] == sum(len(part.content) for part in parts)
    assert (build["answer"], build["platforms"]) == (None, ["linux/arm/v7"])
    assert isinstance(spliced["size"], int)
    assert spliced["size"] > sum(len(part.content) for part in parts)


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("debian", 1),
        ("debian:jessie", 1),
        ("library/debian", 1),
        ("docker.io/*", 2),
        ("*/debian:jessie", 2),
        ("debian:wheezy", 0),
        ("ghcr.io/*", 0),
    ],
)
def test_a_pattern_narrows_it(invoke: Invoke, folder: Path, pulled: Pulled, pattern: str, count: int) -> None:
    assert len(listed(invoke, folder, pattern)) == count


@pytest.mark.parametrize(("sort", "first"), [("name", "arm32v7"), ("size", "library")])
def test_it_is_sorted_as_asked(invoke: Invoke, folder: Path, pulled: Pulled, sort: str, first: str) -> None:
    assert f"docker.io/{first}/debian:jessie" == listed(invoke, folder, "--sort", sort)[0]["reference"]


def test_what_was_used_last_comes_first(invoke: Invoke, folder: Path, registry: str, pulled: Pulled) -> None:
    fill(folder, registry, platform="linux/amd64")  # of which the arm32v7 build has no part
    assert [one["reference"] for one in listed(invoke, folder, "--sort", "used")] == [
        "docker.io/library/debian:jessie",
        "docker.io/arm32v7/debian:jessie",
    ]


def test_du_tells_where_the_bytes_are(invoke: Invoke, folder: Path, pulled: Pulled) -> None:
    (folder / "ingest" / f"{'0' * 64}.1.0").write_bytes(b"x" * 2048)
    stray = blob_file(folder, f"sha256:{'1' * 64}")
    stray.write_bytes(b"x" * 100)
    found = json.loads(invoke("cache", "du", "--json", "--cache", str(folder)).stdout)
    sizes = [path.stat().st_size for path in (folder / "blobs").rglob("*") if path.is_file()]
    assert (found["size"], found["blobs"]) == (sum(sizes), len(sizes))
    assert (found["partial_size"], found["quarantined_size"], found["unreferenced_size"]) == (2048, 0, 100)
    build, spliced = found["repositories"]
    assert (build["name"], build["tags"]) == ("docker.io/arm32v7/debian", 1)
    assert build["size"] == found["shared_size"]
    assert spliced["own_size"] == found["size"] - found["shared_size"] - 100
    text = invoke("cache", "du", "--cache", str(folder)).stdout
    assert "docker.io/library/debian" in text
    assert "partial       2.0 KiB" in text
    assert "without a tag 100 B" in text


def test_du_tells_how_full_the_cache_is_where_there_is_a_bound(invoke: Invoke, folder: Path, pulled: Pulled) -> None:
    options = ("--cache", str(folder))
    environment = {"POLYARCH_CACHE_MAX_BYTES": "1KiB"}
    found = json.loads(invoke("cache", "du", "--json", *options, environment=environment).stdout)
    assert found["max_size"] == 1024
    text = invoke("cache", "du", *options, environment=environment).stdout
    assert f"bound         1.0 KiB, {found['size'] / 1024:.0%} full\n" in text
    assert "bound" not in invoke("cache", "du", *options).stdout


def test_a_pin_is_shown_and_taken_back(invoke: Invoke, folder: Path, pulled: Pulled) -> None:
    options = ("--cache", str(folder))
    assert invoke("cache", "pin", "debian:jessie", *options).stdout == "pinned docker.io/library/debian:jessie\n"
    assert [one["pinned"] for one in listed(invoke, folder)] == [False, True]
    assert " pinned " in invoke("cache", "ls", "debian", *options).stdout
    assert invoke("cache", "unpin", "debian:jessie", *options).stdout == "unpinned docker.io/library/debian:jessie\n"
    assert [one["pinned"] for one in listed(invoke, folder)] == [False, False]


def test_a_digest_can_be_pinned(invoke: Invoke, folder: Path, pulled: Pulled) -> None:
    result = invoke("cache", "pin", f"debian@{pulled.digest}", "--cache", str(folder))
    assert result.stdout == f"pinned docker.io/library/debian@{pulled.digest}\n"
    assert [one["pinned"] for one in listed(invoke, folder, "debian")] == [True]


def test_a_pin_ahead_of_the_first_pull_says_so(invoke: Invoke, folder: Path, pulled: Pulled) -> None:
    result = invoke("cache", "pin", "alpine:3", "--cache", str(folder))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "pinned docker.io/library/alpine:3; it is not cached yet, and stays from its first pull on\n"
    )


def test_what_is_not_pinned_cannot_be_let_go_of(invoke: Invoke, folder: Path, pulled: Pulled) -> None:
    result = invoke("cache", "unpin", "debian:jessie", "--cache", str(folder))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "polyarch: docker.io/library/debian:jessie is not pinned; `polyarch cache ls` shows what is\n"
    )


@pytest.mark.parametrize("command", [("ls",), ("du",), ("pin", "debian"), ("unpin", "debian")], ids=lambda one: one[0])
def test_where_there_is_no_cache_none_is_made(invoke: Invoke, folder: Path, command: tuple[str, ...]) -> None:
    result = invoke("cache", *command, "--cache", str(folder))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"polyarch: there is no cache in {folder}: name the server's folder with --cache or --config\n"
    )
    assert not folder.exists()


@pytest.mark.parametrize("command", ["pin", "unpin"])
def test_a_reference_that_is_none_is_bad_input(invoke: Invoke, folder: Path, command: str) -> None:
    result = invoke("cache", command, "Debian:", "--cache", str(folder))
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1


def test_looking_takes_no_lock(invoke: Invoke, folder: Path, registry: str, pulled: Pulled) -> None:
    """A server can be started at any time: no command that only looks stands in its way."""
    (folder / "lock").unlink()
    listed(invoke, folder)
    assert not (folder / "lock").exists()


def lose_catalog(folder: Path) -> None:
    for path in folder.glob("catalog.sqlite*"):
        path.unlink()


def test_where_the_catalog_was_lost_the_first_command_finds_out_what_there_is(
    invoke: Invoke, folder: Path, pulled: Pulled
) -> None:
    before = [(one["reference"], one["digest"], one["platforms"]) for one in listed(invoke, folder)]
    lose_catalog(folder)
    found = [(one["reference"], one["digest"], one["platforms"]) for one in listed(invoke, folder)]
    assert found == before


@pytest.mark.parametrize("command", [("gc",), ("purge", "arm32v7/debian:jessie"), ("verify",)], ids=" ".join)
def test_a_lost_catalog_costs_no_tag(invoke: Invoke, folder: Path, pulled: Pulled, command: tuple[str, ...]) -> None:
    """The layout's index is all that is left of the tags then: no command writes it anew before they are restored."""
    lose_catalog(folder)
    assert invoke("cache", *command, "--cache", str(folder)).exit_code == 0
    assert "docker.io/library/debian:jessie" in (folder / "index.json").read_text()
    assert [one["reference"] for one in listed(invoke, folder, "debian")] == ["docker.io/library/debian:jessie"]
