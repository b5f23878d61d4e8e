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


def test_a_client_is_stood_in_for(invoke: Invoke, registry: str, tmp_path: Path) -> None:
    options = ("--as-client", "docker-20.10@pi-3", "--upstream", registry, "--cache", str(tmp_path))
    result = invoke("resolve", "debian:jessie", *options)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[:3] == [
        "docker.io/library/debian:jessie for linux/arm/v7 (evidence: user-agent)",
        "  client    docker-20.10@pi-3: Docker Engine 20.10, on a Raspberry Pi 2 or 3 with a 32-bit OS",
        "  considered",
    ]
    assert "    path         -" in lines
    assert any(line.startswith("    user-agent   linux/arm/v7  docker/20.10.24 go/") for line in lines)
    assert "  answer    the index (default)" in lines
    takes = lines.index(f"  takes     arm32v7/debian:jessie@{ARM_V7.manifest.digest} for linux/arm/v7")
    assert lines[takes + 1].strip() == "it looks for linux/arm/v7"


def test_a_client_that_is_told_a_platform_tells_nobody(invoke: Invoke, registry: str, tmp_path: Path) -> None:
    options = ("--json", "--upstream", registry, "--cache", str(tmp_path))
    found = json.loads(
        invoke("resolve", "debian:jessie", "--as-client", "docker@pi-3", "--platform", "amd64", *options).stdout
    )
    assert (found["platform"], found["pick"]["wanted"]) == ("linux/arm/v7", "linux/amd64")
    assert found["pick"]["digest"] == AMD64.manifest.digest
    assert found["client"]["name"] == "docker-29@pi-3"
    podman = json.loads(invoke("resolve", "debian:jessie", "--as-client", "podman@pi-3", *options).stdout)
    assert (podman["platform"], podman["evidence"]) == (None, "none")
    assert podman["pick"]["image"] == f"arm32v7/debian:jessie@{ARM_V7.manifest.digest}"
    assert podman["digest"] == found["digest"]


def test_a_whole_request_is_taken_as_it_is(invoke: Invoke, registry: str, tmp_path: Path) -> None:
    """The path says arm7, against all that comes after it; and the manifest is answered."""
    path = "/v2/arm7/library/debian/manifests/jessie?ns=docker.io"
    headers = ("--header", "User-Agent: docker/28.5.1 os/linux arch/amd64", "--header", "X-Platform: amd64")
    result = invoke("resolve", "--path", path, *headers, "--json", "--upstream", registry, "--cache", str(tmp_path))
    found = json.loads(result.stdout)
    assert (found["reference"], found["platform"]) == ("docker.io/library/debian:jessie", "linux/arm/v7")
    assert (found["evidence"], found["answer"], found["answer_evidence"]) == ("path", "manifest", "path")
    assert (found["digest"], found["pick"]) == (ARM_V7.manifest.digest, None)
    assert [row["platform"] for row in found["considered"]] == [
        "linux/arm/v7",
        "linux/amd64",
        None,
        None,
        "linux/amd64",
        None,
    ]


RULES = """
[server]
trusted_proxies = "127.0.0.1"
[[listener]]
host = "rpi.lan"
platform = "rpi"
[[listener]]
listen = "127.0.0.1:5007"
platform = "arm7"
answer = "manifest"
[[client]]
network = "192.168.7.0/24"
platform = "arm64"
"""


@pytest.mark.parametrize(
    ("options", "platform", "evidence", "listener"),
    [
        (("--listener", "rpi.lan"), "linux/arm/v6", "listener", "rpi.lan"),
        (("--listener", "RPI.lan:5000"), "linux/arm/v6", "listener", "rpi.lan"),
        (("--header", "Host: rpi.lan"), "linux/arm/v6", "listener", "rpi.lan"),
        (("--listener", "5007"), "linux/arm/v7", "listener", "127.0.0.1:5007"),
        (("--listener", "127.0.0.1:5007"), "linux/arm/v7", "listener", "127.0.0.1:5007"),
        (("--listener", ":5000"), None, "none", "main"),
        (("--from", "192.168.7.9"), "linux/arm64/v8", "client-rule", "main"),
        (
            ("--from", "127.0.0.1", "--header", "X-Forwarded-For: 192.168.7.9"),
            "linux/arm64/v8",
            "client-rule",
            "main",
        ),
        (("--from", "192.168.7.9", "--listener", "rpi.lan"), "linux/arm/v6", "listener", "rpi.lan"),
        (("--header", "X-Meta-Platform: arm7", "--listener", "rpi.lan"), "linux/arm/v7", "header", "rpi.lan"),
    ],
)
def test_a_request_comes_in_where_it_is_said_to(
    invoke: Invoke,
    registry: str,
    tmp_path: Path,
    options: tuple[str, ...],
    platform: str | None,
    evidence: str,
    listener: str,
) -> None:
    (tmp_path / "config.toml").write_text(RULES)
    where = ("--config", str(tmp_path / "config.toml"), "--upstream", registry, "--cache", str(tmp_path / "cache"))
    found = json.loads(invoke("resolve", "debian:jessie", *options, "--json", *where).stdout)
    assert (found["platform"], found["evidence"], found["listener"]) == (platform, evidence, listener)
    assert found["answer"] == ("manifest" if listener.endswith("5007") else "index")


def test_all_clients_are_listed(invoke: Invoke) -> None:
    result = invoke("resolve", "--as-client", "list")
    assert result.exit_code == 0
    assert "docker-18.05" in result.stdout
    assert "pi-4-32bit" in result.stdout


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
        ((), "name an image, or a request by --path, and not both"),
        (("debian", "--path", "/v2/library/debian/manifests/8"), "and not both"),
        (("--path", "library/debian"), "--path 'library/debian' must begin with a slash"),
        (("debian", "--header", "X-Platform"), "--header 'X-Platform' must be written 'Name: value'"),
        (("debian", "--header", "X-Platform: arm6\r\nHost: x"), "must be written 'Name: value'"),
        (("debian", "--from", "lan"), "--from 'lan' is no address"),
        (("debian", "--listener", "rpi.lan"), "--listener 'rpi.lan' is none of the listeners"),
        (("debian", "--as-client", "dokcer-28"), "unknown client 'dokcer-28'; did you mean docker-28"),
    ],
)
def test_bad_input_is_one_line(invoke: Invoke, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    result = invoke("resolve", *arguments, "--cache", str(tmp_path))
    assert result.exit_code == (1 if "none of this proxy's" in said else 2)
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_operator_s_own_words_are_understood(invoke: Invoke, registry: str, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'{as_docker_hub(registry)}\n[words]\nkitchen = "arm7"\n')
    options = ("--config", str(config), "--cache", str(tmp_path / "cache"))
    result = invoke("resolve", "debian:jessie", "--platform", "kitchen", *options)
    assert "docker.io/library/debian:jessie for linux/arm/v7 (evidence: asked for)" in result.stdout
    by_path = invoke("resolve", "--path", "/v2/kitchen/debian/manifests/jessie", "--json", *options)
    found = json.loads(by_path.stdout)
    assert (found["platform"], found["evidence"]) == ("linux/arm/v7", "path")
    unknown = invoke("resolve", "debian:jessie", "--platform", "kitchn", *options)
    assert (unknown.exit_code, unknown.stdout) == (2, "")
    assert unknown.stderr == "polyarch: unknown platform 'kitchn'; did you mean kitchen?\n"
