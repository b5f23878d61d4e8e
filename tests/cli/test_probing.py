"""What a proxy's answers, and what no answer, mean; the proxies here are stand-ins, and polyarch is in test_doctor."""

import asyncio
import socket
from collections.abc import Mapping
from email.utils import formatdate

import httpx
import pytest
from aiohttp import web

from proxy.cli.clients.addresses import ProxyAddress
from proxy.cli.clients.findings import Finding, Grade
from proxy.cli.clients.machines import Machine
from proxy.cli.probing import (
    Answer,
    Visit,
    explain_failure,
    judge_clock,
    judge_image,
    judge_machine,
    judge_quotas,
    judge_registry,
)
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference
from tests.cli.conftest import Invoke
from tests.cli.standing import own_tls, standing_in
from tests.fakes.clock import ManualClock

REGISTRY = {"Docker-Distribution-Api-Version": "registry/2.0"}
WHOAMI = b'{"platform": "linux/amd64", "evidence": "user-agent", "answer": "index", "hint": ""}'
PROXY = ProxyAddress.parse("http://polyarch.lan:5000")
HELLO = Reference.parse("hello-world")


def answer(status: int = 200, content: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, httpx.Headers(dict(headers or {})), content)


def machine(platform: str | None) -> Machine:
    return Machine("uname", "docker/28", Platform.parse(platform) if platform else None)


async def visit(url: str) -> list[Finding]:
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        looked = Visit(ProxyAddress.parse(url), client, machine("linux/amd64"), ManualClock())
        return [finding async for finding in looked.examine(HELLO)]


# No answer


async def test_a_port_where_nothing_listens() -> None:
    async with standing_in({}) as url:
        pass
    (found,) = await visit(url)
    assert (found.grade, found.message) == (Grade.FAIL, f"{url} is refused: nothing listens there")
    assert "server.listen" in found.advice


async def test_a_certificate_that_nobody_here_knows() -> None:
    async with standing_in({}, own_tls(), "https") as url:
        (found,) = await visit(url)
    assert found.grade is Grade.FAIL
    assert "has a certificate that is not trusted: self" in found.message
    assert f"/etc/docker/certs.d/{url[8:]}/ca.crt" in found.advice


async def test_https_where_http_is_spoken() -> None:
    async with standing_in({}) as url:
        (found,) = await visit(url.replace("http", "https"))
    assert "speaks no TLS" in found.message
    assert found.advice == f"try {url}"


async def test_http_where_https_is_spoken() -> None:
    async with standing_in({}, own_tls()) as url:
        (found,) = await visit(url)
    assert "takes the connection, but speaks no HTTP" in found.message
    assert url.replace("http", "https") in found.advice


async def test_a_port_of_something_else() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        (found,) = await visit(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert "speaks no HTTP" in found.message


def test_a_name_that_is_not_found_and_a_proxy_that_is_silent() -> None:
    error = httpx.ConnectError("all failed")
    error.__cause__ = socket.gaierror(-2, "Name or service not known")
    found = explain_failure(PROXY, error)
    assert found.message == "http://polyarch.lan:5000 has a name that is not found: Name or service not known"
    for silent in (TimeoutError(), httpx.ConnectTimeout("")):
        assert "does not answer in time" in explain_failure(PROXY, silent).message
    other = explain_failure(PROXY, OSError(101, "Network is unreachable"))
    assert other.message == "http://polyarch.lan:5000 cannot be reached: Network is unreachable"


# Another's answer


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        pytest.param({}, "answers, but is no registry (404 for /v2/)", id="a web server"),
        pytest.param({"/v2/": (200, {})}, "answers, but is no registry (200", id="one that answers everything"),
        pytest.param({"/v2/": (301, REGISTRY)}, "is no registry (301", id="another place"),
        pytest.param({"/v2/": (200, REGISTRY)}, "is a registry, but not polyarch", id="a registry"),
        pytest.param({"/v2/": (401, REGISTRY)}, "is a registry, but not polyarch", id="Docker Hub"),
    ],
)
async def test_what_is_not_polyarch_is_told_at_once(answers: dict[str, tuple[int, dict[str, str]]], said: str) -> None:
    served = {path: web.Response(status=status, headers=headers) for path, (status, headers) in answers.items()}
    async with standing_in(served) as url:
        (found,) = await visit(url)
    assert found.grade is Grade.FAIL
    assert said in found.message
    assert "is this the right port?" in found.advice


