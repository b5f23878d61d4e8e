"""Indexes for clients that would choose wrongly out of the one for everybody.

Two kinds of client do. Old Docker Engines take the first entry of their architecture, or their own variant exactly,
which a Pi Zero's gets wrong besides (platforms.md §3.1, clients.md §4.1). And a level that no client detects, such as
`arm64/v8.1`, may have been assigned to one (platforms.md §1.4). What such a client would choose is worked out here as
it would do it (`picking`); only where that is not the best image for its platform, it is answered an index of its own:
the best image first, labelled as what the client looks for, and then everything as it was, so that `--platform` works
as ever.
"""

from collections.abc import Sequence
from dataclasses import replace

from proxy.arch.compatibility import pick_best
from proxy.arch.detection import Detection
from proxy.arch.picking import is_old, list_own_labels, rule_of
from proxy.arch.synthesis import Synthesis, synthesise
from proxy.arch.user_agents import Engine
from proxy.oci.manifests import Descriptor, Index
from proxy.oci.platforms import Platform

_UNDETECTED = frozenset({"amd64", "arm64"})
"""Architectures whose levels clients do not detect; dockerd from 23 on knows its own on amd64."""
_ASSIGNED = frozenset({"header", "listener", "client-rule", "default"})


def chooses_well(detection: Detection) -> bool:
    """Tell whether a client finds the best image in any index by itself, so that nobody needs to look into it."""
    return not _labels(detection)


def tailor(index: Index, detection: Detection) -> Synthesis | None:
    """Answer the index for a client that would choose wrongly out of this one; None for every other.

    The result depends on nothing but the index, the client's platform and what its version looks for.
    """
    platform, labels = detection.platform, _labels(detection)
    if platform is None or not labels:
        return None
    images = [entry for entry in index.manifests if entry.is_runnable and entry.platform is not None]
    best = pick_best(platform, [entry.platform for entry in images])
    # An image of another architecture is never labelled as the client's own: some 64-bit ARMs run no 32-bit one.
    if best is None or not _is_kin(images[best], labels[0]):
        return None
    if all(_choose(label, detection.engine, images) == images[best].digest for label in labels):
        return None
    label = labels[0].explicit()
    first = replace(images[best], platform=label, source=None)
    kept = [entry for entry in index.manifests if not _is_same_entry(entry, first)]
    made = synthesise(replace(index, manifests=(first, *kept)), ())
    return made if made.is_servable else None


def _labels(detection: Detection) -> tuple[Platform, ...]:
    """Answer the platforms that a client may look for, the likeliest first; none where it can be left to itself."""
    platform, engine = detection.platform, detection.engine
    if platform is None:
        return ()
    if engine is not None and is_old(engine):
        known = list_own_labels(engine)
        return known if known[0].architecture == platform.normalised().architecture else ()
    own = platform.normalised()
    if detection.evidence in _ASSIGNED and own.architecture in _UNDETECTED and own.variant:
        return (replace(own, variant=""),)
    return ()


def _choose(label: Platform, engine: Engine | None, images: Sequence[Descriptor]) -> object:
    """Answer the digest that a client chooses which looks for a platform; None where it finds nothing."""
    position = rule_of(engine)(label, [entry.platform for entry in images])
    return None if position is None else images[position].digest


def _is_kin(entry: Descriptor, label: Platform) -> bool:
    normal = entry.platform.normalised() if entry.platform else None
    return normal is not None and (normal.os, normal.architecture) == (label.os, label.architecture)


def _is_same_entry(entry: Descriptor, other: Descriptor) -> bool:
    if entry.platform is None or other.platform is None:
        return False
    return entry.digest == other.digest and entry.platform.is_same(other.platform)
