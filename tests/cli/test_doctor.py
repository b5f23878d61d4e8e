"""`polyarch doctor` against a real polyarch: what is told of it, of its upstream, of this machine and its files."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from proxy.config.schema import CacheSettings, Settings
from proxy.config.serving import ListenerSettings
from proxy.config.upstreams import UpstreamSettings
from proxy.oci.platforms import Platform
from tests.cli.conftest import Invoke
from tests.cli.folders import IMAGES, fill
from tests.cli.registries import documents_of, serving
from tests.cli.standing import own_tls, standing_in
from tests.lab.hub import HubStandIn
from tests.live import Live, run_proxy, settings_for
from tests.server.serving import CERTIFICATE

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, str]:
    """An environment without Docker, and with no cache of anybody's."""
    return {"PATH": str(tmp_path / "bin"), "POLYARCH_CACHE_DIRECTORY": str(tmp_path / "none")}


def settings_with(url: str) -> Settings:
    upstream = UpstreamSettings(url=url, public="true", timeout=5)
    return Settings(upstream=(upstream,), cache=replace(CacheSettings(), tag_ttl=600.0))


async def examine(invoke: Invoke, live: Live, environment: dict[str, str], *options: str) -> Result:
    """Run the command in a thread: the proxy is in this loop."""
    named = ("--proxy", f"http://127.0.0.1:{live.port}")
    call = (*named, "--root", str(live.cache), "--image", "debian:jessie", *options)
    return await asyncio.to_thread(invoke, "doctor", *call, environment=environment)


def by_subject(result: Result) -> dict[str, dict[str, Any]]:
    return {one["subject"]: one for one in json.loads(result.stdout)["findings"]}


async def test_a_set_up_that_works(invoke: Invoke, tmp_path: Path, elsewhere: dict[str, str]) -> None:
    with serving(documents_of(IMAGES)) as url:
        async with run_proxy(settings_with(url), tmp_path / "cache") as live:
            first = await examine(invoke, live, elsewhere)
            again = await examine(invoke, live, elsewhere, "--json")
    assert (first.exit_code, first.stderr) == (0, "")
    lines = first.stdout.splitlines()
    assert lines[0] == f"ok    proxy     http://127.0.0.1:{live.port} answers, and is polyarch"
    assert "ok    clock     the proxy's and this machine's agree" in lines
    assert "ok    upstream  library/debian:jessie is there (upstream was asked, and answered)" in lines
    found = by_subject(again)
    assert found["upstream"]["message"] == "library/debian:jessie is there (out of the cache)"
    assert found["machine"]["grade"] == "ok"
    assert "shown by uname" in found["machine"]["message"]
    assert found["clients"]["grade"] == "warn"  # which is no failure
    assert json.loads(again.stdout)["is_well"]


async def test_an_upstream_that_is_away_and_an_image_that_is_not_there(
    invoke: Invoke, tmp_path: Path, elsewhere: dict[str, str]
) -> None:
    async with run_proxy(settings_with(NOBODY), tmp_path / "cache") as live:
        away = await examine(invoke, live, elsewhere)
    assert away.exit_code == 1
    assert "fail  upstream  library/debian:jessie cannot be pulled: 503, " in away.stdout
    with serving({}) as url:
        async with run_proxy(settings_with(url), tmp_path / "other") as live:
            absent = await examine(invoke, live, elsewhere, "--json")
    assert absent.exit_code == 1
    assert by_subject(absent)["upstream"]["message"].startswith("library/debian:jessie cannot be pulled: 404, ")


async def test_what_upstream_had_once_is_told_apart(invoke: Invoke, tmp_path: Path, elsewhere: dict[str, str]) -> None:
    settings = replace(settings_with(NOBODY), cache=CacheSettings(tag_ttl=0.0))
    with serving(documents_of(IMAGES)) as url:
        await asyncio.to_thread(fill, tmp_path / "cache", url)
    async with run_proxy(settings, tmp_path / "cache") as live:
        found = by_subject(await examine(invoke, live, elsewhere, "--json"))["upstream"]
    assert (found["grade"], "upstream cannot be asked" in found["message"]) == ("warn", True)


async def test_a_machine_that_is_taken_for_another(invoke: Invoke, tmp_path: Path, elsewhere: dict[str, str]) -> None:
    listener = ListenerSettings(host="127.0.0.1", platform=Platform.parse("linux/s390x"))
    async with run_proxy(replace(settings_with(NOBODY), listener=(listener,)), tmp_path / "cache") as live:
        found = by_subject(await examine(invoke, live, elsewhere, "--json"))["machine"]
    assert found["grade"] == "fail"
    assert "it is taken for linux/s390x, but it is linux/" in found["message"]


async def test_the_engine_of_this_machine_is_asked_first(
    invoke: Invoke, tmp_path: Path, elsewhere: dict[str, str]
) -> None:
    server = {"Version": "28.5.1", "GoVersion": "go1.24", "KernelVersion": "6.1.21+", "Os": "linux", "Arch": "arm"}
    async with run_proxy(settings_with(NOBODY), tmp_path / "cache") as live:
        for said, shown in ((json.dumps(server), "linux/arm/v6"), ("Cannot connect", ""), ("null", "")):
            (tmp_path / "bin").mkdir(exist_ok=True)
            program = tmp_path / "bin" / "docker"
            program.write_text(f"#!/bin/sh\necho '{said}'\n")
            program.chmod(0o755)
            message = by_subject(await examine(invoke, live, elsewhere, "--json"))["machine"]["message"]
            assert f"shown by {'Docker 28.5.1' if shown else 'uname'}" in message
            assert shown in message


