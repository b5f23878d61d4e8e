"""How docker is called; with an engine and with BuildKit in `tests/lab/test_build.py`."""

import json
from pathlib import Path

import pytest

from proxy.builders.docker import Docker
from proxy.builders.jobs import Job
from proxy.oci.errors import BuildFailed
from proxy.oci.platforms import Platform
from proxy.storage.saved_images import unpack_saved
from tests.builders.programs import install_builder


def list_folder(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def job(folder: Path, text: str) -> Job:
    (folder / "Dockerfile").write_text(text)
    return Job(folder / "Dockerfile", folder, Platform.parse("linux/arm/v6"), "app:1", folder / "id", allows_http=True)


@pytest.mark.parametrize(
    ("has_buildx", "words", "line"),
    [
        (False, ["build"], "Step 2/2 : RUN b"),
        (True, ["buildx", "build", "--load", "--provenance=false", "--progress=plain"], "#2 [2/2] RUN b"),
    ],
)
async def test_it_builds_by_buildkit_where_that_is(
    tmp_path: Path, *, has_buildx: bool, words: list[str], line: str
) -> None:
    calls, told = install_builder(tmp_path / "bin", "docker", has_buildx=has_buildx), list[str]()
    await Docker(str(tmp_path / "bin" / "docker"), unpack_saved).build(job(tmp_path, "FROM a\nRUN b\n"), told.append)
    assert told[-1] == line
    call = json.loads(calls.read_text().splitlines()[-1])
    options = [f"--file={tmp_path}/Dockerfile", "--platform=linux/arm/v6", "--tag=app:1", f"--iidfile={tmp_path}/id"]
    assert call == [*words, *options, str(tmp_path)]


async def test_what_it_saves_becomes_a_layout(tmp_path: Path) -> None:
    install_builder(tmp_path / "bin", "docker")
    await Docker(str(tmp_path / "bin" / "docker"), unpack_saved).export("app:1", tmp_path / "out")
    assert len(json.loads((tmp_path / "out" / "index.json").read_text())["manifests"]) == 1
    assert {path.name for path in list_folder(tmp_path)} == {"bin", "out"}


async def test_what_cannot_be_unpacked_is_said(tmp_path: Path) -> None:
    install_builder(tmp_path / "bin", "docker")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "blobs").write_text("in the way")
    with pytest.raises(BuildFailed, match="what docker saved of app:1 cannot be used"):
        await Docker(str(tmp_path / "bin" / "docker"), unpack_saved).export("app:1", tmp_path / "out")
