"""Which upstream a request is for, and which of its repositories are meant."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from proxy.arch.detection import split_path_platform
from proxy.oci.errors import NameUnknown
from proxy.oci.references import DOCKER_HUB, normalise_registry, with_library
from proxy.service.pull import Puller

MAX_REMEMBERED = 1024
"""How many names' places are remembered."""


@dataclass(frozen=True, slots=True)
class Front:
    """One upstream, as clients reach it."""

    puller: Puller
    has_library: bool = False
    """Whether a one-component name means one in `library/`, as on Docker Hub."""
    has_words: bool = False
    """Whether a platform word may be the namespace of a real repository (the forum proposal's own registries)."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a path means on an upstream."""

    path_word: str
    """The platform word that stood in the path, or nothing."""
    repositories: tuple[str, ...]
    """Where to look, in order; the last one is the name that links are kept under."""


def pick_front(fronts: Mapping[str, Front], namespace: str | None) -> Front:
    """Answer the upstream that a `?ns=` names; absent means Docker Hub (clients.md §2.2).

    Raises:
        NameUnknown: It is none of the configured ones. Any other host is never asked: that would be an open relay.
    """
    name = normalise_registry(namespace) if namespace else DOCKER_HUB
    front = fronts.get(name)
    if front is None:
        raise NameUnknown(f"{name[:100]} is none of this proxy's upstreams: {', '.join(sorted(fronts))}")
    return front


def check_prefix(prefix: str) -> None:
    """Hold what stands before `v2` to what may stand there.

    Raises:
        NameUnknown: It is no platform.
    """
    if split_path_platform(prefix, "") is None:
        raise _no_such_path()


def place_in(front: Front, prefix: str, repository: str) -> Place:
    """Answer the repositories that a path means.

    Raises:
        NameUnknown: The path begins with something that is neither `v2` nor a platform.
    """
    return _place(prefix, repository, front.has_library, front.has_words)


@lru_cache(MAX_REMEMBERED)
def _place(prefix: str, repository: str, has_library: bool, has_words: bool) -> Place:  # noqa: FBT001 - lru_cache
    found = split_path_platform(prefix, repository)
    if found is None:
        raise _no_such_path()
    meant = with_library(found.repository) if has_library else found.repository
    is_in_name = bool(found.word) and not prefix
    if is_in_name and has_words:
        return Place(found.word, (repository, meant))
    return Place(found.word, (meant,))


def _no_such_path() -> NameUnknown:
    return NameUnknown("no such path: it begins with neither v2 nor a platform such as linux-arm-v6")
