"""A registry as the use cases see it: the `Upstream` port over HTTP.

distribution-spec 1.1.1, pull side. What leaves here is checked as far as one answer allows: a manifest has the digest
that was asked for, and the one that was announced. Whether a document may be served at all is the use cases' business.
"""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlencode

import httpx

from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import (
    BlobUnknown,
    InvalidDigest,
    InvalidManifest,
    ManifestUnknown,
    NameUnknown,
    NotFound,
    UpstreamMisbehaved,
    UpstreamRefused,
    UpstreamUnreachable,
)
from proxy.oci.manifests import MAX_MANIFEST_BYTES, Descriptor, parse_manifest
from proxy.oci.schema1 import is_payload_digest
from proxy.ports import BlobStream, FetchedManifest, Quota, TagPage
from proxy.upstream.exchange import Exchange, read_limited
from proxy.upstream.transport import READ_BODY

MAX_TAG_LIST_BYTES = 16 * 1024 * 1024
WEB_PAGES = frozenset({"text/html", "application/xhtml+xml"})
_CONTENT_RANGE = re.compile(r"bytes (?P<first>[0-9]{1,18})-[0-9]{1,18}/(?P<total>[0-9]{1,18}|\*)")
_LINK_NEXT = re.compile(r"<(?P<url>[^>]*)>\s*;[^,]*rel=\"?next\"?")


class HttpBlobStream:
    """A blob on its way from upstream."""

    def __init__(self, response: httpx.Response, size: int | None, offset: int) -> None:
        """Take an answer whose body begins at `offset` of a blob of `size` bytes."""
        self._response = response
        self.size = size
        self.offset = offset

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Hand on whatever arrives."""
        try:
            read = self._response.extensions.get(READ_BODY)
            if read is None:
                async for chunk in self._response.aiter_raw():
                    yield chunk
                return
            while chunk := await read():
                yield chunk
        except httpx.HTTPError as error:
            raise UpstreamUnreachable(f"the blob broke off: {error}") from error


class RegistryClient:
    """One upstream registry."""

    def __init__(self, exchange: Exchange) -> None:
        """Take the exchange that reaches it."""
        self._exchange = exchange

    @property
    def quota(self) -> Quota | None:
        """What is left of the pull allowance, if upstream told it."""
        return self._exchange.quota

    async def aclose(self) -> None:
        """Close all connections."""
        await self._exchange.aclose()

    async def head_manifest(self, repository: str, target: str | Digest, /) -> Descriptor:
        """Ask what is under a tag or digest.

        An upstream that does not answer a HEAD as the spec says (405, no digest, no length, no type) is asked by GET.
        """
        async with self._open("HEAD", _manifest_path(repository, target), repository, manifests=True) as response:
            if response.status_code != httpx.codes.METHOD_NOT_ALLOWED:
                _check(response, ManifestUnknown, f"{repository} has no manifest {target}")
                found = _described(response)
                if found is not None:
                    if isinstance(target, Digest) and found.digest != target:
                        raise UpstreamMisbehaved(f"asked for {target}, upstream announces {found.digest}")
                    return found
        return (await self.fetch_manifest(repository, target)).descriptor

    async def fetch_manifest(self, repository: str, target: str | Digest, /) -> FetchedManifest:
        """Fetch a manifest, its bytes checked against the digest that was named or announced.

        A signed manifest of schema 1 may go by the digest of its payload, as registries have it.
        """
        async with self._open("GET", _manifest_path(repository, target), repository, manifests=True) as response:
            _check(response, ManifestUnknown, f"{repository} has no manifest {target}")
            _check_no_page(response)
            content = await read_limited(response, MAX_MANIFEST_BYTES)
            wanted = target if isinstance(target, Digest) else _announced_digest(response)
            digest = wanted or Digest.of(content)
            if not digest.matches(content) and not is_payload_digest(digest, content):
                raise UpstreamMisbehaved(f"upstream sent {len(content)} bytes that are not {digest}")
            return FetchedManifest(content, _manifest_type(response, content), digest)

    async def head_blob(self, repository: str, digest: Digest, /) -> int:
        """Ask for the size of a blob, in bytes."""
        async with self._open("HEAD", f"/v2/{repository}/blobs/{digest}", repository) as response:
            _check(response, BlobUnknown, f"{repository} has no blob {digest}")
            size = _content_length(response)
        if size is None:
            raise UpstreamMisbehaved("upstream does not say how large the blob is")
        return size

    @asynccontextmanager
    async def open_blob(self, repository: str, digest: Digest, /, *, offset: int = 0) -> AsyncIterator[BlobStream]:
        """Begin to fetch a blob, from some offset if upstream can."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        async with self._exchange.open("GET", f"/v2/{repository}/blobs/{digest}", repository, headers) as response:
            _check(response, BlobUnknown, f"{repository} has no blob {digest}")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise UpstreamMisbehaved("upstream encodes a blob that was asked for as it is")
            yield _blob_stream(response, offset)

    async def list_tags(self, repository: str, /, *, limit: int | None, last: str | None) -> TagPage:
        """Fetch one page of a repository's tags, after `last`."""
        query = {"n": limit, "last": last}
        text = urlencode({key: value for key, value in query.items() if value is not None})
        path = f"/v2/{repository}/tags/list" + (f"?{text}" if text else "")
        async with self._open("GET", path, repository) as response:
            _check(response, NameUnknown, f"there is no {repository}")
            content = await read_limited(response, MAX_TAG_LIST_BYTES)
            return TagPage(_parse_tags(content), _parse_next(response.headers.get("link", "")))

    async def fetch_referrers(self, repository: str, digest: Digest, /) -> FetchedManifest:
        """Fetch the index of what refers to a manifest."""
        path = f"/v2/{repository}/referrers/{digest}"
        async with self._open("GET", path, repository) as response:
            _check(response, ManifestUnknown, f"{repository} has no referrers API")
            _check_no_page(response)
            content = await read_limited(response, MAX_MANIFEST_BYTES)
            return FetchedManifest(content, _manifest_type(response, content), Digest.of(content))

    @asynccontextmanager
    async def _open(
        self, method: str, path: str, repository: str, *, manifests: bool = False
    ) -> AsyncIterator[httpx.Response]:
        headers = {"Accept": media_types.ACCEPT_MANIFESTS} if manifests else {}
        async with self._exchange.open(method, path, repository, headers) as response:
            yield response

    def __repr__(self) -> str:
        return f"<RegistryClient {self._exchange.endpoint.name}>"


