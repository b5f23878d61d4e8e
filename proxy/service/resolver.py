"""Resolutions of one upstream's tags: driven, stored, and remembered as long as their answers hold."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial

import cachetools

from proxy.arch.questions import Answer, Present, Question, Unreachable
from proxy.arch.resolution import Outcome, Policy, Resolution, find_outcome, resolve
from proxy.oci.digests import Digest
from proxy.oci.manifests import parse_manifest
from proxy.ports import Catalog, Clock, Events, Link
from proxy.service.freshness import CacheState
from proxy.service.lookups import FOREVER, Known, Lookups
from proxy.service.manifests import Manifests, StoredManifest
from proxy.service.tasks import SingleFlight, gather_bounded

MAX_RESOLUTIONS = 1_000
"""How many are kept in memory: each takes up to 20 KB. Another one costs some reads of the catalog."""
PARALLEL_QUESTIONS = 8
INCOMPLETE_SECONDS = 15.0
"""How long a resolution holds for which a candidate could not be asked."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A resolution, where its parts came from, and until when (monotonic) it may be given again."""

    resolution: Resolution
    state: CacheState
    until: float
    refresh_from: float = FOREVER
    """When (monotonic) it is worth to be asked for anew, if it is still in use then."""

    @property
    def is_whole(self) -> bool:
        """Whether upstream's document was looked at; it is not for a HEAD that did not need it."""
        upstream = self.resolution.upstream
        return not isinstance(upstream, Present) or upstream.document is not None


@dataclass(frozen=True, slots=True)
class ResolverTools:
    """What resolvers work with, the same for all upstreams."""

    catalog: Catalog
    manifests: Manifests
    clock: Clock
    events: Events
    flights: SingleFlight[Resolved]


