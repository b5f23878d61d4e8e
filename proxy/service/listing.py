"""Tag lists and referrers: upstream's, and what is known of them while upstream cannot be asked."""

import bisect
import json
from dataclasses import dataclass

from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import (
    InvalidManifest,
    ManifestUnknown,
    NameUnknown,
    UpstreamError,
    UpstreamMisbehaved,
    UpstreamRefused,
    UpstreamUnreachable,
)
from proxy.oci.manifests import Index, parse_manifest
from proxy.ports import Catalog, Clock, FetchedManifest, Quota, TagPage, TagRecord, TagState, Upstream
from proxy.service.freshness import CacheState, Freshness
from proxy.service.manifests import Manifests, StoredManifest

_REFERRERS = "@referrers/"
"""Under this name, which no tag can have, a repository's referrers of a digest are kept beside its tags."""


@dataclass(frozen=True, slots=True)
class ListedTags:
    """A page of tags, and where it came from."""

    page: TagPage
    state: CacheState


@dataclass(frozen=True, slots=True)
class ListedReferrers:
    """The index of what refers to a manifest, and where it came from."""

    content: bytes
    state: CacheState


class Listings:
    """The lists of one upstream."""

    def __init__(
        self, name: str, upstream: Upstream, manifests: Manifests, catalog: Catalog, freshness: Freshness, clock: Clock
    ) -> None:
        """Take an upstream under its name, and the memory that answers while it cannot."""
        self._name = name
        self._upstream = upstream
        self._manifests = manifests
        self._catalog = catalog
        self._freshness = freshness
        self._clock = clock

    async def list_tags(self, repository: str, *, limit: int | None, last: str | None) -> ListedTags:
        """Answer a page of tags: upstream's, or those that are in the cache while it cannot be asked.

        Raises:
            NameUnknown: There is no such repository.
            UpstreamUnreachable: Upstream cannot be asked, and nothing is known.
        """
        if limit == 0:
            return ListedTags(TagPage((), None), CacheState.HIT)
        try:
            page = await self._upstream.list_tags(repository, limit=limit, last=last)
        except UpstreamUnreachable:
            known = [record.tag for record in self._catalog.list_tags(self._name, repository)]
            tags = [tag for tag in known if not tag.startswith(_REFERRERS)]
            if not tags:
                raise
            return ListedTags(_page(tags, limit, last), CacheState.STALE)
        except UpstreamRefused as error:
            raise NameUnknown(error.message) from error
        return ListedTags(page, CacheState.MISS)

    async def ask_quota(self, repository: str, tag: str) -> Quota | None:
        """Ask for a tag by HEAD, which is free, and answer what is left of upstream's pull allowance by then."""
        await self._upstream.head_manifest(repository, tag)
        return self._upstream.quota

    async def list_referrers(
        self, repository: str, origin: str, digest: Digest, *, artifact_type: str | None
    ) -> ListedReferrers:
        """Answer what refers to a manifest: by upstream's API, by the tag that stands in for it, or by what is known.

        Where nothing is to be had, the answer is an empty index: every client can go on with it.
        """
        record = self._catalog.find_tag(self._name, repository, f"{_REFERRERS}{digest}")
        if record is not None and await self._is_believed(record):
            return ListedReferrers(await self._known(record, artifact_type), CacheState.HIT)
        try:
            found = await self._ask(origin, digest)
        except UpstreamUnreachable:
            return ListedReferrers(await self._known(record, artifact_type), CacheState.STALE)
        content = await self._remember(repository, origin, digest, found)
        return ListedReferrers(_filtered(content, artifact_type), CacheState.MISS)

    async def _is_believed(self, record: TagRecord) -> bool:
        if self._freshness.remaining(record, self._clock.now()) <= 0:
            return False
        return record.descriptor is None or await self._manifests.find(record.descriptor.digest) is not None

    async def _ask(self, repository: str, digest: Digest) -> FetchedManifest | None:
        try:
            return await self._upstream.fetch_referrers(repository, digest)
        except UpstreamUnreachable:
            raise
        except (ManifestUnknown, UpstreamError):  # no such API there: the tag schema (distribution-spec, "Fallback")
            pass
        try:
            return await self._upstream.fetch_manifest(repository, f"{digest.algorithm}-{digest.encoded[:64]}")
        except (ManifestUnknown, UpstreamRefused, UpstreamMisbehaved):  # an error here would end Docker's pull (29.1)
            return None

    async def _remember(self, repository: str, origin: str, digest: Digest, found: FetchedManifest | None) -> bytes:
        state, descriptor, content = TagState.ABSENT, None, _EMPTY
        if found is not None:
            manifest = _as_index(found)
            await self._manifests.put(manifest)
            await self._manifests.link(self._name, repository, origin, manifest)
            state, descriptor, content = TagState.PRESENT, manifest.descriptor, manifest.content
        name = f"{_REFERRERS}{digest}"
        await self._catalog.put_tag(TagRecord(self._name, repository, name, state, self._clock.now(), descriptor))
        return content

    async def _known(self, record: TagRecord | None, artifact_type: str | None) -> bytes:
        if record is None or record.descriptor is None:
            return _EMPTY
        manifest = await self._manifests.find(record.descriptor.digest, media_types.OCI_INDEX)
        return _filtered(manifest.content, artifact_type) if manifest else _EMPTY


_EMPTY = json.dumps({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": []}).encode()


def _as_index(found: FetchedManifest) -> StoredManifest:
    try:
        document = parse_manifest(found.content, found.media_type)
    except InvalidManifest as error:
        raise UpstreamMisbehaved(f"upstream's referrers cannot be used: {error}") from error
    if not isinstance(document, Index):
        raise UpstreamMisbehaved("upstream's referrers are no index")
    return StoredManifest(found.content, found.digest, document)


def _filtered(content: bytes, artifact_type: str | None) -> bytes:
    if artifact_type is None:
        return content
    fields = json.loads(content)
    kept = [entry for entry in fields.get("manifests") or [] if entry.get("artifactType") == artifact_type]
    return json.dumps({**fields, "manifests": kept}).encode()


def _page(tags: list[str], limit: int | None, last: str | None) -> TagPage:
    ordered = sorted(tags)
    start = bisect.bisect_right(ordered, last) if last else 0
    stop = len(ordered) if limit is None else min(len(ordered), start + limit)
    return TagPage(tuple(ordered[start:stop]), ordered[stop - 1] if start < stop < len(ordered) else None)
