"""What a resolution asks, and what it may be answered.

Every failure is an answer: a resolution is never interrupted, it decides what an unanswered question means.
"""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import TypeVar

from proxy.arch.programs import Program
from proxy.oci import media_types
from proxy.oci.manifests import Descriptor, Document
from proxy.oci.platforms import Platform

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class TagQuestion:
    """What is under this tag? With its document, if `with_document`; else a HEAD will do."""

    repository: str
    tag: str
    with_document: bool
    is_candidate: bool = False
    """Whether nobody asked for it by name: an absent candidate is remembered for longer."""


@dataclass(frozen=True, slots=True)
class ManifestQuestion:
    """What does this manifest say?"""

    repository: str
    descriptor: Descriptor


@dataclass(frozen=True, slots=True)
class ConfigQuestion:
    """Which platform does this image's config claim?"""

    repository: str
    config: Descriptor


@dataclass(frozen=True, slots=True)
class BinaryQuestion:
    """Which program speaks for this image's CPU, in the first megabytes of its layers?"""

    repository: str
    layers: tuple[Descriptor, ...]


Question = TagQuestion | ManifestQuestion | ConfigQuestion | BinaryQuestion


@dataclass(frozen=True, slots=True)
class Present:
    """The tag or manifest exists; `document` only where it was asked for."""

    descriptor: Descriptor
    document: Document | None = None
    is_stale: bool = False


@dataclass(frozen=True, slots=True)
class Absent:
    """It does not exist, or is not shown to us: Docker Hub does not tell the two apart."""

    reason: str = "absent"
    is_denied: bool = False


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Nobody knows: upstream did not answer, or not in a way that counts."""

    reason: str
    is_misbehaviour: bool = False
    """Whether upstream did answer, but something that may not be used."""


@dataclass(frozen=True, slots=True)
class ConfigPlatform:
    """The platform that an image config claims; None if it claims none."""

    platform: Platform | None


@dataclass(frozen=True, slots=True)
class BinaryAnswer:
    """The program that speaks for an image's CPU; None if none was found where it was looked for."""

    program: Program | None


Answer = Present | Absent | Unreachable | ConfigPlatform | BinaryAnswer

Asking = Generator[tuple[Question, ...], tuple[Answer, ...], _T]
"""A part of a conversation: it yields questions that do not depend on each other, is sent their answers in the same
order, and returns what it was about."""


def describe(answer: Answer) -> str:
    """Write an answer for a trail."""
    match answer:
        case Present(descriptor=descriptor, is_stale=is_stale):
            return f"{descriptor.digest}{' (stale)' if is_stale else ''}"
        case Absent(reason=reason) | Unreachable(reason=reason):
            return reason
        case BinaryAnswer(program=program):
            return "no binary to look at" if program is None else f"its /{program.path} is {program.binary}"
        case _:
            return str(answer.platform)


def describe_claim(answer: Answer) -> str:
    """Write the platform that a config claims, for a trail."""
    if isinstance(answer, ConfigPlatform) and answer.platform is not None:
        return str(answer.platform)
    return "an unknown platform"


def describe_kind(media_type: str) -> str:
    """Write what a document is that is neither an image nor an index, for a trail."""
    if media_type in media_types.SCHEMA1:
        return "an image of schema 1, which no index can list"
    return f"a document of type {media_type}"


def describe_platforms(platforms: Iterable[Platform | None]) -> str:
    """Write the platforms that something has, for a trail."""
    return ", ".join(str(platform or "no platform") for platform in platforms) or "nothing"
