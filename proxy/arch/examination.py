"""What a candidate that is there turns out to be: an image for its platform, or not.

A trusted name is taken at its word. An untrusted image counts only if its config does not contradict the platform that
it is offered for, nor, where the operator wants it, a binary of its own. An index is descended into, since today's
`arm32v7/debian` is one of an image and its attestation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from proxy.arch.binaries import contradiction
from proxy.arch.candidates import Candidate
from proxy.arch.compatibility import can_run, pick_best
from proxy.arch.questions import (
    Answer,
    Asking,
    BinaryAnswer,
    BinaryQuestion,
    ConfigPlatform,
    ConfigQuestion,
    ManifestQuestion,
    Present,
    describe,
    describe_claim,
    describe_kind,
    describe_platforms,
)
from proxy.arch.synthesis import Addition
from proxy.arch.unfolding import MAX_INDEX_DEPTH
from proxy.oci import media_types
from proxy.oci.manifests import Descriptor, ImageManifest, Index
from proxy.oci.platforms import Platform


@dataclass(frozen=True, slots=True)
class Finding:
    """What a candidate is good for, and why."""

    addition: Addition | None
    """What it adds to the index; None if it is not usable."""
    reason: str
    is_known: bool = True
    """False where it could not be read: another time it may be usable."""


def examine(candidate: Candidate, descriptor: Descriptor, depth: int = 0) -> Asking[Finding]:
    """Look at what a candidate has: descend into an index, and check what is not taken by its name."""
    if descriptor.media_type in media_types.IMAGE_MANIFESTS and _is_proof(candidate):
        return _by_name(candidate, descriptor)
    (answer,) = yield (ManifestQuestion(candidate.repository, descriptor),)
    if not isinstance(answer, Present) or answer.document is None:
        return _unread(describe(answer))
    match answer.document:
        case Index() as index:
            return (yield from _descend(candidate, index, depth))
        case ImageManifest() as image:
            return (yield from _examine_image(candidate, answer.descriptor, image))
        case _:
            return Finding(None, f"not usable: {describe_kind(answer.document.media_type)}")


def _is_proof(candidate: Candidate) -> bool:
    """Tell whether a candidate's name says all that has to be known."""
    return candidate.trusted and not candidate.checks_binaries


def _examine_image(candidate: Candidate, descriptor: Descriptor, image: ImageManifest) -> Asking[Finding]:
    if image.artifact:
        return Finding(None, f"not usable: {describe_kind(image.artifact)}")
    if candidate.trusted:
        found = _by_name(candidate, descriptor)
    else:
        (claim,) = yield (ConfigQuestion(candidate.repository, image.config),)
        found = _judge(candidate, descriptor, claim)
    if found.addition is None or not candidate.checks_binaries:
        return found
    (answer,) = yield (BinaryQuestion(candidate.repository, image.layers),)
    return _judge_binary(candidate, found, answer)


def _descend(candidate: Candidate, index: Index, depth: int) -> Asking[Finding]:
    images = [candidate.corrections.correct_entry(entry) for entry in index.manifests if entry.is_runnable]
    child = _pick_child(candidate, images)
    if child is None or depth >= MAX_INDEX_DEPTH:
        there = describe_platforms(entry.platform for entry in images)
        return Finding(None, f"an index of {there}: nothing for {candidate.platform}")
    if child.is_index or not _is_proof(candidate):
        found = yield from examine(candidate, child, depth + 1)
    else:
        found = Finding(Addition(candidate.platform, child), f"an index: its image {child.digest}")
    if found.addition is None:
        return found
    own = tuple(entry for entry in index.manifests if entry.attests == found.addition.descriptor.digest)
    return replace(found, addition=replace(found.addition, attestations=(*found.addition.attestations, *own)))


def _pick_child(candidate: Candidate, images: Sequence[Descriptor]) -> Descriptor | None:
    """Answer the entry that serves the candidate's platform best, of its own architecture only.

    A 32-bit image in an `arm64v8/` index would otherwise be offered as a 64-bit one. What an entry leaves open, a
    trusted name fills in: an `arm` without variant, or the only entry's whole platform.
    """
    wanted = candidate.platform
    own = [
        image for image in images if image.platform and image.platform.normalised().architecture == wanted.architecture
    ]
    position = pick_best(wanted, [image.platform for image in own])
    if position is not None:
        return own[position]
    if not candidate.trusted:
        return None
    if len(images) == 1 and images[0].platform is None:
        return images[0]
    return next((image for image in own if image.platform and not image.platform.variant), None)


def _judge(candidate: Candidate, descriptor: Descriptor, claim: Answer) -> Finding:
    if not isinstance(claim, ConfigPlatform):
        return _unread(f"its config is {describe(claim)}")
    believed = candidate.corrections.correct(claim.platform)
    if believed is not None and contradicts(candidate.platform, believed):
        return Finding(None, f"refused: its config says {claim.platform}")
    return Finding(Addition(candidate.platform, descriptor), f"an image whose config says {describe_claim(claim)}")


def _judge_binary(candidate: Candidate, found: Finding, answer: Answer) -> Finding:
    if not isinstance(answer, BinaryAnswer):
        return _unread(f"a layer is {describe(answer)}")
    against = answer.program and contradiction(candidate.platform, answer.program.binary)
    if answer.program and against:
        return Finding(None, f"refused: its /{answer.program.path} is {against}")
    return replace(found, reason=f"{found.reason}; {describe(answer)}")


def contradicts(offered_for: Platform, claimed: Platform) -> bool:
    """Tell whether an image config rules out the platform that the image is offered for.

    An `arm` without a variant is taken as open: Docker's own `arm32v6` images say no more (bashbrew#29).
    """
    if claimed.architecture == "arm" and not claimed.variant:
        return offered_for.architecture != "arm" or claimed.os != offered_for.os
    return not can_run(offered_for, claimed)


def _by_name(candidate: Candidate, descriptor: Descriptor) -> Finding:
    return Finding(Addition(candidate.platform, descriptor), f"an image, taken for {candidate.platform} by its name")


def _unread(reason: str) -> Finding:
    return Finding(None, f"could not be read: {reason}", is_known=False)
