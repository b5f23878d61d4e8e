"""The search for builds that upstream's own document does not have."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from proxy.arch.candidates import Candidate
from proxy.arch.compatibility import rank, runs
from proxy.arch.entries import Entry
from proxy.arch.examination import examine
from proxy.arch.questions import Asking, Present, TagQuestion, Unreachable, describe
from proxy.arch.synthesis import Addition
from proxy.arch.trail import Trail
from proxy.oci.platforms import Platform


@dataclass(frozen=True, slots=True)
class Find:
    """A build that a candidate turned out to have."""

    candidate: Candidate
    addition: Addition

    def list_entries(self) -> tuple[Entry, ...]:
        """Answer its image, and the attestations that travel with it."""
        repository, tag, added = self.candidate.repository, self.candidate.tag, self.addition
        image = Entry(added.platform, added.descriptor, repository, tag, is_added=True)
        return (image, *(Entry(None, item, repository, tag, is_added=True) for item in added.attestations))


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to."""

    finds: tuple[Find, ...]
    trail: Trail
    is_complete: bool
    """False where a candidate could not be asked."""


def search(
    candidates: Sequence[Candidate], missing: Collection[Platform], offered: Sequence[Entry], trail: Trail
) -> Asking[Found]:
    """Look for builds for the platforms that are missing: for exactly them, then for what else they run.

    Args:
        candidates: Where to look, in order: the first that has something for a platform serves it.
        missing: Platforms in their normal form.
        offered: What there is already.
        trail: What was found out before.
    """
    exact = [candidate for candidate in candidates if candidate.platform.normalised() in missing]
    first = yield from _ask(exact, trail)
    better = _better(candidates, missing, offered, first.finds)
    second = yield from _ask([candidate for candidate in better if candidate not in exact], first.trail)
    return Found((*first.finds, *second.finds), second.trail, first.is_complete and second.is_complete)


def _better(
    candidates: Sequence[Candidate], missing: Collection[Platform], offered: Sequence[Entry], finds: Sequence[Find]
) -> list[Candidate]:
    """Answer the candidates for what a missing platform runs, as far as they beat what it would get already."""
    at_hand = [entry.platform for entry in offered if entry.platform] + [find.addition.platform for find in finds]
    wanted: set[Platform] = set()
    for platform in missing:
        ranks = [value for value in (rank(platform, image) for image in at_hand) if value is not None]
        wanted.update(runs(platform)[: min(ranks, default=None)])
    return [candidate for candidate in candidates if candidate.platform.normalised() in wanted]


def _ask(candidates: Sequence[Candidate], trail: Trail) -> Asking[Found]:
    finds: list[Find] = []
    is_complete = True
    if not candidates:
        return Found((), trail, is_complete)
    answers = yield tuple(
        TagQuestion(candidate.repository, candidate.tag, with_document=False, is_candidate=True)
        for candidate in candidates
    )
    for candidate, answer in zip(candidates, answers, strict=True):
        trail = trail.add(f"candidate {candidate} for {candidate.platform}", describe(answer))
        if isinstance(answer, Unreachable):
            is_complete = False
        if isinstance(answer, Present) and candidate.platform not in {find.candidate.platform for find in finds}:
            found = yield from examine(candidate, answer.descriptor)
            trail = trail.add(f"candidate {candidate}", found.reason)
            if found.addition is not None:
                finds.append(Find(candidate, found.addition))
            is_complete = is_complete and found.is_known
    return Found(tuple(finds), trail, is_complete)
