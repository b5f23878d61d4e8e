"""`polyarch cache verify`, on a folder that no server has open."""

import json
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
    assert f"  {LAYER}: damaged, put aside; " in result.stdout


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
