"""Settings of which image a client gets: the fleet, where builds are looked for, what is said of single images."""

from dataclasses import dataclass

from proxy.arch.aliases import AliasMode
from proxy.arch.candidates import Template, parse_source, parse_template
from proxy.arch.corrections import Correction, Corrections
from proxy.arch.image_rules import ImageRule, SharedImage
from proxy.arch.vocabulary import BUILT_IN
from proxy.config.declaring import items, setting
from proxy.config.parsers import (
    one_of,
    parse_corrections,
    parse_flag,
    parse_one_platform,
    parse_platform_lists,
    parse_platforms,
    parse_registry,
    parse_seconds,
    parse_text,
    parse_texts,
)
from proxy.oci.platforms import Platform
from proxy.oci.references import DOCKER_HUB, normalise_registry, with_library

VERIFICATIONS = ("config", "elf")


@dataclass(frozen=True, slots=True)
class ResolutionSettings:
    """`[resolution]`: which image for whom."""

    fleet: tuple[Platform, ...] = setting(
        parse_platforms,
        "The platforms that this proxy serves: for each of them a build is looked for.",
        default=tuple(map(BUILT_IN.parse_platform, ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6"))),
    )
    default_platform: Platform | None = setting(
        parse_one_platform, "What a client is taken for that does not show its platform.", default=None
    )
    on_missing: str = setting(
        one_of("serve", "refuse"),
        "Where nothing runs on the client's platform: serve what upstream has, or refuse with what there is.",
        default="serve",
    )


@dataclass(frozen=True, slots=True)
class TemplateSettings:
    """`[[candidates.template]]`: a pattern of names under which builds for a platform are published."""

    pattern: str = setting(parse_text, "The pattern, of {name} or {repository}, and {tag}: resin/rpi-{name}:{tag}.")
    platform: Platform = setting(parse_one_platform, "The platform that is published under it.")
    trusted: bool = setting(
        parse_flag,
        "Whether the name is proof enough; if not, an image whose config says otherwise is left out.",
        default=False,
    )
    registry: str = setting(parse_registry, "The upstream that it is for.", default=DOCKER_HUB)
    verify: str | None = setting(one_of(*VERIFICATIONS), "As candidates.verify, for this pattern alone.", default=None)

    @property
    def template(self) -> Template:
        """The template; raises InvalidSetting if the pattern is none."""
        return self.make_template("config")

    def make_template(self, verify: str) -> Template:
        """Make the template, with what is to be verified where it does not say so itself."""
        checks_binaries = (self.verify or ("config" if self.trusted else verify)) == "elf"
        pattern = _official(self.pattern, self.registry)
        return parse_template(pattern, self.platform, trusted=self.trusted, checks_binaries=checks_binaries)


@dataclass(frozen=True, slots=True)
class CandidateSettings:
    """`[candidates]`: where builds for other platforms are looked for."""

    official: bool = setting(parse_flag, "Docker's own namespaces: arm32v7/debian, arm64v8/debian, …", default=True)
    proposal: str = setting(
        one_of("auto", "on", "off"),
        "The forum proposal's namespaces (arm6/, arm7/, rpi/, …); auto means only where no stranger can own them.",
        default="auto",
    )
    absent_ttl: float = setting(
        parse_seconds, "How long a candidate that upstream does not have is not asked for again.", default=6 * 3600.0
    )
    verify: str = setting(
        one_of(*VERIFICATIONS),
        "What must not contradict the platform of a candidate that is not trusted: its config, or a binary of it too.",
        default="config",
    )
    template: tuple[TemplateSettings, ...] = items(TemplateSettings)


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """`[index]`: what an index that is put together names beside its builds."""

    aliases: str = setting(
        one_of(*AliasMode),
        "Where an image stands for a further platform that runs it, for clients that match exactly.",
        default="missing",
    )


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """`[[image.source]]`: where the build for a platform is, outright."""

    platform: Platform = setting(parse_one_platform, "The platform.")
    name: str = setting(parse_text, "Where its build is, with the fields of a candidate's pattern if need be.")

    def make_template(self, registry: str) -> Template:
        """Make the template; raises InvalidSetting if the name is none."""
        return parse_source(_official(self.name, registry), self.platform)


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """`[[image]]`: what is said of the images of some names."""

    match: str = setting(parse_text, "Which images: library/debian, library/*, library/debian:jessie*.")
    registry: str = setting(parse_registry, "The upstream that they are on.", default=DOCKER_HUB)
    exclude: tuple[str, ...] = setting(
        parse_texts, "Candidates that are never used for them: arm32v5/*, arm32v5/debian:jessie.", default=()
    )
    corrections: tuple[tuple[Platform | None, Platform], ...] = setting(
        parse_corrections,
        "Platforms that they claim, and the ones that are meant; * is whatever is claimed.",
        default=(),
    )
    also_runs_on: tuple[tuple[Platform, tuple[Platform, ...]], ...] = setting(
        parse_platform_lists, "Platforms, and those that the image for each of them stands for, too.", default=()
    )
    source: tuple[SourceSettings, ...] = items(SourceSettings)

    @property
    def rule(self) -> ImageRule:
        """The rule; raises InvalidSetting if a name in it is none."""
        return ImageRule(
            pattern=_official(self.match, self.registry),
            sources=tuple(one.make_template(self.registry) for one in self.source),
            excluded=tuple(_official(pattern, self.registry) for pattern in self.exclude),
            corrections=Corrections(tuple(Correction(claimed, true) for claimed, true in self.corrections)),
            shared=tuple(SharedImage(platform, also) for platform, also in self.also_runs_on),
        )


def _official(pattern: str, registry: str) -> str:
    """Answer the pattern that is meant: as everywhere on Docker Hub, debian is library/debian.

    A pattern for everything stays one, and so does one whose fields bring a namespace.
    """
    is_open = pattern[:1] in {"*", "?", "["} or "{repository}" in pattern or "{namespace}" in pattern
    return pattern if is_open or normalise_registry(registry) != DOCKER_HUB else with_library(pattern)
