"""The registry's pull API: one handler a resource (distribution-spec 1.1.1, "Endpoints")."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import hdrs, web

from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidQuery, RegistryError, Unsupported
from proxy.oci.ranges import ByteRange, parse_range
from proxy.oci.references import parse_tag
from proxy.oci.routes import (
    BlobRoute,
    ManifestRoute,
    Ping,
    ReferrersRoute,
    TagListRoute,
    quote_path,
)
from proxy.ports import BlobStore, Clock, TagPage
from proxy.server.answers import API_VERSION, TagHeads, blob_head, client_remarks, manifest_head, state_headers
from proxy.server.bodies import part_response, send_blob
from proxy.server.clients import Clients
from proxy.server.conditions import is_known, keeps_range
from proxy.server.documents import Head, document_response
from proxy.server.doors import Door, Listener
from proxy.server.fronts import Front, Place, check_prefix, locate
from proxy.server.reading import (
    accepted_by,
    host_of,
    namespace_of,
    quote_path_of,
    raw_path_of,
    read_route,
)
from proxy.server.whoami import find_whoami, whoami_response
from proxy.service.pull import BlobAnswer, ManifestAnswer
from proxy.service.small_blobs import SMALL_BYTES, SmallBlobs

WHOAMI = "/whoami"
READ_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
MAX_TAGS = 10_000
"""The largest page of tags that is asked for (CVE-2023-2253: an unbounded `n` costs memory)."""
REMARKS: web.RequestKey[dict[str, object]] = web.RequestKey("remarks", dict)
"""What a handler has to say for the request's log line."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, as far as it is understood."""

    request: web.BaseRequest
    listener: Listener
    front: Front
    place: Place
    namespace: str
    """The upstream that a client named, by its own word for it; or nothing."""

    @property
    def is_head(self) -> bool:
        return self.request.method == hdrs.METH_HEAD

    def knows(self, digest: Digest) -> bool:
        """Tell whether the client has some content already."""
        lines = self.request.headers.getall(hdrs.IF_NONE_MATCH, ())
        return bool(lines) and is_known(lines, digest)


@dataclass(frozen=True, slots=True)
class Contents:
    """Where blobs are sent from."""

    store: BlobStore
    small: SmallBlobs


class RegistryHandler:
    """Answers the pull API for all upstreams."""

    def __init__(self, fronts: Mapping[str, Front], contents: Contents, clock: Clock, clients: Clients) -> None:
        """Take the upstreams by name, where blobs are, the time, and how clients are told apart."""
        self.fronts = fronts
        """The upstreams, by name."""
        self._contents = contents
        self._clock = clock
        self.clients = clients
        """How clients are told apart; may be replaced at any time."""
        self._heads = TagHeads()

    async def handle(self, request: web.BaseRequest, door: Door) -> web.StreamResponse:
        """Answer one request that came in by a door.

        Raises:
            RegistryError: What the client is to be told.
        """
        if request.method not in READ_METHODS:
            raise Unsupported("this registry is read-only: push to its upstream", headers={"Allow": "GET, HEAD"})
        path, listener = raw_path_of(request), door.find(host_of(request))
        word = find_whoami(path, self.clients.vocabulary) if path.endswith(WHOAMI) else None
        if word is not None:
            request[REMARKS]["kind"] = "whoami"
            return whoami_response(self.clients.see(request, word, listener))
        route = read_route(path)
        resource = route.resource
        if isinstance(resource, Ping):
            check_prefix(self.fronts, route.prefix, self.clients.vocabulary)
            request[REMARKS]["kind"] = "ping"  # whatever else has such a path was something else
            return web.json_response({}, headers=API_VERSION)
        request[REMARKS]["kind"] = _kind_of(resource)
        namespace = namespace_of(request)
        found = locate(
            self.fronts, namespace, listener.upstream, route.prefix, resource.repository, self.clients.vocabulary
        )
        asked = _Asked(request, listener, found.front, found.place, namespace)
        match resource:
            case ManifestRoute(target=target):
                return await (self._manifest(asked, target) if isinstance(target, Digest) else self._tag(asked, target))
            case BlobRoute(digest=digest):
                return await self._blob(asked, digest)
            case TagListRoute():
                return await _tags(asked)
            case ReferrersRoute(digest=digest):
                return await _referrers(asked, digest)

    async def _tag(self, asked: _Asked, tag: str) -> web.StreamResponse:
        client = self.clients.see(asked.request, asked.place.path_word, asked.listener)
        asker = client.make_asker(accepted_by(asked.request))
        try:
            answer = await asked.front.puller.get_tag(asked.place.repositories, tag, asker, is_head=asked.is_head)
        except RegistryError:
            asked.request[REMARKS].update(client_remarks(client.detection))
            raise
        return self._document(
            asked, answer, self._heads.find(answer, client.detection, asked.namespace, asked.front.puller.name)
        )

    async def _manifest(self, asked: _Asked, digest: Digest) -> web.StreamResponse:
        answer = await asked.front.puller.get_manifest(asked.place.repositories, digest)
        return self._document(asked, answer, _digest_head(answer, asked.namespace))

    def _document(self, asked: _Asked, answer: ManifestAnswer, head: Head) -> web.StreamResponse:
        asked.request[REMARKS].update(head.remarks)
        if asked.knows(answer.descriptor.digest):
            return _not_modified(head.headers)
        return document_response(asked.request, head, answer.content, self._clock.now())

    async def _blob(self, asked: _Asked, digest: Digest) -> web.StreamResponse:
        is_at_client = asked.knows(digest)
        if not asked.is_head and not is_at_client:
            return await self._send_blob(asked, digest)
        # Who knows it needs no more than a proof that it is his: for that, nothing is fetched.
        answer = await asked.front.puller.head_blob(asked.place.repositories, digest)
        head = blob_head(digest, answer.size, answer.state, asked.namespace)
        asked.request[REMARKS].update(head.remarks)
        return _not_modified(head.headers) if is_at_client else web.Response(headers=head.headers)

    async def _send_blob(self, asked: _Asked, digest: Digest) -> web.StreamResponse:
        request = asked.request
        answer, content = await self._get_blob(asked, digest)
        head = blob_head(digest, answer.size, answer.state, asked.namespace)
        request[REMARKS].update(head.remarks)
        header = request.headers.get(hdrs.RANGE)
        if header is None or not keeps_range(request.headers.get(hdrs.IF_RANGE), digest):
            ranges: tuple[ByteRange, ...] = ()
        else:
            ranges = parse_range(header, answer.size)
        if content is None or len(ranges) > 1:
            return await send_blob(request, self._contents.store, answer, ranges, head.headers)
        if not ranges:
            return document_response(request, head, content, self._clock.now())
        return part_response(content, ranges[0], head.headers)

    async def _get_blob(self, asked: _Asked, digest: Digest) -> tuple[BlobAnswer, bytes | None]:
        """Answer a blob, and its content where it is small and at hand."""
        puller, repositories = asked.front.puller, asked.place.repositories
        answer = await puller.get_blob(repositories, digest)
        if answer.fill is not None or answer.size > SMALL_BYTES:
            return answer, None
        content = await self._contents.small.find(digest)
        if content is None:  # it was not what it should be, and is put aside
            answer = await puller.get_blob(repositories, digest)
        return answer, content


