"""The memory of a resolution: answers its questions from what is known, and asks upstream for the rest.

One `Lookups` an upstream. A tag is asked by HEAD, which is free of Docker Hub's pull quota; its document is fetched
only when its digest is one that we do not have. Whoever asks for the same tag at the same time shares one question.
"""

from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from proxy.arch.questions import (
    Absent,
    Answer,
    BinaryAnswer,
    BinaryQuestion,
    ConfigPlatform,
    ConfigQuestion,
    ManifestQuestion,
    Present,
    Question,
    TagQuestion,
    Unreachable,
)
from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import (
    InvalidManifest,
    NotFound,
    RegistryError,
    UpstreamError,
    UpstreamMisbehaved,
    UpstreamRefused,
    UpstreamSilent,
)
from proxy.oci.manifests import MAX_MANIFEST_BYTES, Descriptor, parse_config_platform
from proxy.oci.ranges import ByteRange
from proxy.ports import BlobStore, Catalog, Clock, Events, Link, TagRecord, TagState, Upstream
from proxy.service.download import FillSource
from proxy.service.fill import Fills
from proxy.service.freshness import CacheState, Freshness
from proxy.service.image_binaries import ImageBinaries
from proxy.service.manifests import Manifests, StoredManifest
from proxy.service.stored_blobs import read_stored
from proxy.service.tasks import SingleFlight


@dataclass(frozen=True, slots=True)
class Known:
    """An answer, where it came from, and for how many seconds it holds."""

    answer: Answer
    state: CacheState
    seconds: float


@dataclass(frozen=True, slots=True)
class LookupTools:
    """What look-ups work with, the same for all upstreams."""

    catalog: Catalog
    store: BlobStore
    manifests: Manifests
    fills: Fills
    clock: Clock
    events: Events
    flights: SingleFlight[Known]
    fetches: SingleFlight[StoredManifest]


FOREVER = float("inf")
UNKNOWN_RETRY_SECONDS = 3.0
"""How long nobody is asked again for a tag of which nothing is known: short, since somebody waits for it."""


