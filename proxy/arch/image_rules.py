"""What the operator says of single images: where a build is, what is left out, what is meant, what runs where.

A rule is for the names that its pattern matches, `library/debian` or `library/debian:jess*`. All rules that match a
name count, in order.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from proxy.arch.candidates import Candidate, Template
from proxy.arch.corrections import NO_CORRECTIONS, Corrections, join_corrections
from proxy.oci.platforms import Platform


@dataclass(frozen=True, slots=True)
class SharedImage:
    """An image that is fit for several platforms: the forum proposal's TAGARCH."""

    platform: Platform
    """The platform that it is offered for."""
    also: tuple[Platform, ...]
    """The platforms that it is offered for too, where no build of their own is found."""


@dataclass(frozen=True, slots=True)
class ImageRule:
    """What is said of the images of some names."""

    pattern: str
    """A shell pattern of repositories, or of `repository:tag`."""
    sources: tuple[Template, ...] = ()
    """Where the build for a platform is, outright: nothing else is looked at for that platform."""
    excluded: tuple[str, ...] = ()
    """Patterns of candidates that are never used for these images."""
    corrections: Corrections = NO_CORRECTIONS
    """What the images under these names truly are for."""
    shared: tuple[SharedImage, ...] = ()

    def matches(self, repository: str, tag: str) -> bool:
        """Tell whether the rule is for a tag."""
        return matches_name(self.pattern, repository, tag)


@dataclass(frozen=True, slots=True)
class Ruling:
    """All that the rules say of one tag."""

    sources: tuple[Template, ...] = ()
    excluded: tuple[str, ...] = ()
    corrections: Corrections = NO_CORRECTIONS
    shared: tuple[SharedImage, ...] = ()

    @property
    def outright(self) -> frozenset[Platform]:
        """The platforms whose builds are named outright."""
        return frozenset(source.platform.normalised() for source in self.sources)

    def list_sources(self, repository: str, tag: str) -> tuple[Candidate, ...]:
        """Answer the candidates that are named outright."""
        found = (source.apply(repository, tag) for source in self.sources)
        return tuple(candidate for candidate in found if candidate is not None)

    def permits(self, candidate: Candidate) -> bool:
        """Tell whether a candidate that a template gave may be asked."""
        if candidate.platform.normalised() in self.outright:
            return False
        return not any(matches_name(pattern, candidate.repository, candidate.tag) for pattern in self.excluded)


def matches_name(pattern: str, repository: str, tag: str) -> bool:
    """Tell whether a tag fits a shell pattern, which is for all tags where it names none."""
    return fnmatchcase(f"{repository}:{tag}" if ":" in pattern else repository, pattern)


def rule_on(rules: Iterable[ImageRule], repository: str, tag: str) -> Ruling:
    """Answer what the rules say of a tag."""
    matching = [rule for rule in rules if rule.matches(repository, tag)]
    return Ruling(
        sources=tuple(source for rule in matching for source in rule.sources),
        excluded=tuple(pattern for rule in matching for pattern in rule.excluded),
        corrections=join_corrections(rule.corrections for rule in matching),
        shared=tuple(shared for rule in matching for shared in rule.shared),
    )
