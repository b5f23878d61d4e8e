"""`polyarch serve`, as a process."""

import asyncio
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from proxy.cli.options import read_settings
from proxy.cli.serve import run
from proxy.config.schema import Settings
from proxy.config.serving import ListenerSettings, ServerSettings
from proxy.oci.errors import InvalidSetting, Unavailable
from proxy.server.identity import CHALLENGE, PROOF, Identity, make_challenge
from proxy.storage.presence import Presence, find_presence
from proxy.version import VERSION
from proxy.wiring import open_proxy
from tests.cli.conftest import Invoke
from tests.fakes.events import RecordingEvents
from tests.lab.programs import Program, pick_free_port, wait_until
from tests.lab.proxies import ENVIRONMENT
from tests.server.serving import CERTIFICATE

COMMAND = (sys.executable, "-m", "proxy", "serve")


def run_serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **ENVIRONMENT}
    command = [*COMMAND, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=environment)


@pytest.fixture
def port() -> int:
    return pick_free_port()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_without_a_network_until_it_is_told_to_stop(
    tmp_path: Path, port: int, ending: signal.Signals
) -> None:
    listen = f"127.0.0.1:{port}"
    program = Program(
        *COMMAND, "--listen", listen, "--cache", str(tmp_path), log=tmp_path / "log", environment=ENVIRONMENT
    )
    try:
        await program.wait_for_http(f"http://{listen}/v2/")
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"http://{listen}/v2/")).json() == {}
        os.kill(program.pid, ending)
        assert await program.stop() == 0
    finally:
        await program.kill()
    assert '"event": "serving"' in program.log()
    assert '"event": "stopping"' in program.log()


def test_an_occupied_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        finished = run_serve("--cache", str(tmp_path), "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert finished.returncode == 1
    assert "cannot listen at 127.0.0.1" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_cache_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    finished = run_serve("--cache", str(tmp_path / "file"), "--listen", "127.0.0.1:0")
    assert finished.returncode == 1
    assert finished.stderr.startswith(f"polyarch: the cache folder {tmp_path}/file cannot be used")


def test_a_bad_address_is_bad_input(tmp_path: Path) -> None:
    finished = run_serve("--cache", str(tmp_path), "--listen", "nowhere")
    assert finished.returncode == 2
    assert "server.listen must be HOST:PORT" in finished.stderr


async def test_a_cache_folder_serves_one_process_at_a_time(tmp_path: Path, port: int) -> None:
    listen = f"127.0.0.1:{port}"
    program = Program(
        *COMMAND, "--listen", listen, "--cache", str(tmp_path), log=tmp_path / "log", environment=ENVIRONMENT
    )
    try:
        await program.wait_for_http(f"http://{listen}/v2/")
        second = run_serve("--cache", str(tmp_path), "--listen", "127.0.0.1:0")
    finally:
        await program.stop()
    assert second.returncode == 1
    assert "is in use by another polyarch" in second.stderr


# The same, called in this process


class Stopping(RecordingEvents):
    """Events that end the process's service as soon as it has begun, as a service manager would."""

    def note(self, event: str, /, **fields: object) -> None:
        super().note(event, **fields)
        if event == "serving":
            os.kill(os.getpid(), signal.SIGTERM)


def _settings(tmp_path: Path, listen: str = "127.0.0.1:0") -> Settings:
    return read_settings(None, cache=tmp_path / "cache", upstream="http://127.0.0.1:9", listen=listen)


async def test_it_tells_where_it_serves_what(tmp_path: Path) -> None:
    events = Stopping()
    await run(_settings(tmp_path), tmp_path / "cache", events)
    (serving,) = events.named("serving")
    assert str(serving["listen"]).startswith("127.0.0.1:")
    assert (serving["version"], serving["cache"]) == (VERSION, str(tmp_path / "cache"))
    assert serving["upstreams"] == {"docker.io": "http://127.0.0.1:9"}
    assert [told.name for told in events.told] == ["serving", "stopping"]


async def test_it_closes_everything_when_it_cannot_listen(tmp_path: Path) -> None:
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Unavailable, match=f"cannot listen at {listen}: .*in use"):
            await run(_settings(tmp_path, listen), tmp_path / "cache", Stopping())
    with pytest.raises(Unavailable, match=r"cannot listen at no\.such\.host\.invalid:5000: "):
        await run(_settings(tmp_path, "no.such.host.invalid:5000"), tmp_path / "cache", Stopping())
    assert asyncio.all_tasks() == tasks
    assert set(threading.enumerate()) - threads == {
        thread for thread in threading.enumerate() if thread.name.startswith("asyncio_")
    }


