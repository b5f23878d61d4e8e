"""What `polyarch build` is built upon, and what it says before it does anything."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.programs import install_builder
from tests.cli.conftest import Invoke
from tests.fakes.pushable import PushableServer, pushable_in_thread
from tests.fakes.registry import MemoryRegistry
from tests.lab.images import build_image

TEXT = "ARG TAG=jessie\nIFARCH rpi\n# why\nFROM debian:$TAG\nELSE\nFROM nowhere\nENDIFARCH\nRUN b\n"


@pytest.fixture
def server() -> Iterator[PushableServer]:
    """A proxy that has `debian:jessie` for a Pi."""
    registry = MemoryRegistry()
    registry.fill("linux-arm-v6/library/debian", build_image("linux/arm/v6"), tag="jessie")
    with pushable_in_thread(registry) as server:
        yield server


@pytest.fixture
def arguments(tmp_path: Path) -> tuple[str, ...]:
    """The command's last words: a context, and a builder in the path."""
    install_builder(tmp_path / "bin")
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text(TEXT)
    return ("build", "-t", "app:1", str(tmp_path / "context"))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}


def test_what_it_is_built_upon_comes_by_way_of_the_proxy_and_its_digest_is_told(
    invoke: Invoke, server: PushableServer, arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    result = invoke(*arguments, "--platform", "rpi", "--proxy", server.url, environment=environment)
    assert result.exit_code == 0, result.stderr
    name = f"{server.url.removeprefix('http://')}/linux-arm-v6/library/debian:jessie"
    assert f"STEP 2/3: FROM {name}" in result.stderr
    digest = server.registry.tags()["linux-arm-v6/library/debian:jessie"]
    assert f"[armv6] line 4: debian:$TAG is {digest}" in result.stderr


def test_what_the_proxy_has_not_is_said_before_anything_is_built(
    invoke: Invoke, server: PushableServer, arguments: tuple[str, ...], environment: dict[str, str], tmp_path: Path
) -> None:
    result = invoke(*arguments, "--platform", "amd64", "--proxy", server.url, environment=environment)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{tmp_path}/context/Dockerfile:6: the proxy has no nowhere for linux/amd64" in result.stderr
    assert "  FROM nowhere\n" in result.stderr
    assert not (tmp_path / "bin" / "calls").exists()


def test_a_proxy_that_only_the_builder_can_reach_is_no_failure(
    invoke: Invoke, arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    result = invoke(*arguments, "--platform", "rpi", "--proxy", "https://127.0.0.1:1", environment=environment)
    assert result.exit_code == 0, result.stderr
    assert "[armv6] line 4: debian:$TAG is not known: 127.0.0.1:1 cannot be asked" in result.stderr
    assert "STEP 2/3: FROM 127.0.0.1:1/linux-arm-v6/library/debian:jessie" in result.stderr


def test_a_dry_run_tells_all_and_does_nothing(
    invoke: Invoke, arguments: tuple[str, ...], environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "context" / "Dockerfile").write_text(f"{TEXT}IFARCH rpi\nTAGARCH arm7\nENDIFARCH\n")
    proxy = ("--proxy", "http://polyarch.lan:5000")
    words = ("--push", "--layout", "namespaces", "--platform", "x86-64,rpi", *proxy, "--dry-run")
    result = invoke(*arguments, *words, environment=environment)
    buildah, context = "buildah bud --format=docker", f"--tls-verify=false {tmp_path}/context"
    assert result.stdout.splitlines() == [
        "linux/amd64: app:1-amd64",
        "  line 6: nowhere as polyarch.lan:5000/linux-amd64/library/nowhere:latest",
        f"  {buildah} --file=Dockerfile.amd64 --platform=linux/amd64 --tag=app:1-amd64 --iidfile=amd64.id {context}",
        "  to be published by digest in docker.io/library/app:1, x86-64/app:1",
        "linux/arm/v6, serves linux/arm/v7, too: app:1-armv6",
        "  line 4: debian:$TAG as polyarch.lan:5000/linux-arm-v6/library/debian:jessie",
        f"  {buildah} --file=Dockerfile.armv6 --platform=linux/arm/v6 --tag=app:1-armv6 --iidfile=armv6.id {context}",
        "  to be published by digest in docker.io/library/app:1, arm6/app:1, arm7/app:1, rpi/app:1",
    ]
    assert not (tmp_path / "bin" / "calls").exists()


def test_a_builder_that_cannot_read_its_file_names_the_one_that_was_written(
    invoke: Invoke, arguments: tuple[str, ...], environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "context" / "Dockerfile").write_text("FROM a\nRUN unreadable\n")
    result = invoke(*arguments, "--platform", "rpi", environment=environment)
    assert result.exit_code == 1
    assert "the build for linux/arm/v6 failed: Dockerfile: unreadable" in result.stderr