def _kind_of(resource: ManifestRoute | BlobRoute | TagListRoute | ReferrersRoute) -> str:
    match resource:
        case ManifestRoute(target=target):
            return "manifest" if isinstance(target, Digest) else "tag"
        case BlobRoute():
            return "blob"
        case TagListRoute():
            return "tags"
        case ReferrersRoute():
            return "referrers"


def _digest_head(answer: ManifestAnswer, namespace: str) -> Head:
    found = answer.descriptor
    return manifest_head(found.media_type, found.digest, found.size, answer.state, namespace)


def _not_modified(headers: Mapping[str, str]) -> web.Response:
    kept = {key: value for key, value in headers.items() if key not in {hdrs.CONTENT_LENGTH, hdrs.CONTENT_TYPE}}
    return web.Response(status=304, headers=kept)


async def _tags(asked: _Asked) -> web.Response:
    query = asked.request.query
    limit, last = _limit(query.get("n")), query.get("last")
    repository = asked.place.repositories[-1]
    listed = await asked.front.puller.listings.list_tags(
        repository, limit=limit, last=parse_tag(last) if last else None
    )
    headers = {**state_headers(listed.state, asked.namespace), **_next_link(asked, listed.page, limit)}
    asked.request[REMARKS].update(cache=str(listed.state))
    body = json.dumps({"name": repository, "tags": list(listed.page.tags)}).encode()
    return web.Response(body=body, content_type=media_types.JSON, headers=headers)


def _limit(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= len("1000000000")):
        raise InvalidQuery(f"n must be a number, not {text[:40]!r}")
    return min(int(text), MAX_TAGS)


def _next_link(asked: _Asked, page: TagPage, limit: int | None) -> dict[str, str]:
    if page.last is None:
        return {}
    # Upstream's word, and so perhaps no tag at all.
    query = f"n={limit or len(page.tags)}&last={quote_path(page.last)}" + (
        f"&ns={quote_path(asked.namespace)}" if asked.namespace else ""
    )
    return {"Link": f'<{quote_path_of(asked.request)}?{query}>; rel="next"'}


async def _referrers(asked: _Asked, digest: Digest) -> web.Response:
    repository, puller = asked.place.repositories[-1], asked.front.puller
    artifact_type = asked.request.query.get("artifactType")
    origin = puller.find_origin(repository, digest)
    listed = await puller.listings.list_referrers(repository, origin, digest, artifact_type=artifact_type)
    headers = state_headers(listed.state, asked.namespace)
    if artifact_type is not None:
        headers["OCI-Filters-Applied"] = "artifactType"
    asked.request[REMARKS].update(cache=str(listed.state))
    return web.Response(body=listed.content, content_type=media_types.OCI_INDEX, headers=headers)
