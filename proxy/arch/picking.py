"""How clients pick an image out of an index: one rule for each way that they do (clients.md §4.1, platforms.md §3.1).

Most of them take the best of what their machine runs, by containerd's order. Who does otherwise is here as well, so
that it can be foretold what a client will run (`polyarch resolve --as-client`), and so that a client that would pick
wrongly can be helped (`tailoring`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from proxy.arch.compatibility import pick_best, rank
from proxy.arch.user_agents import Engine
from proxy.oci.platforms import Platform

Platforms = Sequence[Platform | None]
"""The platforms of an index's entries, in order; None for an entry that names none."""
Rule = Callable[[Platform, Platforms], int | None]
"""Answers the position of the entry that a client takes which looks for a platform; None if it takes none of them."""

_FIRST_OF_ITS_ARCHITECTURE = (18, 6)
"""Docker Engines before this one take the first entry of their architecture (moby 17.12 `filterManifests`)."""
_MISTAKES_A_PI_ZERO = (20, 10)
"""Those before this one take an ARMv6 board for v7, since its kernel says so (moby#37647, #41017)."""
_BEST_OF_ALL = (23,)
"""From this one on they choose by containerd's order, as `compatibility.runs` has it."""
_BEST_ALONE = (24,)
"""The one before this fell back to the first ARM entry still (moby#44390)."""
_ENGINES = frozenset({"docker", "balenaengine"})
_LITERAL_ARMS = ("v8", "v7", "v6", "v5")


def take_first_of_architecture(wanted: Platform, offered: Platforms) -> int | None:
    """Take the first entry of an architecture, whatever its variant: Docker Engine until 18.05."""
    return next((position for position, one in enumerate(offered) if _is_kin(wanted, one)), None)


def take_own_or_first_arm(wanted: Platform, offered: Platforms) -> int | None:
    """Take a platform's own entry, on 32-bit ARM else the first ARM entry: Docker Engine 18.06 to 20.10."""
    own = next((position for position, one in enumerate(offered) if one is not None and one.is_same(wanted)), None)
    is_arm = wanted.normalised().architecture == "arm"
    return take_first_of_architecture(wanted, offered) if own is None and is_arm else own


def take_best(wanted: Platform, offered: Platforms) -> int | None:
    """Take the best that runs: Docker Engine from 24 on, BuildKit, nerdctl, containerd's CRI until 2.0."""
    return pick_best(wanted, offered)


def take_best_or_first_arm(wanted: Platform, offered: Platforms) -> int | None:
    """Take the best that runs, on 32-bit ARM else the first ARM entry: Docker Engine 23.0."""
    best = pick_best(wanted, offered)
    is_arm = wanted.normalised().architecture == "arm"
    return take_first_of_architecture(wanted, offered) if best is None and is_arm else best


def take_exactly(wanted: Platform, offered: Platforms) -> int | None:
    """Take a platform's own entry or one without a platform, and nothing else: containerd's CRI and `ctr` from 2.1."""
    own = next((position for position, one in enumerate(offered) if one is not None and rank(wanted, one) == 0), None)
    return next((position for position, one in enumerate(offered) if one is None), None) if own is None else own


def take_literally(wanted: Platform, offered: Platforms) -> int | None:
    """Take what is spelled the same, any variant if none is asked for: crane.

    An entry without a platform is one for linux/amd64 to it (go-containerregistry `pkg/v1/remote/index.go`).
    """
    named = [one or Platform("linux", "amd64") for one in offered]
    same = (
        position
        for position, one in enumerate(named)
        if (one.os, one.architecture) == (wanted.os, wanted.architecture) and wanted.variant in {"", one.variant}
    )
    return next(same, None)


def take_own_variants(wanted: Platform, offered: Platforms) -> int | None:
    """Take the best variant of an architecture, by its spelling: podman, buildah, skopeo, CRI-O.

    They know no other spelling of a platform than its own, and never leave the architecture (container-libs
    `image/internal/pkg/platform`).
    """
    own = wanted.explicit()
    if own.architecture == "arm" and own.variant in _LITERAL_ARMS:
        variants = (*_LITERAL_ARMS[_LITERAL_ARMS.index(own.variant) :], "")
    else:
        variants = tuple(dict.fromkeys((own.variant, "")))
    spelled = [replace(own, variant=variant) for variant in variants]
    exact = next((one for one in spelled if one in offered), None)
    return next((position for position, one in enumerate(offered) if one == exact), None)


def take_own_architecture(wanted: Platform, offered: Platforms) -> int | None:
    """Take the best that runs, but never of another architecture: regctl."""
    return pick_best(wanted, [one if _is_kin(wanted, one) else _NOBODYS for one in offered])


_NOBODYS = Platform("unknown", "unknown")


@dataclass(frozen=True, slots=True)
class Chooser:
    """One client, as far as it decides which image it takes."""

    rule: Rule | None
    """How it picks; None for one that takes the whole index."""
    wanted: Platform | None
    """What it looks for; None if that is not known."""
    machine: Platform | None = None
    """What it runs on, if that is known."""


def is_old(engine: Engine) -> bool:
    """Tell an engine that chooses otherwise than by what its machine runs."""
    return engine.product in _ENGINES and bool(engine.version) and engine.version < _BEST_OF_ALL


def rule_of(engine: Engine | None) -> Rule:
    """Answer how an engine picks; by containerd's order, if nothing else is known of it."""
    if engine is None or engine.product not in _ENGINES or not engine.version:
        return take_best
    if engine.version < _FIRST_OF_ITS_ARCHITECTURE:
        return take_first_of_architecture
    if engine.version < _BEST_OF_ALL:
        return take_own_or_first_arm
    return take_best_or_first_arm if engine.version < _BEST_ALONE else take_best


def list_own_labels(engine: Engine) -> tuple[Platform, ...]:
    """Answer what an engine may take its machine for, the likeliest first."""
    own = engine.platform
    if not is_old(engine) or own.architecture != "arm" or engine.version < _FIRST_OF_ITS_ARCHITECTURE:
        return (own,)
    if engine.version < _MISTAKES_A_PI_ZERO:
        return (replace(own, variant="v7"),) if own.variant == "v6" else (own,)
    # On a 64-bit kernel, 20.10 asks for v7, and Debian's 20.10.24 for v8: seen in the lab.
    return (replace(own, variant="v7"), own) if own.variant == "v8" else (own,)


def _is_kin(wanted: Platform, one: Platform | None) -> bool:
    own, normal = wanted.normalised(), one.normalised() if one else None
    return normal is not None and (normal.os, normal.architecture) == (own.os, own.architecture)
