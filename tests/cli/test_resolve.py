"""`polyarch resolve`, against the lab's stand-in for Docker Hub."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke
from tests.cli.registries import documents_of, serving
from tests.lab.conftest import RunCli, content, hub, hub_backend, run_cli
from tests.lab.content import Content
from tests.lab.hub import HubStandIn
from tests.lab.images import build_image
from tests.lab.proxies import as_docker_hub

__all__ = ["content", "hub", "hub_backend", "run_cli"]

PI_2 = "docker/28.5.1 go/go1.24 kernel/6.1.21-v7+ os/linux arch/arm UpstreamClient(Docker-Client/28.5.1)"
lab = pytest.mark.lab


@pytest.fixture
def options(hub: HubStandIn, tmp_path: Path) -> list[str]:
    (tmp_path / "config.toml").write_text(as_docker_hub(hub.url))
    return ["--config", str(tmp_path / "config.toml"), "--cache", str(tmp_path / "cache")]


@lab
async def test_it_names_the_image_and_the_reasons(run_cli: RunCli, content: Content, options: list[str]) -> None:
    finished = await run_cli("resolve", "debian:jessie", "--platform", "rpi", *options)
    finished.check()
    image = content.digest("arm32v6/debian:jessie")
    assert "docker.io/library/debian:jessie for linux/arm/v6 (evidence: asked for)" in finished.stdout
    assert f"image     arm32v6/debian:jessie@{image} for linux/arm/v6" in finished.stdout
    assert "candidate armhf/debian:jessie for linux/arm/v7: absent" in finished.stdout


@lab
async def test_json_has_the_same(run_cli: RunCli, content: Content, options: list[str]) -> None:
    finished = await run_cli("resolve", "debian:jessie", "--user-agent", PI_2, "--json", *options)
    found = json.loads(finished.check().stdout)
    assert (found["platform"], found["evidence"]) == ("linux/arm/v7", "user-agent")
    assert found["image"] == f"arm32v7/debian:jessie@{content.digest('arm32v7/debian:jessie')}"
    assert found["trail"]


@lab
async def test_a_digest_is_never_rewritten(run_cli: RunCli, content: Content, options: list[str]) -> None:
    digest = content.digest("library/debian:jessie")
    finished = await run_cli("resolve", f"debian@{digest}", "--platform", "arm7", *options)
    assert f"document  {digest}" in finished.check().stdout
    assert "a digest is never rewritten" in finished.stdout


@lab
async def test_what_is_not_there_fails(run_cli: RunCli, options: list[str]) -> None:
    finished = await run_cli("resolve", "debian:nonesuch", *options)
    assert finished.code == 1
    assert finished.stderr == "polyarch: library/debian:nonesuch is absent\n"


# The same without the lab, in front of a registry that is one in name only

AMD64, ARM_V7 = build_image("linux/amd64", label="jessie"), build_image("linux/arm/v7", label="jessie")


@pytest.fixture
def registry() -> Iterator[str]:
    with serving(documents_of({"library/debian:jessie": AMD64, "arm32v7/debian:jessie": ARM_V7})) as url:
        yield url


def test_the_image_and_the_reasons_are_told_line_by_line(invoke: Invoke, registry: str, tmp_path: Path) -> None:
    result = invoke("resolve", "debian:jessie", "--platform", "arm7", "--upstream", registry, "--cache", str(tmp_path))
    assert (result.exit_code, result.stderr) == (0, "")
    first, *lines = result.stdout.splitlines()
    assert first == "docker.io/library/debian:jessie for linux/arm/v7 (evidence: asked for)"
    assert f"  image     arm32v7/debian:jessie@{ARM_V7.manifest.digest} for linux/arm/v7" in lines
    assert "  warning   linux/arm/v7 is taken from arm32v7/debian:jessie" in lines
    assert lines.index("  because") < lines.index(
        f"    candidate arm32v7/debian:jessie for linux/arm/v7: {ARM_V7.manifest.digest}"
    )


def test_a_user_agent_is_read_as_a_server_reads_it(invoke: Invoke, registry: str, tmp_path: Path) -> None:
    options = ("--json", "--upstream", registry, "--cache", str(tmp_path))
    found = json.loads(invoke("resolve", "debian:jessie", "--user-agent", PI_2, *options).stdout)
    assert (found["platform"], found["evidence"], found["cache"]) == ("linux/arm/v7", "user-agent", "miss")
    assert found["image"] == f"arm32v7/debian:jessie@{ARM_V7.manifest.digest}"
    unknown = json.loads(invoke("resolve", "debian:jessie", *options).stdout)
    assert (unknown["platform"], unknown["image_platform"], unknown["cache"]) == (None, None, "hit")
    assert unknown["digest"] == found["digest"]


def test_no_platform_at_all_is_told_in_words(invoke: Invoke, registry: str, tmp_path: Path) -> None:
    result = invoke("resolve", "debian:jessie", "--upstream", registry, "--cache", str(tmp_path))
    assert result.stdout.startswith("docker.io/library/debian:jessie for an unknown platform (evidence: none)\n")


def test_what_was_asked_once_is_known_without_upstream(invoke: Invoke, tmp_path: Path) -> None:
    """The freshness of ten minutes is over at once here, so upstream is asked, in vain."""
    config = str(tmp_path / "config.toml")
    options = ("--platform", "arm7", "--cache", str(tmp_path), "--json", "--config", config)
    with serving(documents_of({"library/debian:jessie": AMD64, "arm32v7/debian:jessie": ARM_V7})) as url:
        (tmp_path / "config.toml").write_text(f'{as_docker_hub(url)}[cache]\ntag_ttl = "0s"\n')
        online = json.loads(invoke("resolve", "debian:jessie", *options).stdout)
    offline = invoke("resolve", "debian:jessie", *options)
    found = json.loads(offline.stdout)
    assert (found["digest"], found["cache"]) == (online["digest"], "stale")
    nothing = invoke("resolve", "debian:wheezy", *options)
    assert nothing.exit_code == 1
    assert "docker.io cannot be asked now" in nothing.stderr
    assert len(nothing.stderr.splitlines()) == 1


def test_what_is_not_there_is_a_failure(invoke: Invoke, registry: str, tmp_path: Path) -> None:
    result = invoke("resolve", "debian:nonesuch", "--upstream", registry, "--cache", str(tmp_path))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "polyarch: library/debian:nonesuch is absent\n"


def test_a_pinned_digest_is_told_as_it_is(invoke: Invoke, registry: str, tmp_path: Path) -> None:
    digest = AMD64.manifest.digest
    result = invoke("resolve", f"debian@{digest}", "--upstream", registry, "--cache", str(tmp_path))
    assert f"  document  {digest}\n" in result.stdout
    assert result.stdout.endswith("  because\n    a digest is never rewritten\n")


def test_a_cache_that_cannot_be_used_is_a_failure(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = invoke("resolve", "debian", "--cache", str(tmp_path / "file"))
    assert result.exit_code == 1
    assert result.stderr.startswith(f"polyarch: the cache folder {tmp_path}/file cannot be used")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("debian:jes sie",), "is no image reference"),
        (("debian", "--platform", "pi"), "unknown platform 'pi'; did you mean rpi"),
        (("debian", "--upstream", "nowhere"), "--upstream must be a URL"),
        (("quay.io/x/y",), "quay.io is none of this proxy's upstreams"),
    ],
)
def test_bad_input_is_one_line(invoke: Invoke, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    result = invoke("resolve", *arguments, "--cache", str(tmp_path))
    assert result.exit_code == (1 if "none of this proxy's" in said else 2)
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
