"""How buildah is called, and what comes of it; with the program itself in `tests/lab/test_build.py`."""

import json
from pathlib import Path

import pytest

from proxy.builders.buildah import Buildah, Job
from proxy.oci.errors import BuildFailed
from proxy.oci.platforms import Platform
from tests.builders.programs import install_builder

RPI = Platform.parse("linux/arm/v6")


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    return install_builder(tmp_path / "bin")


def read_calls(calls: Path) -> list[list[str]]:
    return [json.loads(line) for line in calls.read_text().splitlines()]


def listed(layout: Path) -> int:
    return len(json.loads((layout / "index.json").read_text())["manifests"])


def job(folder: Path, text: str) -> Job:
    (folder / "Dockerfile").write_text(text)
    return Job(folder / "Dockerfile", folder, RPI, "app:1", {"A": "b"}, target="x", allows_http=True)


async def test_it_is_told_what_to_build(tmp_path: Path, calls: Path) -> None:
    told = list[str]()
    await Buildah(str(calls.parent / "buildah"), told.append).build(job(tmp_path, "FROM a\nRUN b\n"))
    assert told == ["STEP 1/2: FROM a", "STEP 2/2: RUN b"]
    (call,) = read_calls(calls)
    assert call == [
        "bud",
        f"--file={tmp_path}/Dockerfile",
        "--platform=linux/arm/v6",
        "--tag=app:1",
        "--build-arg=A=b",
        "--target=x",
        "--tls-verify=false",
        str(tmp_path),
    ]


async def test_a_build_that_fails_says_why(tmp_path: Path, calls: Path) -> None:
    with pytest.raises(BuildFailed, match=r"^building at STEP: exit status 1$") as caught:
        await Buildah(str(calls.parent / "buildah"), lambda _: None).build(job(tmp_path, "FROM a\nRUN false\nRUN c\n"))
    assert caught.value.printed[1] == "STEP 2/3: RUN false"


async def test_a_builder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="cannot be started: No such file"):
        await Buildah(str(tmp_path / "podman"), lambda _: None).export("app:1", tmp_path / "out")


async def test_what_it_built_is_taken_out_as_a_layout(tmp_path: Path, calls: Path) -> None:
    await Buildah(str(calls.parent / "buildah"), lambda _: None).export("app:1", tmp_path / "out")
    assert listed(tmp_path / "out") == 1
