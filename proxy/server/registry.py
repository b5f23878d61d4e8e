"""The registry's pull API: one handler a resource (distribution-spec 1.1.1, "Endpoints")."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import hdrs, web

from proxy.arch.choice import Asker
from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidQuery, Unsupported
from proxy.oci.manifests import Descriptor
from proxy.oci.platforms import Platform
from proxy.oci.ranges import parse_range
from proxy.oci.references import parse_tag
from proxy.oci.routes import (
    BlobRoute,
    ManifestRoute,
    Ping,
    ReferrersRoute,
    TagListRoute,
    quote_path,
)
from proxy.ports import BlobStore, TagPage
from proxy.server.answers import API_VERSION, content_headers, resolution_headers
from proxy.server.bodies import send_blob
from proxy.server.fronts import Front, Place, check_prefix, pick_front, place_in
from proxy.server.reading import accepted_by, detect_client, namespace_of, quote_path_of, raw_path_of, read_route
from proxy.service.pull import ManifestAnswer

READ_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
MAX_TAGS = 10_000
"""The largest page of tags that is asked for (CVE-2023-2253: an unbounded `n` costs memory)."""
REMARKS: web.RequestKey[dict[str, object]] = web.RequestKey("remarks", dict)
"""What a handler has to say for the request's log line."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, as far as it is understood."""

    request: web.BaseRequest
    front: Front
    place: Place

    @property
    def is_head(self) -> bool:
        return self.request.method == hdrs.METH_HEAD

    @property
    def namespace_headers(self) -> dict[str, str]:
        """What tells a client that its `?ns=` was understood (distribution-spec, main, "Proxying")."""
        namespace = namespace_of(self.request)
        return {"OCI-Namespace": namespace} if namespace else {}


class RegistryHandler:
    """Answers the pull API for all upstreams."""

    def __init__(self, fronts: Mapping[str, Front], store: BlobStore, *, default_platform: Platform | None) -> None:
        """Take the upstreams by name, the store that blobs are sent from, and whom to take an unknown client for."""
        self._fronts = fronts
        self._store = store
        self._default_platform = default_platform

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request.

        Raises:
            RegistryError: What the client is to be told.
        """
        if request.method not in READ_METHODS:
            raise Unsupported("this registry is read-only: push to its upstream", headers={"Allow": "GET, HEAD"})
        route = read_route(raw_path_of(request))
        resource = route.resource
        if isinstance(resource, Ping):
            check_prefix(route.prefix)
            return web.json_response({}, headers=API_VERSION)
        front = pick_front(self._fronts, namespace_of(request))
        asked = _Asked(request, front, place_in(front, route.prefix, resource.repository))
        response = await self._answer(asked, resource)
        if not response.prepared:
            response.headers.update(asked.namespace_headers)
        return response

    async def _answer(
        self, asked: _Asked, resource: ManifestRoute | BlobRoute | TagListRoute | ReferrersRoute
    ) -> web.StreamResponse:
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
        detection = detect_client(asked.request, asked.place.path_word, self._default_platform)
        asker = Asker(detection, accepted_by(asked.request), wants_manifest=detection.evidence == "path")
        answer = await asked.front.puller.get_tag(asked.place.repositories, tag, asker, is_head=asked.is_head)
        headers = resolution_headers(answer, detection)
        asked.request[REMARKS].update(
            platform=headers.get("Polyarch-Platform"),
            evidence=detection.evidence,
            source=headers["Polyarch-Source"],
        )
        return _manifest_response(asked, answer, headers)

    async def _manifest(self, asked: _Asked, digest: Digest) -> web.StreamResponse:
        answer = await asked.front.puller.get_manifest(asked.place.repositories, digest)
        return _manifest_response(asked, answer, {"Polyarch-Cache": str(answer.state)})

    async def _blob(self, asked: _Asked, digest: Digest) -> web.StreamResponse:
        request, puller = asked.request, asked.front.puller
        get = puller.head_blob if asked.is_head else puller.get_blob
        answer = await get(asked.place.repositories, digest)
        request[REMARKS].update(cache=str(answer.state))
        descriptor = Descriptor(media_types.OCTET_STREAM, digest, answer.size)
        headers = {
            **content_headers(descriptor),
            "Accept-Ranges": "bytes",
            "Polyarch-Cache": str(answer.state),
            **asked.namespace_headers,
        }
        if _is_known(request, digest):
            return _not_modified(headers)
        if asked.is_head:
            return web.Response(headers=headers)
        ranges = parse_range(request.headers.get(hdrs.RANGE), answer.size)
        return await send_blob(request, self._store, answer, ranges, headers)


def _manifest_response(asked: _Asked, answer: ManifestAnswer, extra: Mapping[str, str]) -> web.Response:
    asked.request[REMARKS].update(cache=str(answer.state), digest=str(answer.descriptor.digest))
    headers = {**content_headers(answer.descriptor), **extra}
    if _is_known(asked.request, answer.descriptor.digest):
        return _not_modified(headers)
    return web.Response(body=None if asked.is_head else answer.content, headers=headers)


def _is_known(request: web.BaseRequest, digest: Digest) -> bool:
    header = request.headers.get(hdrs.IF_NONE_MATCH, "")
    return bool(header) and str(digest) in header


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
    headers = {"Polyarch-Cache": str(listed.state), **_next_link(asked.request, listed.page, limit)}
    asked.request[REMARKS].update(cache=str(listed.state))
    body = json.dumps({"name": repository, "tags": list(listed.page.tags)}).encode()
    return web.Response(body=body, content_type=media_types.JSON, headers=headers)


def _limit(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= len("1000000000")):
        raise InvalidQuery(f"n must be a number, not {text[:40]!r}")
    return min(int(text), MAX_TAGS)


def _next_link(request: web.BaseRequest, page: TagPage, limit: int | None) -> dict[str, str]:
    if page.last is None:
        return {}
    namespace = namespace_of(request)
    # Upstream's word, and so perhaps no tag at all.
    query = f"n={limit or len(page.tags)}&last={quote_path(page.last)}" + (
        f"&ns={quote_path(namespace)}" if namespace else ""
    )
    return {"Link": f'<{quote_path_of(request)}?{query}>; rel="next"'}


async def _referrers(asked: _Asked, digest: Digest) -> web.Response:
    repository, puller = asked.place.repositories[-1], asked.front.puller
    artifact_type = asked.request.query.get("artifactType")
    origin = puller.find_origin(repository, digest)
    listed = await puller.listings.list_referrers(repository, origin, digest, artifact_type=artifact_type)
    headers = {"Polyarch-Cache": str(listed.state)}
    if artifact_type is not None:
        headers["OCI-Filters-Applied"] = "artifactType"
    asked.request[REMARKS].update(cache=str(listed.state))
    return web.Response(body=listed.content, content_type=media_types.OCI_INDEX, headers=headers)
