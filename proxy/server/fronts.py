"""Which upstream a request is for, and which of its repositories are meant."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from proxy.arch.detection import split_path_platform
from proxy.arch.vocabulary import BUILT_IN, Vocabulary
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


@dataclass(frozen=True, slots=True)
class Location:
    """The upstream that a request is for, and the place on it."""

    front: Front
    place: Place


def locate(
    fronts: Mapping[str, Front],
    namespace: str,
    default: str,
    prefix: str,
    repository: str,
    vocabulary: Vocabulary = BUILT_IN,
) -> Location:
    """Answer which upstream a request is for, and which of its repositories are meant.

    The upstream is the one that `?ns=` names; else the one whose name the path begins with (`/v2/ghcr.io/owner/app/…`,
    before or after a platform word); else the listener's; else Docker Hub. A path that begins with another name than
    `?ns=` says is a repository of the upstream that `?ns=` says.

    Args:
        fronts: The upstreams, by name.
        namespace: What `?ns=` says, or nothing.
        default: The listener's upstream, or nothing.
        prefix: What stands before `v2`, or nothing.
        repository: The repository of the path.
        vocabulary: The words for platforms.

    Raises:
        NameUnknown: There is no such upstream, or no such path.
    """
    named = normalise_registry(namespace) if namespace else ""
    if prefix and _is_upstream(fronts, prefix, named):
        front = fronts[normalise_registry(prefix)]
        return Location(front, place_in(front, "", repository, vocabulary))
    first, _, rest = repository.partition("/")
    second, _, inner = rest.partition("/")
    if rest and _is_upstream(fronts, first, named):
        front, repository = fronts[normalise_registry(first)], rest
    elif inner and vocabulary.find_path_platform(first) and _is_upstream(fronts, second, named):
        front, repository = fronts[normalise_registry(second)], f"{first}/{inner}"
    else:
        front = pick_front(fronts, namespace or default)
    return Location(front, place_in(front, prefix, repository, vocabulary))


def _is_upstream(fronts: Mapping[str, Front], component: str, named: str) -> bool:
    # Only what looks like a host: a namespace is never one, whatever an upstream may be called.
    if "." not in component:
        return False
    name = normalise_registry(component)
    return name in fronts and named in {"", name}


def check_prefix(fronts: Mapping[str, Front], prefix: str, vocabulary: Vocabulary = BUILT_IN) -> None:
    """Hold what stands before `v2` to what may stand there.

    Raises:
        NameUnknown: It is neither a platform nor an upstream.
    """
    if split_path_platform(prefix, "", vocabulary) is None and not _is_upstream(fronts, prefix, ""):
        raise _no_such_path()


def place_in(front: Front, prefix: str, repository: str, vocabulary: Vocabulary = BUILT_IN) -> Place:
    """Answer the repositories that a path means.

    Raises:
        NameUnknown: The path begins with something that is neither `v2` nor a platform.
    """
    return _place(prefix, repository, vocabulary, front.has_library, front.has_words)


@lru_cache(MAX_REMEMBERED)
def _place(
    prefix: str,
    repository: str,
    vocabulary: Vocabulary,
    has_library: bool,  # noqa: FBT001 - lru_cache
    has_words: bool,  # noqa: FBT001 - lru_cache
) -> Place:
    found = split_path_platform(prefix, repository, vocabulary)
    if found is None:
        raise _no_such_path()
    meant = with_library(found.repository) if has_library else found.repository
    is_in_name = bool(found.word) and not prefix
    if is_in_name and has_words:
        return Place(found.word, (repository, meant))
    return Place(found.word, (meant,))


def _no_such_path() -> NameUnknown:
    return NameUnknown("no such path: it begins with neither v2 nor a platform such as linux-arm-v6 nor an upstream")
