"""`polyarch resolve`, against the lab's stand-in for Docker Hub."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke
from tests.lab.conftest import RunCli, content, hub, hub_backend, run_cli
from tests.lab.content import Content
from tests.lab.hub import HubStandIn
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
    assert result.exit_code in {1, 2}
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