class Lookups:
    """What is known of one upstream's tags and images."""

    def __init__(self, name: str, upstream: Upstream, freshness: Freshness, tools: LookupTools) -> None:
        """Take an upstream under its name, and how long its tags are believed."""
        self.name = name
        self._upstream = upstream
        self._freshness = freshness
        self._tools = tools
        self._binaries = ImageBinaries(upstream, tools.store, tools.events)
        self._silent_until = 0.0
        """Monotonic: upstream gave no answer a moment ago, and what is known is served without asking it again."""

    @property
    def ahead_seconds(self) -> float:
        """How long before its end an answer that is in use is asked for anew in the background; 0 not at all."""
        return self._freshness.ahead_seconds

    async def ask(self, question: Question, *, margin: float = 0.0) -> Known:
        """Answer a resolution's question. Never raises but for the store's own trouble.

        Args:
            question: What to answer.
            margin: For how many seconds more an answer from memory has to hold.
        """
        match question:
            case TagQuestion():
                return await self._ask_tag(question, margin)
            case ManifestQuestion():
                return await self._guarded(self._load(question.repository, question.descriptor))
            case ConfigQuestion():
                return await self._guarded(self._ask_config(question))
            case BinaryQuestion():  # pragma: no branch - there is no other kind
                key = ("binary", self, question)
                return await self._tools.flights.run(key, lambda: self._guarded(self._ask_binary(question)))

    async def fetch(self, repository: str, digest: Digest) -> StoredManifest:
        """Fetch a manifest by digest from a repository of upstream, once for all who want it.

        Only of those who ask here: after a change of the settings, upstream may be another one of the same name.
        """
        key = ("manifest", self, repository, digest)
        return await self._tools.fetches.run(key, lambda: self._fetch(repository, digest))

    async def _ask_tag(self, question: TagQuestion, margin: float) -> Known:
        record = self._tools.catalog.find_tag(self.name, question.repository, question.tag)
        left = self._remaining(record, question)
        if record is not None and left > margin:
            return await self._complete(question, record, CacheState.HIT, left)
        key = ("tag", self, question)  # a candidate, too, apart from who names it: its absence holds for longer
        return await self._tools.flights.run(key, lambda: self._check_tag(question, margin))

    def _remaining(self, record: TagRecord | None, question: TagQuestion) -> float:
        if record is None:
            return 0.0
        return self._freshness.remaining(record, self._tools.clock.now(), is_candidate=question.is_candidate)

    async def _check_tag(self, question: TagQuestion, margin: float) -> Known:
        known = self._tools.catalog.find_tag(self.name, question.repository, question.tag)
        left = self._remaining(known, question)
        if known is not None and left > margin:  # somebody was quicker
            return await self._complete(question, known, CacheState.HIT, left)
        if (
            known is not None
            and self._tools.clock.monotonic() < self._silent_until
            and self._may_be_stale(known, question)
        ):
            return await self._complete(question, known, CacheState.STALE, self._freshness.retry_seconds)
        try:
            record = await self._ask_upstream(question, known)
            record = await self._see_document(question, record, known)
        except UpstreamError as error:
            return await self._fall_back(question, known, error)
        is_same = known is not None and known.descriptor == record.descriptor and record.descriptor is not None
        state = CacheState.REVALIDATED if is_same else CacheState.MISS
        await self._tools.catalog.put_tag(record)
        return await self._complete(question, record, state, self._remaining(record, question))

    async def _ask_upstream(self, question: TagQuestion, known: TagRecord | None) -> TagRecord:
        """Ask upstream what is under a tag: by GET where nothing is known and the document is wanted, else by HEAD."""
        try:
            if question.with_document and (known is None or known.descriptor is None):
                manifest = await self._fetch(question.repository, question.tag)
                return self._record(question, TagState.PRESENT, manifest.descriptor)
            found = await self._upstream.head_manifest(question.repository, question.tag)
            return self._record(question, TagState.PRESENT, found)
        except NotFound:
            return self._record(question, TagState.ABSENT)
        except UpstreamRefused:
            return self._record(question, TagState.DENIED)

    async def _see_document(self, question: TagQuestion, record: TagRecord, known: TagRecord | None) -> TagRecord:
        """See that a document can be had, and used, before the one that was there is forgotten.

        Docker Hub goes on answering HEADs while it refuses every GET with 429: all we learn then is that a tag moved.
        And what is announced as no manifest, say by a hotel's sign-in page, is looked at before it is believed. If
        it is one nevertheless (`text/plain`, `application/json`), the document's own word for its type is remembered.
        """
        found = record.descriptor
        if found is None:
            return record
        if question.with_document or found.media_type not in media_types.MANIFESTS or self._moved(known, found):
            with suppress(NotFound):
                seen = await self._load(question.repository, found)
                return replace(record, descriptor=seen.descriptor)
        return record

    def _moved(self, known: TagRecord | None, found: Descriptor) -> bool:
        """Tell whether a tag has left a document that somebody has pulled: its successor will be wanted, too."""
        former = known.descriptor if known is not None else None
        if former is None or former.digest == found.digest:
            return False
        return self._tools.store.find_size(former.digest) is not None

    async def _fall_back(self, question: TagQuestion, known: TagRecord | None, error: UpstreamError) -> Known:
        retry = self._freshness.retry_seconds
        if isinstance(error, UpstreamSilent):
            self._silent_until = self._tools.clock.monotonic() + retry
        name = f"{question.repository}:{question.tag}"
        self._tools.events.warn("upstream.failed", upstream=self.name, tag=name, reason=error.message)
        if known is None or not self._may_be_stale(known, question):
            return Known(_unreachable(error), CacheState.MISS, min(retry, UNKNOWN_RETRY_SECONDS))
        return await self._complete(question, known, CacheState.STALE, retry)

    def _may_be_stale(self, known: TagRecord, question: TagQuestion) -> bool:
        now = self._tools.clock.now()
        return self._freshness.may_be_stale(known, now, is_candidate=question.is_candidate)

    async def _complete(self, question: TagQuestion, record: TagRecord, state: CacheState, seconds: float) -> Known:
        if record.descriptor is None:
            reason = "absent" if record.state is TagState.ABSENT else "absent, or not shown to us"
            return Known(Absent(reason, is_denied=record.state is TagState.DENIED), state, seconds)
        if not question.with_document:
            return Known(Present(record.descriptor, is_stale=state is CacheState.STALE), state, seconds)
        loaded = await self._guarded(self._load(question.repository, record.descriptor))
        return _with_document(loaded, state, seconds)

    async def _load(self, repository: str, descriptor: Descriptor) -> Present:
        manifest = await self._tools.manifests.find(descriptor.digest, descriptor.media_type)
        if manifest is None:
            manifest = await self.fetch(repository, descriptor.digest)
        return Present(manifest.descriptor, manifest.document)

    async def _ask_config(self, question: ConfigQuestion) -> Answer:
        config = question.config
        if config.size > MAX_MANIFEST_BYTES:
            return ConfigPlatform(None)
        content = await self._read_blob(question.repository, config)
        try:
            return ConfigPlatform(parse_config_platform(content))
        except InvalidManifest:
            return ConfigPlatform(None)

    async def _ask_binary(self, question: BinaryQuestion) -> Answer:
        return BinaryAnswer(await self._binaries.find(question.repository, question.layers))

    async def _read_blob(self, repository: str, descriptor: Descriptor) -> bytes:
        tools, digest = self._tools, descriptor.digest
        _bounded(tools.store.find_size(digest) or 0)
        stored = await read_stored(tools.store, tools.events, digest, MAX_MANIFEST_BYTES)
        if stored is not None:
            return stored
        fill = tools.fills.join(digest, [FillSource(self._upstream, repository)], descriptor.size)
        size = _bounded(await fill.wait_ready())
        content = b"".join([piece async for piece in fill.read(ByteRange(0, size))])
        if fill.comes_from(self._upstream, {repository}):  # that it came for somebody else proves nothing
            link = Link(self.name, repository, digest, repository, descriptor.media_type, size, is_proven=True)
            await tools.catalog.put_links([link])
        return content

    async def _fetch(self, repository: str, target: str | Digest) -> StoredManifest:
        fetched = await self._upstream.fetch_manifest(repository, target)
        manifest = await self._tools.manifests.add(fetched)
        await self._tools.manifests.link(self.name, repository, repository, manifest)
        self._tools.events.note(
            "manifest.fetched",
            upstream=self.name,
            repository=repository,
            target=str(target),
            digest=str(manifest.digest),
        )
        return manifest

    async def _guarded(self, asked: Coroutine[Any, Any, Answer]) -> Known:
        try:
            return Known(await asked, CacheState.MISS, FOREVER)
        except (NotFound, UpstreamRefused) as error:
            return Known(Absent(error.message), CacheState.MISS, self._freshness.absent_seconds)
        except UpstreamError as error:
            return Known(_unreachable(error), CacheState.MISS, self._freshness.retry_seconds)

    def _record(self, question: TagQuestion, state: TagState, found: Descriptor | None = None) -> TagRecord:
        return TagRecord(self.name, question.repository, question.tag, state, self._tools.clock.now(), found)

    def __repr__(self) -> str:
        return f"<Lookups of {self.name}>"


def _bounded(size: int) -> int:
    # A manifest may call anything its config, a layer of many gigabytes too.
    if size > MAX_MANIFEST_BYTES:
        raise UpstreamMisbehaved(f"an image config of {size} bytes")
    return size


def _with_document(loaded: Known, state: CacheState, seconds: float) -> Known:
    if not isinstance(loaded.answer, Present):
        return Known(loaded.answer, state, min(seconds, loaded.seconds))
    return Known(replace(loaded.answer, is_stale=state is CacheState.STALE), state, seconds)


def _unreachable(error: RegistryError) -> Unreachable:
    return Unreachable(error.message, is_misbehaviour=isinstance(error, UpstreamMisbehaved))