async def test_it_does_not_share_its_cache(tmp_path: Path) -> None:
    async with open_proxy(_settings(tmp_path), tmp_path / "cache", RecordingEvents()):
        with pytest.raises(Unavailable, match=f"{tmp_path}/cache is in use by another polyarch"):
            await run(_settings(tmp_path), tmp_path / "cache", Stopping())


async def test_it_may_be_reached_by_ipv6(tmp_path: Path) -> None:
    events = Stopping()
    await run(_settings(tmp_path, "[::1]:0"), tmp_path / "cache", events)
    (serving,) = events.named("serving")
    assert re.fullmatch(r"\[::1\]:[0-9]+", str(serving["listen"]))


async def test_more_clients_than_the_usual_limit_of_files(tmp_path: Path, port: int) -> None:
    """The soft limit is for programs that use `select`; a server takes what the system gives."""
    listen, clients = f"127.0.0.1:{port}", 200
    limited = ("sh", "-c", 'ulimit -Sn 64 && exec "$@"', "sh", *COMMAND, "--listen", listen, "--cache", str(tmp_path))
    program = Program(*limited, log=tmp_path / "log", environment=ENVIRONMENT)
    connections = []
    try:
        await program.wait_for_http(f"http://{listen}/v2/")
        for _ in range(clients):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            connections.append(writer)
        started = time.monotonic()
        assert await program.stop() == 0
        assert time.monotonic() - started < 2  # connections that wait for their next request hold nothing up
    finally:
        for writer in connections:
            writer.close()
        await program.kill()


async def test_it_serves_https(tmp_path: Path, port: int) -> None:
    listen = f"127.0.0.1:{port}"
    config = f'[server]\ntls_certificate = "{CERTIFICATE}"\ntls_key = "{CERTIFICATE}"\n'
    (tmp_path / "config.toml").write_text(config)
    command = (*COMMAND, "--config", str(tmp_path / "config.toml"), "--listen", listen, "--cache", str(tmp_path / "c"))
    program = Program(*command, log=tmp_path / "log", environment=ENVIRONMENT)
    trust = ssl.create_default_context(cafile=str(CERTIFICATE))
    try:
        async with httpx.AsyncClient(trust_env=False, verify=trust) as client:

            async def answers() -> bool:
                with suppress(httpx.TransportError):
                    return (await client.get(f"https://{listen}/v2/")).status_code == 200
                return False

            await wait_until(answers, seconds=20, purpose="an answer over TLS")
            with pytest.raises(httpx.TransportError):
                await client.get(f"http://{listen}/v2/")
            started = time.monotonic()
            assert await program.stop() == 0  # whoever is connected does not hold it up
            assert time.monotonic() - started < 2
    finally:
        await program.kill()
    assert '"scheme": "https"' in program.log()
    assert "Traceback" not in program.log()


async def test_a_certificate_that_is_none_stops_it_before_it_begins(tmp_path: Path) -> None:
    (tmp_path / "tls").write_text("junk")
    settings = replace(
        _settings(tmp_path), server=ServerSettings(tls_certificate=tmp_path / "tls", tls_key=CERTIFICATE)
    )
    with pytest.raises(InvalidSetting, match=r"server\.tls_certificate"):
        await run(settings, tmp_path / "cache", Stopping())
    assert not (tmp_path / "cache").exists()


async def test_a_listener_s_certificate_that_is_none_is_told_as_the_listener_s(tmp_path: Path) -> None:
    (tmp_path / "tls").write_text("junk")
    good = ListenerSettings(host="good.lan", tls_certificate=CERTIFICATE, tls_key=CERTIFICATE)
    bad = ListenerSettings(listen=("127.0.0.1", 0), tls_certificate=tmp_path / "tls", tls_key=CERTIFICATE)
    settings = replace(_settings(tmp_path), listener=(good, bad))
    with pytest.raises(InvalidSetting, match=r"^listener\[1\]\.tls_certificate .* and listener\[1\]\.tls_key "):
        await run(settings, tmp_path / "cache", Stopping())
    assert not (tmp_path / "cache").exists()


