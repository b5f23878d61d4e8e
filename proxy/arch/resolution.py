"""Which document answers a tag: a conversation without I/O.

`resolve` is a generator. It yields a tuple of questions, is sent the tuple of their answers in the same order, and
returns a `Resolution`. The questions of one tuple do not depend on each other, so the driver may ask them all at once.
Every failure is an answer, never an exception thrown into the generator. The same tag, policy and answers give the
same resolution for every client; what one client is then answered is `choice.choose`.

The steps are those of DESIGN §2:

1. What has upstream under the tag, and what is meant by it (`corrections`)?
2. Which platforms of the fleet have no exact entry there, and for which does a rule name a source outright?
3. Who has a build for them? First the candidates for exactly that platform, then for what else it runs, as long as it
   is better than what upstream has.
4. Which images stand for a further platform (`aliases`)?
5. Nothing of all that: upstream's document. Else a synthesised index.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from proxy.arch.aliases import AliasMode, list_nearest, list_shared
from proxy.arch.base import Base, read_base
from proxy.arch.candidates import Candidate, Template, list_candidates
from proxy.arch.conversations import without_repeats
from proxy.arch.entries import Entry
from proxy.arch.image_rules import ImageRule, Ruling, rule_on
from proxy.arch.questions import (
    Absent,
    Asking,
    Present,
    TagQuestion,
    Unreachable,
    describe,
    describe_platforms,
)
from proxy.arch.search import Found, search
from proxy.arch.synthesis import Addition, Synthesis, synthesise
from proxy.arch.trail import Trail
from proxy.oci.digests import Digest
from proxy.oci.platforms import Platform

_FIRST = {"amd64": 0, "arm64": 1}
"""Docker's own order of an index, which a client that takes the first match relies on: these two, then the others, and
higher variants before lower ones (platforms.md §4.1)."""

Conversation = Asking["Resolution"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What an operator decides about resolution, for one upstream."""

    fleet: tuple[Platform, ...]
    templates: tuple[Template, ...] = ()
    refuse_missing: bool = False
    """Whether a client is refused, where nothing that is offered runs on its platform."""
    rules: tuple[ImageRule, ...] = ()
    """What is said of single images."""
    aliases: AliasMode = AliasMode.NEVER


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a tag is for everybody: upstream's own document, a synthesised index, or nothing; and why."""

    repository: str
    tag: str
    upstream: Present | Absent | Unreachable
    entries: tuple[Entry, ...]
    synthesis: Synthesis | None
    additions: tuple[Entry, ...]
    """The added entries and their attestations, with the repositories that they are to be fetched from."""
    trail: Trail
    is_complete: bool = True
    """False where a candidate, or the config of upstream's image, could not be asked: good for a moment only."""


class Outcome(StrEnum):
    """What became of a tag, in one word."""

    UNTOUCHED = "untouched"
    """Upstream's own document, byte for byte."""
    SYNTHESISED = "synthesised"
    ABSENT = "absent"
    """Nobody has it."""
    UNREACHABLE = "unreachable"
    """Upstream cannot be asked, and nothing is known."""


@dataclass(frozen=True, slots=True)
class _Request:
    """A tag, and all that the operator says of it."""

    repository: str
    tag: str
    policy: Policy
    ruling: Ruling
    candidates: tuple[Candidate, ...]

    @property
    def may_change(self) -> bool:
        """Whether upstream's document may turn out not to be the answer, so that it has to be read."""
        ruling, policy = self.ruling, self.policy
        is_ruled = bool(ruling.corrections) or bool(ruling.shared)
        return bool(self.candidates) or policy.refuse_missing or is_ruled or policy.aliases is AliasMode.EXACT


def resolve(repository: str, tag: str, policy: Policy, *, is_head: bool = False) -> Conversation:
    """Work out what a tag is (see the module's head for the steps).

    Args:
        repository: The repository that the client named.
        tag: The tag that the client named.
        policy: The operator's.
        is_head: The client asked for nothing but headers. Upstream's document is then only fetched where it may not
            be the answer, so that a HEAD costs no pull where it need not (protocol_and_perf.md A2).
    """
    request = _understand(repository, tag, policy)
    return (yield from without_repeats(_resolve(request, is_head=is_head)))


def _understand(repository: str, tag: str, policy: Policy) -> _Request:
    ruling = rule_on(policy.rules, repository, tag)
    listed = list_candidates(policy.templates, repository, tag)
    candidates = (*ruling.list_sources(repository, tag), *(one for one in listed if ruling.permits(one)))
    corrected = (
        replace(one, corrections=rule_on(policy.rules, one.repository, one.tag).corrections) for one in candidates
    )
    return _Request(repository, tag, policy, ruling, tuple(corrected))