def _manifest_path(repository: str, target: str | Digest) -> str:
    return f"/v2/{repository}/manifests/{target}"


def _check(response: httpx.Response, absent: type[NotFound], message: str) -> None:
    status = response.status_code
    if status in {httpx.codes.OK, httpx.codes.PARTIAL_CONTENT}:
        return
    if status == httpx.codes.NOT_FOUND:
        raise absent(message)
    if status == httpx.codes.FORBIDDEN:
        raise UpstreamRefused(f"{message}, or none that is shown to us (403)")
    raise UpstreamMisbehaved(f"upstream answered {status}, which has no meaning here")


def _check_no_page(response: httpx.Response) -> None:
    """Refuse a web page, whatever its status says: quay.io's front page, a hotel's sign-in page."""
    if _declared_type(response) in WEB_PAGES:
        raise UpstreamMisbehaved("upstream answered a web page where a manifest should be")


def _declared_type(response: httpx.Response) -> str:
    return media_types.parse_media_type(response.headers.get("content-type", ""))


def _manifest_type(response: httpx.Response, content: bytes) -> str:
    """Answer the type of a manifest: by its `Content-Type` if that names one, else by what the document says."""
    declared = _declared_type(response)
    if declared in media_types.MANIFESTS | media_types.SCHEMA1:
        return declared
    try:
        return parse_manifest(content, declared).media_type
    except InvalidManifest as error:
        raise UpstreamMisbehaved(f"upstream sent a manifest that cannot be used: {error}") from error


def _described(response: httpx.Response) -> Descriptor | None:
    digest, size = _announced_digest(response), _content_length(response)
    media_type = _declared_type(response)
    if digest is None or not size or not media_type or media_type in WEB_PAGES:
        return None
    return Descriptor(media_type, digest, size)


def _announced_digest(response: httpx.Response) -> Digest | None:
    text = response.headers.get("docker-content-digest")
    if text is None:
        return None
    try:
        return Digest.parse(text.strip().lower())
    except InvalidDigest as error:
        raise UpstreamMisbehaved(f"upstream announces {error.message}") from error


def _content_length(response: httpx.Response) -> int | None:
    text = response.headers.get("content-length", "")
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _blob_stream(response: httpx.Response, offset: int) -> HttpBlobStream:
    if response.status_code != httpx.codes.PARTIAL_CONTENT:
        return HttpBlobStream(response, _content_length(response), 0)
    found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
    if found is None or int(found["first"]) != offset:
        raise UpstreamMisbehaved("upstream answered another range than the one asked for")
    total = None if found["total"] == "*" else int(found["total"])
    return HttpBlobStream(response, total, offset)


def _parse_tags(content: bytes) -> tuple[str, ...]:
    try:
        fields = json.loads(content)
        tags = fields.get("tags") or []
    except (ValueError, RecursionError, AttributeError) as error:
        raise UpstreamMisbehaved("upstream's tag list is not the JSON object that it should be") from error
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise UpstreamMisbehaved("upstream's tag list is no list of texts")
    return tuple(tags)


def _parse_next(link: str) -> str | None:
    found = _LINK_NEXT.search(link)
    query = found["url"].partition("?")[2].partition("#")[0] if found else ""
    last = parse_qs(query).get("last")
    return last[0] if last else None