class Resolver:
    """Works out what the tags of one upstream are, for every client at once."""

    def __init__(self, lookups: Lookups, policy: Policy, tools: ResolverTools) -> None:
        """Take the memory of one upstream, and the operator's policy for it."""
        self.policy = policy
        self._lookups = lookups
        self._tools = tools
        self._resolved: cachetools.LRUCache[tuple[str, str], Resolved] = cachetools.LRUCache(MAX_RESOLUTIONS)

    def find(self, repository: str, tag: str, *, is_head: bool) -> Resolved | None:
        """Answer a resolution that still holds, or None."""
        resolved = self._resolved.get((repository, tag))
        if resolved is None or resolved.until <= self._tools.clock.monotonic():
            return None
        return resolved if is_head or resolved.is_whole else None

    async def resolve(self, repository: str, tag: str, *, is_head: bool) -> Resolved:
        """Answer what a tag is, asking upstream as far as needed; once for all who ask at the same time."""
        found = self.find(repository, tag, is_head=is_head)
        if found is not None:
            if found.refresh_from <= self._tools.clock.monotonic():
                self._refresh(repository, tag, found)
            return Resolved(found.resolution, CacheState.HIT, found.until) if _is_settled(found) else found
        # Of this resolver only: one that was made anew, since the settings changed, has another policy or upstream.
        key = ("resolution", self, repository, tag, is_head)
        return await self._tools.flights.run(key, lambda: self._resolve_anew(repository, tag, is_head=is_head))

    def _refresh(self, repository: str, tag: str, found: Resolved) -> None:
        """Ask for a tag anew before its answer ends, so that nobody has to wait for that."""
        self._resolved[repository, tag] = replace(found, refresh_from=FOREVER)
        key = ("refresh", self, repository, tag)
        self._tools.flights.begin(key, lambda: self._refresh_ahead(repository, tag, found))

    async def _refresh_ahead(self, repository: str, tag: str, found: Resolved) -> Resolved:
        resolved = await self._drive(repository, tag, is_head=not found.is_whole, margin=self._lookups.ahead_seconds)
        if resolved.state is not CacheState.STALE and not isinstance(resolved.resolution.upstream, Unreachable):
            self._resolved[repository, tag] = resolved
        return resolved

    async def _resolve_anew(self, repository: str, tag: str, *, is_head: bool) -> Resolved:
        resolved = await self._drive(repository, tag, is_head=is_head)
        self._resolved[repository, tag] = resolved
        return resolved

    async def _drive(self, repository: str, tag: str, *, is_head: bool, margin: float = 0.0) -> Resolved:
        conversation = resolve(repository, tag, self.policy, is_head=is_head)
        known: list[Known] = []
        answers: tuple[Answer, ...] | None = None
        while True:
            try:
                questions = conversation.send(answers) if answers is not None else next(conversation)
            except StopIteration as end:
                return await self._keep(end.value, known)
            found = await self._ask_all(questions, margin)
            known += found
            answers = tuple(one.answer for one in found)

    async def _ask_all(self, questions: tuple[Question, ...], margin: float) -> list[Known]:
        # A limit for each tag: who waits for an upstream that hangs makes nobody wait whose answer is at hand.
        limit = asyncio.Semaphore(PARALLEL_QUESTIONS)
        return await gather_bounded(
            [partial(self._lookups.ask, question, margin=margin) for question in questions], limit
        )

    async def _keep(self, resolution: Resolution, known: list[Known]) -> Resolved:
        await self._store(resolution, known)
        seconds = min((one.seconds for one in known), default=0.0)
        if not resolution.is_complete:
            seconds = min(seconds, INCOMPLETE_SECONDS)
        # The tag itself decides what the answer is called; a stale part makes it stale.
        states = [known[0].state, *(one.state for one in known if one.state is CacheState.STALE)]
        state = max(states, key=lambda one: one.weight)
        now, ahead = self._tools.clock.monotonic(), self._lookups.ahead_seconds
        is_worth_it = 0 < ahead < seconds and state is not CacheState.STALE and isinstance(resolution.upstream, Present)
        resolved = Resolved(resolution, state, now + seconds, now + seconds - ahead if is_worth_it else FOREVER)
        name = f"{self._lookups.name}/{resolution.repository}:{resolution.tag}"
        outcome, trail = find_outcome(resolution), resolution.trail.as_lines()
        self._tools.events.note("tag.resolved", reference=name, outcome=outcome, cache=state, trail=trail)
        return resolved

    def forget(self, digests: Collection[Digest] | None = None) -> None:
        """Forget resolutions that are answered with content that has left the store; all of them if none is named."""
        for key, resolved in list(self._resolved.items()):
            if digests is None or _answered(resolved.resolution) & set(digests):
                del self._resolved[key]

    async def _store(self, resolution: Resolution, known: list[Known]) -> None:
        """Make everything that the answer names servable, before anybody is given it.

        Whatever the answer was made from belongs to it, too: without that, nobody could make it again offline.
        """
        made, upstream, repository = resolution.synthesis, self._lookups.name, resolution.repository
        if made is None:
            if find_outcome(resolution) is Outcome.UNTOUCHED and resolution.is_complete:
                # It may have been answered with more before: by other rules, or builds that are there no longer.
                await self._tools.catalog.put_answer(upstream, repository, resolution.tag, None)
            return
        manifest = StoredManifest(made.content, made.digest, parse_manifest(made.content, made.media_type))
        await self._tools.manifests.put(manifest)
        await self._tools.manifests.link(upstream, repository, "", manifest)
        looked_at = (one.answer.descriptor.digest for one in known if isinstance(one.answer, Present))
        await self._tools.catalog.put_contents(manifest.digest, looked_at)
        await self._tools.catalog.put_answer(upstream, repository, resolution.tag, manifest.digest)
        additions = resolution.additions
        await self._tools.catalog.put_links(
            Link(upstream, repository, found.digest, entry.repository, found.media_type, found.size)
            for entry in additions
            for found in (entry.descriptor,)
        )

    def __repr__(self) -> str:
        return f"<Resolver of {self._lookups.name}: {len(self._resolved)} tags>"


def _answered(resolution: Resolution) -> set[Digest]:
    made, found = resolution.synthesis, resolution.upstream
    return {*([made.digest] if made else ()), *([found.descriptor.digest] if isinstance(found, Present) else ())}


def _is_settled(resolved: Resolved) -> bool:
    # A stale answer stays one for as long as it is given.
    return resolved.state is not CacheState.STALE
