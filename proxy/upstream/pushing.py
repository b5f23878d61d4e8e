"""A registry that we push to: the `Destination` port over HTTP (distribution-spec 1.1.1, "Push").

A blob goes by POST and one PUT, which every registry takes; in pieces, where something on the way does not take so much
at once. What broke off is begun anew, a few times, since its bytes can be read again; nothing is pushed that is there
already, as far as who calls has asked.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from urllib.parse import urlencode

import httpx

from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import BlobUnknown, RegistryError, UpstreamMisbehaved, UpstreamRefused, UpstreamUnreachable
from proxy.oci.manifests import Descriptor
from proxy.ports import FetchedManifest, Reading
from proxy.upstream.client import RegistryClient
from proxy.upstream.exchange import Exchange, read_limited
from proxy.upstream.outgoing import Outgoing
from proxy.upstream.retries import RetryPolicy

MAX_ERROR_BYTES = 64 * 1024
MAX_REASON = 200
_REFUSALS = frozenset({httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN})
UPLOADS = RetryPolicy(attempts=3, base_seconds=0.5)
"""How often an upload is begun. Each begins at the beginning."""
PIECE_BYTES = 8 * 1024 * 1024
"""How large a piece is, where a blob goes in pieces: they are kept in memory, and fit where the usual limits are."""


class RegistryPusher:
    """One registry, to be written to."""

    def __init__(self, exchange: Exchange, random: Callable[[], float]) -> None:
        """Take the exchange that reaches it, with tokens that allow pushing; and chance, for waits."""
        self._exchange = exchange
        self._client = RegistryClient(exchange)
        self._random = random

    async def head_manifest(self, repository: str, target: str | Digest, /) -> Descriptor:
        """Ask what is under a tag or digest."""
        return await self._client.head_manifest(repository, target)

    async def fetch_manifest(self, repository: str, target: str | Digest, /) -> FetchedManifest:
        """Fetch a manifest."""
        return await self._client.fetch_manifest(repository, target)

    async def has_blob(self, repository: str, digest: Digest, /) -> bool:
        """Tell whether a repository has a blob."""
        try:
            await self._client.head_blob(repository, digest)
        except BlobUnknown:
            return False
        return True

    async def mount_blob(self, repository: str, digest: Digest, source: str, /) -> bool:
        """Let a repository have a blob of another one; tell whether that was done."""
        query = urlencode({"mount": str(digest), "from": source}, safe=":/")
        path = f"{_uploads(repository)}?{query}"
        try:
            async with self._exchange.open("POST", path, repository, {}, mounted=source) as response:
                if response.status_code != httpx.codes.ACCEPTED:  # an upload was begun instead, which is left alone
                    await self._check(response, httpx.codes.CREATED, repository, f"blob {digest}")
                return bool(response.status_code == httpx.codes.CREATED)
        except UpstreamRefused:  # of the other repository: what may not be mounted may still be pushed
            return False

    async def push_blob(self, repository: str, digest: Digest, size: int, read: Reading, /) -> None:
        """Push a blob."""
        attempt, goes_in_pieces = 0, False
        while True:
            attempt += 1
            source = _Source(digest, size, read)
            try:
                return await self._upload(repository, digest, source, in_pieces=goes_in_pieces)
            except _TooMuchAtOnce:
                if goes_in_pieces or size <= PIECE_BYTES:
                    raise
                goes_in_pieces = True
                continue
            except UpstreamUnreachable as error:
                wait = UPLOADS.wait_seconds(attempt, None, self._random())
                if source.failure is not None and (wait is None or not isinstance(source.failure, UpstreamUnreachable)):
                    raise source.failure from error
                if wait is None:
                    raise
            await asyncio.sleep(wait)

    async def _upload(self, repository: str, digest: Digest, source: "_Source", *, in_pieces: bool) -> None:
        what = f"blob {digest}"
        async with self._exchange.open("POST", _uploads(repository), repository, {}) as response:
            await self._check(response, httpx.codes.ACCEPTED, repository, what)
            place = self._place_of(response.headers.get("location"), repository)
        if in_pieces:
            place = await self._send_pieces(place, repository, what, source)
            body = Outgoing.of(b"", media_types.OCTET_STREAM, is_repeatable=False)
        else:
            body = Outgoing(source.size, source.read, media_types.OCTET_STREAM, is_repeatable=False)
        path = f"{place}{'&' if '?' in place else '?'}{urlencode({'digest': str(digest)}, safe=':')}"
        async with self._exchange.open("PUT", path, repository, {}, body) as response:
            await self._check(response, httpx.codes.CREATED, repository, what, is_upload=True)
            _check_digest(response, digest)

    async def _send_pieces(self, place: str, repository: str, what: str, source: "_Source") -> str:
        """Send a blob piece by piece; answer where it is to be ended."""
        begin = 0
        async with aclosing(_gathered(source.read(), PIECE_BYTES)) as pieces:
            async for piece in pieces:
                headers = {"Content-Range": f"{begin}-{begin + len(piece) - 1}"}  # as the spec has it, without a unit
                body = Outgoing.of(piece, media_types.OCTET_STREAM, is_repeatable=False)
                async with self._exchange.open("PATCH", place, repository, headers, body) as response:
                    await self._check(response, httpx.codes.ACCEPTED, repository, what, is_upload=True)
                    place = self._place_of(response.headers.get("location"), repository)
                begin += len(piece)
        return place

    async def push_manifest(self, repository: str, target: str | Digest, content: bytes, media_type: str, /) -> None:
        """Push a manifest under a tag, or by its digest alone."""
        body = Outgoing.of(content, media_type)
        async with self._exchange.open("PUT", f"/v2/{repository}/manifests/{target}", repository, {}, body) as response:
            await self._check(response, httpx.codes.CREATED, repository, f"manifest {target}")
            _check_digest(response, Digest.of(content))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._exchange.aclose()

    def _place_of(self, location: str | None, repository: str) -> str:
        """Answer the path that an upload goes to: on the registry itself, wherever it says that it is.

        One behind a proxy that ends TLS often tells a `http://` address of its own.
        """
        home = httpx.URL(self._exchange.endpoint.url)
        if location is None:
            raise UpstreamMisbehaved(f"{self._name} does not tell where an upload is to go")
        try:
            url = httpx.URL(self._exchange.endpoint.url + _uploads(repository)).join(location)
            is_own = url.host == home.host and not url.userinfo
        except (httpx.InvalidURL, ValueError) as error:
            raise UpstreamMisbehaved(f"{self._name} tells no address for an upload") from error
        if not is_own:
            raise UpstreamMisbehaved(f"{self._name} sends an upload to {url.host}, which is not its own host")
        return url.raw_path.decode("ascii").removeprefix(home.raw_path.decode("ascii").rstrip("/"))

    async def _check(
        self, response: httpx.Response, wanted: int, repository: str, what: str, *, is_upload: bool = False
    ) -> None:
        status = response.status_code
        if status == wanted:
            return
        reason = await _reason_of(response)
        if is_upload and status == httpx.codes.NOT_FOUND:
            raise UpstreamUnreachable(f"{self._name} has lost an upload into {repository}{reason}")
        if is_upload and status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
            raise _TooMuchAtOnce(
                f"{self._name} does not take {what} into {repository}: {status}, it is too large{reason}"
            )
        if status in _REFUSALS:
            raise UpstreamRefused(f"{self._name} does not let us write to {repository}{reason}")
        raise UpstreamMisbehaved(f"{self._name} does not take {what} into {repository}: {status}{reason}")

    @property
    def _name(self) -> str:
        return self._exchange.endpoint.name

    def __repr__(self) -> str:
        return f"<RegistryPusher {self._name}>"


class _TooMuchAtOnce(UpstreamMisbehaved):
    """A request that is larger than something on the way takes."""


class _Source:
    """What a blob is read from for one attempt; notes why that failed, since a connection does not hand that on."""

    def __init__(self, digest: Digest, size: int, read: Reading) -> None:
        self.size = size
        self.failure: RegistryError | None = None
        self._digest = digest
        self._read = read

    async def read(self) -> AsyncGenerator[bytes, None]:
        """Read it, held against its size; nothing goes out beyond that."""
        self.failure, left = None, self.size
        try:
            async with aclosing(self._read()) as chunks:
                async for chunk in chunks:
                    left -= len(chunk)
                    if left < 0:
                        break
                    yield chunk
            if left:
                raise UpstreamMisbehaved(f"{self._digest} has not the {self.size} bytes that it should have")
        except RegistryError as error:
            self.failure = error
            raise


async def _gathered(chunks: AsyncGenerator[bytes, None], size: int) -> AsyncGenerator[bytes, None]:
    """Hand on what comes in pieces of one size, the last of what is left."""
    gathered = bytearray()
    async with aclosing(chunks):
        async for chunk in chunks:
            gathered += chunk
            while len(gathered) >= size:
                yield bytes(gathered[:size])
                del gathered[:size]
    if gathered:
        yield bytes(gathered)


def _uploads(repository: str) -> str:
    return f"/v2/{repository}/blobs/uploads/"


def _check_digest(response: httpx.Response, digest: Digest) -> None:
    told = response.headers.get("docker-content-digest", str(digest)).strip().lower()
    if told != str(digest):
        raise UpstreamMisbehaved(f"{digest} was pushed, and the registry has {told[:MAX_REASON]} of it")


async def _reason_of(response: httpx.Response) -> str:
    """Answer what a registry says of a refusal, to be put behind ours; nothing where it has no words for it."""
    try:
        found = json.loads(await read_limited(response, MAX_ERROR_BYTES))["errors"][0]
        said = f"{found.get('code', '')}: {found.get('message') or found.get('detail') or ''}"
    except (UpstreamMisbehaved, httpx.HTTPError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""
    return f" ({''.join(letter if letter.isprintable() else ' ' for letter in said)[:MAX_REASON]})"
