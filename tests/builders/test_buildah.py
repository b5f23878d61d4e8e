"""How buildah and podman are called; with the programs themselves in `tests/lab/test_build.py`."""

import json
from pathlib import Path

import pytest

from proxy.builders.buildah import Buildah
from proxy.builders.jobs import Job
from proxy.oci.errors import BuildFailed, InvalidSetting
from proxy.oci.platforms import Platform
from proxy.storage.layout_source import LayoutSource
from proxy.storage.saved_images import adopt_directory
from tests.builders.programs import install_builder

RPI = Platform.parse("linux/arm/v6")


def job(folder: Path, text: str, *, allows_http: bool = False) -> Job:
    (folder / "Dockerfile").write_text(text)
    return Job(folder / "Dockerfile", folder, RPI, "app:1", folder / "id", allows_http=allows_http)


@pytest.mark.parametrize(("program", "word"), [("buildah", "bud"), ("podman", "build")])
async def test_each_is_told_what_to_build(tmp_path: Path, program: str, word: str) -> None:
    calls, told = install_builder(tmp_path / "bin", program), list[str]()
    builder = Buildah(str(tmp_path / "bin" / program), adopt_directory)
    await builder.build(job(tmp_path, "FROM a\nRUN b\n"), told.append)
    assert told == ["STEP 1/2: FROM a", "STEP 2/2: RUN b"]
    (call,) = [json.loads(line) for line in calls.read_text().splitlines()]
    options = [f"--file={tmp_path}/Dockerfile", "--platform=linux/arm/v6", "--tag=app:1", f"--iidfile={tmp_path}/id"]
    assert call == [word, "--format=docker", *options, str(tmp_path)]
    insecure = await builder.find_command(job(tmp_path, "", allows_http=True))
    assert insecure[1:] == (word, "--format=docker", *options, "--tls-verify=false", str(tmp_path))


async def test_a_build_that_fails_says_why(tmp_path: Path) -> None:
    install_builder(tmp_path / "bin")
    with pytest.raises(BuildFailed, match=r"^building at STEP: exit status 1$") as caught:
        await Buildah(str(tmp_path / "bin" / "buildah"), adopt_directory).build(
            job(tmp_path, "FROM a\nRUN false\nRUN c\n"), lambda _: None
        )
    assert caught.value.printed[1] == "STEP 2/3: RUN false"


@pytest.mark.parametrize(("program", "words"), [("buildah", ["push"]), ("podman", ["push", "--compress"])])
async def test_what_it_built_is_taken_out_as_a_layout(tmp_path: Path, program: str, words: list[str]) -> None:
    calls, out = install_builder(tmp_path / "bin", program), tmp_path / "out"
    await Buildah(str(tmp_path / "bin" / program), adopt_directory).export("app:1", out)
    assert json.loads(calls.read_text()) == [*words, "app:1", f"dir:{out}"]
    assert len(LayoutSource(out).list_manifests()) == 1


async def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    install_builder(tmp_path / "bin")

    def refuse(_folder: Path) -> None:
        raise InvalidSetting("no image")

    with pytest.raises(BuildFailed, match=r"^what buildah wrote of app:1 cannot be used: no image$"):
        await Buildah(str(tmp_path / "bin" / "buildah"), refuse).export("app:1", tmp_path / "out")
