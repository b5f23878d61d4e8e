"""`polyarch cache verify | purge | gc`, on a folder that no server has open."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke
from tests.cli.folders import ARM_V7, IMAGES, blob_file, damage, fill
from tests.cli.registries import documents_of, serving
from tests.live import Pulled

LAYER = ARM_V7.layers[0].digest


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


def test_a_sound_cache_is_verified_in_one_line(invoke: Invoke, folder: Path, pulled: Pulled) -> None:
    result = invoke("cache", "verify", "--cache", str(folder))
    assert (result.exit_code, result.stderr) == (0, "")
    count = sum(path.is_file() for path in (folder / "blobs").rglob("*"))
    assert result.stdout.startswith(f"verified {count} blobs, ")
    assert "damaged" not in result.stdout


def test_damage_is_put_aside_and_named(invoke: Invoke, folder: Path, pulled: Pulled) -> None:
    damage(folder, LAYER)
    result = invoke("cache", "verify", "--cache", str(folder))
    assert result.exit_code == 1
    assert f"  {LAYER}: damaged, put aside\n" in result.stdout
    assert "    of arm32v7/debian:jessie\n    of debian:jessie\n" in result.stdout
    assert result.stdout.endswith("clients get them anew from upstream; --repair does so now\n")
    assert not blob_file(folder, LAYER).exists()
    assert [path.name for path in (folder / "quarantine").iterdir()] == [LAYER.removeprefix("sha256:")]
    again = invoke("cache", "verify", "--cache", str(folder))
    assert again.exit_code == 0
    assert "  arm32v7/debian:jessie: 1 blob not at hand\n" in again.stdout


def test_json_tells_the_same(invoke: Invoke, folder: Path, pulled: Pulled) -> None:
    damage(folder, LAYER)
    result = invoke("cache", "verify", "--json", "debian:jessie", "--cache", str(folder))
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert found["damaged"] == [
        {
            "digest": LAYER,
            "size": len(ARM_V7.layers[0].content),
            "references": ["docker.io/arm32v7/debian:jessie", "docker.io/library/debian:jessie"],
            "repaired": False,
            "reason": None,
        }
    ]


@pytest.mark.parametrize("part", ["layer", "config", "image manifest", "synthesised index"])
def test_damage_is_repaired_from_upstream(
    invoke: Invoke, folder: Path, registry: str, pulled: Pulled, part: str
) -> None:
    digest = {
        "layer": LAYER,
        "config": ARM_V7.config.digest,
        "image manifest": ARM_V7.manifest.digest,
        "synthesised index": pulled.digest,
    }[part]
    before = blob_file(folder, digest).read_bytes()
    damage(folder, digest)
    result = invoke("cache", "verify", "--repair", "--cache", str(folder), "--upstream", registry)
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"  {digest}: repaired\n" in result.stdout
    assert blob_file(folder, digest).read_bytes() == before
    assert invoke("cache", "verify", "--cache", str(folder)).exit_code == 0


def test_what_upstream_does_not_have_any_more_stays_damaged(invoke: Invoke, folder: Path, pulled: Pulled) -> None:
    damage(folder, LAYER)
    with serving({}) as url:
        result = invoke("cache", "verify", "--repair", "--cache", str(folder), "--upstream", url)
    assert result.exit_code == 1
    assert f"  {LAYER}: damaged; " in result.stdout


def test_only_what_a_reference_needs_is_verified(invoke: Invoke, folder: Path, pulled: Pulled) -> None:
    damage(folder, pulled.digest)
    result = invoke("cache", "verify", "arm32v7/debian:jessie", "--cache", str(folder))
    assert result.exit_code == 0
    assert result.stdout.startswith("verified 3 blobs, ")
    result = invoke("cache", "verify", f"debian@{ARM_V7.manifest.digest}", "--cache", str(folder))
    assert result.stdout.startswith("verified 3 blobs, ")


def test_what_is_not_cached_cannot_be_verified(invoke: Invoke, folder: Path, pulled: Pulled) -> None:
    result = invoke("cache", "verify", "alpine", "--cache", str(folder))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "polyarch: docker.io/library/alpine:latest is not cached; `polyarch cache ls` shows what is\n"
    )


# purge


def blobs_in(folder: Path) -> set[str]:
    return {path.name for path in (folder / "blobs").rglob("*") if path.is_file()}


def test_a_purged_tag_is_gone_with_what_only_it_needed(invoke: Invoke, folder: Path, pulled: Pulled) -> None:
    result = invoke("cache", "purge", "debian:jessie", "--cache", str(folder))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("purged docker.io/library/debian:jessie: 1 tag, ")
    assert pulled.digest.removeprefix("sha256:") not in blobs_in(folder)
    names = [one["reference"] for one in json.loads(invoke("cache", "ls", "--json", "--cache", str(folder)).stdout)]
    assert "docker.io/library/debian:jessie" not in names
    again = invoke("cache", "purge", "debian:jessie", "--cache", str(folder))
    assert (again.exit_code, again.stdout) == (1, "")
    assert again.stderr == (
        "polyarch: docker.io/library/debian:jessie is not cached; `polyarch cache ls` shows what is\n"
    )


def test_a_bare_name_is_its_latest_tag_and_all_tags_are_asked_for(invoke: Invoke, folder: Path, pulled: Pulled) -> None:
    assert invoke("cache", "purge", "debian", "--cache", str(folder)).exit_code == 1
    result = invoke("cache", "purge", "debian", "--all-tags", "--json", "--cache", str(folder))
    found = json.loads(result.stdout)
    assert (found["name"], found["tags"]) == ("docker.io/library/debian", 1)
    assert found["size"] > 0


def test_what_is_pinned_is_not_purged(invoke: Invoke, folder: Path, pulled: Pulled) -> None:
    before = blobs_in(folder)
    invoke("cache", "pin", "debian:jessie", "--cache", str(folder))
    result = invoke("cache", "purge", "debian:jessie", "--cache", str(folder))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "polyarch: docker.io/library/debian:jessie is pinned; `polyarch cache unpin` lets go of it first\n"
    )
    assert blobs_in(folder) == before


def test_the_layout_forgets_a_purged_tag_too(invoke: Invoke, folder: Path, pulled: Pulled) -> None:
    assert "library/debian:jessie" in (folder / "index.json").read_text()
    invoke("cache", "purge", "debian:jessie", "--cache", str(folder))
    assert "library/debian:jessie" not in (folder / "index.json").read_text()


# gc


def test_gc_removes_what_nobody_can_ask_for(invoke: Invoke, folder: Path, pulled: Pulled) -> None:
    stray = blob_file(folder, f"sha256:{'1' * 64}")
    stray.write_bytes(b"x" * 100)
    os.utime(stray, (0, 0))
    before = blobs_in(folder)
    dry = invoke("cache", "gc", "--dry-run", "--cache", str(folder))
    assert dry.stdout == "would remove 1 blob, 0 partial downloads, 0 quarantined blobs; 100 B\n"
    assert blobs_in(folder) == before
    result = invoke("cache", "gc", "--cache", str(folder))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "removed 1 blob, 0 partial downloads, 0 quarantined blobs; 100 B\n"
    assert blobs_in(folder) == before - {"1" * 64}
    again = json.loads(invoke("cache", "gc", "--json", "--cache", str(folder)).stdout)
    assert (again["dry_run"], again["blobs"], again["size"]) == (False, 0, 0)
    assert invoke("cache", "verify", "--cache", str(folder)).exit_code == 0


@pytest.mark.parametrize("command", [("verify",), ("verify", "--repair"), ("purge", "debian"), ("gc",)], ids=" ".join)
def test_where_there_is_no_cache_none_is_made(invoke: Invoke, folder: Path, command: tuple[str, ...]) -> None:
    result = invoke("cache", *command, "--cache", str(folder))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"polyarch: there is no cache in {folder}: ")
    assert not folder.exists()
