"""The `docker-registry` behind the stand-in."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import aiohttp

from tests.lab.hub.answers import Answer
from tests.lab.images import MANIFEST_TYPES, Blob

_BLOB_HEADERS = ("Content-Type", "Content-Range", "Accept-Ranges", "ETag", "Docker-Content-Digest")


@dataclass(frozen=True, slots=True)
class Backend:
    """Reads from a registry that asks for no credentials."""

    url: str
    session: aiohttp.ClientSession

    async def tags(self, repository: str) -> list[str] | None:
        """Return a repository's tags, or `None` if there is no such repository."""
        async with self.session.get(f"{self.url}/v2/{repository}/tags/list") as answer:
            if answer.status != 200:
                return None
            content = await answer.json()
            return sorted(content["tags"] or [])

    async def manifest(self, repository: str, reference: str) -> Blob | None:
        """Return a manifest in the form that it was pushed in."""
        headers = {"Accept": ", ".join(MANIFEST_TYPES)}
        async with self.session.get(f"{self.url}/v2/{repository}/manifests/{reference}", headers=headers) as answer:
            if answer.status != 200:
                return None
            return Blob.of(answer.content_type, await answer.read())

    async def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository holds the blob."""
        async with self.session.head(f"{self.url}/v2/{repository}/blobs/{digest}") as answer:
            return answer.status == 200

    async def blob(self, repository: str, digest: str, headers: Mapping[str, str]) -> Answer | None:
        """Return the registry's own answer for a blob, ranges included; the body is fetched when it is sent."""
        address = f"{self.url}/v2/{repository}/blobs/{digest}"
        wanted = {"Range": headers["Range"]} if "Range" in headers else {}
        async with self.session.head(address, headers=wanted) as known:
            if known.status == 404:
                return None
            passed = {name: known.headers[name] for name in _BLOB_HEADERS if name in known.headers}
            size = int(known.headers.get("Content-Length", 0))

        async def body() -> AsyncIterator[bytes]:
            async with self.session.get(address, headers=wanted) as answer:
                async for chunk in answer.content.iter_any():
                    yield chunk

        return Answer(known.status, passed, body, size)
