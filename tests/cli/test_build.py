"""`polyarch build`, with a program in the place of buildah, and a registry in memory."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result

from tests.build.dockerfiles import FORUM
from tests.builders.programs import install_builder
from tests.cli.conftest import Invoke
from tests.fakes.pushable import PushableServer, pushable_in_thread
from tests.fakes.registry import MemoryRegistry


@pytest.fixture
def server() -> Iterator[PushableServer]:
    with pushable_in_thread(MemoryRegistry()) as server:
        yield server


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text(FORUM)
    return tmp_path / "context"


class Build:
    """Calls the command with the program in its path."""

    def __init__(self, invoke: Invoke, folder: Path) -> None:
        self._invoke, self._folder = invoke, folder
        self._calls = install_builder(folder / "bin")

    def __call__(self, *arguments: str) -> Result:
        environment = {"PATH": str(self._folder / "bin"), "HOME": str(self._folder)}
        return self._invoke("build", *arguments, str(self._folder / "context"), environment=environment)

    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in self._calls.read_text().splitlines()] if self._calls.exists() else []


@pytest.fixture
def build(invoke: Invoke, tmp_path: Path, context: Path) -> Build:
    return Build(invoke, tmp_path)


def test_each_build_is_made_once_and_stays_in_the_store(build: Build) -> None:
    result = build("-t", "app")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        "built app:latest-amd64 for linux/amd64",
        "built app:latest-armv6 for linux/arm/v6, linux/arm/v7, linux/arm64, linux/arm64/v8.1",
    ]
    made = [[word for word in call if word.startswith(("--platform", "--tag"))] for call in build.calls()]
    assert made == [
        ["--platform=linux/amd64", "--tag=app:latest-amd64"],
        ["--platform=linux/arm/v6", "--tag=app:latest-armv6"],
    ]
    assert "[armv6] STEP 1/" in result.stderr


def test_what_is_published_is_what_was_built_whatever_its_name_leads_to_by_then(
    build: Build, server: PushableServer
) -> None:
    """Somebody else may build the same name at the same time."""
    assert build("-t", f"{server.url.removeprefix('http://')}/app:1", "--push").exit_code == 0
    pushed = [call[1] for call in build.calls() if call[0] == "push"]
    assert len(set(pushed)) == 2
    assert all(re.fullmatch("[0-9a-f]{64}", image) for image in pushed)


def test_what_is_ignored_is_told_beside_the_dockerfile(build: Build, context: Path) -> None:
    (context / "Dockerfile.dockerignore").write_text("secrets")
    assert "[armv6] ignores secrets" in build("-t", "app").stderr


def test_builds_for_one_processor_under_two_systems_are_apart(build: Build, context: Path) -> None:
    (context / "Dockerfile").write_text("IFARCH windows\nFROM a\nENDIFARCH\nIFARCH x86-64\nFROM b\nENDIFARCH\n")
    assert build("-t", "app").stdout.splitlines() == [
        "built app:latest-windows-amd64 for windows/amd64",
        "built app:latest-amd64 for linux/amd64",
    ]


def test_a_name_that_cannot_be_one_is_refused_before_anything_is_built(build: Build) -> None:
    assert build("-t", "App:1").exit_code == 2
    assert build.calls() == []


def test_one_index_is_published_in_which_tagged_architectures_share_a_build(
    build: Build, server: PushableServer, invoke: Invoke
) -> None:
    name = f"{server.url.removeprefix('http://')}/team/app:1"
    result = build("-t", name, "--push", "--layout", "namespaces")
    assert result.exit_code == 0, result.stderr
    tags = server.registry.tags()
    assert tags.keys() == {
        "team/app:1",
        "x86-64/team/app:1",
        *(f"{word}/team/app:1" for word in ("arm6", "arm7", "arm8", "arm8.1", "rpi")),
    }
    assert len({tags[f"{word}/team/app:1"] for word in ("arm6", "arm7", "arm8", "arm8.1", "rpi")}) == 1
    fields = json.loads(invoke("index", "show", "--json", name).stdout)
    shared = {one["platform"]: one["digest"] for one in fields["entries"]}
    assert shared["linux/arm/v6"] == shared["linux/arm64/v8.1"] == str(tags["rpi/team/app:1"])
    assert result.stdout.splitlines()[-1] == f"published {name} as {tags['team/app:1']}"


def test_a_failed_build_names_its_line_and_publishes_nothing(
    build: Build, server: PushableServer, context: Path
) -> None:
    (context / "Dockerfile").write_text("FROM a\nIFARCH arm7\n# why\nRUN false\nELSE\nRUN b\nENDIFARCH\n")
    name = f"{server.url.removeprefix('http://')}/team/app:1"
    result = build("-t", name, "--platform", "amd64,arm7", "--push")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{context}/Dockerfile:4: the build for linux/arm/v7 failed: building at STEP" in result.stderr
    assert "  RUN false\n" in result.stderr
    assert server.registry.repositories == {}


def test_a_file_that_names_no_architecture_is_built_for_this_machine(build: Build, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM debian:jessie\n")
    result = build("-t", "app:1", "--dry-run")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 2)
    assert result.stdout.startswith("linux/")
    assert build.calls() == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("-t", "app", "--build-arg", "A"), "--build-arg should be NAME=VALUE"),
        (("-t", "app", "--proxy", "polyarch"), "write for example http://polyarch.lan:5000"),
        (("-t", "app", "-f", "nowhere"), "nowhere: No such file"),
        (("-t", f"app@sha256:{'a' * 64}", "--push"), "published under a tag"),
    ],
)
def test_a_wish_that_cannot_be_meant(build: Build, arguments: tuple[str, ...], reason: str) -> None:
    result = build(*arguments)
    assert result.exit_code == 2
    assert reason in result.stderr
    assert build.calls() == []


def test_docker_builds_too(build: Build, server: PushableServer, tmp_path: Path) -> None:
    install_builder(tmp_path / "bin", "docker", has_buildx=True)
    name = f"{server.url.removeprefix('http://')}/team/app:1"
    result = build("-t", name, "--builder", "docker", "--push")
    assert result.exit_code == 0, result.stderr
    assert "[armv6] #1 [1/7] FROM scratch" in result.stderr
    assert server.registry.tags().keys() == {"team/app:1"}


def test_whichever_builder_is_there_is_taken(invoke: Invoke, context: Path, tmp_path: Path) -> None:
    install_builder(tmp_path / "bin", "docker")
    result = invoke("build", "-t", "app", "--dry-run", str(context), environment={"PATH": str(tmp_path / "bin")})
    assert "\n  docker build --file=Dockerfile.armv6 --platform=linux/arm/v6 --tag=app:latest-armv6 " in result.stdout


def test_what_every_builder_would_refuse_is_said_before(build: Build, context: Path) -> None:
    (context / "Dockerfile").write_text(FORUM.replace(".xz /\n", ".xz\n"))
    result = build("-t", "app")
    assert (result.exit_code, build.calls()) == (2, [])
    assert "there is no destination" in result.stderr


def test_without_a_builder_it_says_what_to_install(invoke: Invoke, context: Path, tmp_path: Path) -> None:
    result = invoke("build", "-t", "app", str(context), environment={"PATH": str(tmp_path)})
    assert (result.exit_code, "install one of buildah, podman, docker" in result.stderr) == (2, True)