def test_a_header_that_was_lost_on_the_way_and_a_path_that_is_not_known() -> None:
    found = judge_registry(PROXY, answer(), answer(content=WHOAMI))
    assert (found.grade, "Docker-Distribution-Api-Version" in found.advice) == (Grade.WARN, True)
    refused = answer(404, b'{"errors": [{"code": "NAME_UNKNOWN", "message": "no such path"}]}', REGISTRY)
    named = judge_registry(ProxyAddress.parse("http://polyarch.lan/nonsense"), refused, answer(404))
    assert "does not know this path (404, no such path)" in named.message


# Answers


@pytest.mark.parametrize(
    ("ahead", "grade", "said"),
    [
        (30, Grade.OK, "agree"),
        (600, Grade.WARN, "is 10 minutes ahead of the proxy's"),
        (-3 * 3600, Grade.WARN, "is 3 hours behind the proxy's"),
        (-400 * 86400, Grade.FAIL, "is 400 days behind the proxy's"),
    ],
)
def test_clocks(ahead: float, grade: Grade, said: str) -> None:
    now = 1_800_000_000.0
    (found,) = judge_clock(answer(headers={"Date": formatdate(now, usegmt=True)}), now + ahead)
    assert found.grade is grade
    assert said in found.message


@pytest.mark.parametrize("headers", [{}, {"Date": "yesterday"}])
def test_a_proxy_that_tells_no_time_is_not_judged_by_it(headers: dict[str, str]) -> None:
    assert list(judge_clock(answer(headers=headers), 0.0)) == []


@pytest.mark.parametrize(
    ("own", "taken", "grade", "said"),
    [
        ("linux/arm/v7", "linux/arm/v7", Grade.OK, "it is taken for linux/arm/v7 (evidence: user-agent"),
        ("linux/arm64", "linux/arm64/v8", Grade.OK, "it is taken for linux/arm64"),
        (None, "linux/arm/v6", Grade.OK, "it is taken for linux/arm/v6"),
        ("linux/arm/v7", "linux/arm/v6", Grade.WARN, "which runs here, but it is linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v7", Grade.FAIL, "but it is linux/arm/v6, which does not run that"),
        ("linux/arm/v6", None, Grade.WARN, "nothing tells the proxy its platform"),
        ("linux/arm/v6", "junk//", Grade.WARN, "nothing tells the proxy its platform"),
    ],
)
def test_what_a_machine_is_taken_for(own: str | None, taken: str | None, grade: Grade, said: str) -> None:
    found = judge_machine(machine(own), {"platform": taken, "evidence": "user-agent", "hint": ""}, PROXY)
    assert found.grade is grade
    assert said in found.message
    assert bool(found.advice) is (grade is not Grade.OK)


def test_the_advice_for_a_machine_can_be_followed(invoke: Invoke) -> None:
    """Also where the path names another platform."""
    proxy = ProxyAddress.parse("http://polyarch.lan:5000/arm7")
    found = judge_machine(machine("linux/arm/v6"), {"platform": "linux/arm/v7", "evidence": "path"}, proxy)
    command = found.advice.partition("polyarch ")[2].replace("CLIENT", "docker").split()
    assert invoke(*command).exit_code == 0


def test_what_became_of_an_image() -> None:
    for state, grade in (("hit", Grade.OK), ("miss", Grade.OK), ("revalidated", Grade.OK), ("stale", Grade.WARN)):
        head = answer(headers={"Polyarch-Cache": state})
        assert judge_image("a:b", head, head).grade is grade
    told = answer(503, b'{"errors": [{"code": "UNAVAILABLE", "message": "no route to it"}]}')
    found = judge_image("a:b", answer(503), told)
    assert (found.grade, found.message) == (Grade.FAIL, "a:b cannot be pulled: 503, no route to it")
    assert "pull allowance" in judge_image("a:b", answer(429), answer(429, b"<html>")).advice
    assert "--image" in judge_image("a:b", answer(404), answer(404)).advice


def test_quotas() -> None:
    told = b'{"upstreams": [{"name": "docker.io", "quota": {"limit": 100, "remaining": %d, "window_seconds": 21600}}]}'
    (found,) = judge_quotas(answer(content=told % 76))
    assert found == Finding(Grade.OK, "quota", "76 of 100 pulls are left at docker.io")
    (found,) = judge_quotas(answer(content=told % 3))
    assert found.grade is Grade.WARN
    for text in (b"[{}, 3]", b"x", b"{}", b'{"upstreams": [{"quota": null}, 3]}', b'{"upstreams": 3}'):
        assert list(judge_quotas(answer(content=text))) == []
    assert list(judge_quotas(answer(404))) == []