def _resolve(request: _Request, *, is_head: bool) -> Conversation:
    repository, tag = request.repository, request.tag
    (upstream,) = yield (TagQuestion(repository, tag, with_document=not is_head or request.may_change),)
    assert isinstance(upstream, Present | Absent | Unreachable)
    trail = Trail().add(f"{repository}:{tag}", describe(upstream))
    if isinstance(upstream, Unreachable) or (isinstance(upstream, Present) and upstream.document is None):
        return Resolution(repository, tag, upstream, (), None, (), trail)
    base, trail = yield from read_base(
        repository, tag, upstream, request.ruling.corrections, trail, needed=request.may_change
    )
    missing = frozenset() if base.is_closed else _missing(request, base.entries)
    found = yield from search(request.candidates, missing, base.entries, trail)
    return _conclude(request, upstream, base, found)


def _missing(request: _Request, offered: Sequence[Entry]) -> frozenset[Platform]:
    has = {entry.platform.normalised() for entry in offered if entry.platform}
    fleet = {platform.normalised() for platform in request.policy.fleet}
    return frozenset((fleet - has) | request.ruling.outright)


@dataclass(frozen=True, slots=True)
class _Part:
    """Something that is added: what the index is told, and what the resolution tells of it."""

    addition: Addition
    entries: tuple[Entry, ...]


def _conclude(request: _Request, upstream: Present | Absent, base: Base, found: Found) -> Resolution:
    base = base.without(request.ruling.outright & {find.candidate.platform.normalised() for find in found.finds})
    parts = [_Part(find.addition, find.list_entries()) for find in found.finds]
    images = [entry for part in parts for entry in part.entries if entry.platform]
    aliases = () if base.is_closed else _list_aliases(request, base, images)
    parts += [_Part(Addition(alias.platform, alias.descriptor), (alias,)) for alias in aliases if alias.platform]
    parts.sort(key=lambda part: part.addition.platform.variant, reverse=True)
    parts.sort(key=lambda part: _FIRST.get(part.addition.platform.architecture, len(_FIRST)))
    synthesis, obstacle = None, "nothing to add"
    if parts or base.is_changed:
        synthesis = synthesise(base.document, [part.addition for part in parts])
    if synthesis is not None and not synthesis.is_servable:
        obstacle = f"an index of {len(synthesis.content)} bytes would be too large"
        synthesis = None
    added = tuple(entry for part in parts for entry in part.entries) if synthesis is not None else ()
    return Resolution(
        repository=request.repository,
        tag=request.tag,
        upstream=upstream,
        entries=(*base.entries, *(entry for entry in added if entry.platform)),
        synthesis=synthesis,
        additions=added,
        trail=_explain(found.trail, upstream, synthesis, added, obstacle),
        is_complete=found.is_complete and base.is_known,
    )


def _list_aliases(request: _Request, base: Base, images: Sequence[Entry]) -> list[Entry]:
    """Answer the further platforms of what is at hand, the operator's own words first."""
    offered = [*base.entries, *images]
    shared = list_shared(offered, request.ruling.shared)
    mode = request.policy.aliases
    is_made_anyway = bool(images) or bool(shared) or base.is_changed
    if mode is AliasMode.NEVER or (mode is AliasMode.MISSING and not is_made_anyway):
        return shared
    return [*shared, *list_nearest(request.policy.fleet, [*offered, *shared])]


def _explain(
    trail: Trail, upstream: Present | Absent, synthesis: Synthesis | None, added: Sequence[Entry], obstacle: str
) -> Trail:
    for alias in added:
        if alias.alias_of is not None:
            trail = trail.add("alias", f"the image for {alias.alias_of} stands for {alias.platform} too")
    images = [entry.platform for entry in added if entry.platform]
    if synthesis is not None and images:
        verdict = f"synthesised index {synthesis.digest} with {describe_platforms(images)} added"
    elif synthesis is not None:
        verdict = f"synthesised index {synthesis.digest} with platforms corrected"
    elif isinstance(upstream, Present):
        verdict = f"{obstacle}: upstream's document, byte for byte"
    else:
        verdict = "nothing anywhere"
    return trail.add("answer", verdict)


def find_outcome(resolution: Resolution) -> Outcome:
    """Answer what became of a tag."""
    if resolution.synthesis is not None:
        return Outcome.SYNTHESISED
    match resolution.upstream:
        case Present():
            return Outcome.UNTOUCHED
        case Absent():
            return Outcome.ABSENT
        case Unreachable():
            return Outcome.UNREACHABLE


def find_digest(resolution: Resolution) -> Digest | None:
    """Answer the digest that the tag has for everybody: the synthesised index's, upstream's, or none."""
    if resolution.synthesis is not None:
        return resolution.synthesis.digest
    return resolution.upstream.descriptor.digest if isinstance(resolution.upstream, Present) else None
