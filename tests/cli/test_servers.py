"""A running proxy's API as commands use it; the servers here are stand-ins, and polyarch is in test_warm_ways."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from proxy.cli.clients.addresses import ProxyAddress
from proxy.cli.servers import (
    NoSuchCall,
    Server,
    ServerApi,
    ServerSilent,
    ServerUnusable,
    find_server,
    open_api,
    read_token,
    trust,
)
from proxy.oci.errors import InvalidSetting
from proxy.server.identity import CHALLENGE, PROOF, Identity
from proxy.storage.presence import Presence, leaving_word
from tests.cli.standing import own_tls, standing_in
from tests.fakes.events import RecordingEvents
from tests.server.serving import CERTIFICATE

PATH = "/api/v1/status"


def refusal(status: int, message: str) -> web.Response:
    return web.json_response({"errors": [{"code": "X", "message": message}]}, status=status)


@asynccontextmanager
async def asking(*answers: web.Response, token: str | None = None) -> AsyncIterator[ServerApi]:
    """Open the way to a server that answers like this."""
    given = {PATH: answers[0]} if answers else {}
    async with standing_in(given) as url, open_api(Server(ProxyAddress.parse(url), token)) as api:
        yield api


async def test_what_is_asked_for_comes() -> None:
    async with asking(web.json_response({"fleet": []})) as api:
        assert await api.call("GET", "/status") == {"fleet": []}
        assert repr(api) == f"<ServerApi of {api.server.address}>"


@pytest.mark.parametrize(
    ("status", "token", "kind", "reason"),
    [
        (401, None, ServerUnusable, "does not let us (why): name its token by --token-file FILE"),
        (401, "sesame", ServerUnusable, "does not take this token"),
        (404, None, NoSuchCall, "has no such call (404, why)"),
        (405, None, NoSuchCall, "has no such call"),
        (400, None, InvalidSetting, "does not take this: why"),
        (503, None, ServerUnusable, "answers 503, why; its log may say more"),
    ],
)
async def test_what_it_refuses_says_what_to_do(status: int, token: str | None, kind: type, reason: str) -> None:
    async with asking(refusal(status, "why"), token=token) as api:
        with pytest.raises(kind) as raised:
            await api.call("GET", "/status")
    assert reason in str(raised.value)
    assert token is None or token not in str(raised.value) + repr(api.server)


async def test_what_is_no_json_is_told() -> None:
    async with asking(web.Response(text="<html>")) as api:
        with pytest.raises(ServerUnusable, match="answers no JSON"):
            await api.call("GET", "/status")


async def test_where_nobody_listens_there_is_no_answer() -> None:
    async with standing_in({}) as url:
        pass
    async with open_api(Server(ProxyAddress.parse(url))) as api:
        with pytest.raises(ServerSilent, match="refused: nothing listens there; is polyarch running"):
            await api.call("GET", "/status")
        with pytest.raises(ServerSilent):
            await anext(api.follow("/events"))
        assert not await api.is_the_one(Identity())


async def test_events_are_told_until_their_end() -> None:
    text = ': hello\n\nevent: job\ndata: {"a":\ndata: 1}\n\ndata: 2\n\ndata: "cut off'
    async with asking(web.Response(text=text)) as api:
        assert [one async for one in api.follow("/status")] == [{"a": 1}, 2]


async def test_a_stream_that_is_refused_is_told() -> None:
    async with asking(refusal(404, "no such job")) as api:
        with pytest.raises(NoSuchCall, match="no such job"):
            await anext(api.follow("/status"))


# Servers that a cache folder names


@asynccontextmanager
async def server_with(identity: Identity, asked: list[web.BaseRequest]) -> AsyncIterator[str]:
    """Serve what shows an identity; yields the address."""

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request)
        return web.Response(headers={PROOF: identity.answer(request.headers.get(CHALLENGE, "")) or ""})

    runner = web.ServerRunner(web.Server(serve), shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=own_tls()).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ingest").mkdir()
    return tmp_path


async def test_a_server_is_found_by_its_secret_whatever_its_certificate_is_for(folder: Path) -> None:
    identity = Identity()
    async with (
        server_with(identity, []) as url,
        leaving_word(folder, Presence(url, identity.secret), RecordingEvents()),
    ):
        found = await find_server(folder)
    assert found is not None
    assert str(found.address) == url


async def test_whoever_else_sits_at_its_place_is_not_taken_for_it_and_is_shown_nothing(folder: Path) -> None:
    asked: list[web.BaseRequest] = []
    events = RecordingEvents()
    async with server_with(Identity(), asked) as url, leaving_word(folder, Presence(url, "another's"), events):
        assert await find_server(folder) is None
    assert [(one.method, one.path) for one in asked] == [("HEAD", "/healthz")]


async def test_one_that_repeats_what_it_has_heard_is_not_taken_for_it(folder: Path) -> None:
    identity = Identity()
    overheard = identity.answer("0" * 64) or ""
    answers, events = {"/healthz": web.Response(headers={PROOF: overheard})}, RecordingEvents()
    async with standing_in(answers) as url, leaving_word(folder, Presence(url, identity.secret), events):
        assert await find_server(folder) is None


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "file:///etc/passwd", "nonsense", "http://[::1"])
async def test_what_a_killed_server_left_leads_nowhere(folder: Path, address: str) -> None:
    async with leaving_word(folder, Presence(address, "secret"), RecordingEvents()):
        assert await find_server(folder) is None
    assert await find_server(folder) is None


# What is named by the user


def test_an_authority_is_trusted(tmp_path: Path) -> None:
    assert trust(None).verify_mode is ssl.CERT_REQUIRED
    assert trust(CERTIFICATE).cert_store_stats()["x509"] > 0
    (tmp_path / "none").write_text("none")
    for name in ("none", "nowhere"):
        with pytest.raises(InvalidSetting, match=f"--ca .*{name}"):
            trust(tmp_path / name)


def test_a_token_is_a_file_s_one_line(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("sesame\n")
    assert read_token(file) == "sesame"
    for content in (b"", b"\n", b"two\nlines", b"\xff", "schlüssel".encode()):
        file.write_bytes(content)
        with pytest.raises(InvalidSetting, match="--token-file"):
            read_token(file)
    with pytest.raises(InvalidSetting, match="No such file"):
        read_token(tmp_path / "nowhere")