async def test_the_address_is_what_a_client_s_file_names(
    invoke: Invoke, tmp_path: Path, elsewhere: dict[str, str]
) -> None:
    root = ("--root", str(tmp_path / "root"))
    with serving(documents_of(IMAGES)) as url:
        async with run_proxy(settings_with(url), tmp_path / "cache") as live:
            proxy = f"http://127.0.0.1:{live.port}"
            for client in ("docker", "podman", "containerd"):
                invoke("client-config", client, "--proxy", proxy, "--into", root[1])
            file = tmp_path / "root/etc/containerd/certs.d/docker.io/hosts.toml"
            file.write_text(file.read_text().replace(', "resolve"', ""))
            call = ("doctor", *root, "--image", "debian:jessie", "--json")
            result = await asyncio.to_thread(invoke, *call, environment=elsewhere)
    found = by_subject(result)
    assert json.loads(result.stdout)["proxy"] == proxy
    assert found["address"]["message"] == f"{proxy}, as {tmp_path}/root/etc/docker/daemon.json names it"
    grades = [found[one]["grade"] for one in ("proxy", "docker", "podman", "containerd")]
    assert (grades, result.exit_code) == (["ok", "ok", "ok", "fail"], 1)


def test_files_are_reviewed_though_nobody_answers(invoke: Invoke, tmp_path: Path, elsewhere: dict[str, str]) -> None:
    (tmp_path / "etc/docker").mkdir(parents=True)
    (tmp_path / "etc/docker/daemon.json").write_text("{")
    (tmp_path / "etc/buildkit/buildkitd.toml").mkdir(parents=True)
    result = invoke("doctor", "--proxy", NOBODY, "--root", str(tmp_path), "--json", environment=elsewhere)
    found = by_subject(result)
    assert result.exit_code == 1
    assert {one: found[one]["grade"] for one in found} == {"buildkit": "warn", "proxy": "fail", "docker": "fail"}
    assert "nothing listens there" in found["proxy"]["message"]


def test_a_cache_of_this_machine_is_told_with_its_bound(
    invoke: Invoke, tmp_path: Path, elsewhere: dict[str, str]
) -> None:
    folder = tmp_path / "cache"
    with serving(documents_of(IMAGES)) as url:
        fill(folder, url)

    def look(text: str) -> dict[str, Any]:
        config = tmp_path / "polyarch.toml"
        config.write_text(f"[cache]\n{text}\n")
        options = ("--proxy", NOBODY, "--root", str(tmp_path), "--cache", str(folder), "--config", str(config))
        return by_subject(invoke("doctor", *options, "--json", environment=elsewhere))["cache"]

    assert look('max_bytes = "1GB"')["grade"] == "ok"
    assert " of 953.7 MiB, and its disk has " in look('max_bytes = "1GB"')["message"]
    assert "polyarch cache ls" in look("max_bytes = 1")["advice"]
    assert "to stay free" in look('min_free_bytes = "900TB"')["advice"]
    (folder / "quarantine").mkdir(exist_ok=True)
    (folder / "quarantine" / "one").write_bytes(b"damaged")
    assert "verify --repair" in look("")["advice"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "names a proxy: say --proxy URL"),
        (("--proxy", "polyarch"), "--proxy "),
        (("--proxy", NOBODY, "--image", "A B"), "is no image reference"),
        (("--proxy", NOBODY, "--ca", "none.pem"), "--ca none.pem: No such file"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    invoke: Invoke, tmp_path: Path, elsewhere: dict[str, str], options: tuple[str, ...], said: str
) -> None:
    result = invoke("doctor", "--root", str(tmp_path), *options, environment=elsewhere)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


async def test_an_authority_of_one_s_own_may_be_named(
    invoke: Invoke, tmp_path: Path, elsewhere: dict[str, str]
) -> None:
    async with standing_in({}, own_tls(), "https") as url:
        call = ("doctor", "--proxy", url, "--root", str(tmp_path))
        unknown = await asyncio.to_thread(invoke, *call, environment=elsewhere)
        known = await asyncio.to_thread(invoke, *call, "--ca", str(CERTIFICATE), environment=elsewhere)
    assert "has a certificate that is not trusted" in unknown.stdout
    assert f"{url} answers, but is no registry" in known.stdout


@pytest.mark.lab
async def test_a_pull_allowance_is_told(
    invoke: Invoke, tmp_path: Path, elsewhere: dict[str, str], live_hub: HubStandIn
) -> None:
    async with run_proxy(settings_for(live_hub), tmp_path / "cache") as live:
        found = by_subject(await examine(invoke, live, elsewhere, "--json"))["quota"]
    assert found["grade"] == "ok"
    assert " of 100 pulls are left at docker.io" in found["message"]
