"""A running proxy's API, as the commands use it; and the server that a cache folder names, known by its secret."""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from proxy.cli.clients.addresses import ProxyAddress
from proxy.cli.probing import Answer, explain_failure
from proxy.oci.errors import InvalidSetting, Unavailable
from proxy.server.api import BASE
from proxy.server.identity import CHALLENGE, PROOF, Identity, make_challenge
from proxy.storage.presence import find_presence

SECONDS = 30.0
"""How long a call may take, and how long a stream of events may say nothing."""
LOCAL_SECONDS = 3.0
"""How long a server on this machine may take to show that it is the one."""
MAX_BYTES = 64 * 1024 * 1024
"""The largest answer that is read: a job tells of each layer of each image."""
_SILENCE = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, TimeoutError, OSError)


class ServerUnusable(Unavailable):
    """A server cannot be used for this, as things are: it is not there, lets us not, or has no such call."""


class ServerSilent(ServerUnusable):
    """No answer came."""


class NoSuchCall(ServerUnusable):
    """It knows of no such thing."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server, and what is shown to it."""

    address: ProxyAddress
    token: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False)


class ServerApi:
    """Calls to a server's API."""

    def __init__(self, server: Server, client: httpx.AsyncClient) -> None:
        """Take whom to ask, and by what."""
        self.server = server
        self._client = client

    async def call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """Ask, and answer the JSON that comes.

        Raises:
            ServerUnusable: No answer, or one that says that this cannot be had from it.
            InvalidSetting: The server does not take what it was asked.
        """
        try:
            async with asyncio.timeout(SECONDS), self._ask(method, path, body) as response:
                return _read(self.server, await _receive(response))
        except _SILENCE as error:
            raise self._explain(error) from error

    async def follow(self, path: str) -> AsyncGenerator[Any, None]:
        """Ask for server-sent events, and tell the JSON of each, until the stream ends.

        Raises:
            ServerSilent: It breaks.
            ServerUnusable: There is no such stream.
        """
        try:
            async with self._ask("GET", path, None) as response:
                if response.status_code != httpx.codes.OK:
                    _read(self.server, await _receive(response))
                lines: list[str] = []
                async for line in response.aiter_lines():
                    if line.startswith("data:"):
                        lines.append(line.removeprefix("data:"))
                    elif not line and lines:
                        yield _parse(self.server, "\n".join(lines))
                        lines = []
        except _SILENCE as error:
            raise self._explain(error) from error

    async def is_the_one(self, identity: Identity) -> bool:
        """Tell whether this is the server that has a secret; nothing of ours is shown to it before."""
        challenge, url = make_challenge(), f"{self._place}/healthz"
        try:
            async with asyncio.timeout(LOCAL_SECONDS):
                answer = await self._client.head(url, headers={CHALLENGE: challenge})
        except _SILENCE:
            return False
        return identity.is_proven(challenge, answer.headers.get(PROOF, ""))

    @asynccontextmanager
    async def _ask(self, method: str, path: str, body: Mapping[str, object] | None) -> AsyncIterator[httpx.Response]:
        token = self.server.token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"{self._place}{BASE}{path}"
        async with self._client.stream(method, url, headers=headers, json=body) as response:
            yield response

    @property
    def _place(self) -> str:
        return f"{self.server.address.scheme}://{self.server.address.host}"

    def _explain(self, error: BaseException) -> ServerSilent:
        found = explain_failure(self.server.address, error)
        return ServerSilent(f"{found.message}; {found.advice}")

    def __repr__(self) -> str:
        return f"<ServerApi of {self.server.address}>"


@asynccontextmanager
async def open_api(server: Server) -> AsyncIterator[ServerApi]:
    """Open the way to a server."""
    limit = httpx.Timeout(SECONDS)
    async with httpx.AsyncClient(verify=server.tls, trust_env=False, timeout=limit) as client:
        yield ServerApi(server, client)


async def find_server(folder: Path) -> Server | None:
    """Answer the server that runs on a cache folder; None where there is none, or another program at its place."""
    presence = find_presence(folder)
    if presence is None:
        return None
    try:
        address = ProxyAddress.parse(presence.address)
    except InvalidSetting:
        return None
    # Its certificate is for a name, and this is its address on this machine: it is known by its secret instead.
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    server = Server(address, tls=tls)
    async with open_api(server) as api:
        return server if await api.is_the_one(Identity(presence.secret)) else None


def trust(authority: Path | None) -> ssl.SSLContext:
    """Trust what the system does, and the authority in a file (PEM). Raises InvalidSetting where it holds none."""
    context = ssl.create_default_context()
    if authority is not None:
        try:
            context.load_verify_locations(authority)
        except (OSError, ssl.SSLError) as error:
            raise InvalidSetting(f"--ca {authority}: {error.strerror or 'no certificate'}") from error
    return context


def read_token(file: Path) -> str:
    """Answer the token in a file. Raises InvalidSetting where there is none."""
    try:
        token = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InvalidSetting(f"--token-file {file}: {reason}") from error
    if not token or not token.isascii() or not token.isprintable():
        raise InvalidSetting(f"--token-file {file} holds no token: one line of plain letters")
    return token


async def _receive(response: httpx.Response) -> Answer:
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > MAX_BYTES:
            raise httpx.StreamError("the answer is too large")
    return Answer(response.status_code, response.headers, bytes(content))


def _read(server: Server, answer: Answer) -> Any:
    address, status, reason = server.address, answer.status, answer.reason.partition(", ")[2]
    match status:
        case httpx.codes.UNAUTHORIZED if server.token is None:
            advice = "name its token by --token-file FILE, or by api.token_file in --config"
            raise ServerUnusable(f"{address} does not let us ({reason}): {advice}")
        case httpx.codes.UNAUTHORIZED:
            raise ServerUnusable(
                f"{address} does not take this token: it is the one in its api.token_file, or api.token"
            )
        case httpx.codes.NOT_FOUND | httpx.codes.METHOD_NOT_ALLOWED:
            advice = 'is it a polyarch of this version, with an API (api.read is not "off")?'
            raise NoSuchCall(f"{address} has no such call ({answer.reason}): {advice}")
        case httpx.codes.BAD_REQUEST:
            raise InvalidSetting(f"{address} does not take this: {reason or status}")
        case _ if not httpx.codes.is_success(status):
            raise ServerUnusable(f"{address} answers {answer.reason}; its log may say more")
    return _parse(server, answer.content)


def _parse(server: Server, content: str | bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ServerUnusable(f"{server.address} answers no JSON: is it a polyarch of this version?") from error
