"""Who asks: the platform of a client, from whatever it shows.

Every kind of evidence is one row of `EVIDENCE`, strongest first; the first row that speaks wins, and the detection
names it. A row never raises: a forged, overlong or unknown value says nothing, and the next row is asked.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from proxy.arch.user_agents import Engine, parse_user_agent
from proxy.arch.vocabulary import BUILT_IN, MAX_WORD_LENGTH, Vocabulary
from proxy.oci.platforms import Platform

MAX_PLATFORM_LENGTH = MAX_WORD_LENGTH
"""A longer header is nobody's platform."""


class AnswerMode(StrEnum):
    """What a tag is answered with where both would do."""

    INDEX = "index"
    """The index: the client chooses."""
    MANIFEST = "manifest"
    """The one image manifest for the client's platform."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What the operator says of whoever comes in by a listener, or from a network."""

    platform: Platform | None = None
    answer: AnswerMode | None = None


NOTHING_ASSIGNED = Assignment()


@dataclass(frozen=True, slots=True)
class ClientHints:
    """What one request shows of its client; an empty text where it shows nothing."""

    path_word: str = ""
    """The platform word that stood in the path, if any."""
    header: str = ""
    """The value of its platform header, if any."""
    listener: Assignment = NOTHING_ASSIGNED
    """What is said of the listener that it came in by."""
    rule: Assignment = NOTHING_ASSIGNED
    """What is said of the network that it came from."""
    user_agent: str = ""
    vocabulary: Vocabulary = BUILT_IN
    """What its words are read with."""


@dataclass(frozen=True, slots=True)
class Detection:
    """The platform that a client is believed to have, and why."""

    platform: Platform | None
    evidence: str
    """The row that spoke: `path`, `header`, `listener`, `client-rule`, `user-agent`, `default`, or `none`."""
    considered: tuple[str, ...] = field(default=())
    """The rows that were asked, in order."""
    answer: AnswerMode = AnswerMode.INDEX
    engine: Engine | None = None
    """What its User-Agent tells of it, whichever evidence spoke: clients of some versions choose in their own way."""
    answer_evidence: str = "default"
    """Where the answer mode comes from: `path`, `listener`, `client-rule`, or `default`."""


@dataclass(frozen=True, slots=True)
class PathPlatform:
    """A repository of the path, freed of the platform word that stood before it."""

    word: str
    repository: str


def split_path_platform(prefix: str, repository: str, vocabulary: Vocabulary = BUILT_IN) -> PathPlatform | None:
    """Find the platform word of a request path, whichever of the four shapes the client gave it.

    Args:
        prefix: The part before `v2`, or the first part of a path without it.
        repository: The repository of the path, which may itself begin with a word.
        vocabulary: The words for platforms.

    Answers None if the prefix is no platform word: there is no such path then.
    """
    if prefix:
        return PathPlatform(prefix, repository) if vocabulary.find_path_platform(prefix) else None
    first, slash, rest = repository.partition("/")
    if slash and vocabulary.find_path_platform(first):
        return PathPlatform(first, rest)
    return PathPlatform("", repository)


def _from_path(hints: ClientHints) -> Platform | None:
    return hints.vocabulary.find_path_platform(hints.path_word) if hints.path_word else None


def _from_header(hints: ClientHints) -> Platform | None:
    return hints.vocabulary.find_platform(hints.header) if 0 < len(hints.header) <= MAX_PLATFORM_LENGTH else None


def _from_listener(hints: ClientHints) -> Platform | None:
    return hints.listener.platform


def _from_rule(hints: ClientHints) -> Platform | None:
    return hints.rule.platform


def _from_user_agent(hints: ClientHints) -> Platform | None:
    engine = parse_user_agent(hints.user_agent)
    return engine.platform if engine is not None else None


EVIDENCE: tuple[tuple[str, Callable[[ClientHints], Platform | None]], ...] = (
    ("path", _from_path),
    ("header", _from_header),
    ("listener", _from_listener),
    ("client-rule", _from_rule),
    ("user-agent", _from_user_agent),
)


def detect(hints: ClientHints, *, default: Platform | None = None) -> Detection:
    """Answer the platform of a client by the strongest evidence that speaks."""
    considered: list[str] = []
    answer, asked_by = _answer_mode(hints)
    engine = parse_user_agent(hints.user_agent)
    for name, row in EVIDENCE:
        considered.append(name)
        if (platform := row(hints)) is not None:
            return Detection(platform, name, tuple(considered), answer, engine, asked_by)
    if default is not None:
        return Detection(default, "default", (*considered, "default"), answer, engine, asked_by)
    return Detection(None, "none", tuple(considered), answer, engine, asked_by)


def _answer_mode(hints: ClientHints) -> tuple[AnswerMode, str]:
    said = (
        ("path", AnswerMode.MANIFEST if _from_path(hints) is not None else None),
        ("listener", hints.listener.answer),
        ("client-rule", hints.rule.answer),
    )
    return next(((mode, name) for name, mode in said if mode is not None), (AnswerMode.INDEX, "default"))
