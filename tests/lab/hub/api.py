"""How Docker Hub's registry answers somebody whom it has let in; `auth` decides about that."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from tests.lab.hub.answers import Answer, plain, refusal
from tests.lab.hub.asked import Asked, Kind
from tests.lab.hub.auth import API_VERSION
from tests.lab.hub.backend import Backend
from tests.lab.hub.behaviour import Behaviour
from tests.lab.hub.cdn import Cdn
from tests.lab.images import DOCKER_LIST, OCI_INDEX, Blob

_WINDOW_SECONDS = 21600
_LIST_TYPES = frozenset({DOCKER_LIST, OCI_INDEX})


@dataclass(slots=True)
class HubApi:
    """Answers requests; the one thing it remembers is how many pulls are left."""

    backend: Backend
    cdn: Cdn
    cdn_url: str
    referrers: Mapping[str, list[dict[str, object]]]
    """Descriptors by subject digest; a digest that is not there gets 404."""
    spent_pulls: int = field(default=0)

    async def answer(self, asked: Asked, behaviour: Behaviour) -> Answer:
        """Answer one request that may be answered: whoever asks has been let in."""
        if asked.method not in ("GET", "HEAD"):
            return refusal(HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED", "The operation is unsupported.")
        match asked.kind:
            case Kind.PING:
                return plain(b"{}", "application/json", headers=API_VERSION)
            case Kind.MANIFEST_GET | Kind.MANIFEST_HEAD:
                return await self._give_manifest(asked, behaviour)
            case Kind.BLOB:
                return await self._give_blob(asked, behaviour)
            case Kind.TAGS:
                return await self._list_tags(asked)
            case _:
                return self._list_referrers(asked)

    async def _give_manifest(self, asked: Asked, behaviour: Behaviour) -> Answer:
        limit = behaviour.pull_limit
        if limit is not None and asked.kind is Kind.MANIFEST_GET and self.spent_pulls >= limit:
            message = (
                "You have reached your pull rate limit. You may increase the limit by authenticating and upgrading."
            )
            headers = self._quota_headers(limit)
            return refusal(HTTPStatus.TOO_MANY_REQUESTS, "TOOMANYREQUESTS", message, headers=headers)
        manifest = await self.backend.manifest(asked.repository, asked.reference)
        if manifest and behaviour.legacy_negotiation:
            manifest = await self._negotiate(asked, manifest)
        if manifest is None:
            return await self._refuse_manifest(asked)
        if asked.kind is Kind.MANIFEST_GET:
            self.spent_pulls += 1
        digests = {"Docker-Content-Digest": manifest.digest, "ETag": f'"{manifest.digest}"'}
        headers = {**digests, **API_VERSION, **(self._quota_headers(limit) if limit is not None else {})}
        return plain(manifest.content, manifest.media_type, headers=headers)

    async def _negotiate(self, asked: Asked, manifest: Blob) -> Blob | None:
        if asked.by_digest or manifest.media_type not in _LIST_TYPES or asked.accepts & _LIST_TYPES:
            return manifest
        for entry in json.loads(manifest.content)["manifests"]:
            if entry["platform"]["architecture"] == "amd64":
                return await self.backend.manifest(asked.repository, entry["digest"])
        return None

    async def _refuse_manifest(self, asked: Asked) -> Answer:
        if await self.backend.tags(asked.repository) is None:
            return _unknown_repository(asked)
        detail = {"Tag": asked.reference}
        return refusal(HTTPStatus.NOT_FOUND, "MANIFEST_UNKNOWN", "manifest unknown", detail=detail)

    def _quota_headers(self, limit: int) -> dict[str, str]:
        remaining = max(0, limit - self.spent_pulls)
        return {
            "ratelimit-limit": f"{limit};w={_WINDOW_SECONDS}",
            "ratelimit-remaining": f"{remaining};w={_WINDOW_SECONDS}",
            "docker-ratelimit-source": "192.0.2.1",
        }

    async def _give_blob(self, asked: Asked, behaviour: Behaviour) -> Answer:
        if not behaviour.redirect:
            blob = await self.backend.blob(asked.repository, asked.reference, asked.headers)
            return blob or _unknown_blob(asked)
        if not await self.backend.has_blob(asked.repository, asked.reference):
            return _unknown_blob(asked)
        location = f"{self.cdn_url}{self.cdn.address(asked.repository, asked.reference)}"
        return plain(b"", "application/octet-stream", status=307, headers={"Location": location})

    async def _list_tags(self, asked: Asked) -> Answer:
        tags = await self.backend.tags(asked.repository)
        if tags is None:
            return _unknown_repository(asked)
        after = [tag for tag in tags if tag > asked.query.get("last", "")]
        page = after[: int(asked.query.get("n", len(after)))]
        headers = {}
        if page and len(page) < len(after):
            headers["Link"] = f'</v2/{asked.repository}/tags/list?last={page[-1]}&n={len(page)}>; rel="next"'
        body = json.dumps({"name": asked.repository, "tags": page}).encode()
        return plain(body, "application/json", headers=headers)

    def _list_referrers(self, asked: Asked) -> Answer:
        if asked.reference not in self.referrers:
            return plain(b"404 page not found\n", "text/plain", status=HTTPStatus.NOT_FOUND)
        content = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self.referrers[asked.reference]}
        return plain(json.dumps(content).encode(), OCI_INDEX)


def _unknown_repository(asked: Asked) -> Answer:
    message = "repository name not known to registry"
    return refusal(HTTPStatus.NOT_FOUND, "NAME_UNKNOWN", message, detail={"name": asked.repository})


def _unknown_blob(asked: Asked) -> Answer:
    return refusal(HTTPStatus.NOT_FOUND, "BLOB_UNKNOWN", "blob unknown to registry", detail={"digest": asked.reference})