def test_a_configuration_that_is_wrong_stops_it_before_it_begins(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[cache]\ntag_tll = 1\n")
    result = invoke("serve", "--config", str(tmp_path / "config.toml"), "--cache", str(tmp_path / "cache"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"polyarch: {tmp_path}/config.toml: unknown key cache.tag_tll; did you mean tag_ttl?\n"
    assert not (tmp_path / "cache").exists()


def test_flags_reach_the_service(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = invoke("serve", "--cache", str(tmp_path / "file"), "--listen", "127.0.0.1:0")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"polyarch: the cache folder {tmp_path}/file cannot be used")


# Orders from outside


async def told(program: Program, event: str, *, count: int = 1) -> None:
    async def is_told() -> bool:
        return program.log().count(f'"event": "{event}"') >= count

    await wait_until(is_told, seconds=20, purpose=event)


async def test_a_hangup_makes_it_read_its_settings_again(tmp_path: Path, port: int) -> None:
    listen, config = f"127.0.0.1:{port}", tmp_path / "config.toml"
    config.write_text(f'[server]\nlisten = "{listen}"\n')
    command = (*COMMAND, "--config", str(config), "--cache", str(tmp_path / "c"))
    program = Program(*command, log=tmp_path / "log", environment=ENVIRONMENT)
    try:
        await program.wait_for_http(f"http://{listen}/v2/")
        async with httpx.AsyncClient(base_url=f"http://{listen}", trust_env=False) as client:
            assert (await client.get("/whoami")).json()["evidence"] == "none"
            config.write_text('[server]\nlisten = "127.0.0.1:1"\n[resolution]\ndefault_platform = "rpi"\n')
            os.kill(program.pid, signal.SIGHUP)
            await told(program, "settings.need_restart")
            assert (await client.get("/whoami")).json()["evidence"] == "default"  # on the same connection
            config.write_text("[resolution]\ndefault_platfrom = 1\n")
            os.kill(program.pid, signal.SIGHUP)
            await told(program, "settings.refused")
            assert (await client.get("/whoami")).json()["evidence"] == "default"
            config.write_text(f'[server]\nlisten = "{listen}"\n[log]\nlevel = "warning"\n')
            os.kill(program.pid, signal.SIGHUP)

            async def is_as_before() -> bool:
                return bool((await client.get("/whoami")).json()["evidence"] == "none")

            await wait_until(is_as_before, seconds=20, purpose="the third reading")
        assert await program.stop() == 0
    finally:
        await program.kill()
    log = program.log()
    assert '"changed": ["resolution.default_platform"]' in log
    assert '"settings": ["server.listen"]' in log
    assert "unknown key resolution.default_platfrom; did you mean default_platform?" in log
    assert "Traceback" not in log
    assert '"event": "stopping"' not in log  # it is told at a level that is not written any more


async def test_systemd_is_told_how_it_is(tmp_path: Path, port: int) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hearing:
        hearing.bind(str(tmp_path / "notify"))
        hearing.setblocking(False)
        command = (*COMMAND, "--listen", f"127.0.0.1:{port}", "--cache", str(tmp_path / "c"))
        environment = {**ENVIRONMENT, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        program = Program(*command, log=tmp_path / "log", environment=environment)
        receive = asyncio.get_running_loop().sock_recv
        try:
            async with asyncio.timeout(20):
                assert await receive(hearing, 1000) == b"READY=1"
                os.kill(program.pid, signal.SIGHUP)
                assert (await receive(hearing, 1000)).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
                assert await receive(hearing, 1000) == b"READY=1"
                os.kill(program.pid, signal.SIGTERM)
                assert await receive(hearing, 1000) == b"STOPPING=1\nEXTEND_TIMEOUT_USEC=40000000"
        finally:
            await program.stop()


async def test_commands_of_this_machine_find_it_while_it_runs(tmp_path: Path, port: int) -> None:
    cache = tmp_path / "cache"
    arguments = ("--listen", f"0.0.0.0:{port}", "--cache", str(cache))
    for is_killed in (True, False):
        program = Program(*COMMAND, *arguments, log=tmp_path / "log", environment=ENVIRONMENT)
        try:
            await program.wait_for_http(f"http://127.0.0.1:{port}/v2/")
            left = await wait_present(cache)
            assert left.address == f"http://127.0.0.1:{port}"
            challenge = make_challenge()
            async with httpx.AsyncClient(trust_env=False) as client:
                answer = await client.get(f"{left.address}/healthz", headers={CHALLENGE: challenge})
            assert Identity(left.secret).is_proven(challenge, answer.headers[PROOF])
        finally:
            await (program.kill() if is_killed else program.stop())
    assert find_presence(cache) is None


async def wait_present(cache: Path) -> Presence:
    """Wait until a server has left word that was not there before it served."""

    async def is_there() -> bool:
        return find_presence(cache) is not None

    await wait_until(is_there, seconds=10, purpose="the server's word in its cache folder")
    found = find_presence(cache)
    assert found is not None
    return found
