"""Where a build for a platform may live: templates, and the candidates that they give for a tag.

A template holds `{name}` (the repository without `library/`, for names without a namespace only), or `{repository}`
(as it is), and may hold `{tag}`. Which templates apply is the operator's word, but for two tables: Docker's own
namespaces, and the forum proposal's, which are never asked on a registry where a stranger may own such a name.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from proxy.arch.words import FROZEN, OFFICIAL, PROPOSAL
from proxy.oci.errors import InvalidName, InvalidSetting, InvalidTag
from proxy.oci.platforms import Platform
from proxy.oci.references import LIBRARY, parse_repository, parse_tag, short_name

FIELDS = ("{name}", "{repository}", "{tag}")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tag that may hold a build for a platform."""

    repository: str
    tag: str
    platform: Platform
    trusted: bool
    """Whether its name alone is proof enough; if not, its image config must not contradict the platform."""
    checks_binaries: bool = False
    """Whether a binary out of its layers must not contradict the platform either."""

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


@dataclass(frozen=True, slots=True)
class Template:
    """A pattern of names under which builds for one platform are published."""

    pattern: str
    platform: Platform
    trusted: bool = False
    checks_binaries: bool = False

    def apply(self, repository: str, tag: str) -> Candidate | None:
        """Answer the candidate for a tag, or None where the template does not apply or gives no valid name."""
        if "{name}" in self.pattern and "/" in short_name(repository):
            return None
        text = self.pattern.replace("{name}", short_name(repository)).replace("{repository}", repository)
        target_repository, _, target_tag = text.replace("{tag}", tag).rpartition(":")
        try:
            parse_repository(target_repository)
            parse_tag(target_tag)
        except (InvalidName, InvalidTag):
            return None
        if (target_repository, target_tag) == (repository, tag):
            return None
        return Candidate(target_repository, target_tag, self.platform, self.trusted, self.checks_binaries)


def parse_template(pattern: str, platform: Platform, *, trusted: bool = False) -> Template:
    """Check a pattern as an operator writes it; `:{tag}` is added where no tag is given.

    Raises:
        InvalidSetting: It has neither `{name}` nor `{repository}`, an unknown field, or gives no valid name.
    """
    whole = pattern if ":" in pattern else f"{pattern}:{{tag}}"
    sample = whole
    for name in FIELDS:
        sample = sample.replace(name, "x")
    if "{name}" not in whole and "{repository}" not in whole:
        raise InvalidSetting(f"candidate {pattern!r} needs {{name}} or {{repository}} in it")
    if "{" in sample or Template(whole, platform).apply(f"{LIBRARY}name", "tag") is None:
        raise InvalidSetting(f"candidate {pattern!r} gives no valid name; its fields are {', '.join(FIELDS)}")
    return Template(whole, platform, trusted)


def official_templates() -> tuple[Template, ...]:
    """Docker's own namespaces, then the frozen ones: `arm32v7/{name}:{tag}`."""
    return tuple(
        Template(f"{namespace}/{{name}}:{{tag}}", Platform.parse(platform).normalised(), trusted=True)
        for table in (OFFICIAL, FROZEN)
        for namespace, platform in table.items()
    )


def proposal_templates() -> tuple[Template, ...]:
    """The forum proposal's namespaces: `arm6/{name}:{tag}`."""
    return tuple(
        Template(f"{word}/{{name}}:{{tag}}", Platform.parse(platform).normalised(), trusted=False)
        for word, platform in PROPOSAL.items()
    )


def list_candidates(templates: Iterable[Template], repository: str, tag: str) -> tuple[Candidate, ...]:
    """Answer every candidate for a tag, in the templates' order, each name once a platform."""
    found: dict[tuple[str, str, Platform], Candidate] = {}
    for template in templates:
        if (candidate := template.apply(repository, tag)) is not None:
            found.setdefault((candidate.repository, candidate.tag, candidate.platform), candidate)
    return tuple(found.values())
