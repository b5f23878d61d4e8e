"""Where a build for a platform may live: templates, and the candidates that they give for a tag.

A template is a name with fields in it, for a repository `owner/app`:

* `{repository}`, as it is: `{repository}-armhf:{tag}`;
* `{namespace}` and `{base}`, its parts before and after the last slash: `{namespace}/rpi-{base}:{tag}`;
* `{name}`, the repository without `library/`, for names without a namespace only: `arm32v7/{name}:{tag}`;
* `{tag}`: `{repository}:armhf-{tag}`, `{repository}:{tag}-armhf`.

Which templates apply is the operator's word, but for two tables: Docker's own
namespaces, and the forum proposal's, which are never asked on a registry where a stranger may own such a name.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from proxy.arch.corrections import NO_CORRECTIONS, Corrections
from proxy.arch.words import FROZEN, OFFICIAL, PROPOSAL
from proxy.oci.errors import InvalidName, InvalidSetting, InvalidTag
from proxy.oci.platforms import Platform
from proxy.oci.references import LIBRARY, parse_repository, parse_tag, short_name

FIELDS = ("{name}", "{repository}", "{namespace}", "{base}", "{tag}")
_NAMES = ("{name}", "{repository}", "{base}")
_FIELD = re.compile(r"\{[^{}]*\}")
"""Fields of which other name would be the same for every repository."""


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
    corrections: Corrections = NO_CORRECTIONS
    """What the operator knows better than the images under this name."""

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
        namespace, _, base = repository.rpartition("/")
        values = dict(zip(FIELDS, (short_name(repository), repository, namespace, base, tag), strict=True))
        text = _FIELD.sub(lambda found: values.get(found[0], found[0]), self.pattern)
        target_repository, _, target_tag = text.rpartition(":")
        try:
            parse_repository(target_repository)
            parse_tag(target_tag)
        except (InvalidName, InvalidTag):
            return None
        if (target_repository, target_tag) == (repository, tag):
            return None
        return Candidate(target_repository, target_tag, self.platform, self.trusted, self.checks_binaries)


def parse_template(
    pattern: str, platform: Platform, *, trusted: bool = False, checks_binaries: bool = False
) -> Template:
    """Check a pattern as an operator writes it; `:{tag}` is added where no tag is given.

    Raises:
        InvalidSetting: It names one repository for all, has an unknown field, or gives no valid name.
    """
    if not any(name in pattern for name in _NAMES):
        raise InvalidSetting(f"candidate {pattern!r} needs one of {', '.join(_NAMES)} in it")
    return parse_source(pattern, platform, trusted=trusted, checks_binaries=checks_binaries)


def parse_source(pattern: str, platform: Platform, *, trusted: bool = True, checks_binaries: bool = False) -> Template:
    """Check a pattern that an operator names for certain repositories only: it needs no field.

    Raises:
        InvalidSetting: It has an unknown field, or gives no valid name.
    """
    whole = pattern if ":" in pattern else f"{pattern}:{{tag}}"
    template = Template(whole, platform, trusted, checks_binaries)
    unknown = any(field not in FIELDS for field in _FIELD.findall(whole))
    if unknown or template.apply(f"{LIBRARY}name", "tag") is None:
        raise InvalidSetting(f"candidate {pattern!r} gives no valid name; its fields are {', '.join(FIELDS)}")
    return template


def official_templates() -> tuple[Template, ...]:
    """Docker's own namespaces, then the frozen ones: `arm32v7/{name}:{tag}`."""
    return tuple(
        Template(f"{namespace}/{{name}}:{{tag}}", Platform.parse(platform).normalised(), trusted=True)
        for table in (OFFICIAL, FROZEN)
        for namespace, platform in table.items()
    )


def proposal_templates(*, checks_binaries: bool = False) -> tuple[Template, ...]:
    """The forum proposal's namespaces: `arm6/{name}:{tag}`."""
    return tuple(
        Template(f"{word}/{{name}}:{{tag}}", Platform.parse(platform).normalised(), False, checks_binaries)
        for word, platform in PROPOSAL.items()
    )


def list_candidates(templates: Iterable[Template], repository: str, tag: str) -> tuple[Candidate, ...]:
    """Answer every candidate for a tag, in the templates' order, each name once a platform."""
    found: dict[tuple[str, str, Platform], Candidate] = {}
    for template in templates:
        if (candidate := template.apply(repository, tag)) is not None:
            found.setdefault((candidate.repository, candidate.tag, candidate.platform), candidate)
    return tuple(found.values())
